"""`sidegate can`: one question, with the answer and why (spec 6.4)."""

from difflib import get_close_matches
from itertools import zip_longest
from typing import Annotated, Final

import typer

from sidegate.cli.arguments import (
    BodyOption,
    ConfigOption,
    HeaderOption,
    OrgOption,
    OutputOption,
    PolicyOption,
    RoutesOption,
    TimeOption,
    instant_of,
    parse_headers,
    read_value,
)
from sidegate.cli.entries import CitedEntry, cite, describe_citation
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.local import find_policies, find_routes
from sidegate.cli.output import Colour, Format, coloured, printable, say, show_json
from sidegate.cli.questions import Answer, Asked, answer, describe_answer, describe_shadow
from sidegate.cli.requests import RoutedRequest, route_request
from sidegate.cli.subjects import Circumstances, credential_of, find_organization, parse_account, refusal_of, source_of
from sidegate.core.engine.explain import Explanation, explain, remedy_text
from sidegate.core.model.authority import AUTHORITY_OF, SUBTREE_PRIMITIVES, Authority, Primitive
from sidegate.core.model.decision import Outcome
from sidegate.core.model.principal import Query, VerifiedCredential
from sidegate.core.model.target import parse_target
from sidegate.core.model.value import hot_value
from sidegate.core.routing.route import METHODS
from sidegate.telemetry import clock

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate can user:ana write p1@main:designs/a.json
  sidegate can user:ana PUT /v1/orgs/acme/projects/p1/branches/main/files/designs/a.json
  sidegate can user:root configure /members --mfa-age 5m --source 10.0.0.9
"""


@app.command("can", epilog=_EPILOG)
def can_command(
    who: Annotated[str, typer.Argument(metavar="WHO", help="user:ID or service:ID.", show_default=False)],
    what: Annotated[str, typer.Argument(metavar="AUTHORITY|METHOD", help="read … configure, Read … Solve, or GET …")],
    where: Annotated[str, typer.Argument(metavar="TARGET|PATH", help="Scope without `*`, or request path.")],
    *,
    org: OrgOption = None,
    mfa_age: Annotated[
        str | None, typer.Option("--mfa-age", metavar="DURATION", help="Second factor used so long ago, e.g. 5m.")
    ] = None,
    surface: Annotated[str, typer.Option("--surface", metavar="NAME", help="web, mobile or admin.")] = "web",
    source: Annotated[str | None, typer.Option("--source", metavar="ADDRESS", help="The client's address.")] = None,
    time: TimeOption = None,
    as_key: Annotated[
        str | None, typer.Option("--as-key", metavar="ID", help="With this API key of the policy, not a session.")
    ] = None,
    authorities: Annotated[
        str | None, typer.Option("--authorities", metavar="LIST", help="The credential's own, e.g. read,run.")
    ] = None,
    scopes: Annotated[
        str | None, typer.Option("--scopes", metavar="LIST", help="The credential's own, e.g. p1,p2@main.")
    ] = None,
    approved: Annotated[bool, typer.Option("--approved", help="The request carries an approval.")] = False,
    subtree: Annotated[bool, typer.Option("--subtree", help="Everything below the target too.")] = False,
    header: HeaderOption = None,
    body: BodyOption = None,
    policy: PolicyOption = None,
    routes: RoutesOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Ask whether somebody may do something, and why.

    Either an authority on a target, or a method on a path, which the routes turn into that. Exit code 0 for allow, 1
    for deny. What is not said is the plainest case: a session on the web, without a second factor, from an unknown
    address.
    """
    account = read_value("WHO", who, parse_account)
    snapshot = find_policies(policy, config).snapshot
    organization = find_organization(snapshot, org, account)
    now = instant_of(time, clock.now())
    circumstances = Circumstances(mfa_age, surface, source, authorities, scopes, as_key)
    credential = credential_of(snapshot, organization, account, circumstances, now)
    address = source_of(circumstances)
    routed = None
    if what in METHODS:
        routed = route_request(
            find_routes(routes, config).table,
            what,
            where,
            organization,
            headers=parse_headers(header),
            body=None if body is None else body.encode(),
        )
        queries = tuple(Query(credential, ask.authority, ask.target, address, approved) for ask in routed.asks)
    else:
        authority, reaches_below = _authority_of(what)
        target = parse_target(organization, where, subtree=subtree or reaches_below)
        queries = (Query(credential, authority, target, address, approved),)
    settled = None if routed is None else routed.settled
    if settled is None:
        settled = refusal_of(snapshot, credential, address, now)
    answered = answer(snapshot, Asked(None, queries, now, settled))
    found = snapshot.organizations.get(organization)
    verdict = _Verdict(
        credential,
        queries,
        answered,
        [] if settled is not None else [explain(snapshot, query, now) for query in queries],
        cite(None if found is None else found.document, answered.decision.because),
        routed,
    )
    if output is Format.JSON:
        show_json(_describe(verdict))
    else:
        _show(verdict)
    return ExitCode.OK if answered.decision.outcome is Outcome.ALLOW else ExitCode.NO


