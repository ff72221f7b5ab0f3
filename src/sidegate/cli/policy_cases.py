"""Files of `sidegate policy test`: lines of `sidegate decide` with what is expected (spec 6.4)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sidegate.cli.exit_codes import DataError
from sidegate.cli.questions import Answer, Asked, answer, parse_line, read_asked
from sidegate.config.yaml_tree import read_tree
from sidegate.control.question import QuestionError
from sidegate.core.engine.expectations import Expectation, ExpectationError, find_mismatches, read_expectation
from sidegate.core.model.errors import Position
from sidegate.core.model.units import UnixMillis
from sidegate.core.model.value import hot_value
from sidegate.core.policy.snapshot import Snapshot
from sidegate.core.routing.table import RouteTable

_MAX_BYTES: Final = 64 << 20
_LINES: Final = frozenset({".jsonl", ".ndjson"})
_OWN: Final = frozenset({"expect", "name"})


@hot_value
class Case:
    """One test.

    Attributes:
        name: For people.
        position: Where it stands.
        asked: The question.
        expected: What should come of it.
    """

    name: str
    position: Position
    asked: Asked
    expected: Expectation


@hot_value
class CaseResult:
    """What came of one test; passed when there are no *mismatches*."""

    case: Case
    answered: Answer
    mismatches: tuple[str, ...]


def run_case(snapshot: Snapshot, case: Case) -> CaseResult:
    """Put the question and hold the answer against what is expected."""
    answered = answer(snapshot, case.asked)
    return CaseResult(case, answered, find_mismatches(case.expected, answered.decision))


def read_cases(path: Path, now: UnixMillis, routes: RouteTable | None) -> list[Case]:
    """Read the tests in *path*: JSON lines (``.jsonl``, ``.ndjson``), else YAML.

    A YAML file is a list of tests, or a mapping of ``tests`` and ``defaults``, members that every test has which does
    not say otherwise.

    Raises:
        DataError: With everything that is wrong in the file, each with its place.
    """
    content = path.read_bytes()
    reader = _Reader(str(path), now, routes)
    if path.suffix in _LINES:
        reader.read_lines(content)
    else:
        reader.read_yaml(content)
    if reader.problems:
        raise DataError("\n".join(reader.problems))
    return reader.cases


class _Reader:
    def __init__(self, file: str, now: UnixMillis, routes: RouteTable | None) -> None:
        self._file = file
        self._now = now
        self._routes = routes
        self.cases: list[Case] = []
        self.problems: list[str] = []

    def read_lines(self, content: bytes) -> None:
        """Read one test per line."""
        for number, line in enumerate(content.split(b"\n"), 1):
            if not line.strip():
                continue
            position = Position(self._file, number, 1)
            try:
                document = parse_line(line)
            except DataError as error:
                self.problems.append(f"{position}: the line {error}")
                continue
            self._take(document, position, number)

    def read_yaml(self, content: bytes) -> None:
        """Read a list of tests, or a mapping with defaults."""
        tree = read_tree(content, self._file, _MAX_BYTES)
        self.problems += [str(problem) for problem in tree.problems]
        data: Any = tree.data
        defaults: object = {}
        path: tuple[str | int, ...] = ()
        if isinstance(data, dict):
            unknown = [key for key in data if key not in {"tests", "defaults"}]
            for key in unknown:
                where = tree.key_position((key,))
                self.problems.append(f"{where}: `{key}` is not known; there are: tests, defaults")
            defaults, data, path = data.get("defaults") or {}, data.get("tests"), ("tests",)
        if not isinstance(data, list) or not isinstance(defaults, dict):
            if not tree.problems:
                where = tree.position(path)
                self.problems.append(f"{where}: `tests` is no list, or `defaults` no mapping; write tests: [...]")
            return
        for number, test in enumerate(data):
            merged = {**defaults, **test} if isinstance(test, Mapping) else test
            self._take(merged, tree.position((*path, number)), number + 1)

    def _take(self, document: object, position: Position, number: int) -> None:
        if not isinstance(document, Mapping):
            self.problems.append(f"{position}: test {number} is no mapping; write one object per test")
            return
        question = {name: member for name, member in document.items() if name not in _OWN}
        name = document.get("name")
        try:
            expected = read_expectation(document.get("expect"))
            asked = read_asked(question, self._now, self._routes)
        except ExpectationError as error:
            self.problems.append(f"{position}: {error}")
        except QuestionError as error:
            self.problems += [f"{position}: {problem}" for problem in error.problems]
        else:
            self.cases.append(Case(name if isinstance(name, str) else _name_of(question), position, asked, expected))


def _name_of(question: Mapping[str, object]) -> str:
    """Name a test after what it asks."""
    what = [question.get(name) for name in ("account", "authority", "target", "method", "path")]
    return " ".join(str(part) for part in what if part is not None)
