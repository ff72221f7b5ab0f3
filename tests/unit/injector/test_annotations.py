"""What a pod may ask for, each annotation by itself."""

import re
from pathlib import Path
from typing import Any

import pytest

from sidegate.injector.annotations import MEANINGS, PREFIX, SecretKey, Wishes, read_redirection, read_wishes

PROJECT = Path(__file__).resolve().parents[3]


def read(**annotations: str) -> tuple[Wishes | None, list[str]]:
    """Read annotations by their names, with what every pod needs."""
    named = {f"{PREFIX}{name.replace('_', '-')}": text for name, text in annotations.items()}
    wishes, problems = read_wishes({f"{PREFIX}config": "datastore", **named})
    return wishes, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("name", "text", "attribute", "expected"),
    [
        pytest.param("config", "a.b-c", "config", "a.b-c", id="config"),
        pytest.param("port", " 1024 ", "port", 1024, id="lowest-port"),
        pytest.param("port", "65535", "port", 65535, id="highest-port"),
        pytest.param("upstream-port", "1", "upstream_port", 1, id="upstream-below-1024"),
        pytest.param("upstream-port", "http", "upstream_port", "http", id="upstream-by-name"),
        pytest.param("policy-url", "redis/url", "policy_url", SecretKey("redis", "url"), id="policy-url"),
        pytest.param("native", "false", "native", False, id="classic"),
        pytest.param("probes", "through", "has_public_probes", True, id="probes"),
        pytest.param("image", "r.example:5000/sidegate:1@sha256:" + "a" * 64, "image", None, id="image"),
        pytest.param("resources", '{"limits": {"memory": "1.5Gi"}}', "resources", None, id="resources"),
        pytest.param(
            "checkpoint-key", "audit/k.pem", "secrets", (("checkpoint.key", SecretKey("audit", "k.pem")),), id="key"
        ),
        pytest.param(
            "tls", "front",
            "secrets", (("tls.crt", SecretKey("front", "tls.crt")), ("tls.key", SecretKey("front", "tls.key"))),
            id="tls",
        ),
        pytest.param(
            "secret-files", "ca.crt=redis/ca, b=s/k",
            "secrets", (("ca.crt", SecretKey("redis", "ca")), ("b", SecretKey("s", "k"))), id="files",
        ),
        pytest.param(
            "variables", "SIDEGATE_AUDIT__SINKS=a/b,", "variables",
            (("SIDEGATE_AUDIT__SINKS", SecretKey("a", "b")),), id="variables",
        ),
    ],
)  # fmt: skip
def test_what_is_read(name: str, text: str, attribute: str, expected: Any) -> None:
    """Blanks around a text mean nothing; what is left out stays open."""
    wishes, problems = read_wishes({f"{PREFIX}config": "datastore", f"{PREFIX}{name}": text})
    assert problems == []
    assert wishes is not None
    assert (
        getattr(wishes, attribute) == (text if expected is None and name == "image" else expected)
        or name == "resources"
    )


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        pytest.param("port", "1023", "from 1024 to 65535", id="privileged"),
        pytest.param("port", "65536", "from 1024 to 65535", id="beyond"),
        pytest.param("port", "http", "from 1024 to 65535", id="name-to-listen-on"),
        pytest.param("port", "٣٣٣٣", "from 1024 to 65535", id="other-digits"),
        pytest.param("port", "", "from 1024 to 65535", id="empty"),
        pytest.param("upstream-port", "0", "the name of a port", id="port-zero"),
        pytest.param("upstream-port", "Http", "the name of a port", id="upper-case"),
        pytest.param("upstream-port", "a" * 16, "the name of a port", id="long-name"),
        pytest.param("upstream-port", "a--b", "the name of a port", id="two-dashes"),
        pytest.param("config", "Datastore", "the name of an object", id="upper-case-object"),
        pytest.param("config", "a/b", "the name of an object", id="path"),
        pytest.param("policy-url", "redis", "SECRET/KEY", id="no-key"),
        pytest.param("policy-url", "redis/a/b", "SECRET/KEY", id="two-keys"),
        pytest.param("tls", "front/a b", "with the CA of clients", id="blank-in-a-key"),
        pytest.param("variables", "PATH=a/b", "VARIABLE=SECRET/KEY", id="no-setting"),
        pytest.param("variables", "SIDEGATE_X=a/b,SIDEGATE_X=c/d", "twice; keep one", id="variable-twice"),
        pytest.param("secret-files", "../x=a/b", "PATH=SECRET/KEY", id="way-out"),
        pytest.param("secret-files", "tls.key=a/b", "which is taken", id="taken"),
        pytest.param("native", "True", 'write "true" or "false"', id="truth"),
        pytest.param("probes", "yes", "write `through`", id="probes"),
        pytest.param("image", "sidegate; rm -rf", "write an image", id="image"),
        pytest.param("image", "sidegate@sha256:abc", "write an image", id="short-digest"),
        pytest.param("resources", "{", "write JSON", id="no-json"),
        pytest.param("resources", "[" * 2000, "write JSON", id="deep"),
        pytest.param("resources", '{"requests": 7}', "write JSON", id="no-amounts"),
        pytest.param("resources", '{"claims": {}}', "known are requests, limits", id="unknown-kind"),
        pytest.param("resources", '{"limits": {"cpus": "1"}}', "did you mean `cpu`?", id="unknown-resource"),
        pytest.param("resources", '{"limits": {"cpu": 1}}', "an amount in quotes", id="number"),
        pytest.param("resources", '{"limits": {"cpu": "1 core"}}', "an amount in quotes", id="no-quantity"),
        pytest.param("inejct", "enabled", "did you mean `sidegate.dev/inject`?", id="unknown"),
    ],
)
def test_what_is_refused(name: str, text: str, hint: str) -> None:
    """Each is named, with what to write instead."""
    wishes, problems = read_wishes({f"{PREFIX}config": "datastore", f"{PREFIX}{name}": text})
    assert wishes is None
    (problem,) = map(str, problems)
    assert problem.startswith(f"`{PREFIX}{name}`")
    assert hint in problem
    assert len(problem) < 400


