"""`sidegate policy test`: a policy against what it is expected to answer (spec 6.4)."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from sidegate.cli.arguments import ConfigOption, PolicyOption, TimeOption, instant_of
from sidegate.cli.exit_codes import DataError, ExitCode
from sidegate.cli.junit import write_junit
from sidegate.cli.local import LoadedPolicies, find_policies
from sidegate.cli.output import Colour, coloured, printable, say, show_json
from sidegate.cli.policy_cases import Case, CaseResult, read_cases, run_case
from sidegate.cli.questions import describe_answer
from sidegate.config.routes_file import load_routes
from sidegate.core.engine.expectations import Coverage, measure_coverage
from sidegate.telemetry import clock


class ResultFormat(StrEnum):
    """What `policy test` prints."""

    TREE = "tree"
    JSON = "json"
    JUNIT = "junit"


EPILOG: Final = """
\b
Examples:
  sidegate policy test config/policy-tests/*.yaml
  sidegate policy test cases.jsonl --policy policy/ -o junit > junit.xml

\b
A file is YAML (or JSON, one test to a line, in a .jsonl file):
  defaults: {org: acme, time: 2026-11-21T00:00:00Z}
  tests:
    - {name: main is read-only, account: user:ana, authority: write, target: p1@main, expect: deny}
    - {account: user:ana, authority: write, target: p1@x, expect: {outcome: allow, because: [b1]}}
"""


def run_tests_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILES...", exists=True, dir_okay=False, help="Files of tests.")
    ],
    *,
    policy: PolicyOption = None,
    routes: Annotated[
        Path | None,
        typer.Option(
            "--routes", metavar="FILE", exists=True, dir_okay=False, help="For tests with a method and a path."
        ),
    ] = None,
    time: TimeOption = None,
    min_coverage: Annotated[
        int, typer.Option("--min-coverage", metavar="PERCENT", min=0, max=100, help="Fail below this.")
    ] = 0,
    config: ConfigOption = None,
    output: Annotated[
        ResultFormat, typer.Option("--output", "-o", metavar="tree|json|junit", help="What to print.")
    ] = ResultFormat.TREE,
) -> int:
    """Hold a policy against what it is expected to answer.

    A test is a line of `sidegate decide` with `expect`: `allow`, `deny`, a reason, or any of `outcome`, `reason`,
    `because` and `remedy`. Coverage tells which entries no test relied on. Exit code 1 if a test fails.
    """
    table = None if routes is None else load_routes(routes).table
    policies = find_policies(policy, config)
    now = instant_of(time, clock.now())
    cases = _read_all(files, lambda file: read_cases(file, now, table))
    results = {file: [run_case(policies.snapshot, case) for case in listed] for file, listed in cases.items()}
    coverages = _coverages(policies, results)
    match output:
        case ResultFormat.JUNIT:
            say(write_junit(results))
        case ResultFormat.JSON:
            show_json(_describe_results(results, coverages))
        case ResultFormat.TREE:
            _show_results(results, coverages)
    has_failed = any(result.mismatches for listed in results.values() for result in listed)
    is_covered = all(coverage.percent >= min_coverage for coverage in coverages)
    return ExitCode.NO if has_failed or not is_covered else ExitCode.OK


def _read_all(files: Sequence[Path], read: Any) -> dict[str, list[Case]]:  # noqa: ANN401  (from a path to cases)
    """Read every file, so that what is wrong in one hides nothing of another."""
    cases: dict[str, list[Case]] = {}
    problems: list[str] = []
    for file in files:
        try:
            cases[str(file)] = read(file)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("these tests cannot be read; correct them:\n" + "\n".join(problems))
    return cases


def _coverages(policies: LoadedPolicies, results: dict[str, list[CaseResult]]) -> list[Coverage]:
    cited: dict[str, set[str]] = {}
    for listed in results.values():
        for result in listed:
            for query in result.case.asked.queries:
                cited.setdefault(query.target.org, set()).update(result.answered.decision.because)
    return [
        measure_coverage(organization.document, cited[name])
        for name, organization in sorted(policies.snapshot.organizations.items())
        if name in cited
    ]


def _describe_results(results: dict[str, list[CaseResult]], coverages: list[Coverage]) -> dict[str, object]:
    flat = [result for listed in results.values() for result in listed]
    return {
        "tests": len(flat),
        "failed": sum(bool(result.mismatches) for result in flat),
        "results": [
            {
                "name": result.case.name,
                "file": result.case.position.file,
                "line": result.case.position.line,
                "passed": not result.mismatches,
                "mismatches": result.mismatches,
                **describe_answer(result.answered),
            }
            for result in flat
        ],
        "coverage": [
            {
                "organization": coverage.organization,
                "percent": coverage.percent,
                "covered": coverage.covered,
                "uncovered": [
                    {
                        "id": key,
                        "file": None if position is None else position.file,
                        "line": None if position is None else position.line,
                    }
                    for key, position in coverage.uncovered
                ],
            }
            for coverage in coverages
        ],
    }


def _show_results(results: dict[str, list[CaseResult]], coverages: list[Coverage]) -> None:
    failed = 0
    for file, listed in results.items():
        say(printable(file))
        for result in listed:
            failed += bool(result.mismatches)
            if not result.mismatches:
                say(f"  {coloured('ok', Colour.GOOD)}    {printable(result.case.name)}")
                continue
            say(f"  {coloured('FAIL', Colour.BAD)}  {printable(result.case.name)}")
            for mismatch in result.mismatches:
                say(printable(f"        {result.case.position}: {mismatch}"))
            because = ", ".join(result.answered.decision.because) or "nothing"
            say(printable(f"        it says {result.answered.decision.reason} because of {because}"))
    total = sum(map(len, results.values()))
    say()
    say(f"{total} tests, {failed} failed")
    for coverage in coverages:
        entries = len(coverage.covered) + len(coverage.uncovered)
        say(f"{coverage.organization}: {len(coverage.covered)} of {entries} entries relied on, {coverage.percent} %")
        for key, position in coverage.uncovered:
            say(printable(f"  not relied on: {key}  {position or ''}".rstrip()))
