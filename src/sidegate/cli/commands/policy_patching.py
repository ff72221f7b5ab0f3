"""`sidegate policy patch`: a small change of what is published, without reading the rest of it."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from sidegate.cli.arguments import ConfigOption, OutputOption
from sidegate.cli.commands.policy_comparing import show_changes
from sidegate.cli.commands.policy_publishing import describe_written, list_written
from sidegate.cli.exit_codes import DataError, ExitCode
from sidegate.cli.output import Format, complain, printable, say, show_json, show_problems
from sidegate.cli.published import RedisOption, with_redis
from sidegate.config.files import read_file
from sidegate.config.patch_file import MAX_PATCH_BYTES, read_patch
from sidegate.config.settings import Settings
from sidegate.core.model.errors import PolicyError
from sidegate.core.policy.patch import PolicyPatch
from sidegate.distribution.redis_patch import PatchPlan
from sidegate.distribution.redis_publish import Published, Publisher, RevisionError
from sidegate.distribution.redis_trust import load_signing_key
from sidegate.redis_link.link import Link
from sidegate.telemetry.clock import SystemClock

EPILOG: Final = """
\b
Examples:
  sidegate policy patch change.yaml --dry-run
  sidegate policy patch change.yaml --expect-revision 1795326096808 --signing-key signing.pem
  echo '{"organization": "acme", "remove": {"bindings": ["b3"]}}' | sidegate policy patch - --quiet

\b
A change is YAML or JSON: entries as in a policy file, and names of what goes.
  organization: acme
  put:                                  # takes the place of the one of the same name or id, or is added
    members: {user:bo: {roles: [Member], groups: [fiber]}}
    bindings:
      - {id: b7, who: group:fiber, role: Designer, on: p7, not_after: 2026-12-01T00:00:00Z}
  remove:                               # has to be there
    bindings: [b3]
    denies: [d1]
    members: [user:left]
"""

_STDIN: Final = "-"


def patch_command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The change; - for standard input."),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")] = False,
    expect_revision: Annotated[
        int | None,
        typer.Option(
            "--expect-revision",
            metavar="N",
            min=1,
            help="Refuse unless the organization is at this revision.",
            show_default=False,
        ),
    ] = None,
    signing_key: Annotated[
        Path | None, typer.Option("--signing-key", metavar="FILE", exists=True, help="Private Ed25519 key, PEM.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the revision alone.")] = False,
    redis: RedisOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Change some entries of a policy that is published, and read or write nothing else of it.

    Judged as strictly as a whole file: everything that is wrong is told at once, with its place, and nothing is
    written if an id is in use, a deny would lose whom it is for, or what is to be removed is not there. Prints the
    revision that a request can ask for with `X-Sidegate-Min-Revision`. Exit code 1 if the organization is not at the
    revision that was expected. The file that the organization was published from does not know of the change: make it
    there too, or the next publish of that file takes it back.
    """
    patch = _read(file)
    signer = None if signing_key is None else load_signing_key(signing_key)

    async def run(link: Link, settings: Settings | None) -> tuple[PatchPlan, Published]:
        del settings
        publisher = Publisher(link, SystemClock(), signer)
        if dry_run:
            planned = await publisher.plan_patch(patch, expect_revision)
            return planned, Published(planned.plan, planned.plan.expected)
        return await publisher.patch(patch, expect_revision)

    try:
        planned, published = with_redis(redis, config, run)
    except RevisionError as error:
        complain(f"sidegate: {printable(str(error))}")
        return ExitCode.NO
    if output is Format.JSON:
        show_json(_describe(planned, published, is_done=not dry_run))
        return ExitCode.OK
    show_problems(planned.warnings)
    if quiet:
        say(str(published.revision))
    else:
        show_changes(patch.organization, planned.changes)
        say(_summary(published, is_done=not dry_run))
    return ExitCode.OK


def _read(file: Path) -> PolicyPatch:
    if str(file) == _STDIN:
        content = sys.stdin.buffer.read(MAX_PATCH_BYTES + 1)
        if not content.strip():
            raise DataError("there is no change on the standard input; write it there, or name its file")
        return read_patch(content, "<stdin>")
    content, problem = read_file(file)
    if problem is not None:
        raise PolicyError((problem,))
    return read_patch(content, str(file))


def _summary(published: Published, *, is_done: bool) -> str:
    plan = published.plan
    if plan.is_empty:
        return f"{plan.org}: it is so already; revision {published.revision}"
    if not is_done:
        return f"{plan.org}: would write {list_written(plan)}; at revision {plan.expected}"
    return f"{plan.org}: wrote {list_written(plan)}; revision {published.revision}"


def _describe(planned: PatchPlan, published: Published, *, is_done: bool) -> dict[str, object]:
    return {
        **describe_written(published, planned.changes, is_done=is_done),
        "previous_revision": published.plan.expected,
        "warnings": [problem.describe() for problem in planned.warnings],
    }
