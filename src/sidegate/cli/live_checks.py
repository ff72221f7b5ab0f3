"""`sidegate check --live`: asks everything around a sidecar, and shows what was found (spec 6.4)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from sidegate.app.examination.check import Finding, Section, Site, State
from sidegate.app.examination.examine import examine
from sidegate.app.examination.running import Running
from sidegate.cli.admin_port import AdminPort
from sidegate.cli.exit_codes import ExitCode, UnansweredError, UsageError
from sidegate.cli.inspection import Inspection
from sidegate.cli.output import Colour, Format, coloured, printable, say, show_json
from sidegate.config.settings import Settings
from sidegate.telemetry import clock
from sidegate.telemetry.scrape import read_samples

DOCS: Final = "docs/reference/checks.md"

_COLOURS: Final = {
    State.OK: Colour.GOOD,
    State.WARNING: Colour.DOUBTFUL,
    State.FAILED: Colour.BAD,
    State.SKIPPED: Colour.FAINT,
}
_STATE_WIDTH: Final = 7
_ID_WIDTH: Final = 22
_IN_FILES: Final = frozenset({Section.CONFIGURATION, Section.POLICY, Section.ROUTES})


def check_live(found: Inspection, settings: Settings, timeout_s: float, output: Format) -> ExitCode:
    """Look at everything that *found* leans on, show it, and return the exit code."""
    site = Site(
        config=found.config,
        settings=settings,
        routes=found.routes,
        policies=found.policies,
        problems=tuple(found.problems),
        warnings=tuple(found.warnings),
        now=clock.now(),
        timeout_s=timeout_s,
    )
    findings = asyncio.run(_collect(examine(site, _find_running(settings, timeout_s)), output))
    counts = Counter(finding.state for finding in findings)
    if output is Format.JSON:
        show_json(
            {
                "ok": not counts[State.FAILED],
                "counts": {state.value: counts[state] for state in State},
                "checks": [describe_finding(finding) for finding in findings],
            }
        )
    else:
        say()
        say(", ".join(f"{counts[state]} {state}" for state in State))
    return _exit_code(findings)


async def _collect(findings: AsyncIterator[Finding], output: Format) -> list[Finding]:
    """Gather them; for people each is shown as soon as it is known, because some take seconds."""
    collected: list[Finding] = []
    async for finding in findings:
        if output is Format.TABLE:
            if not collected or collected[-1].check.section is not finding.check.section:
                say(f"{chr(10) if collected else ''}{coloured(finding.check.section, Colour.STRONG)}")
            _show(finding)
        collected.append(finding)
    return collected


def _show(finding: Finding) -> None:
    state = coloured(finding.state.ljust(_STATE_WIDTH), _COLOURS[finding.state])
    say(f"  {state}  {finding.check.id:<{_ID_WIDTH}}  {printable(finding.detail)}")
    if finding.state in {State.WARNING, State.FAILED}:
        indent = " " * (_STATE_WIDTH + _ID_WIDTH + 6)
        say(f"{indent}{finding.check.hint}")
        say(f"{indent}{coloured(docs_of(finding), Colour.FAINT)}")


def docs_of(finding: Finding) -> str:
    """Return where the check is explained."""
    return f"{DOCS}#{finding.check.id}"


def describe_finding(finding: Finding) -> dict[str, object]:
    """Return *finding* for JSON."""
    return {
        "id": finding.check.id,
        "section": finding.check.section,
        "state": finding.state,
        "asks": finding.check.asks,
        "detail": finding.detail,
        "hint": finding.check.hint if finding.state in {State.WARNING, State.FAILED} else None,
        "docs": docs_of(finding),
    }


def _find_running(settings: Settings, timeout_s: float) -> Running | None:
    address = str(settings.admin.address)
    try:
        port = AdminPort(address, timeout_s)
        checks = port.readiness().get("checks", [])
        samples = read_samples(port.text("/metrics"))
    except (UnansweredError, UsageError, ValueError):
        return None  # nothing runs there, or nothing of ours
    failing = {str(check["name"]): str(check["detail"]) for check in checks if not check["ok"]}
    return Running(address, failing, samples)


def _exit_code(findings: list[Finding]) -> ExitCode:
    failed = {finding.check.section for finding in findings if finding.state is State.FAILED}
    if failed & _IN_FILES:
        return ExitCode.BAD_CONFIGURATION
    return ExitCode.UNAVAILABLE if failed else ExitCode.OK
