"""Everything that is read before a sidecar is started."""

import pickle
from pathlib import Path

import pytest
from tests.unit.config.files import Folder

from sidegate.config.plan import key_of
from sidegate.config.planning import make_plan
from sidegate.config.policy_file import read_document
from sidegate.config.settings import masked
from sidegate.core.model.errors import ConfigError, PolicyError

UPSTREAM = "upstream: {url: http://127.0.0.1:9000}\n"
ACME = "organization: acme\nbindings:\n  - {id: b1, who: user:ana, role: Viewer, on: p1}\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The policy file of acme."""
    folder = tmp_path / "policy"
    folder.mkdir(exist_ok=True)
    path = folder / "acme.yaml"
    path.write_text(ACME)
    return path


def test_a_plan_comes_through_a_pipe_whole(folder: Folder, policy: Path) -> None:
    """Settings, what is shown of them, routes, and policy under the name and content that were read."""
    settings = folder.load(UPSTREAM)
    plan = make_plan(settings)
    other = pickle.loads(pickle.dumps(plan))
    assert other.shown == masked(settings)
    assert other.settings.routes == settings.routes
    assert other.routes.routes == plan.routes.routes
    content = policy.read_bytes()
    assert other.documents == {key_of(content, str(policy)): read_document(content, str(policy))}


def test_policy_in_redis_is_not_read(folder: Folder) -> None:
    """It is fetched by whoever serves."""
    assert make_plan(folder.load(UPSTREAM + "policy: {source: 'redis://127.0.0.1:1'}\n")).documents == {}


def test_routes_that_cannot_be_used(folder: Folder, tmp_path: Path, policy: Path) -> None:
    """With their place."""
    settings = folder.load(UPSTREAM)
    (tmp_path / "routes.yaml").write_text("- gte: /x\n")
    with pytest.raises(ConfigError, match=r"routes\.yaml:1:"):
        make_plan(settings)


def test_policy_that_cannot_be_used(folder: Folder, policy: Path) -> None:
    """With its place."""
    settings = folder.load(UPSTREAM)
    policy.write_text("organization: acme\nbinding: []\n")
    with pytest.raises(PolicyError, match=r"acme\.yaml:2:1"):
        make_plan(settings)
