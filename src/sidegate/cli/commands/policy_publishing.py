"""`sidegate policy publish`: policies to Redis, what changed and nothing else (spec 5.2, 6.4)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidegate.cli.arguments import ConfigOption, OutputOption
from sidegate.cli.commands.policy_comparing import show_changes
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.output import Format, say, show_json, show_problems
from sidegate.cli.published import RedisOption, fetch_published, with_redis
from sidegate.cli.steps import Steps
from sidegate.config.policy_file import LoadedPolicy, inspect_policy_file, load_policy_directory
from sidegate.config.quick_policy import read_policy_quickly
from sidegate.config.settings import Settings
from sidegate.core.policy.diff import EntryChange, diff_documents
from sidegate.core.policy.document import PolicyDocument
from sidegate.distribution.politeness import loading
from sidegate.distribution.redis_plan import Plan
from sidegate.distribution.redis_publish import Published, Publisher
from sidegate.distribution.redis_trust import load_signing_key
from sidegate.redis_link.link import Link
from sidegate.telemetry.clock import SystemClock

EPILOG: Final = """
\b
Examples:
  sidegate policy publish policy/ --dry-run
  sidegate policy publish policy/acme.yaml --redis redis://127.0.0.1:6379 --signing-key signing.pem
  curl -H "X-Sidegate-Min-Revision: $(sidegate policy publish policy/acme.yaml --quiet)" ...
"""


_MIB: Final = 1 << 20


def publish_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", exists=True, help="Policy file, or folder of them.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")] = False,
    signing_key: Annotated[
        Path | None, typer.Option("--signing-key", metavar="FILE", exists=True, help="Private Ed25519 key, PEM.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the revision alone.")] = False,
    redis: RedisOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Publish policies: each organization in one step, and only what changed in it.

    Prints the revision that a request can ask for with `X-Sidegate-Min-Revision`, to be decided by what was published
    or not at all. A file of a million bindings is read quickest as JSON, or with each binding on a line of its own; to
    change a few entries of it, see `sidegate policy patch`.
    """
    steps = Steps()
    signer = None if signing_key is None else load_signing_key(signing_key)
    try:
        documents = _documents(path, steps)
        found = with_redis(redis, config, partial(_publish, documents, signer, steps, dry_run=dry_run))
    finally:
        steps.end()
    if output is Format.JSON:
        show_json([describe_written(published, changes, is_done=not dry_run) for published, changes in found])
    elif quiet:
        for published, _ in found:
            say(str(published.revision))
    else:
        for published, changes in found:
            if dry_run:
                show_changes(published.plan.org, changes)
            say(_summary(published, is_done=not dry_run))
    return ExitCode.OK


def _documents(path: Path, steps: Steps) -> list[PolicyDocument]:
    """Read the policies at *path*, in the order of their organizations, and tell what looks wrong."""

    def read(content: bytes, file: str) -> LoadedPolicy:
        steps.show(f"reading {file}, {len(content) / _MIB:,.1f} MiB")
        return read_policy_quickly(content, file)

    with loading():
        loaded = load_policy_directory(path, read) if path.is_dir() else (inspect_policy_file(path, read),)
    steps.end()
    show_problems(warning for one in loaded for warning in one.warnings)
    return sorted((one.document for one in loaded), key=lambda document: document.organization)


async def _publish(
    documents: Sequence[PolicyDocument],
    signer: Ed25519PrivateKey | None,
    steps: Steps,
    link: Link,
    settings: Settings | None,
    *,
    dry_run: bool,
) -> list[tuple[Published, tuple[EntryChange, ...]]]:
    publisher = Publisher(link, SystemClock(), signer, steps.show)
    done: list[tuple[Published, tuple[EntryChange, ...]]] = []
    with loading():
        for document in documents:
            if dry_run:
                plan = await publisher.plan(document)
                before = await fetch_published(link, settings, document.organization)
                old = PolicyDocument(document.organization) if before is None else before.document
                done.append((Published(plan, plan.expected), diff_documents(old, document)))
            else:
                done.append((await publisher.publish(document), ()))
    return done


def _summary(published: Published, *, is_done: bool) -> str:
    plan = published.plan
    if plan.is_empty:
        return f"{plan.org}: nothing to publish; revision {published.revision}"
    verb = "published" if is_done else "would publish"
    end = f"; revision {published.revision}" if is_done else ""
    return f"{plan.org}: {verb} {list_written(plan)}{end}"


def list_written(plan: Plan) -> str:
    """Say what *plan* writes: ``the header (1 page of it), 2 accounts``."""
    pages = f" ({_counted(len(plan.pages), 'page')} of it)" if plan.pages else ""
    parts = [
        *([f"the header{pages}"] if plan.header is not None else []),
        *([_counted(len(plan.subjects), "account")] if plan.subjects else []),
        *([_counted(len(plan.keys), "key")] if plan.keys else []),
    ]
    # Of an organization that was published in an earlier form the ids alone may be missing.
    return ", ".join(parts) or "what publishers find ids by"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def describe_written(published: Published, changes: tuple[EntryChange, ...], *, is_done: bool) -> dict[str, object]:
    """Return what a publish, or a dry run of it, came to, for JSON."""
    plan: Plan = published.plan
    return {
        "organization": plan.org,
        "published": is_done and not plan.is_empty,
        "min_revision": published.revision,
        "header": plan.header is not None,
        "pages": sorted(plan.pages),
        "subjects": sorted(plan.subjects),
        "keys": sorted(plan.keys),
        "changes": [{"kind": one.kind, "section": one.section, "id": one.key} for one in changes],
    }
