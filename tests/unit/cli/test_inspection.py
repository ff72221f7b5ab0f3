"""Everything that a sidecar would start from, looked at whole."""

from pathlib import Path

import pytest

from sidegate.cli.inspection import inspect


def test_all_is_well(config: Path) -> None:
    """Everything was read and nothing is wrong."""
    found = inspect(config)
    assert (found.config, found.problems, found.warnings) == (config, [], [])
    assert found.settings is not None
    assert found.routes is not None
    assert len(found.policies or ()) == 2


@pytest.mark.parametrize(
    ("replaced", "by"),
    [
        pytest.param("listen: 127.0.0.1:0", "listen: nowhere", id="wrong-value"),
        pytest.param("listen: 127.0.0.1:0", "lisen: 127.0.0.1:0", id="unknown-key"),
    ],
)
def test_other_files_are_looked_at_all_the_same(config: Path, replaced: str, by: str) -> None:
    """A configuration that cannot be used still says where the routes and the policy are."""
    config.write_text(config.read_text().replace(replaced, by))
    (config.parent / "routes.yaml").write_text("- get: x\n")
    (config.parent / "policy" / "acme.yaml").write_text("organization: acme\nx: 1\n")
    found = inspect(config)
    assert {Path(problem.position.file).name for problem in found.problems if problem.position is not None} == {
        "sidegate.yaml",
        "routes.yaml",
        "acme.yaml",
    }


def test_files_that_are_not_named(tmp_path: Path) -> None:
    """Routes and policy that are where they are by default are looked at too, whatever else is wrong."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "sidegate.yaml").write_text("limits: {headers: x}\n")
    (tmp_path / "routes.yaml").write_text("- get: x\n")
    (tmp_path / "policy" / "acme.yaml").write_text("organization: acme\nx: 1\n")
    named = {
        Path(problem.position.file).name for problem in inspect(tmp_path / "sidegate.yaml").problems if problem.position
    }
    assert {"sidegate.yaml", "routes.yaml", "acme.yaml"} == named


def test_key_of_the_assertion(config: Path) -> None:
    """A key that cannot be used is said with everything else."""
    (config.parent / "k.pem").write_text("no key")
    config.write_text(f"{config.read_text()}\nforwarding: {{assertion: {{issuer: sidegate, key: file:k.pem}}}}\n")
    (problem,) = inspect(config).problems
    assert problem.key == "forwarding.assertion.key"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[]", id="no-mapping"),
        pytest.param("{", id="no-yaml"),
        pytest.param("routes: 1\npolicy: {source: 1}\n", id="no-text"),
        pytest.param("policy: {source: redis://x}\n", id="no-folder"),
        pytest.param("policy: x\n", id="no-section"),
        pytest.param("routes: gone.yaml\npolicy: {source: dir:gone}\n", id="not-there"),
    ],
)
def test_when_nothing_can_be_found(tmp_path: Path, text: str) -> None:
    """Then only the configuration's problems are said."""
    file = tmp_path / "sidegate.yaml"
    file.write_text(text)
    found = inspect(file)
    assert (found.settings, found.routes, found.policies) == (None, None, None)
    assert found.problems


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """One problem: it cannot be read."""
    assert len(inspect(tmp_path / "gone.yaml").problems) == 1
    assert len(inspect(None).problems) == 1


def test_warnings(config: Path) -> None:
    """Of what is valid and refuses everything, and of entries that do less than they seem to."""
    (config.parent / "routes.yaml").write_text("[]\n")
    (config.parent / "policy" / "globex.yaml").unlink()
    policy = config.parent / "policy" / "acme.yaml"
    policy.write_text(policy.read_text().replace("role: Admin", "role: Admn"))
    found = inspect(config)
    assert (found.problems, [warning.key for warning in found.warnings]) == ([], ["routes", "b3"])
    policy.unlink()
    assert [warning.key for warning in inspect(config).warnings] == ["routes", "policy"]
