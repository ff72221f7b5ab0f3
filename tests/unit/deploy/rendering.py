"""Renders the charts with Helm's own engine, and writes the golden files: ``python -m tests.unit.deploy.rendering``."""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml
from scripts.helm_chart.generate import render

HERE: Final = Path(__file__).parent
PROJECT: Final = HERE.parents[2]
CHART: Final = PROJECT / "helm/sidegate"
EXAMPLE: Final = PROJECT / "helm/example-service"
VALUES: Final = HERE / "values"
GOLDEN: Final = HERE / "golden"

KUBERNETES: Final = "v1.33.0"
NOTES: Final = "NOTES.txt"

Document = dict[str, Any]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay *over* over *base*, as Helm does with several files."""
    result = dict(base)
    for key, inner in over.items():
        below = result.get(key)
        result[key] = merged(below, inner) if isinstance(below, dict) and isinstance(inner, dict) else inner
    return result


def read(path: Path) -> dict[str, Any]:
    """Read a values file as Helm does: YAML 1.1."""
    return helm_python.values_from_yaml(path.read_text("utf-8"))


def base_values() -> dict[str, Any]:
    """Return the four values that a standalone release needs, but for the image's tag."""
    return read(VALUES / "base.yaml")


class Charts:
    """The chart, and the example of a service with it inside as its dependency, loaded once.

    Args:
        folder: Where the example is put together.
        chart: The chart.
    """

    def __init__(self, folder: Path, chart: Path = CHART) -> None:
        shutil.copytree(EXAMPLE, folder / "example-service")
        shutil.copytree(chart, folder / "example-service/charts/sidegate")
        self._standalone = helm_python.Chart.load(chart)
        self._sidecar = helm_python.Chart.load(folder / "example-service")

    def render(self, values: Mapping[str, Any], *, kubernetes: str = KUBERNETES) -> dict[str, str]:
        """Return every rendered template by its path, below ``sidegate/`` or ``example-service/``.

        Args:
            values: Of the chart; those of a sidecar are the service's, with ours below ``sidegate``.
            kubernetes: The version that it is rendered for.

        Raises:
            helm_python.HelmError: The values are refused.
        """
        chart = self._sidecar if "sidegate" in values else self._standalone
        return render(chart, values, name="gate", namespace="prod", kubernetes=kubernetes)

    def documents(self, values: Mapping[str, Any], *, kubernetes: str = KUBERNETES) -> list[Document]:
        """Return every rendered object."""
        files = self.render(values, kubernetes=kubernetes)
        texts = (text for path, text in sorted(files.items()) if not path.endswith(NOTES))
        return [document for text in texts for document in yaml.safe_load_all(text) if document is not None]


def value_sets() -> dict[str, dict[str, Any]]:
    """Return every set of values by its name: a sidecar's lie over the example's own, those in front over the base."""
    base = base_values()
    sets = {}
    for path in sorted(VALUES.glob("*-*.yaml")):
        over = read(path)
        if path.stem.startswith("injector"):
            sets[path.stem] = over
        elif path.stem.startswith("sidecar"):
            below = {key: base[key] for key in ("routes", "policy")}
            sets[path.stem] = merged({"sidegate": below}, over)
        else:
            sets[path.stem] = merged(base, over)
    sets["standalone-ha"] = merged(base, read(CHART / "values-ha.yaml"))
    return sets


COPIED: Final = ("prometheusrule.yaml", "dashboards.yaml")
"""Templates around files that have their own tests: in golden files only what stands before the file."""


def golden_text(charts: Charts, values: Mapping[str, Any]) -> str:
    """Return all that is rendered, in the order of the templates; blank lines left by templates are not kept."""
    parts = []
    for path, text in sorted(charts.render(values).items()):
        lines = [line.rstrip() for line in text.splitlines()]
        if path.endswith(COPIED):
            begins = next((number for number, line in enumerate(lines) if line in {"spec:", "data:"}), len(lines))
            lines = lines[: begins + 1]
        kept = lines if path.endswith(NOTES) else [line for line in lines if line]
        if any(kept):
            parts.append(f"### {path}\n" + "\n".join(kept).strip("\n") + "\n")
    return "\n".join(parts)


def main() -> None:
    """Write the golden files."""
    with tempfile.TemporaryDirectory() as folder:
        charts = Charts(Path(folder))
        for stale in GOLDEN.glob("*.txt"):
            stale.unlink()
        for name, values in value_sets().items():
            (GOLDEN / f"{name}.txt").write_text(golden_text(charts, values), "utf-8")
            sys.stdout.write(f"wrote {name}\n")


if __name__ == "__main__":
    main()
