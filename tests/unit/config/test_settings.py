"""Settings from file, variables and flags: whole, or every error at once with its place (spec 6.1)."""

import json
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.unit.config.files import SIGNED, UPSTREAM, Folder

from sidegate.config.audit_model import Completions
from sidegate.config.places import DirectorySource, FileSource, TcpEndpoint, UnixEndpoint, UrlSource
from sidegate.config.session_model import Algorithm
from sidegate.config.settings import load_settings, masked
from sidegate.core.model.decision import Reason
from sidegate.core.model.errors import ConfigError
from sidegate.core.trail.durability import Durability, OnFull


def test_defaults(folder: Folder) -> None:
    """What is left out has the values of spec 6.1; relative paths are relative to the file's folder."""
    settings = folder.load()
    assert (str(settings.listen.address), str(settings.admin.address)) == ("127.0.0.1:8080", "127.0.0.1:9090")
    assert settings.routes == folder.path / "routes.yaml"
    assert settings.policy.source == DirectorySource(folder.path / "policy")
    assert settings.audit.spool == folder.path / "var/audit"
    assert (settings.audit.durability, settings.audit.on_full) == (Durability.PROCESS, OnFull.DENY)
    assert (settings.audit.completions, settings.audit.max_bytes) == (Completions.EXCEPTIONAL, 1 << 30)
    upstream = settings.upstream
    assert (upstream.connect_timeout_ms, upstream.response_timeout_ms, upstream.max_connections) == (1000, 30000, 512)
    limits = settings.limits
    assert (limits.head_bytes, limits.headers, limits.head_timeout_ms, limits.idle_timeout_ms) == (
        32768,
        100,
        10000,
        75000,
    )
    assert (limits.connections, limits.max_body_bytes, limits.target_bytes) == (10000, 0, 8192)
    assert (settings.sessions.cookie, settings.api_keys.header, settings.workers) == ("__session", "X-API-Key", 1)
    web, admin = settings.sessions.surfaces["web"], settings.sessions.surfaces["admin"]
    assert (web.idle_ms, web.absolute_ms, admin.idle_ms, admin.absolute_ms) == (1800000, 43200000, 600000, 14400000)
    assert (settings.sessions.signed, settings.sessions.opaque) == (None, None)


def test_everything_that_can_be_set(folder: Folder) -> None:
    """Each key of spec 6.1 is read into its value."""
    (folder.path / "key.pem").write_text("x")
    settings = folder.load("""
listen: "[::1]:8080"
admin: unix:run/admin.sock
upstream: {url: unix:/run/ds.sock, connect_timeout_ms: 5, response_timeout_ms: 6, max_connections: 7}
routes: routes.yaml
policy: {source: dir:policy}
sessions:
  cookie: sid
  signed:
    issuer: https://i
    jwks: https://i/jwks
    algorithms: [ES256, EdDSA]
    authorized_parties: [https://a]
    audience: ds
    leeway_ms: 0
    org_claim: o.slg
    surface_claim: surface
    refresh_ms: 1000
    max_stale_ms: 0
  opaque: {store: memory}
  surfaces: {kiosk: {idle_ms: 1, absolute_ms: 2}}
api_keys: {header: X-Key}
audit:
  spool: /var/spool
  durability: host
  on_full: drop_oldest
  sinks: [{file: out.jsonl}]
  max_bytes: 1048576
  segment_bytes: 65536
  reserve_bytes: 0
  checkpoint: {records: 5, interval_ms: 100, key: file:key.pem, copy_to: file:copy}
  completions: all
limits: {in_flight: 3, body_json_bytes: 256, min_body_rate: 0, drain_timeout_ms: 0}
forwarding: {credentials: pass}
trusted_proxies: [10.0.0.0/8, "2001:db8::/32"]
hide: [cross_org, no_grant]
problem_detail: minimal
workers: 4
log: {level: debug, format: json}
""")
    assert settings.listen.address == TcpEndpoint("::1", 8080)
    assert settings.admin.address == UnixEndpoint(folder.path / "run/admin.sock")
    assert settings.upstream.url.endpoint == UnixEndpoint(Path("/run/ds.sock"))
    signed = settings.sessions.signed
    assert signed is not None
    assert (signed.jwks, signed.audience) == (UrlSource("https://i/jwks"), ("ds",))
    assert signed.algorithms == (Algorithm.ES256, Algorithm.EDDSA)
    assert set(settings.sessions.surfaces) == {"web", "admin", "mobile", "kiosk"}
    assert settings.audit.sinks[0].file == folder.path / "out.jsonl"
    assert settings.audit.checkpoint.key == FileSource(folder.path / "key.pem")
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert settings.hide == {Reason.CROSS_ORG, Reason.NO_GRANT}
    assert (settings.log.level, settings.log.format, settings.workers) == ("debug", "json", 4)


