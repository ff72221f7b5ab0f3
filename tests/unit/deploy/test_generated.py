"""What is generated of the chart is current, and complete."""

import json
import re
from pathlib import Path
from typing import Any

import helm_python
import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from scripts.helm_chart.generate import PROJECT, generated, outdated, rendered
from scripts.helm_chart.schema import MANAGED, RE2_MAX_REPEAT, build_schema
from scripts.helm_chart.values_file import UndescribedError, read_values
from scripts.helm_chart.values_model import Values
from tests.unit.deploy.rendering import CHART, EXAMPLE, value_sets

import sidegate
from sidegate.config.json_schema import generate_schema
from sidegate.config.settings_model import Settings

VALUES_TEXT = (CHART / "values.yaml").read_text("utf-8")
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))


def test_everything_is_current() -> None:
    """`python -m scripts.helm_chart` would write nothing: schema, tables, versions, the injector's sidecar."""
    stale = outdated({**generated(PROJECT), **rendered(PROJECT)})
    assert sorted(str(path.relative_to(PROJECT)) for path in stale) == []


def test_alerts_and_dashboards_are_copied(tmp_path: Path) -> None:
    """What stands in config/ gets into the chart, and what is gone from there goes from the chart."""
    for name in ("helm/sidegate/values.yaml", "helm/sidegate/README.md", "helm/sidegate/Chart.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((PROJECT / name).read_text("utf-8"))
    (tmp_path / "helm/example-service").mkdir()
    (tmp_path / "helm/example-service/Chart.yaml").write_text((EXAMPLE / "Chart.yaml").read_text("utf-8"))
    (tmp_path / "config/dashboards").mkdir(parents=True)
    (tmp_path / "config/alerts.yaml").write_text("groups: []\n")
    (tmp_path / "config/dashboards/red.json").write_text("{}")
    files = tmp_path / "helm/sidegate/files"
    (files / "dashboards").mkdir(parents=True)
    (files / "dashboards/gone.json").write_text("{}")
    copies = {path: content for path, content in generated(tmp_path).items() if files in path.parents}
    assert {
        files / "alerts.yaml": "groups: []\n",
        files / "dashboards/red.json": "{}",
        files / "dashboards/gone.json": None,
    } == copies


def test_versions_are_the_programs() -> None:
    """Chart and image are released together; the example asks for the same."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    example = yaml.safe_load((EXAMPLE / "Chart.yaml").read_text("utf-8"))
    versions = {chart["version"], chart["appVersion"], example["dependencies"][0]["version"]}
    assert {sidegate.__version__} == versions


def keys_of(schema: dict[str, Any], part: dict[str, Any], prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return every path that a part of the schema knows by name."""
    part = schema["definitions"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    found: set[tuple[str, ...]] = set()
    for name, inner in part.get("properties", {}).items():
        found |= {(*prefix, name)} | keys_of(schema, inner, (*prefix, name))
    return found


def test_every_setting_can_be_a_value() -> None:
    """Each top-level section of the settings is in `config`, but for those that the chart decides."""
    known = {path[1] for path in keys_of(SCHEMA, SCHEMA) if path[0] == "config" and len(path) == 2}
    assert set(Settings.model_fields) - {path[0] for path in MANAGED if len(path) == 1} == known


def secrets_of(schema: dict[str, Any], part: dict[str, Any], prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the path of every secret in a schema of the settings."""
    part = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    found = {prefix} if part.get("writeOnly") else set()
    for name, inner in part.get("properties", {}).items():
        found |= secrets_of(schema, inner, (*prefix, name))
    return found


def test_no_secret_is_a_value() -> None:
    """Whatever the settings hold as a secret, the chart takes as a reference only."""
    schema = generate_schema(Settings)
    assert ("sessions", "signed", "secret") in secrets_of(schema, schema)
    assert secrets_of(schema, schema) <= set(MANAGED)


def test_what_the_chart_decides_is_no_value() -> None:
    """A value for it would be overwritten without a word, so it is refused."""
    known = keys_of(SCHEMA, SCHEMA)
    assert set() == {path for path in MANAGED if ("config", *path) in known}


def test_the_model_has_the_values_and_no_others() -> None:
    """values.yaml shows everything that can be set."""
    data = yaml.safe_load(VALUES_TEXT)
    assert set(Values.model_fields) == set(data)
    Values.model_validate(data)


def objects_of(part: Any) -> list[dict[str, Any]]:
    """Return every schema of an object whose keys are named or have a form."""
    if isinstance(part, list):
        return [found for inner in part for found in objects_of(inner)]
    if not isinstance(part, dict):
        return []
    own = [part] if part.get("type") == "object" and part.keys() & {"properties", "patternProperties"} else []
    return own + [found for inner in part.values() for found in objects_of(inner)]


def test_no_object_takes_unknown_keys() -> None:
    """A mistyped key is an error everywhere but in parts of Kubernetes's own API."""
    assert [part for part in objects_of(SCHEMA) if part.get("additionalProperties") is not False] == []


def patterns_of(part: Any) -> list[str]:
    """Return every regular expression of a schema."""
    if isinstance(part, list):
        return [found for inner in part for found in patterns_of(inner)]
    if not isinstance(part, dict):
        return []
    own = [part["pattern"]] if isinstance(part.get("pattern"), str) else []
    own += list(part.get("patternProperties", {}))
    return own + [found for inner in part.values() for found in patterns_of(inner)]


def test_patterns_are_those_of_go() -> None:
    """Helm's regular expressions have no look-around and repeat at most a thousand times."""
    wrong = [
        pattern
        for pattern in patterns_of(SCHEMA)
        if "(?" in pattern.replace("(?:", "")
        or r"\u" in pattern
        or any(int(count) > RE2_MAX_REPEAT for count in re.findall(r"[{,]([0-9]+)\}", pattern))
    ]
    assert wrong == []


def without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """Return *values* as Helm checks them: a null takes the default away."""
    return {
        key: without_nulls(inner) if isinstance(inner, dict) else inner
        for key, inner in values.items()
        if inner is not None
    }


def test_the_schema_is_one_and_the_defaults_fit() -> None:
    """It is a valid schema of its draft, and every default and every set of values tried here fits it."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft7Validator(SCHEMA)
    validator.validate(yaml.safe_load(VALUES_TEXT))
    for name, values in value_sets().items():
        if not name.startswith("sidecar"):
            cleaned = json.loads(
                json.dumps(values), object_hook=lambda pairs: {k: v for k, v in pairs.items() if v is not None}
            )
            validator.validate(cleaned)


def test_every_value_is_described() -> None:
    """A value without a comment stops the generator, with its name."""
    with pytest.raises(UndescribedError, match=r"about image\.tag, b; write a comment"):
        read_values("# -- One.\na: 1\nimage:\n  # -- Two.\n  name: x\n  tag: y\nb: 2\n")


def test_a_comment_may_go_on() -> None:
    """Lines after the first belong to it; a line of another kind ends it."""
    lines = read_values("# Not about a value.\n\n# -- One\n# more.\na: {b: 1}\nc:\n  # -- Two.\n  d: [1]\n")
    assert lines == [(("a",), "One more.", {"b": 1}), (("c", "d"), "Two.", [1])]


def test_the_schema_says_what_the_comments_say() -> None:
    """Editors show the descriptions of values.yaml."""
    schema = build_schema(read_values(VALUES_TEXT))
    assert schema["definitions"]["Ports"]["properties"]["data"]["description"] == "Data port."
    assert schema["definitions"]["Ports"]["properties"]["data"]["default"] == 8080


def test_helm_finds_nothing_wrong() -> None:
    """`helm lint --strict` passes with a minimal set of values, and the chart packages."""
    values = value_sets()["standalone-minimal"]
    report = helm_python.lint(CHART, values, strict=True)
    assert [message for message in report["messages"] if "icon is recommended" not in message["error"]] == []


PAGES = [
    *sorted((PROJECT / "docs/deploy").glob("*.md")),
    CHART / "README.md",
    CHART / "values.yaml",
    CHART / "values-ha.yaml",
    EXAMPLE / "values.yaml",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_pages_name_values_that_there_are(page: Path) -> None:
    """Each `--set` is a value that the chart takes, each name in a page's prose such a value or a setting."""
    known = keys_of(SCHEMA, SCHEMA)
    free = {("policy", "files"), ("networkPolicy", "upstream", "podLabels"), ("resources",)}
    text = page.read_text("utf-8")
    sections = {path[0] for path in known}
    settings = {path[1:] for path in known if path[0] == "config"} | set(MANAGED)

    def unknown(names: list[str], also: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
        paths = [tuple(name.removeprefix("sidegate.").split(".")) for name in names]
        return [path for path in paths if path[0] in sections and path not in known | also and path[:-1] not in free]

    assert unknown(re.findall(r"--set(?:-file)? '?([A-Za-z.]+)=", text), set()) == []
    prose = re.findall(r"`([a-z][A-Za-z]+(?:\.[A-Za-z_]+)+)[`:=]", text)
    assert unknown([name for name in prose if not name.endswith((".yaml", ".json"))], settings) == []
