"""`sidegate why`: a recorded decision, explained (spec 6.4)."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

import typer

from sidegate.audit.query import find_decision
from sidegate.cli.arguments import ConfigOption, OutputOption, PolicyOption
from sidegate.cli.entries import CitedEntry, cite, describe_citation
from sidegate.cli.exit_codes import DataError, ExitCode
from sidegate.cli.local import find_policies, find_spool
from sidegate.cli.output import Colour, Format, coloured, printable, say, show_json
from sidegate.core.engine.decide import decide
from sidegate.core.engine.explain import remedy_text
from sidegate.core.model.decision import Decision, Outcome, Reason
from sidegate.core.model.errors import NamingError
from sidegate.core.model.principal import CredentialKind, Query, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.model.units import format_instant
from sidegate.core.model.value import value
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot
from sidegate.core.trail.record import DecisionRecord
from sidegate.telemetry import clock

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate why 0198f2c4-7d1a-7c3e-9b6f-2f1f4c1d9a10
  sidegate why 0198f2c4-7d1a-7c3e-9b6f-2f1f4c1d9a10 --spool /var/lib/sidegate/audit -o json
"""


@app.command("why", epilog=_EPILOG)
def why_command(
    decision_id: Annotated[
        str, typer.Argument(metavar="DECISION_ID", help="From an answer, a header to the upstream, or the trail.")
    ],
    *,
    spool: Annotated[
        Path | None,
        typer.Option(
            "--spool", metavar="FOLDER", exists=True, help="Spool, instead of the configured one.", show_default=False
        ),
    ] = None,
    policy: PolicyOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Explain a recorded decision.

    Names each policy entry that decided, with its file and line, and what would change the answer. If the policy was
    changed since, the question is put to the present one too, as far as the record tells what was asked: with a second
    factor just used, the surface web, and a credential that withholds nothing of its own.
    """
    record = find_decision(find_spool(spool, config), decision_id)
    if record is None:
        raise DataError(f"no decision `{decision_id}` is in the spool; look where older records were shipped to")
    story = _tell(record, find_policies(policy, config).snapshot)
    if output is Format.JSON:
        show_json(_describe(story))
    else:
        _show(story)
    return ExitCode.OK


@value
class _Story:
    """What can be said of one record.

    Attributes:
        record: As spooled.
        entries: What it cites, as the present policy has it.
        revision: Of the organization's present policy; None when there is none.
        now: The answer of the present policy, where it is another one and the record tells enough to ask it.
    """

    record: DecisionRecord
    entries: tuple[CitedEntry, ...]
    revision: int | None
    now: Decision | None

    @property
    def is_policy_changed(self) -> bool:
        """Whether the policy is no longer the one that was asked; no matter where none was."""
        return self.record.actor is not None and self.record.revision != self.revision


def _tell(record: DecisionRecord, snapshot: Snapshot) -> _Story:
    organization = None if record.org is None else snapshot.organizations.get(_acting_org(record, snapshot))
    entries = tuple(cite(None if organization is None else organization.document, record.because))
    revision = None if organization is None else organization.revision
    query = _query_of(record, organization)
    decision = None if query is None or record.revision == revision else decide(snapshot, query, clock.now())
    return _Story(record, entries, revision, decision)


def _acting_org(record: DecisionRecord, snapshot: Snapshot) -> str:
    """Return the organization that the actor acted in; the record names the target's, which may be another."""
    if record.reason is Reason.CROSS_ORG and record.actor is not None:
        for name, organization in snapshot.organizations.items():
            if name != record.org and organization.records.record_of(record.actor.account) is not None:
                return name
    return record.org or ""


def _query_of(record: DecisionRecord, organization: OrganizationSnapshot | None) -> Query | None:
    if (
        record.actor is None
        or record.credential is None
        or record.authority is None
        or record.target is None
        or record.org is None
    ):
        return None
    try:
        target = parse_target(record.org, record.target, subtree=record.reason is Reason.SUBTREE_NARROWED)
        source = None if record.source is None else ip_address(record.source)
    except (NamingError, ValueError):
        return None
    key = None
    if record.credential.kind is CredentialKind.API_KEY and organization is not None:
        key = organization.keys.get(record.credential.id)
    credential = VerifiedCredential(
        record.credential.kind,
        record.credential.id,
        record.actor.account,
        record.org if organization is None else organization.organization,
        authorities=None if key is None else key.authorities,
        scopes=None if key is None else key.scopes,
        second_factor_at=clock.now(),
    )
    return Query(credential, record.authority, target, source, approved=record.approval_id is not None)


def _describe(story: _Story) -> dict[str, object]:
    record = story.record
    return {
        "id": record.id,
        "time": format_instant(record.time),
        "org": record.org,
        "account": None if record.actor is None else record.actor.account,
        "chain": [] if record.actor is None else record.actor.chain,
        "authority": record.authority,
        "target": record.target,
        "kind": record.kind,
        "method": record.method,
        "path": record.path,
        "route": record.route,
        "outcome": record.outcome,
        "reason": record.reason,
        "because": record.because,
        "entries": [describe_citation(entry) for entry in story.entries],
        "remedy": record.remedy,
        "hint": remedy_text(_decision_of(record)),
        "shadow": None if record.shadow is None else {"outcome": record.shadow.outcome, "reason": record.shadow.reason},
        "revision": record.revision,
        "policy_changed": story.is_policy_changed,
        "now": None
        if story.now is None
        else {"outcome": story.now.outcome, "reason": story.now.reason, "because": story.now.because},
    }


def _decision_of(record: DecisionRecord) -> Decision:
    return Decision(record.outcome, record.reason, record.because, record.remedy)


def _show(story: _Story) -> None:
    record = story.record
    colour = Colour.GOOD if record.outcome is Outcome.ALLOW else Colour.BAD
    say(f"{coloured(record.outcome, colour)}  {record.reason}")
    who = "nobody proven" if record.actor is None else " > ".join([record.actor.account, *record.actor.chain])
    say(printable(f"who     {who} in {record.org or 'no organization'}"))
    if record.authority is not None:
        say(printable(f"asked   {record.authority} on {record.target}"))
    if record.method is not None:
        say(printable(f"by      {record.method} {record.path or '(unreadable path)'}"))
    say(f"when    {format_instant(record.time)}")
    if story.entries:
        say("because")
        for entry in story.entries:
            say(printable(f"  {entry}"))
    hint = remedy_text(_decision_of(record))
    if hint:
        say(f"hint    {hint}")
    if record.shadow is not None:
        said = f"{record.shadow.outcome} {record.shadow.reason}"
        say(f"{coloured('candidate', Colour.DOUBTFUL)}  would have said {said}")
    if story.is_policy_changed:
        said = (
            "the record does not tell enough to ask the present one"
            if story.now is None
            else f"the present one says {story.now.outcome} {story.now.reason}"
            + (f" because of {', '.join(story.now.because)}" if story.now.because else "")
        )
        say(printable(f"The policy was changed since; entries are shown as they are now, and {said}."))