def test_precedence(folder: Folder) -> None:
    """A flag goes before a variable, a variable before the file, the file before the default (spec 6)."""
    text = UPSTREAM + "limits: {headers: 50, connections: 50, in_flight: 50}"
    environment = {"SIDEGATE_LIMITS__HEADERS": "60", "SIDEGATE_LIMITS__CONNECTIONS": "60"}
    limits = folder.load(text, environment, {"limits.headers": "70"}).limits
    assert (limits.headers, limits.connections, limits.in_flight, limits.head_bytes) == (70, 60, 50, 32768)


def test_without_file(folder: Folder) -> None:
    """Everything can come from outside a file; paths then start where the command was called."""
    environment = {
        "SIDEGATE_UPSTREAM__URL": "http://localhost",
        "SIDEGATE_ROUTES": str(folder.path / "routes.yaml"),
        "SIDEGATE_POLICY__SOURCE": f"dir:{folder.path}/policy",
    }
    settings = load_settings(None, environment)
    assert (str(settings.upstream.url), settings.audit.spool) == ("http://localhost:80", Path("var/audit"))


def test_every_error_at_once(folder: Folder) -> None:
    """Everything that is wrong is said in one go, in the order of the file, with what to write instead."""
    problems = folder.problems("""listen: foo
upstream: {url: http://h/x, connect_timeout_ms: soon, max_conections: 1}
policy: {source: dri:x}
sessions: {surfaces: {web: {idle_ms: 5, absolute_ms: 1}, WEB: {idle_ms: 1.5, absolute_ms: 0}}}
audit: {on_full: drop, sinks: [{file: a, redis: "redis://x"}, {}]}
api_keys: {header: Host}
forwarding: [a]
hide: [cross_org, mfa_required, foo]
trusted_proxies: 10.0.0.1/8
workers: 0
log: {level: infos, format: }
problem_detail: 1.10
""")
    assert problems == [
        (
            "sidegate.yaml:1:9: `listen.address` is 'foo'; "
            "write host:port, e.g. 127.0.0.1:8080, [::1]:8080 or unix:/run/sidegate.sock"
        ),
        (
            "sidegate.yaml:2:17: `upstream.url` is 'http://h/x'; "
            "write http://host:port or unix:/path, without a path behind it"
        ),
        "sidegate.yaml:2:49: `upstream.connect_timeout_ms` is 'soon'; write whole milliseconds, e.g. 1000",
        "sidegate.yaml:2:55: `upstream.max_conections` is not known; did you mean `max_connections`?",
        "sidegate.yaml:3:18: `policy.source` is 'dri:x'; write dir: and a folder, e.g. dir:policy/",
        "sidegate.yaml:4:38: `sessions.surfaces.web.idle_ms` is 5, more than `absolute_ms`; write at most 1",
        "sidegate.yaml:4:58: `sessions.surfaces.WEB` is 'WEB'; write lower-case letters, digits, _ and -, e.g. web",
        "sidegate.yaml:4:73: `sessions.surfaces.WEB.idle_ms` is 1.5; write whole milliseconds, e.g. 900000",
        "sidegate.yaml:4:91: `sessions.surfaces.WEB.absolute_ms` is 0; write whole milliseconds, at least 1",
        "sidegate.yaml:5:18: `audit.on_full` is 'drop'; write one of deny, drop_oldest",
        (
            "sidegate.yaml:5:32: `audit.sinks[0]` names no sink or several; "
            "write one of file, redis, http, nats, kafka in each entry"
        ),
        (
            "sidegate.yaml:5:63: `audit.sinks[1]` names no sink or several; "
            "write one of file, redis, http, nats, kafka in each entry"
        ),
        "sidegate.yaml:6:20: `api_keys.header` is 'Host'; write a header of its own, e.g. X-API-Key",
        "sidegate.yaml:7:13: `forwarding` is a list; write a mapping with the keys assertion, credentials",
        (
            "sidegate.yaml:8:19: `hide[1]` is 'mfa_required'; known are above_ceiling, account_inactive, cross_org, "
            "denied_by_rule, no_grant, not_a_member, not_granted, outside_credential_scope, source_address, "
            "subtree_narrowed, surface, unmapped_route; only refusals by policy can be hidden"
        ),
        (
            "sidegate.yaml:8:33: `hide[2]` is 'foo'; known are above_ceiling, account_inactive, cross_org, "
            "denied_by_rule, no_grant, not_a_member, not_granted, outside_credential_scope, source_address, "
            "subtree_narrowed, surface, "
            "unmapped_route; only refusals by policy can be hidden"
        ),
        "sidegate.yaml:9:18: `trusted_proxies` is '10.0.0.1/8'; write a list, e.g. [a, b]",
        "sidegate.yaml:10:10: `workers` is 0; write a whole number, at least 1",
        "sidegate.yaml:11:14: `log.level` is 'infos'; did you mean `info`?",
        "sidegate.yaml:11:21: `log.format` is empty; write a value, or remove the key",
        "sidegate.yaml:12:17: `problem_detail` is 1.10; write one of full, minimal",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "sidegate.yaml:1:1: `upstream` is missing; add it, e.g. `upstream: {url: ", id="empty-file"),
        pytest.param("- a", "sidegate.yaml:1:1: `file` is a list; write a mapping with the keys admin, ", id="list"),
        pytest.param("a: [b", "`file` cannot be read: ", id="syntax"),
        pytest.param(UPSTREAM + "routes: no.yaml", "2:9: `routes` names no.yaml, which is no file; ", id="no-routes"),
        pytest.param(
            UPSTREAM + "policy: {source: dir:no}",
            "2:18: `policy.source` names no, which is no folder; ",
            id="no-policy",
        ),
        pytest.param(
            UPSTREAM + "audit: {checkpoint: {key: file:no}}",
            "2:27: `audit.checkpoint.key` names no, which is no file; ",
            id="no-key",
        ),
        pytest.param(
            UPSTREAM + SIGNED.replace("jwks.json", "no.json") + "}}",
            "`sessions.signed.jwks` names no.json, which is no file; ",
            id="no-jwks",
        ),
        pytest.param(
            UPSTREAM + SIGNED.replace("file:jwks.json", "http://i/jwks") + "}}",
            "`sessions.signed.jwks` is 'http://i/jwks'; write file: and a path, or an https:// address",
            id="jwks-over-plain-http",
        ),
        pytest.param(
            UPSTREAM + SIGNED.replace("jwks: file:jwks.json, ", "") + "}}",
            "`sessions.signed.jwks` is missing; add the issuer's keys",
            id="asymmetric-without-jwks",
        ),
        pytest.param(
            UPSTREAM + SIGNED.replace("RS256", "RS256, HS256") + "}}",
            "`sessions.signed.algorithms` allows HS256 without a secret",
            id="hs256-without-secret",
        ),
        pytest.param(
            UPSTREAM + SIGNED + ", secret: x}}",
            "`sessions.signed.algorithms` does not allow HS256, but there is a secret",
            id="secret-without-hs256",
        ),
        pytest.param(
            UPSTREAM + SIGNED.replace("RS256", "HS256") + ", secret: x, secret_file: y}}",
            "`sessions.signed.secret` is given twice",
            id="two-secrets",
        ),
        pytest.param(
            UPSTREAM + SIGNED.replace("RS256", "HS256") + ", secret: short}}",
            "`sessions.signed.secret` is too short for HS256",
            id="short-secret",
        ),
        pytest.param(
            UPSTREAM + SIGNED.replace("RS256", "HS256") + ", secret_file: no}}",
            "`sessions.signed.secret_file` cannot be read: No such file",
            id="no-secret-file",
        ),
        pytest.param(
            UPSTREAM + SIGNED.replace("RS256", "none") + "}}",
            "`sessions.signed.algorithms[0]` is 'none'; write one of RS256, ES256, EdDSA, HS256",
            id="algorithm-none",
        ),
        pytest.param(UPSTREAM + SIGNED.replace("RS256", "") + "}}", "is a list; write at least 1", id="no-algorithms"),
        pytest.param("upstream: {url: http://u:p@h}", "`upstream.url` is 'http://***@h'; write ", id="secret-in-a-url"),
        pytest.param(UPSTREAM + "listen: {}", "`listen.address` is missing; ", id="listener-without-address"),
        pytest.param(UPSTREAM + "workers: true", "`workers` is true; write a whole number, e.g. 1", id="truth"),
        pytest.param(UPSTREAM + "workers: '1'", "`workers` is '1'; write a whole number", id="text-for-number"),
        pytest.param(UPSTREAM + "workers: 999", "`workers` is 999; write a whole number, at most 256", id="too-many"),
        pytest.param(UPSTREAM + "listen: 8080", "`listen` is 8080; write a mapping with the keys", id="number"),
        pytest.param(UPSTREAM + "api_keys: {header: a b}", "is 'a b'; write a header name", id="no-header-name"),
        pytest.param(UPSTREAM + "sessions: {cookie: a=b}", "is 'a=b'; write a cookie name", id="no-cookie-name"),
        pytest.param(UPSTREAM + "routes: ''", "`routes` is ''; write a path", id="empty-path"),
    ],
)
def test_refused(folder: Folder, text: str, expected: str) -> None:
    """Each mistake is refused with its key, what is wrong and what to write."""
    (problem,) = folder.problems(text)
    assert expected in problem


