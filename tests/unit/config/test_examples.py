"""The commented examples in ``config/`` can be used as they are, and are valid for editors."""

import json
import re
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sidegate.config.json_schema import shipped_schema
from sidegate.config.openapi import import_routes
from sidegate.config.policy_file import load_policy_directory
from sidegate.config.routes_file import load_routes
from sidegate.config.settings import load_settings
from sidegate.config.yaml_tree import read_tree

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config"
FILES = [Path("sidegate.yaml"), Path("routes.yaml"), Path("policy/acme.yaml"), Path("policy/globex.yaml")]


def test_settings(tmp_path: Path) -> None:
    """With a key set of the issuer beside it, the example loads whole, and says what the defaults are."""
    shutil.copytree(CONFIG, tmp_path / "config")
    (tmp_path / "config" / "jwks.json").write_text(json.dumps({"keys": []}))
    settings = load_settings(tmp_path / "config" / "sidegate.yaml", {})
    assert settings.audit.spool == tmp_path / "config" / "../var/audit"
    assert settings.limits == type(settings.limits)()


def test_policies() -> None:
    """Nothing in them is wrong, and nothing looks wrong."""
    loaded = load_policy_directory(CONFIG / "policy")
    assert [one.document.organization for one in loaded] == ["acme", "globex"]
    assert [str(warning) for one in loaded for warning in one.warnings] == []


def test_routes_are_those_of_the_example_service() -> None:
    """``config/routes.yaml`` is what the import makes of the example's document; import again after changing that."""
    imported = import_routes(ROOT / "examples/datastore/openapi.yaml", "../src/sidegate/config/schemas/routes.json")
    assert imported.text == (CONFIG / "routes.yaml").read_text()
    assert load_routes(CONFIG / "routes.yaml").table.routes == imported.routes
    assert imported.refused == ()


@pytest.mark.parametrize("name", FILES, ids=str)
def test_editors_find_the_schema(name: Path) -> None:
    """The first line names a schema that is there, and the file is valid by it."""
    path = CONFIG / name
    first = path.read_text().splitlines()[0]
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+/(\w+)\.json)", first)
    assert match is not None
    assert (path.parent / match[1]).resolve().read_text() == shipped_schema(match[2])
    data = read_tree(path.read_bytes(), str(name), 1 << 20).data
    assert [
        error.message for error in Draft202012Validator(json.loads(shipped_schema(match[2]))).iter_errors(data)
    ] == []
