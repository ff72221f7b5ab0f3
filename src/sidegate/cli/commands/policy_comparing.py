"""`sidegate policy diff`: two policies by what they mean (spec 6.4)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from sidegate.cli.arguments import ConfigOption, OutputOption, TimeOption, instant_of
from sidegate.cli.entries import describe_entry
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.local import LoadedPolicies, load_policies
from sidegate.cli.output import Colour, Format, coloured, printable, say, show_json, show_table
from sidegate.cli.published import RedisOption, fetch_published, with_redis
from sidegate.cli.values import describe_value, plain_value
from sidegate.config.settings import Settings
from sidegate.core.engine.effects import EffectChange, Effects, compare_effects
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.diff import ChangeKind, EntryChange, diff_documents
from sidegate.core.policy.document import PolicyDocument
from sidegate.redis_link.link import Link
from sidegate.telemetry import clock

EPILOG: Final = """
\b
Examples:
  sidegate policy diff policy/ new-policy/
  sidegate policy diff old/acme.yaml new/acme.yaml --effects -o json
  sidegate policy diff policy/ --published
"""

_SIGNS: Final = {
    ChangeKind.ADDED: ("+", Colour.GOOD),
    ChangeKind.REMOVED: ("-", Colour.BAD),
    ChangeKind.CHANGED: ("~", Colour.DOUBTFUL),
}


def diff_command(
    before: Annotated[Path, typer.Argument(metavar="A", exists=True, help="Policy file, or folder of them.")],
    after: Annotated[
        Path | None,
        typer.Argument(metavar="[B]", exists=True, help="Policy file, or folder of them.", show_default=False),
    ] = None,
    *,
    published: Annotated[
        bool, typer.Option("--published", help="Compare what is published in Redis with A; there is no B.")
    ] = False,
    redis: RedisOption = None,
    config: ConfigOption = None,
    effects: Annotated[
        bool, typer.Option("--effects", help="Also which account may do what else, or no longer.")
    ] = False,
    time: TimeOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Compare two policies by what they mean: entries added, removed and changed, whatever their order.

    With `--effects` every account of both is asked for every authority on one target of each kind in each scope that
    an entry names, and what scopes have in common; `any` in a target stands for names that no entry mentions. Exit code
    0 if nothing differs, 1 if something does.
    """
    if published is (after is not None):
        raise UsageError("name two policies, or one and --published")
    if after is None:
        new = _documents(load_policies(before))
        old = with_redis(redis, config, lambda link, settings: _published(link, settings, tuple(new)))
    else:
        old, new = _documents(load_policies(before)), _documents(load_policies(after))
    names = sorted({*old, *new})
    changes = {name: diff_documents(_document(old, name), _document(new, name)) for name in names}
    compared: dict[str, Effects] = {}
    if effects:
        now = instant_of(time, clock.now())
        for name in names:
            one, other = (compile_document(_document(policies, name), 1) for policies in (old, new))
            compared[name] = compare_effects(one, other, now)
    if output is Format.JSON:
        show_json([_describe_diff(name, changes[name], compared.get(name)) for name in names])
    else:
        for name in names:
            show_changes(name, changes[name], compared.get(name))
    return ExitCode.NO if any(changes.values()) else ExitCode.OK


def _documents(policies: LoadedPolicies) -> dict[str, PolicyDocument]:
    return {name: organization.document for name, organization in policies.snapshot.organizations.items()}


async def _published(link: Link, settings: Settings | None, names: tuple[str, ...]) -> dict[str, PolicyDocument]:
    found = {name: await fetch_published(link, settings, name) for name in names}
    return {name: one.document for name, one in found.items() if one is not None}


def _document(policies: Mapping[str, PolicyDocument], name: str) -> PolicyDocument:
    """Return the policy of the organization *name*; an empty one where there is none, so that all of it is a change."""
    return policies.get(name) or PolicyDocument(name)


def _describe_diff(name: str, changes: Sequence[EntryChange], effects: Effects | None) -> dict[str, object]:
    return {
        "organization": name,
        "changes": [
            {
                "kind": change.kind,
                "section": change.section,
                "id": change.key,
                "fields": [
                    {
                        "name": each.name,
                        "before": plain_value(each.name, each.before),
                        "after": plain_value(each.name, each.after),
                    }
                    for each in change.fields
                ],
                "file": None if change.position is None else change.position.file,
                "line": None if change.position is None else change.position.line,
            }
            for change in changes
        ],
        "effects": None if effects is None else [_describe_effect(effect) for effect in effects.changes],
        "partly_compared": [] if effects is None else effects.partial,
    }


def _describe_effect(effect: EffectChange) -> dict[str, object]:
    return {
        "account": effect.account,
        "authority": effect.authority,
        "target": effect.target.text,
        "with": {
            "mfa": effect.circumstance.mfa,
            "surface": effect.circumstance.surface,
            "source": None if effect.circumstance.source is None else str(effect.circumstance.source),
        },
        "before": {"outcome": effect.before.outcome, "reason": effect.before.reason, "because": effect.before.because},
        "after": {"outcome": effect.after.outcome, "reason": effect.after.reason, "because": effect.after.because},
    }


def show_changes(name: str, changes: Sequence[EntryChange], effects: Effects | None = None) -> None:
    """Print what changed in one organization."""
    say(f"{name}: {len(changes) or 'no'} change{'' if len(changes) == 1 else 's'}")
    for change in changes:
        sign, colour = _SIGNS[change.kind]
        text = f"{change.section} {change.key}"
        if change.kind is not ChangeKind.CHANGED:
            entry = change.before if change.kind is ChangeKind.REMOVED else change.after
            text += f": {describe_entry(entry)}"
        say(f"  {coloured(sign, colour)} {printable(text)}  {change.position or ''}".rstrip())
        for each in change.fields:
            was, is_now = describe_value(each.name, each.before), describe_value(each.name, each.after)
            say(printable(f"      {each.name}: {was} -> {is_now}"))
    if effects is None:
        return
    grouped: dict[tuple[str, ...], list[str]] = {}
    for effect in effects.changes:
        before, after = (f"{one.outcome} {one.reason}" for one in (effect.before, effect.after))
        key = (effect.account, effect.target.text, _circumstance(effect), before, after)
        grouped.setdefault(key, []).append(effect.authority)
    rows = [[*key, ", ".join(authorities)] for key, authorities in grouped.items()]
    columns = ("account", "target", "with", "before", "after", "authorities")
    show_table(columns, rows, empty="  no answer changes")
    for account in effects.partial:
        say(printable(f"  {account} has too many scopes: some of its changes may be missing"))


def _circumstance(effect: EffectChange) -> str:
    given = effect.circumstance
    parts = [
        *(["second factor"] if given.mfa else []),
        *([given.surface] if given.surface != "web" else []),
        *([str(given.source)] if given.source is not None else []),
    ]
    return ", ".join(parts) or "-"
