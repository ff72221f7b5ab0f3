"""Divergences between the enforced policy and its candidate, as people and programs read them (spec 4.4)."""

from collections.abc import Sequence

from sidegate.cli.output import Format, show_json, show_table
from sidegate.cli.records import Divergence


def show_divergences(groups: Sequence[Divergence], output: Format) -> None:
    """Print *groups*, the most frequent first."""
    if output is Format.JSON:
        show_json(
            [
                {
                    "org": group.key.org,
                    "account": group.key.account,
                    "authority": group.key.authority,
                    "scope": group.key.scope,
                    "enforced": group.key.enforced,
                    "candidate": group.key.candidate,
                    "count": group.count,
                    "first_seen": group.first_seen,
                    "last_seen": group.last_seen,
                    "example": group.example,
                    "example_target": group.example_target,
                }
                for group in groups
            ]
        )
        return
    show_table(
        ("count", "account", "authority", "scope", "org", "enforced", "candidate", "first", "last", "example"),
        [
            [
                str(group.count),
                group.key.account,
                group.key.authority,
                group.key.scope,
                group.key.org,
                group.key.enforced,
                group.key.candidate,
                group.first_seen,
                group.last_seen,
                group.example,
            ]
            for group in groups
        ],
        empty="no divergences",
    )
