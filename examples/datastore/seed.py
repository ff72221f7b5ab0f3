"""Sample organizations: ``acme`` with projects p1 and p2, ``globex`` with project g1."""

import argparse
from pathlib import Path

from examples.datastore.branches import MAIN, Branches
from examples.datastore.disk import SETTINGS, SKILLS, Disk, dump_json
from examples.datastore.files import FileStore
from examples.datastore.names import BranchRef

# A ring of fibre between five sites, and what fits on one truck: a design for each solver family.
ROUTE = {
    "start": "depot",
    "goal": "harbour",
    "edges": [
        {"from": "depot", "to": "mill", "cost": 4},
        {"from": "depot", "to": "school", "cost": 1},
        {"from": "school", "to": "mill", "cost": 2},
        {"from": "mill", "to": "harbour", "cost": 5},
        {"from": "school", "to": "church", "cost": 7},
        {"from": "church", "to": "harbour", "cost": 3},
    ],
}
LOAD = {
    "capacity": 50,
    "items": [
        {"name": "drum", "weight": 10, "value": 60},
        {"name": "ducts", "weight": 20, "value": 100},
        {"name": "splicer", "weight": 30, "value": 120},
    ],
}
SPLICE_SKILL = {"name": "splice", "steps": ["strip", "clean", "cleave", "fuse", "protect"]}


def seed(root: Path) -> None:
    """Write the samples; a project that is there already is left as it is."""
    disk = Disk(root)
    files = FileStore(disk)
    branches = Branches(disk, files)
    for project, title in (("p1", "North ring"), ("p2", "Harbour")):
        _seed_project(disk, files, branches, BranchRef("acme", project, MAIN), title)
    _seed_project(disk, files, branches, BranchRef("globex", "g1", MAIN), "Globex one")
    for org in ("acme", "globex"):
        _seed_sections(disk, org)


def _seed_project(disk: Disk, files: FileStore, branches: Branches, ref: BranchRef, title: str) -> None:
    if disk.is_directory(f"{ref.org}/{ref.project}"):
        return
    branches.create_project(ref.org, ref.project, {"title": title})
    for path, document in _documents(ref).items():
        with disk.staged() as staged:
            dump_json(staged, document)
            files.commit(ref, path, staged)
    branches.create_branch(ref._replace(branch="x"), MAIN)


def _documents(ref: BranchRef) -> dict[str, dict[str, object]]:
    origin = {"organization": ref.org, "project": ref.project}
    return {
        "designs/current/route.json": {**origin, **ROUTE},
        "designs/current/load.json": {**origin, **LOAD},
        "designs/draft/idea.json": {**origin, "status": "draft", "lengths": [120, 80.5, 42]},
        "secrets/keys.json": {**origin, "access_code": "not-for-everyone"},
    }


def _seed_sections(disk: Disk, org: str) -> None:
    if not disk.path(f"{org}/{SETTINGS}").exists():
        disk.write_json(f"{org}/{SETTINGS}", {"units": "metric", "language": "en"})
    skill = disk.path(f"{org}/{SKILLS}/fiber/splice.json")
    if not skill.exists():
        skill.parent.mkdir(parents=True, exist_ok=True)
        disk.write_json(f"{org}/{SKILLS}/fiber/splice.json", {"organization": org, **SPLICE_SKILL})


def main() -> None:
    """Write the samples under a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("var/datastore"))
    seed(parser.parse_args().root)


if __name__ == "__main__":
    main()
