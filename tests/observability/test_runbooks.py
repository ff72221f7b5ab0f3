"""Runbooks: one page per alert, whose commands, queries, settings and links are real."""

import re
import shlex
from collections.abc import Iterator
from typing import Final

import pytest
import typer
from scripts.runbooks import outdated
from tests.observability.queries import known, problems
from tests.observability.rules import PROJECT, RUNBOOKS, alerts, recorded
from tests.observability.test_firing import FAULTS
from typer.core import TyperGroup

from sidegate.cli.ending import PROGRAM
from sidegate.cli.lazy import LazyCommand
from sidegate.cli.main import build_command
from sidegate.config.settings_model import Settings
from sidegate.core.model.decision import Reason

PAGES: Final = {path.stem: path.read_text("utf-8") for path in sorted(RUNBOOKS.glob("Sidegate*.md"))}
EACH = pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=PAGES)

SECTIONS: Final = [
    "What it means",
    "See it",
    "What to do now",
    "How to undo",
    "How to prevent it",
    "Escalate",
]

_FENCE: Final = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE: Final = re.compile(r"`([^`\n]+)`")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of code in one language."""
    return [text for found, text in _FENCE.findall(page) if found == language]


def commands(page: str) -> Iterator[list[str]]:
    """Return every command of Sidegate, in a block or within a sentence, as words."""
    lines = [line.strip() for block in blocks(page, "sh") for line in block.splitlines()]
    lines += _CODE.findall(_FENCE.sub("", page))
    yield from (shlex.split(line) for line in lines if re.match(r"sidegate( |$)", line))


def unknown_words(words: list[str]) -> list[str]:
    """Return what of a command the command line does not know."""
    command, rest = build_command(), words[1:]
    context = typer.Context(command, info_name=PROGRAM)
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            return [rest[0]]
        command, rest = found.load() if isinstance(found, LazyCommand) else found, rest[1:]
        context = typer.Context(command, parent=context)
    if isinstance(command, TyperGroup) and rest not in ([], ["--help"], ["--version"]):
        return rest
    options = {name for parameter in command.get_params(context) for name in parameter.opts}
    return [word for word in rest if word.startswith("-") and word not in options]


def settings(model: type = Settings, prefix: str = "") -> set[str]:
    """Return every dotted name of a setting, sections too."""
    found: set[str] = set()
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        path = f"{prefix}{name}"
        found.add(path)
        for inner in _models(field.annotation):
            found |= settings(inner, f"{path}.")
    return found


def _models(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def test_they_are_current() -> None:
    """The head of each page and the table are what the rules say; `make docs` writes them."""
    assert sorted(str(path.relative_to(PROJECT)) for path in outdated()) == []


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    """Whoever is woken finds a page, and no page tells about an alert that is gone."""
    assert set(PAGES) == set(alerts())


@EACH
def test_a_page_answers_what_is_asked_at_night(name: str, page: str) -> None:
    """The same questions in the same order, none left empty; steps are numbered."""
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    texts = dict(zip(SECTIONS, re.split(r"^## .+$", page, flags=re.MULTILINE)[1:], strict=True))
    assert all(len(text.strip()) > 15 for text in texts.values())
    assert re.search(r"^1\. ", texts["What to do now"], re.MULTILINE)
    assert blocks(texts["See it"], "promql")


@EACH
def test_commands_exist(name: str, page: str) -> None:
    """Every command and every option of it is one of the command line."""
    found = list(commands(page))
    assert found, f"{name} names no command"
    assert {" ".join(words): wrong for words in found if (wrong := unknown_words(words))} == {}


@EACH
def test_queries_ask_for_what_is_exported(name: str, page: str) -> None:
    """Each parses, and names only metrics and labels that there are."""
    queries = blocks(page, "promql")
    assert len(queries) > 1, name
    assert {query: wrong for query in queries if (wrong := problems(query, recorded()))} == {}


@EACH
def test_names_in_the_text_exist(name: str, page: str) -> None:
    """Metrics, dotted settings, and paths of the admin port."""
    metrics = set(
        re.findall(r"\b(?:sidegate|process)_\w+_(?:total|seconds|bytes|fds|lag|up|limit|pending|cached)\b", page)
    )
    assert metrics <= set(known()) | {"process_cpu_seconds_total"}, name
    sections = set(Settings.model_fields)
    dotted = {code for code in _CODE.findall(page) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", code)}
    named = {code for code in dotted if code.partition(".")[0] in sections}
    assert named <= settings(), name
    assert set(re.findall(r"(?:\$ADMIN|`)(/[a-z0-9/]+)", page)) <= {"/v1/snapshot", "/readyz", "/livez"}, name


@EACH
def test_links_lead_somewhere(name: str, page: str) -> None:
    """To pages that are there."""
    for link in _LINK.findall(page):
        if "://" not in link:
            assert (RUNBOOKS / link.partition("#")[0]).exists(), f"{name}: {link}"


def test_reasons_are_reasons() -> None:
    """A reason in the text is one that a client or a record shows."""
    known_reasons = {str(reason) for reason in Reason}
    for name, page in PAGES.items():
        for reason in re.findall(r"503 `(\w+)`|401 `(\w+)`|--reason (\w+)", page):
            assert set(reason) - {""} <= known_reasons, name


def test_the_page_about_faults_is_current() -> None:
    """It names what `make alerts` breaks, in the order in which it is broken."""
    page = (RUNBOOKS / "tried.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (.+) \|$", page, re.MULTILINE)
    assert [(alert, alert, cause.__doc__) for alert, cause in FAULTS.items()] == rows


def test_the_test_sees_what_is_wrong() -> None:
    """An unknown command, an unknown option, an unknown command of a group."""
    assert unknown_words(["sidegate", "chekc"]) == ["chekc"]
    assert unknown_words(["sidegate", "check", "--lively"]) == ["--lively"]
    assert unknown_words(["sidegate", "audit", "tial"]) == ["tial"]
    assert unknown_words(["sidegate", "audit", "query", "--since", "1h"]) == []
