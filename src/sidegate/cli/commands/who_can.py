"""`sidegate who-can`: everybody who holds an effective permission (spec 6.4)."""

from typing import Annotated, Final

import typer

from sidegate.cli.arguments import ConfigOption, OrgOption, OutputOption, PolicyOption, TimeOption, instant_of
from sidegate.cli.entries import cite, describe_citation
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.local import find_policies
from sidegate.cli.output import Format, show_json, show_table
from sidegate.cli.subjects import find_organization
from sidegate.core.engine.effective import Needs, who_can
from sidegate.core.model.authority import Authority
from sidegate.core.model.decision import Outcome
from sidegate.core.model.target import parse_target
from sidegate.telemetry import clock

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate who-can write p1@main
  sidegate who-can approve p1@main --org acme -o json
"""


@app.command("who-can", epilog=_EPILOG)
def who_can_command(
    authority: Annotated[Authority, typer.Argument(metavar="AUTHORITY", help="read … configure.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Scope without `*`.")],
    *,
    org: OrgOption = None,
    subtree: Annotated[bool, typer.Option("--subtree", help="And everything below the target.")] = False,
    time: TimeOption = None,
    policy: PolicyOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """List who may exercise an authority on a target.

    With a credential that withholds nothing. What a request has to bring with it, a second factor, a surface, a source
    address or an approval, stands beside each. Exit code 1 if nobody may.
    """
    policies = find_policies(policy, config)
    organization = policies.organization(find_organization(policies.snapshot, org))
    holders = who_can(
        policies.snapshot,
        organization.organization,
        authority,
        parse_target(organization.organization, target, subtree=subtree),
        instant_of(time, clock.now()),
    )
    if output is Format.JSON:
        show_json(
            [
                {
                    "account": holder.account,
                    "outcome": holder.decision.outcome,
                    "reason": holder.decision.reason,
                    "because": holder.decision.because,
                    "needs": {
                        "mfa": holder.needs.mfa,
                        "surface": holder.needs.surfaces,
                        "source": [str(network) for network in holder.needs.sources],
                        "approval": holder.decision.outcome is Outcome.DENY,
                    },
                    "entries": [
                        describe_citation(entry) for entry in cite(organization.document, holder.decision.because)
                    ],
                }
                for holder in holders
            ]
        )
    else:
        rows = [
            [
                holder.account,
                _needed(holder.needs, by_approval=holder.decision.outcome is Outcome.DENY),
                ", ".join(map(str, cite(organization.document, holder.decision.because))),
            ]
            for holder in holders
        ]
        show_table(("account", "needs", "because"), rows, empty="nobody")
    return ExitCode.OK if holders else ExitCode.NO


def _needed(needs: Needs, *, by_approval: bool) -> str:
    parts = [
        *(["a second factor"] if needs.mfa else []),
        *([f"surface {' or '.join(needs.surfaces)}"] if needs.surfaces else []),
        *([f"source in {' or '.join(map(str, needs.sources))}"] if needs.sources else []),
        *(["an approval"] if by_approval else []),
    ]
    return ", ".join(parts) or "nothing more"
