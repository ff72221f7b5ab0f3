"""`sidegate shadow set`, `promote` and `drop`: the candidate that is published (spec 1.8, 4.4)."""

from pathlib import Path
from typing import Annotated, Final

import typer

from sidegate.audit.query import open_reader, select_entries
from sidegate.cli.arguments import ConfigOption, OutputOption
from sidegate.cli.commands.policy_publishing import describe_written, list_written
from sidegate.cli.commands.shadow_reporting import SinceFilter, read_since, read_trial
from sidegate.cli.divergences import show_divergences
from sidegate.cli.exit_codes import DataError, ExitCode
from sidegate.cli.output import Format, complain, say, show_json, show_problems
from sidegate.cli.published import RedisOption, fetch_published, with_redis
from sidegate.cli.records import group_divergences
from sidegate.cli.trails import TrailArgument, find_trail
from sidegate.config.settings import Settings
from sidegate.core.model.errors import PolicyError, Problem
from sidegate.core.policy.overlay import apply_candidate
from sidegate.core.policy.patch import PolicyPatch, Removal
from sidegate.core.trail.filter import RecordFilter
from sidegate.distribution.redis_publish import Published, Publisher
from sidegate.distribution.redis_trust import load_signing_key
from sidegate.redis_link.link import Link
from sidegate.telemetry.clock import SystemClock

SET_EPILOG: Final = """
\b
Examples:
  sidegate shadow set candidate.yaml
  sidegate shadow set candidate.yaml --redis redis://127.0.0.1:6379 --signing-key signing.pem

\b
The file names the organization and holds what a policy file would have under `candidate`:
  organization: acme
  candidate:
    bindings: [{id: b2, who: user:ana, role: Designer, on: "p1@main"}]
    remove: [b7]
"""
PROMOTE_EPILOG: Final = """
\b
Examples:
  sidegate shadow promote --org acme redis://127.0.0.1:6379
  sidegate shadow promote --org acme --accept
"""
DROP_EPILOG: Final = """
\b
Examples:
  sidegate shadow drop --org acme
"""

_ATTEMPTS: Final = 5
_CANDIDATE: Final = "candidate"
"""Under which a candidate that is not there is complained of."""

_OrgOption = Annotated[str, typer.Option("--org", metavar="ORG", help="Organization.")]
_KeyOption = Annotated[
    Path | None, typer.Option("--signing-key", metavar="FILE", exists=True, help="Private Ed25519 key, PEM.")
]


def set_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="The candidate; a policy file does, too.")],
    *,
    signing_key: _KeyOption = None,
    redis: RedisOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Publish a candidate, in the place of what is tried now.

    It is decided beside the enforced policy from the next request on, and never acts. Where policy is in files, write
    it into the organization's file instead, under `candidate`.
    """
    return _patch(read_trial(file), signing_key, redis, config, output)


def drop_command(
    *,
    org: _OrgOption,
    signing_key: _KeyOption = None,
    redis: RedisOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Take a candidate back. What is enforced stays as it is."""
    try:
        return _patch(PolicyPatch(org, remove=Removal(candidate=True)), signing_key, redis, config, output)
    except PolicyError as error:
        if any(problem.key == _CANDIDATE for problem in error.problems):
            raise _has_none(org) from None
        raise


def promote_command(
    trail: TrailArgument = None,
    *,
    org: _OrgOption,
    accept: Annotated[bool, typer.Option("--accept", help="The divergences were looked at; do not ask again.")] = False,
    since: SinceFilter = None,
    signing_key: _KeyOption = None,
    redis: RedisOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Enforce a candidate: in one revision it becomes the policy.

    Refuses while the trail holds requests that the candidate would have answered otherwise, shows them, and ends with
    exit code 1; `--accept` says that they are meant. `--since` leaves out those of an earlier candidate.
    """
    if not accept:
        reader = open_reader(find_trail(trail, config))
        wanted = RecordFilter(org=org, since=read_since(since), is_divergent=True)
        groups = group_divergences(entry.members for entry in select_entries(reader, wanted))
        if groups or reader.unreadable:
            show_divergences(groups, output)
            unread = f", and {reader.unreadable} lines of the trail are no records" if reader.unreadable else ""
            complain(
                f"sidegate: {sum(group.count for group in groups)} requests of `{org}` would be answered otherwise"
                f"{unread}; if that is what is meant, promote with --accept"
            )
            return ExitCode.NO
    signer = None if signing_key is None else load_signing_key(signing_key)

    async def promote(link: Link, settings: Settings | None) -> Published:
        publisher = Publisher(link, SystemClock(), signer)
        for _ in range(_ATTEMPTS):
            before = await fetch_published(link, settings, org)
            if before is None:
                raise DataError(f"no policy is published for the organization `{org}`")
            if before.document.candidate is None:
                raise _has_none(org)
            plan = await publisher.plan(apply_candidate(before.document))
            # What was read and what is written over have to be the same: nobody's change may get lost in between.
            done = await publisher.commit(plan) if plan.expected == before.revision else None
            if done is not None:
                return done
        raise DataError(f"others publish `{org}` again and again; try once more")

    _tell(with_redis(redis, config, promote), (), output)
    return ExitCode.OK


def _has_none(org: str) -> DataError:
    return DataError(f"`{org}` has no candidate; publish one with `sidegate shadow set`")


def _patch(
    patch: PolicyPatch, signing_key: Path | None, redis: str | None, config: Path | None, output: Format
) -> ExitCode:
    signer = None if signing_key is None else load_signing_key(signing_key)

    async def run(link: Link, settings: Settings | None) -> tuple[tuple[Problem, ...], Published]:
        del settings
        planned, published = await Publisher(link, SystemClock(), signer).patch(patch)
        return planned.warnings, published

    warnings, published = with_redis(redis, config, run)
    _tell(published, warnings, output)
    return ExitCode.OK


def _tell(published: Published, warnings: tuple[Problem, ...], output: Format) -> None:
    plan = published.plan
    if output is Format.JSON:
        show_json(describe_written(published, (), is_done=True))
        return
    show_problems(warnings)
    what = "it is so already" if plan.is_empty else f"wrote {list_written(plan)}"
    say(f"{plan.org}: {what}; revision {published.revision}")
