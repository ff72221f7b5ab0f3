"""`sidegate check`: everything that is wrong, at once."""

from pathlib import Path
from typing import Any


def test_all_is_well(sidegate: Any, config: Path) -> None:
    """Says what was read; public routes are listed as such; exit code 0."""
    assert config.is_file()
    done = sidegate("check", "--config", "sidegate.yaml")
    expected = """\
configuration  ok  sidegate.yaml
routes         ok  routes.yaml, 6 routes
policy         ok  dir:policy
  acme: 5 members, 4 bindings, 1 denies, 1 approvals, 1 keys, a candidate
  globex: 1 members, 1 bindings, 0 denies, 0 approvals, 0 keys

Public routes, forwarded without a credential:
METHOD  PATH      WHERE
GET     /healthz  routes.yaml:13:3
"""
    assert (0, expected, "") == (done.code, done.out, done.err)


def test_every_problem_of_every_file(sidegate: Any, config: Path) -> None:
    """One file hides nothing of another: file, line, column, what is wrong and what to do, in order; exit code 78."""
    config.write_text(config.read_text().replace("listen: 127.0.0.1:0", "listen: x\nlimit: {}"))
    routes = config.parent / "routes.yaml"
    routes.write_text(routes.read_text().replace("primitive: Write", "primitive: Wirte"))
    policy = config.parent / "policy" / "acme.yaml"
    policy.write_text(policy.read_text().replace("role: Viewer", "rolle: Viewer"))
    done = sidegate("check", "--config", "sidegate.yaml")
    assert done.code == 78
    listen = (
        "sidegate.yaml:1:9: `listen.address` is 'x'; write host:port, e.g. 127.0.0.1:8080, [::1]:8080 or "
        "unix:/run/sidegate.sock"
    )
    assert [line for line in done.err.splitlines() if "missing" not in line and not line.startswith("sidegate: ")] == [
        "policy/acme.yaml:15:29: `bindings[1].rolle` is not known; did you mean `role`?",
        "routes.yaml:4:14: `[1].primitive` is 'Wirte'; did you mean `Write`?",
        listen,
        "sidegate.yaml:2:1: `limit` is not known; did you mean `limits`?",
    ]
    assert done.err.splitlines()[-1].endswith("a sidecar would not start from this")


def test_json(sidegate: Any, config: Path) -> None:
    """For programs: problems with their places apart, public routes, organizations."""
    found = sidegate("check", "--config", config, "-o", "json")
    assert (found.code, found.json["ok"], found.json["problems"], found.json["routes"]) == (0, True, [], 6)
    assert [(route["method"], route["pattern"], route["line"]) for route in found.json["public_routes"]] == [
        ("GET", "/healthz", 13)
    ]
    assert [one["organization"] for one in found.json["organizations"]] == ["acme", "globex"]
    config.write_text(config.read_text() + "x: 1\n")
    broken = sidegate("check", "--config", config, "-o", "json")
    assert (broken.code, broken.json["ok"]) == (78, False)
    assert [(str(config), 8, 1, "x")] == [
        (problem["file"], problem["line"], problem["column"], problem["key"]) for problem in broken.json["problems"]
    ]


def test_warnings_do_not_fail(sidegate: Any, config: Path) -> None:
    """An entry that does less than it seems to is said; the exit code stays 0."""
    policy = config.parent / "policy" / "acme.yaml"
    policy.write_text(policy.read_text().replace("role: Viewer", "role: Veiwer"))
    done = sidegate("check", "--config", config)
    assert done.code == 0
    assert "Warnings:" in done.out
    assert "did you mean `Viewer`?" in done.out


def test_valid_and_empty(sidegate: Any, config: Path) -> None:
    """No routes and no policy are valid; that every request is refused is worth a warning."""
    (config.parent / "routes.yaml").write_text("[]\n")
    for file in (config.parent / "policy").iterdir():
        file.unlink()
    done = sidegate("check", "--config", config)
    assert (done.code, done.out.count("every request is refused")) == (0, 2)


def test_no_configuration_at_all(sidegate: Any) -> None:
    """Where there is nothing to check, it says what to name."""
    done = sidegate("check")
    assert done.code == 78
    assert "`--config` is not given and there is no config/sidegate.yaml here; name the file" in done.err


def test_finds_the_usual_file(sidegate: Any, config: Path) -> None:
    """Without --config the usual place is looked at, and before it what SIDEGATE_CONFIG names."""
    folder = config.parent / "config"
    folder.mkdir()
    for name in ("sidegate.yaml", "routes.yaml", "policy"):
        (config.parent / name).rename(folder / name)
    assert sidegate("check").code == 0


def test_the_variable_names_it(sidegate: Any, config: Path, monkeypatch: Any) -> None:
    """SIDEGATE_CONFIG names the file where no flag does."""
    monkeypatch.setenv("SIDEGATE_CONFIG", str(config))
    assert sidegate("check").code == 0
