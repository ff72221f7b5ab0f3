"""What each generated file holds."""

from pathlib import Path
from typing import Final

from scripts.dashboards.audit import AUDIT
from scripts.dashboards.grafana import render
from scripts.dashboards.overview import OVERVIEW
from scripts.dashboards.page import write_page
from scripts.dashboards.policy import POLICY
from scripts.dashboards.red import RED
from scripts.dashboards.resources import RESOURCES

PROJECT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = Path("config/dashboards")
PAGE: Final = Path("docs/dashboards/index.md")

DASHBOARDS: Final = (OVERVIEW, RED, POLICY, AUDIT, RESOURCES)
"""In the order in which they are linked."""


def generated(project: Path = PROJECT) -> dict[Path, str | None]:
    """Return every file with what it has to hold; None for one that has to go."""
    folder = project / FOLDER
    wanted: dict[Path, str | None] = {folder / f"{one.name}.json": render(one, DASHBOARDS) for one in DASHBOARDS}
    return {**dict.fromkeys(folder.glob("*.json")), **wanted, project / PAGE: write_page(DASHBOARDS)}


def outdated(project: Path = PROJECT) -> dict[Path, str | None]:
    """Return those of :func:`generated` that are not so."""
    return {
        path: content
        for path, content in generated(project).items()
        if (path.read_text("utf-8") if path.is_file() else None) != content
    }
