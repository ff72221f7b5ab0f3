"""Settings of an annotation become variables that mean the same, or are refused with their place."""

import pytest
from scripts.helm_chart.schema import MANAGED

from sidegate.config.settings import load_settings
from sidegate.injector.settings import DECIDED_ELSEWHERE, MAX_BYTES, read_settings

LABEL = "sidegate.dev/settings"
NEEDED = {"SIDEGATE_UPSTREAM__URL": "http://127.0.0.1:9000"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("log: {level: debug}", (("SIDEGATE_LOG__LEVEL", "debug"),), id="text"),
        pytest.param("limits:\n  connections: 500", (("SIDEGATE_LIMITS__CONNECTIONS", "500"),), id="number"),
        pytest.param("trusted_proxies: [10.0.0.0/8]", (("SIDEGATE_TRUSTED_PROXIES", '["10.0.0.0/8"]'),), id="list"),
        pytest.param(
            "sessions: {surfaces: {web: {idle_ms: 1000, absolute_ms: 2000}}}",
            (("SIDEGATE_SESSIONS__SURFACES", '{"web": {"idle_ms": 1000, "absolute_ms": 2000}}'),),
            id="names-of-ones-own",
        ),
        pytest.param(
            "audit: {on_full: drop_oldest, checkpoint: {records: 5}}",
            (("SIDEGATE_AUDIT__ON_FULL", "drop_oldest"), ("SIDEGATE_AUDIT__CHECKPOINT__RECORDS", "5")),
            id="sections-in-sections",
        ),
        pytest.param("hide: [no_grant]", (("SIDEGATE_HIDE", '["no_grant"]'),), id="set"),
    ],
)
def test_settings_become_variables(text: str, expected: tuple[tuple[str, str], ...]) -> None:
    """One for each setting that is written."""
    assert read_settings(text, LABEL) == (expected, [])


@pytest.mark.parametrize(
    "text",
    [
        "log: {level: debug}\nhide: [no_grant, cross_org]\ntrusted_proxies: [10.0.0.0/8]",
        "sessions:\n  surfaces: {admin: {idle_ms: 1000, absolute_ms: 2000}}\n  max_staleness_ms: 5000",
        "policy: {max_staleness: {default: 15m, approve: 60s}, preload: [acme]}",
        "upstream: {max_connections: 3}\nworkers: 2",
    ],
    ids=["lists", "surfaces", "policy", "numbers"],
)
def test_variables_mean_what_was_written(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The settings in effect are those of a file that says the same."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "policy").mkdir()
    (folder / "routes.yaml").write_text("[]\n")
    bare, written = folder / "bare.yaml", folder / "sidegate.yaml"
    bare.write_text("routes: routes.yaml\n")
    written.write_text(f"routes: routes.yaml\n{text}\n")
    variables, problems = read_settings(text, LABEL)
    assert problems == []
    assert load_settings(bare, {**NEEDED, **dict(variables)}) == load_settings(written, NEEDED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("limit: {}", f"{LABEL}:1:1: `limit` is not known; did you mean `limits`?", id="unknown"),
        pytest.param("limits: {headers: 1}", f"{LABEL}:1:19: `limits.headers` is 1; write a whole", id="bounds"),
        pytest.param("limits: {headers: }", "`limits.headers` is empty", id="empty"),
        pytest.param("a: &x 1", "anchor", id="anchor"),
        pytest.param("log: {", f"{LABEL}:", id="cut"),
        pytest.param("[]", "is no mapping; write settings", id="list"),
        pytest.param("listen: 0.0.0.0:80", "`listen` is decided by `sidegate.dev/port`", id="listen"),
        pytest.param("upstream: {url: 'http://x:1'}", "`upstream.url` is decided by", id="upstream"),
        pytest.param("policy: {source: 'dir:x'}", "`policy.source` is decided by", id="policy"),
        pytest.param(
            "sessions: {signed: {secret_file: /etc/shadow}}", "`sessions.signed.secret_file` is decided by", id="secret"
        ),
        pytest.param(
            "sessions: {redis: 'redis://u:p@h:6379'}", "an address with a password in it; make a Secret", id="password"
        ),
        pytest.param("x" * (MAX_BYTES + 1), f"write at most {MAX_BYTES}", id="large"),
        pytest.param("[" * 100, "", id="deep"),
    ],
)
def test_what_cannot_be_set_is_refused(text: str, message: str) -> None:
    """With place, name and what to do; nothing is taken then."""
    variables, problems = read_settings(text, LABEL)
    assert variables == ()
    assert problems
    assert message in "\n".join(map(str, problems))


def test_no_file_of_the_injector_is_looked_at() -> None:
    """Paths are those of the pod: whether they are there is not for the injector to say, nor to tell."""
    text = (
        "sessions: {signed: {issuer: i, algorithms: [RS256], jwks: 'file:/etc/hostname'}}\n"
        "audit: {checkpoint: {copy_to: 'file:/x'}}"
    )
    missing = text.replace("/etc/hostname", "/no/such/file")
    assert (read_settings(text, LABEL)[1], read_settings(missing, LABEL)[1]) == ([], [])


def test_what_the_chart_decides_is_decided_here_too() -> None:
    """The same settings are not a value's and not an annotation's to say; here nothing about the listener is."""
    by_the_chart = {path[:1] if path[0] == "listen" else path for path in MANAGED}
    assert set(DECIDED_ELSEWHERE) == by_the_chart | {("upstream", "url")}