def test_problems_of_yaml_and_of_settings_together(folder: Folder) -> None:
    """A repeated key hides no wrong value."""
    problems = folder.problems("workers: 0\nworkers: 1\n" + UPSTREAM)
    assert [problem.split(";")[0] for problem in problems] == [
        "sidegate.yaml:1:10: `workers` is 0",
        "sidegate.yaml:2:1: `file` repeats the key `workers` of line 1",
    ]


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file is said with its name."""
    with pytest.raises(ConfigError, match=r"none\.yaml:1:1: `file` cannot be read: No such file or directory; name a"):
        load_settings(tmp_path / "none.yaml", {})


SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("more", "environment"),
    [
        pytest.param(f", secret: {SECRET}", {}, id="in-the-file"),
        pytest.param(", secret_file: secret", {}, id="in-a-file-that-the-file-names"),
        pytest.param("", {"SIDEGATE_SESSIONS__SIGNED__SECRET": SECRET}, id="in-a-variable"),
        pytest.param("", {"SIDEGATE_SESSIONS__SIGNED__SECRET_FILE": "{folder}/secret"}, id="in-a-file-of-a-variable"),
    ],
)
def test_shared_secret(folder: Folder, more: str, environment: dict[str, str]) -> None:
    """The secret of HS256 may stand in several places, and is never shown."""
    (folder.path / "secret").write_text(f"{SECRET}\n")
    environment = {name: text.format(folder=folder.path) for name, text in environment.items()}
    settings = folder.load(UPSTREAM + SIGNED.replace("RS256", "HS256") + more + "}}", environment)
    assert settings.sessions.signed is not None
    assert settings.sessions.signed.secret is not None
    assert settings.sessions.signed.secret.get_secret_value() == SECRET
    assert SECRET not in json.dumps(masked(settings)) + repr(settings) + str(settings)
    assert masked(settings)["sessions"]["signed"]["secret"] == "***"


def test_masked_is_plain_and_whole(folder: Folder) -> None:
    """What is shown are plain values under the names of the file."""
    shown = masked(folder.load(UPSTREAM + "hide: [no_grant, cross_org]\nlisten: unix:s"))
    assert json.loads(json.dumps(shown)) == shown
    assert (shown["hide"], shown["listen"]["address"]) == (["cross_org", "no_grant"], f"unix:{folder.path}/s")
    assert shown["upstream"]["url"] == "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("written", "environment", "default", "approve"),
    [
        pytest.param("15s", {}, 15_000, None, id="one-age"),
        pytest.param("2000", {}, 2000, None, id="milliseconds"),
        pytest.param("{default: 1m, approve: 5s}", {}, 60_000, 5000, id="by-authority"),
        pytest.param(
            "1m", {"SIDEGATE_POLICY__MAX_STALENESS__APPROVE": "5s"}, 60_000, 5000, id="one-age-and-a-variable"
        ),
    ],
)
def test_staleness(
    folder: Folder, written: str, environment: dict[str, str], default: int, approve: int | None
) -> None:
    """One age is that of every authority; a variable for one of them leaves it to the others."""
    settings = folder.load(UPSTREAM + f"policy: {{max_staleness: {written}}}", environment)
    assert (settings.policy.max_staleness.default, settings.policy.max_staleness.approve) == (default, approve)


def test_staleness_that_is_none(folder: Folder) -> None:
    """What is no age is refused with its place."""
    (problem,) = folder.problems(UPSTREAM + "policy: {max_staleness: soon}")
    assert "2:25: `policy.max_staleness" in problem
