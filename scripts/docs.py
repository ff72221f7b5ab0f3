"""Writes the reference pages of the documentation from the code, and checks the links of all pages.

usage: docs.py [--check]      --check changes nothing and ends with 1 when a page is not current or a link is broken.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sidegate.app.examination.examine import CHECKS
from sidegate.cli.reference import exit_code_table, write_reference
from sidegate.core.model.decision import Reason, remedy_of
from sidegate.core.wire.problem import TYPE_BASE, detail_of, status_of
from sidegate.injector.numbers import MEANINGS
from sidegate.telemetry.reference import metrics_reference

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "src/sidegate/config/schemas/sidegate.json"
NOTE = "<!-- Written from the code by `make docs`; a test holds it to it. -->\n\n"
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def metrics_page() -> str:
    """Every metric."""
    where = "`/metrics` of the admin port, as Prometheus text or OpenMetrics."
    injector = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in MEANINGS.items())
    others = "`/metrics` of `sidegate injector`, beside `sidegate_tls_*` and `process_*`."
    return (
        f"# Metrics\n\n{NOTE}{where}\n\n{metrics_reference()}\n"
        f"## Of the injector\n\n{others}\n\n| metric | meaning |\n|---|---|\n{injector}"
    )


def reasons_page() -> str:
    """Every reason with what a client gets."""
    lines = [
        "# Reasons",
        "",
        NOTE.rstrip(),
        "",
        "Why a request was allowed or refused: `reason` in audit records, problem documents and metrics.",
        f"The problem type is `{TYPE_BASE}<reason>`. `hide` turns chosen ones of 403 into 404.",
        "",
        "| reason | status | remedy | what a client reads |",
        "|---|---|---|---|",
    ]
    for reason in Reason:
        is_allowed = reason in {Reason.GRANTED, Reason.PUBLIC_ROUTE}
        status = "the upstream's" if is_allowed else str(status_of(reason))
        detail = "" if is_allowed else detail_of(reason)
        lines.append(f"| `{reason}` | {status} | `{remedy_of(reason)}` | {detail} |")
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Every setting with its variable, default and meaning."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    lines = [
        "# Settings",
        "",
        NOTE.rstrip(),
        "",
        "A flag goes before a variable, a variable before the file, the file before the default. Relative paths are",
        "relative to the file's folder. [`config/sidegate.yaml`](../../config/sidegate.yaml) is a commented example.",
        "",
        "| setting | variable | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, default, meaning in _settings(schema, schema, ""):
        variable = "SIDEGATE_" + name.upper().replace(".", "__")
        shown = "" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`"
        lines.append(f"| `{name}` | `{variable}` | {shown} | {meaning} |")
    return "\n".join(lines) + "\n"


def _settings(schema: dict[str, Any], node: dict[str, Any], prefix: str) -> Iterator[tuple[str, object, str]]:
    for name, written in node.get("properties", {}).items():
        found = _resolve(schema, written)
        meaning = written.get("description", found.get("description", "")).replace("|", "\\|")
        if "properties" in found:
            yield from _settings(schema, found, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", written.get("default"), meaning


def _resolve(schema: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference; of several forms take the one with members, the long form."""
    if "$ref" in written:
        found: dict[str, Any] = schema
        for step in written["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return _resolve(schema, found)
    for form in written.get("anyOf", ()):
        resolved = _resolve(schema, form)
        if "properties" in resolved:
            return resolved
    return written


def checks_page() -> str:
    """Every check of `sidegate check --live`."""
    lines = ["# Checks", "", NOTE.rstrip(), "", "What `sidegate check --live` looks at, and what to do if it fails."]
    section = None
    for check in CHECKS:
        if check.section is not section:
            section = check.section
            lines += ["", f"## {section.capitalize()}"]
        lines += ["", f"### {check.id}", "", check.asks, "", f"If not: {check.hint}"]
    return "\n".join(lines) + "\n"


def exit_codes_page() -> str:
    """Every exit code."""
    where = "How every command of `sidegate` ends; `sidegate run` too."
    return f"# Exit codes\n\n{NOTE}{where}\n\n{exit_code_table()}"


def decisions_page() -> str:
    """Every decision record by its title."""
    folder = ROOT / "docs/decisions"
    records = sorted(folder.glob("[0-9][0-9][0-9][0-9]-*.md"))
    lines = [
        "# Decision records",
        "",
        NOTE.rstrip(),
        "",
        "Why it is as it is.",
        "",
    ]
    lines += [f"* [{record.stem[:4]}]({record.name}) {_title_of(record)}" for record in records]
    return "\n".join(lines) + "\n"


def _title_of(record: Path) -> str:
    first = record.read_text(encoding="utf-8").partition("\n")[0]
    return re.sub(r"^#\s*(?:[0-9]+[.:]\s*)?", "", first)


PAGES = {
    "docs/cli.md": write_reference,
    "docs/decisions/index.md": decisions_page,
    "docs/reference/checks.md": checks_page,
    "docs/reference/exit-codes.md": exit_codes_page,
    "docs/reference/metrics.md": metrics_page,
    "docs/reference/reasons.md": reasons_page,
    "docs/reference/settings.md": settings_page,
}


def outdated_pages() -> list[str]:
    """Return the pages that are not what the code says."""
    return [
        name
        for name, write in PAGES.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != write()
    ]


def broken_links() -> list[str]:
    """Return every relative link of a page that leads nowhere, as ``page: link``."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return [
        f"{page.relative_to(ROOT)}: {link}"
        for page in sorted(pages)
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not link.startswith("mailto:") and not (page.parent / link).exists()
    ]


def main() -> int:
    """Write the pages, or check them."""
    if "--check" not in sys.argv[1:]:
        for name, write in PAGES.items():
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(write(), encoding="utf-8")
    wrong = [f"not current: {name}; run `make docs`" for name in outdated_pages()]
    wrong += [f"broken link: {link}" for link in broken_links()]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
