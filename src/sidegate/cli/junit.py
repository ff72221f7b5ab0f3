"""Results of `sidegate policy test` as JUnit XML, which CI systems read."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from sidegate.cli.output import printable
from sidegate.cli.policy_cases import CaseResult


def write_junit(results: Mapping[str, Sequence[CaseResult]]) -> str:
    """Return *results*, by the file they stand in, as one XML document."""
    failures = sum(bool(result.mismatches) for listed in results.values() for result in listed)
    total = sum(map(len, results.values()))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="sidegate policy test" tests="{total}" failures="{failures}">',
    ]
    for file, listed in results.items():
        failed = sum(bool(result.mismatches) for result in listed)
        lines.append(f'  <testsuite name={_attribute(file)} tests="{len(listed)}" failures="{failed}">')
        for result in listed:
            lines += _case(file, result)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"])


def _case(file: str, result: CaseResult) -> list[str]:
    position = result.case.position
    name, where = _attribute(result.case.name), _attribute(file)
    head = f'    <testcase classname={where} name={name} file={where} line="{position.line}"'
    if not result.mismatches:
        return [f"{head}/>"]
    message = "; ".join(result.mismatches)
    return [
        f"{head}>",
        f"      <failure message={_attribute(message)}>{escape(printable(f'{position}: {message}'))}</failure>",
        "    </testcase>",
    ]


def _attribute(text: str) -> str:
    """Quote *text*; what XML cannot hold (section 2.2: most control characters) is written as an escape."""
    return quoteattr(printable(text))
