"""`sidegate policy show`: a policy with everything resolved (spec 6.4)."""

from typing import Annotated, Final

import typer

from sidegate.cli.arguments import ConfigOption, OutputOption, PolicyOption
from sidegate.cli.entries import (
    describe_binding,
    describe_deny,
    describe_key,
    describe_member,
    describe_role,
    describe_rule,
)
from sidegate.cli.exit_codes import ExitCode, UsageError
from sidegate.cli.local import find_policies
from sidegate.cli.output import Colour, Format, coloured, say, show_json, show_table
from sidegate.cli.published import RedisOption, read_published
from sidegate.cli.values import plain_value
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.policy.roles import resolve_roles

EPILOG: Final = """
\b
Examples:
  sidegate policy show
  sidegate policy show --policy policy/ --org acme -o json
  sidegate policy show --published --org acme
"""


def show_command(
    *,
    org: Annotated[str | None, typer.Option("--org", metavar="ORG", help="Only this organization.")] = None,
    published: Annotated[bool, typer.Option("--published", help="What is published in Redis; needs --org.")] = False,
    redis: RedisOption = None,
    policy: PolicyOption = None,
    config: ConfigOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Show a policy with everything resolved: what each role gives, who belongs, who holds what.

    Clones are followed and built-in roles that are in use are shown with the others.
    """
    if published:
        if org is None:
            raise UsageError("name the organization with --org: there may be a million of them")
        documents = [read_published(redis, config, org).document]
    else:
        policies = find_policies(policy, config)
        names = sorted(policies.snapshot.organizations) if org is None else [policies.organization(org).organization]
        documents = [policies.organization(name).document for name in names]
    if output is Format.JSON:
        show_json([_describe_document(document) for document in documents])
    else:
        for document in documents:
            _show_document(document)
    return ExitCode.OK


def _roles_in_use(document: PolicyDocument) -> list[str]:
    used = {role for member in document.members for role in member.roles}
    used.update(binding.role for binding in document.bindings)
    used.update(role.name for role in document.roles)
    return sorted(used)


def _describe_document(document: PolicyDocument) -> dict[str, object]:
    roles = resolve_roles(document.roles)
    described = {}
    for name in _roles_in_use(document):
        role = roles.get(name)
        described[name] = None if role is None else {**plain_value("", role), "text": describe_role(role)}
    return {
        "organization": document.organization,
        "mfa_max_age_s": document.mfa_max_age_s,
        "roles": described,
        "members": plain_value("", document.members),
        "groups": plain_value("", document.groups),
        "bindings": plain_value("", document.bindings),
        "denies": plain_value("", document.denies),
        "approvals": plain_value("", document.approvals),
        "keys": plain_value("", document.keys),
        "candidate": document.candidate is not None,
    }


def _show_document(document: PolicyDocument) -> None:
    say(coloured(document.organization, Colour.STRONG))
    roles = resolve_roles(document.roles)
    rows = []
    for name in _roles_in_use(document):
        role = roles.get(name)
        rows.append(["role", name, "nobody knows it: gives nothing" if role is None else describe_role(role)])
    rows += [["member", member.account, describe_member(member)] for member in document.members]
    rows += [["binding", binding.id, describe_binding(binding)] for binding in document.bindings]
    rows += [["deny", deny.id, describe_deny(deny)] for deny in document.denies]
    rows += [["approval", rule.id, describe_rule(rule)] for rule in document.approvals]
    rows += [["key", key.id, describe_key(key)] for key in document.keys]
    show_table(("what", "id", "says"), rows, empty="nothing")
    if document.candidate is not None:
        say("and a candidate; see `sidegate shadow report`")
