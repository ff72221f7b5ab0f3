"""A site to look at: real settings from a real file, with whatever a test changes in it."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from sidegate.app.examination.check import Finding, Site, State
from sidegate.config.policy_file import load_policy_directory
from sidegate.config.routes_file import load_routes
from sidegate.config.settings import load_settings
from sidegate.core.model.units import UnixMillis

NOW = UnixMillis(1_800_000_000_000)

MakeSite = Callable[..., Site]

ACME = """\
organization: acme
members:
  user:ana: {roles: [Member]}
bindings:
  - {id: b1, who: user:ana, role: Viewer, on: p1}
"""
ROUTES = """\
- {get: "/v1/{project}/{branch}/{path*}", authority: read}
- {get: /healthz, public: true}
"""


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    """Return a maker of sites."""

    def make(*, policy: str = ACME, routes: str = ROUTES, settings: dict[str, Any] | None = None) -> Site:
        (tmp_path / "policy").mkdir(exist_ok=True)
        (tmp_path / "policy/acme.yaml").write_text(policy)
        (tmp_path / "routes.yaml").write_text(routes)
        config = tmp_path / "sidegate.yaml"
        written = {"listen": "127.0.0.1:0", "upstream": {"url": "http://127.0.0.1:9"}, "audit": {"spool": "audit"}}
        config.write_bytes(orjson.dumps(written | (settings or {})))
        loaded = load_settings(config, {})
        return Site(
            config=config,
            settings=loaded,
            routes=load_routes(loaded.routes),
            policies=load_policy_directory(tmp_path / "policy"),
            problems=(),
            warnings=(),
            now=NOW,
            timeout_s=5.0,
        )

    return make


def states(findings: Iterable[Finding]) -> dict[str, State]:
    """Return how each check ended."""
    return {finding.check.id: finding.state for finding in findings}


def details(findings: Iterable[Finding]) -> Iterator[str]:
    """Return what was seen."""
    return (finding.detail for finding in findings)