def test_a_config_is_needed() -> None:
    """There is no sidecar without settings and routes."""
    wishes, problems = read_wishes({f"{PREFIX}inject": "enabled"})
    assert wishes is None
    assert [str(problem) for problem in problems] == [
        "`sidegate.dev/config` is missing; name the ConfigMap that holds sidegate.yaml and routes.yaml"
    ]


def test_policy_is_in_one_place() -> None:
    """A ConfigMap or Redis, not both."""
    assert read(policy="p", policy_url="s/k")[1] == [
        "`sidegate.dev/policy` stands beside sidegate.dev/policy-url; keep one"
    ]


def test_others_annotations_are_their_own() -> None:
    """Only those with our prefix are looked at; those that make new pods and our own mark are known."""
    wishes, problems = read_wishes(
        {
            f"{PREFIX}config": "c", "sidecar.istio.io/inject": "false", f"{PREFIX}injected": "{}",
            f"{PREFIX}checksum-config": "1",
        }
    )  # fmt: skip
    assert (wishes is not None, problems) == (True, [])


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param({}, (None, None, 0), id="nothing"),
        pytest.param({"upstream-port": "80", "port": "8081"}, (80, 8081, 0), id="both"),
        pytest.param({"upstream-port": "http"}, (None, None, 1), id="a-name-says-nothing-to-a-service"),
    ],
)
def test_services_ask_for_ports(annotations: dict[str, str], expected: tuple[int | None, int | None, int]) -> None:
    """Of a Service only its ports are read."""
    upstream, port, problems = read_redirection({PREFIX + name: text for name, text in annotations.items()})
    assert (upstream, port, len(problems)) == expected


def test_every_annotation_is_documented() -> None:
    """The page on injection has a row for each, with its meaning word for word, and no others."""
    page = (PROJECT / "docs/deploy/injection.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `sidegate\.dev/([a-z-]+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == MEANINGS
