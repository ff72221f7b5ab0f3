"""What is rendered is what the API of each Kubernetes version takes, down to the last field."""

import functools
import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from kubernetes_validate import utils  # type: ignore[import-untyped]
from referencing import Registry, Resource
from tests.unit.deploy.rendering import HERE, Charts, Document, value_sets

SETS = value_sets()
VERSIONS = ("1.29", "1.33", "1.37")
"""Native sidecars on by default; final; the newest with schemas."""
OLDER = ("1.27",)
OF_AN_OPERATOR = {"monitoring.coreos.com/v1", "cert-manager.io/v1"}


# `kubernetes_validate.validate` reads megabytes of definitions for each object. This is its own way of looking them up,
# with what was read kept.
@functools.cache
def definitions(version: str) -> Registry[Any]:
    """Return the strict definitions of a version."""
    contents = utils.schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json", version)
    resource: Resource[Any] = Resource.from_contents(contents)
    return resource @ Registry()


@functools.cache
def validator(version: str, kind: str, api: str) -> jsonschema.Draft202012Validator:
    """Return what checks one kind of object."""
    if api in OF_AN_OPERATOR:
        schema = json.loads((HERE / f"crds/{kind.lower()}.json").read_text("utf-8"))
        return jsonschema.Draft202012Validator(schema)
    group, _, number = api.rpartition("/")
    group = f"{group.partition('.')[0]}-" if group else ""
    schema = utils.schema_contents(
        f"kubernetes-json-schema/v{version}.0-local-strict/{kind.lower()}-{group}{number}.json", version
    )
    resource: Resource[Any] = Resource.from_contents(schema)
    return jsonschema.Draft202012Validator(schema, registry=resource @ definitions(version))


def problems(document: Document, version: str) -> list[str]:
    """Return what is wrong with an object, by its place."""
    found = validator(version, document["kind"], document["apiVersion"]).iter_errors(document)
    return [f"{document['kind']} {error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_the_api_takes_it(charts: Charts, name: str, version: str) -> None:
    """Nothing is missing, mistyped or unknown to the API server."""
    documents = charts.documents(SETS[name], kubernetes=f"v{version}.0")
    assert [problem for document in documents for problem in problems(document, version)] == []


@pytest.mark.parametrize("version", OLDER)
@pytest.mark.parametrize(
    "name", ["sidecar-classic", "standalone-minimal", "standalone-ha", "standalone-secrets", "injector-secret"]
)
def test_older_clusters_take_it(charts: Charts, name: str, version: str) -> None:
    """Without native sidecars the chart goes back to the version that Chart.yaml names."""
    documents = charts.documents(SETS[name], kubernetes=f"v{version}.0")
    assert [problem for document in documents for problem in problems(document, version)] == []


def test_the_check_sees_a_wrong_field(charts: Charts) -> None:
    """A check that passes anything is none: an unknown field is found in every version."""
    documents = charts.documents(SETS["standalone-minimal"])
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readonlyRootFilesystem"] = True
    assert [len(problems(deployment, version)) for version in VERSIONS] == [1, 1, 1]