def _authority_of(text: str) -> tuple[Authority, bool]:
    """Return the authority that *text* names, and whether it always reaches a whole subtree."""
    if text in set(Authority):
        return Authority(text), False
    if text in set(Primitive):
        primitive = Primitive(text)
        return AUTHORITY_OF[primitive], primitive in SUBTREE_PRIMITIVES
    known = [*Authority, *Primitive, *METHODS]
    near = get_close_matches(text, known, n=1) or get_close_matches(text.upper(), known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(Authority)}, and the methods of HTTP"
    raise UsageError(f"`{text}` is no authority, primitive or method; {hint}")


@hot_value
class _Verdict:
    """The answer and what is said about it; *explanations* stand beside *queries*, if the policy was asked at all."""

    credential: VerifiedCredential
    queries: tuple[Query, ...]
    answered: Answer
    explanations: list[Explanation]
    entries: list[CitedEntry]
    routed: RoutedRequest | None

    @property
    def route(self) -> str | None:
        """The route's id, if the question was a request that matched one."""
        return None if self.routed is None or self.routed.route is None else self.routed.route.id

    @property
    def hint(self) -> str:
        """What is wrong with the request itself, or what would change a deny."""
        if self.routed is not None and self.routed.detail:
            return self.routed.detail
        return remedy_text(self.answered.decision)


def _describe(verdict: _Verdict) -> dict[str, object]:
    return {
        **describe_answer(verdict.answered),
        "remedy": verdict.answered.decision.remedy,
        "account": verdict.credential.account,
        "org": verdict.credential.org,
        "route": verdict.route,
        "asks": [
            {
                "authority": query.authority,
                "target": query.target.text,
                "kind": query.target.kind,
                "org": query.target.org,
                "subtree": query.target.subtree,
            }
            for query in verdict.queries
        ],
        "entries": [describe_citation(entry) for entry in verdict.entries],
        "checks": [
            [{"check": step.check, "step": step.step, "text": step.text} for step in explanation.steps]
            for explanation in verdict.explanations
        ],
        "hint": verdict.hint,
    }


def _show(verdict: _Verdict) -> None:
    decision = verdict.answered.decision
    colour = Colour.GOOD if decision.outcome is Outcome.ALLOW else Colour.BAD
    say(f"{coloured(decision.outcome, colour)}  {decision.reason}")
    if verdict.routed is not None:
        say(f"route   {printable(verdict.route or 'none')}")
    for query, explanation in zip_longest(verdict.queries, verdict.explanations):
        below = " and everything below" if query.target.subtree else ""
        say(printable(f"asked   {query.authority} on {query.target.text}{below} in {query.target.org}"))
        for step in explanation.steps if explanation is not None else ():
            say(printable(f"  {step.step}  {step.check}: {step.text}"))
    if verdict.entries:
        say("because")
        for entry in verdict.entries:
            say(printable(f"  {entry}"))
    if verdict.hint:
        say(f"hint    {verdict.hint}")
    shadow = describe_shadow(verdict.answered.shadow)
    if shadow is not None:
        said = shadow.get("error") or f"{shadow['outcome']} {shadow['reason']}"
        say(f"{coloured('candidate', Colour.DOUBTFUL)}  would say {said}")
