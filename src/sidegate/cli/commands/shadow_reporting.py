"""`sidegate shadow report` and `replay`: where the candidate differs from what is enforced (spec 4.4)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from sidegate.audit.query import open_reader, select_entries
from sidegate.cli.arguments import ConfigOption, OutputOption, PolicyOption, read_value
from sidegate.cli.divergences import show_divergences
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.local import load_policies, policy_folder, read_settings
from sidegate.cli.output import Format, complain
from sidegate.cli.published import RedisOption, read_published
from sidegate.cli.records import group_divergences
from sidegate.cli.trails import TrailArgument, find_trail
from sidegate.config.candidate_file import read_candidate, with_candidate
from sidegate.config.endpoints import RedisSource
from sidegate.config.files import read_file
from sidegate.control.replay import Replay, replay
from sidegate.core.model.errors import IntegrityError, PolicyError
from sidegate.core.model.units import UnixMillis
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.patch import PolicyPatch
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.core.trail.filter import RecordFilter, parse_since
from sidegate.core.trail.read import decision_of
from sidegate.core.trail.record import DecisionRecord
from sidegate.telemetry import clock

REPORT_EPILOG: Final = """
\b
Examples:
  sidegate shadow report --since 7d
  sidegate shadow report var/audit --org acme -o json
  sidegate shadow report redis://127.0.0.1:6379
"""
REPLAY_EPILOG: Final = """
\b
Examples:
  sidegate shadow replay --since 7d
  sidegate shadow replay /data/audit --since 7d --candidate candidate.yaml
  sidegate shadow replay redis://127.0.0.1:6379 --org acme -o json
"""

OrgFilter = Annotated[str | None, typer.Option("--org", metavar="ORG", help="Organization.")]
SinceFilter = Annotated[str | None, typer.Option("--since", metavar="TIME", help="15m, 1h, 7d, or an instant.")]


def report_command(
    trail: TrailArgument = None,
    *,
    org: OrgFilter = None,
    since: SinceFilter = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Show recorded requests that the candidate would have answered otherwise.

    Grouped by account, authority, scope (a branch, project or section) and both answers, the most frequent first, each
    with the newest decision as an example for `sidegate why`.
    """
    reader = open_reader(find_trail(trail, config))
    wanted = RecordFilter(org=org, since=read_since(since), is_divergent=True)
    show_divergences(group_divergences(entry.members for entry in select_entries(reader, wanted)), output)
    return end_of(reader.unreadable)


def replay_command(
    trail: TrailArgument = None,
    *,
    since: SinceFilter = None,
    org: OrgFilter = None,
    candidate: Annotated[
        Path | None,
        typer.Option(
            "--candidate",
            metavar="FILE",
            exists=True,
            help="A candidate to try, as for `shadow set`; else the policy's own.",
            show_default=False,
        ),
    ] = None,
    policy: PolicyOption = None,
    redis: RedisOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Decide recorded requests again, under the policy in force and under a candidate, without any traffic.

    Shows where the two differ, as `shadow report` does. A record does not tell whether a second factor was used, or on
    which surface; what leads to the recorded answer is taken. The error stream says of how many requests the policy in
    force answers otherwise than it was recorded, and how many hold no question.
    """
    trial = None if candidate is None else read_trial(candidate)
    wanted = RecordFilter(org=org if trial is None else trial.organization, since=read_since(since))
    reader = open_reader(find_trail(trail, config))
    policies = _Policies(policy, redis, config, trial)
    counted = _Counted()
    groups = group_divergences(_divergent(select_entries(reader, wanted), policies, counted))
    show_divergences(groups, output)
    complain(
        f"sidegate: {counted.asked} requests were decided again; of {counted.changed} the policy in force says"
        f" something else than was recorded; {counted.left} hold no question"
    )
    return end_of(reader.unreadable)


class _Counted:
    """What became of the records."""

    def __init__(self) -> None:
        self.asked = 0
        self.changed = 0
        self.left = 0

    def count(self, found: Replay | None) -> None:
        """Take one."""
        if found is None:
            self.left += 1
        else:
            self.asked += 1
            self.changed += not found.is_as_recorded


class _Policies:
    """The policy in force of each organization, with the candidate on trial."""

    def __init__(self, given: Path | None, redis: str | None, config: Path | None, trial: PolicyPatch | None) -> None:
        self._redis = redis
        self._config = config
        self._trial = trial
        self._snapshots: dict[str, Snapshot] = {}
        is_published = redis is not None
        if not is_published and given is None:
            settings = read_settings(config)
            is_published = isinstance(settings.policy.source, RedisSource)
            given = None if is_published else policy_folder(settings)
        self._files = None if is_published or given is None else load_policies(given).snapshot

    def of(self, org: str) -> Snapshot:
        """Return the policy of *org*; an empty one if there is none."""
        known = self._snapshots.get(org)
        if known is None:
            found = self._find(org)
            known = self._snapshots[org] = Snapshot(0, [] if found is None else [self._tried(found)])
        return known

    def _find(self, org: str) -> OrganizationSnapshot | None:
        if self._files is not None:
            return self._files.organizations.get(org)
        published = read_published(self._redis, self._config, org)
        return compile_document(published.document, published.revision)

    def _tried(self, found: OrganizationSnapshot) -> OrganizationSnapshot:
        trial = self._trial
        if trial is None or trial.organization != found.organization:
            return found
        return compile_document(with_candidate(found.document, trial), found.revision)


def _divergent(entries: Iterator[Any], policies: _Policies, counted: _Counted) -> Iterator[Mapping[str, Any]]:
    for entry in entries:
        try:
            record = decision_of(entry.members)
        except IntegrityError:
            continue
        found = None if record.org is None else replay(policies.of(record.org), record)
        counted.count(found)
        if found is not None and found.candidate is not None:
            yield _as_divergent(record, found, entry.members)


def _as_divergent(record: DecisionRecord, found: Replay, members: Mapping[str, Any]) -> Mapping[str, Any]:
    assert found.candidate is not None  # noqa: S101 - asked for by the caller
    return {
        **members,
        "outcome": found.enforced.outcome.value,
        "reason": found.enforced.reason.value,
        "shadow": {"outcome": found.candidate.outcome.value, "reason": found.candidate.reason.value},
        "id": record.id,
    }


def read_trial(file: Path) -> PolicyPatch:
    """Read the candidate in *file*.

    Raises:
        PolicyError: It cannot be used.
    """
    content, problem = read_file(file)
    if problem is not None:
        raise PolicyError((problem,))
    return read_candidate(content, str(file))


def read_since(since: str | None) -> UnixMillis | None:
    """Read ``--since``.

    Raises:
        UsageError: It is no time.
    """
    now = clock.now()
    return None if since is None else read_value("--since", since, lambda text: parse_since(text, now))


def end_of(unreadable: int) -> ExitCode:
    """Say how much of a trail could not be read, and return how the command ends."""
    if unreadable:
        complain(f"sidegate: {unreadable} lines are no records; run `sidegate audit verify`")
        return ExitCode.BAD_DATA
    return ExitCode.OK
