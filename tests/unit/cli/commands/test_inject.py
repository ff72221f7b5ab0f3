"""`sidegate inject`: manifests in, manifests with the sidecar out; what is done is told apart from them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidegate.cli.exit_codes import ExitCode
from sidegate.injector.definition import DEFAULT_PATH

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: a
  annotations: {sidegate.dev/inject: enabled, sidegate.dev/config: datastore}
spec:
  containers:
    - {name: app, ports: [{containerPort: 9000}]}   # the service
"""
PLAIN = POD.replace("  annotations: {sidegate.dev/inject: enabled, sidegate.dev/config: datastore}\n", "")


def names(text: str, section: str = "initContainers") -> list[str]:
    """Return the names of a pod's containers."""
    return [one["name"] for one in yaml.safe_load(text)["spec"].get(section, [])]


def test_standard_input_to_standard_output(sidegate: Any) -> None:
    """The manifest and nothing else is printed; what was done is on the error stream."""
    done = sidegate("inject", stdin=POD)
    assert (done.code, names(done.out)) == (ExitCode.OK, ["sidegate"])
    assert "# the service" in done.out
    assert done.err.startswith("pod/a: injected; ")
    back = sidegate("inject", "--uninject", stdin=done.out)
    assert (back.code, back.out, back.err) == (ExitCode.OK, POD, "pod/a: restored\n")


def test_once_more_changes_nothing(sidegate: Any) -> None:
    """And that is no failure."""
    once = sidegate("inject", stdin=POD).out
    again = sidegate("inject", stdin=once)
    assert (again.code, again.out, again.err) == (ExitCode.OK, once, "pod/a: it has the sidecar already\n")


def test_several_files(sidegate: Any, tmp_path: Path) -> None:
    """Are put together, with a line between them; standard input is one of them where it is named."""
    (tmp_path / "a.yaml").write_text(POD)
    (tmp_path / "b.json").write_text(json.dumps({**yaml.safe_load(POD), "metadata": {"name": "b"}}))
    done = sidegate("inject", "-f", "a.yaml", "-f", "-", "-f", "b.json", stdin="kind: Other")
    documents = list(yaml.safe_load_all(done.out))
    assert [document["kind"] for document in documents] == ["Pod", "Other", "Pod"]
    assert "pod/b: `sidegate.dev/inject` is missing" in done.err


def test_annotations_can_be_added(sidegate: Any) -> None:
    """To pods that do not say; and they go again with the sidecar."""
    done = sidegate(
        "inject", "--enable", "--annotate", "config=other", "--annotate", "sidegate.dev/port=8181", stdin=PLAIN
    )
    annotations = yaml.safe_load(done.out)["metadata"]["annotations"]
    assert (annotations["sidegate.dev/config"], annotations["sidegate.dev/port"]) == ("other", "8181")
    assert sidegate("inject", "--uninject", stdin=done.out).out == PLAIN


def test_json(sidegate: Any) -> None:
    """One object as it is, several as a List, as kubectl takes them."""
    one = json.loads(sidegate("inject", "-o", "json", stdin=POD).out)
    assert one["spec"]["initContainers"][0]["name"] == "sidegate"
    several = json.loads(sidegate("inject", "-o", "json", stdin=f"{POD}---\n{PLAIN}---\n# nothing\n").out)
    assert (several["kind"], len(several["items"])) == ("List", 2)


@pytest.mark.parametrize(
    ("arguments", "section"),
    [
        pytest.param(("--classic",), "containers", id="classic"),
        pytest.param(("--native",), "initContainers", id="native"),
        pytest.param(("--kubernetes", "1.28"), "containers", id="before-native"),
        pytest.param(("--kubernetes", "v1.29.3-eks"), "initContainers", id="first-native"),
        pytest.param(("--kubernetes", "1.31+"), "initContainers", id="as-some-clouds-write-it"),
    ],
)
def test_native_or_not(sidegate: Any, arguments: tuple[str, ...], section: str) -> None:
    """As asked, or by the cluster's version."""
    assert "sidegate" in names(sidegate("inject", *arguments, stdin=POD).out, section)


def test_another_definition(sidegate: Any, tmp_path: Path) -> None:
    """That of a cluster's injector takes the place of the chart's defaults."""
    definition = json.loads(DEFAULT_PATH.read_text("utf-8"))
    definition["container"]["image"] = "mirror/sidegate:2"
    (tmp_path / "sidecar.json").write_text(json.dumps(definition))
    done = sidegate("inject", "--sidecar", "sidecar.json", stdin=POD)
    assert yaml.safe_load(done.out)["spec"]["initContainers"][0]["image"] == "mirror/sidegate:2"


@pytest.mark.parametrize(
    ("arguments", "text", "code", "message"),
    [
        pytest.param((), PLAIN, ExitCode.NO, "`sidegate.dev/inject` is missing", id="nobody-asks"),
        pytest.param((), "", ExitCode.NO, "nothing here has pods", id="nothing"),
        pytest.param(("--uninject",), PLAIN, ExitCode.NO, "no injection put a sidecar in", id="nothing-to-undo"),
        pytest.param((), POD.replace("9000", "53, protocol: UDP"), ExitCode.BAD_DATA, "pod/a: `sidegate", id="refused"),
        pytest.param((), "a: [", ExitCode.BAD_DATA, "standard input:", id="no-yaml"),
        pytest.param((), POD.replace("    - {name", "    x: {name"), ExitCode.BAD_DATA, "not a list", id="no-pod"),
        pytest.param(("--annotate", "colour=red"), POD, ExitCode.USAGE, "write NAME=TEXT with one of", id="unknown"),
        pytest.param(("--annotate", "config"), POD, ExitCode.USAGE, "write NAME=TEXT", id="no-text"),
        pytest.param(("--kubernetes", "new"), POD, ExitCode.USAGE, "write it like 1.33", id="no-version"),
        pytest.param(("-o", "table"), POD, ExitCode.USAGE, "write json", id="no-format"),
        pytest.param(("-f", "none.yaml"), POD, ExitCode.USAGE, "none.yaml cannot be read", id="no-file"),
        pytest.param(("--sidecar", "none"), POD, ExitCode.BAD_CONFIGURATION, "cannot be read", id="no-definition"),
    ],
)
def test_exit_codes(sidegate: Any, arguments: tuple[str, ...], text: str, code: ExitCode, message: str) -> None:
    """1: there was nothing to do, and everything comes out as it went in; others: nothing is printed."""
    done = sidegate("inject", *arguments, stdin=text)
    assert (done.code, done.out) == (code, text if code is ExitCode.NO else "")
    assert message in done.err
