"""Configuration, policy and routes: what stands in files, seen as a whole."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidegate.app.examination.check import Check, Finding, Section, Site
from sidegate.app.listening import bind
from sidegate.config.choices import CredentialsForwarding
from sidegate.config.endpoints import DirectorySource, Endpoint, UnixEndpoint, is_loopback
from sidegate.core.model.errors import ConfigError
from sidegate.core.model.units import format_instant
from sidegate.core.policy.document import BindingState, KeyState, PolicyDocument

SOON: Final = 14 * 86_400_000
"""Milliseconds before the end of something at which to think of it."""

_OTHERS_READ: Final = stat.S_IROTH | stat.S_IWOTH

FILES_USABLE: Final = Check(
    "files-usable", Section.CONFIGURATION, "Configuration, routes and policy can be used.",
    "Correct what `sidegate check` lists with file, line and column.",
)  # fmt: skip
ADMIN_PRIVATE: Final = Check(
    "admin-private", Section.CONFIGURATION, "The admin port cannot be reached from outside.",
    "Bind it to a loopback address or a Unix socket; where a probe needs it, close it with a NetworkPolicy.",
)  # fmt: skip
DATA_PORT_FREE: Final = Check(
    "data-port-free", Section.CONFIGURATION, "The data port can be bound, or a sidecar holds it already.",
    "End what listens there, or choose another `listen`.",
)  # fmt: skip
SECRETS_PRIVATE: Final = Check(
    "secrets-private", Section.CONFIGURATION, "Files with secrets cannot be read by everybody on this machine.",
    "Take the rights of others away (`chmod o-rw FILE`), and keep each owned by the user that sidegate runs as.",
)  # fmt: skip
CREDENTIALS_STRIPPED: Final = Check(
    "credentials-stripped", Section.CONFIGURATION, "Credentials are not passed on to the upstream.",
    "Set `forwarding.credentials` to strip unless the upstream has to see them.",
)  # fmt: skip
POLICY_THERE: Final = Check(
    "policy-there", Section.POLICY, "There is a policy for at least one organization, with members.",
    "Add a policy file for each organization; without one every request is refused.",
)  # fmt: skip
POLICY_CLEAN: Final = Check(
    "policy-clean", Section.POLICY, "No entry of the policy does less than it seems to.",
    "Correct the entries that `sidegate check` warns of.",
)  # fmt: skip
POLICY_LASTS: Final = Check(
    "policy-lasts", Section.POLICY, "No binding or key ends within two weeks.",
    "Prolong them (`not_after`, `expires_at`) or rotate the keys (`sidegate key rotate`), or let them end knowingly.",
)  # fmt: skip
ROUTES_THERE: Final = Check(
    "routes-there", Section.ROUTES, "There are routes.",
    "Write them, or make them with `sidegate routes import openapi.yaml`; without a route every request is refused.",
)  # fmt: skip
ROUTES_PUBLIC: Final = Check(
    "routes-public", Section.ROUTES, "No public route covers a whole tree or changes anything.",
    "Name the exact paths that need no credential, with GET.",
)  # fmt: skip


def examine_configuration(site: Site) -> Iterator[Finding]:
    """Look at the settings."""
    count = len(site.problems)
    place = site.config or "variables"
    yield (
        FILES_USABLE.fail(f"{count} problems; the first: {site.problems[0]}") if count else FILES_USABLE.ok(str(place))
    )
    admin = site.settings.admin.address
    private = _is_private(admin)
    yield ADMIN_PRIVATE.ok(str(admin)) if private else ADMIN_PRIVATE.warn(f"{admin} is open to whoever can reach it")
    yield _examine_port(site)
    open_files = [str(path) for path in _secret_files(site) if _is_open(path)]
    yield (
        SECRETS_PRIVATE.warn(f"everybody can read {', '.join(open_files)}")
        if open_files
        else SECRETS_PRIVATE.ok(f"{sum(1 for _ in _secret_files(site))} files")
    )
    passed = site.settings.forwarding.credentials is CredentialsForwarding.PASS
    yield (
        CREDENTIALS_STRIPPED.warn("the upstream sees every session and key")
        if passed
        else CREDENTIALS_STRIPPED.ok("stripped")
    )


def _is_private(endpoint: Endpoint) -> bool:
    return isinstance(endpoint, UnixEndpoint) or is_loopback(endpoint.host)


def _examine_port(site: Site) -> Finding:
    address = site.settings.listen.address
    if isinstance(address, UnixEndpoint):
        return DATA_PORT_FREE.skip("a Unix socket is taken over at the start")
    try:
        with bind(address, "listen"):
            return DATA_PORT_FREE.ok(f"{address} is free")
    except ConfigError as error:
        return DATA_PORT_FREE.fail(error.problems[0].what)


def _secret_files(site: Site) -> Iterator[Path]:
    settings = site.settings
    signed, assertion = settings.sessions.signed, settings.forwarding.assertion
    key, tls = settings.audit.checkpoint.key, settings.listen.tls
    named = (
        settings.policy.password_file,
        None if signed is None else signed.secret_file,
        None if assertion is None else assertion.key.path,
        None if key is None else key.path,
        None if tls is None else tls.key,
        *(sink.http.token_file for sink in settings.audit.sinks if sink.http is not None),
    )
    return (path for path in named if path is not None)


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS_READ)
    except OSError:
        return False


def examine_policy(site: Site) -> Iterator[Finding]:
    """Look at the policy files; what is in Redis is looked at there."""
    checks = (POLICY_THERE, POLICY_CLEAN, POLICY_LASTS)
    if not isinstance(site.settings.policy.source, DirectorySource):
        yield from (check.skip("the policy is in Redis; see `sidegate policy show`") for check in checks)
        return
    if site.policies is None:
        yield POLICY_THERE.fail("it cannot be used")
        yield from (check.skip("there is no usable policy") for check in checks[1:])
        return
    documents = [loaded.document for loaded in site.policies]
    empty = [document.organization for document in documents if not document.members]
    if not documents:
        yield POLICY_THERE.fail("no organization")
    elif empty:
        yield POLICY_THERE.warn(f"nobody is a member of {', '.join(empty)}")
    else:
        yield POLICY_THERE.ok(f"{len(documents)} organizations, {sum(len(one.members) for one in documents)} members")
    warnings = [warning for loaded in site.policies for warning in loaded.warnings]
    yield POLICY_CLEAN.warn(f"{len(warnings)}, the first: {warnings[0]}") if warnings else POLICY_CLEAN.ok("all count")
    ending = [text for document in documents for text in _ending(document, site)]
    yield POLICY_LASTS.warn(f"{len(ending)} end: {'; '.join(ending[:3])}") if ending else POLICY_LASTS.ok("none ends")


def _ending(document: PolicyDocument, site: Site) -> Iterator[str]:
    until = site.now + SOON
    for binding in document.bindings:
        if binding.state is BindingState.ACTIVE and binding.not_after is not None and binding.not_after < until:
            yield f"binding {binding.id} of {document.organization} at {format_instant(binding.not_after)}"
    for key in document.keys:
        if key.state is KeyState.ACTIVE and key.expires_at is not None and key.expires_at < until:
            yield f"key {key.id} of {document.organization} at {format_instant(key.expires_at)}"


def examine_routes(site: Site) -> Iterator[Finding]:
    """Look at the routes file."""
    if site.routes is None:
        yield ROUTES_THERE.fail(f"{site.settings.routes} cannot be used")
        yield ROUTES_PUBLIC.skip("there are no usable routes")
        return
    routes = site.routes.table.routes
    yield ROUTES_THERE.ok(f"{len(routes)}") if routes else ROUTES_THERE.fail("none")
    public = [route for route in routes if route.public]
    wide = [
        f"{route.method} {route.pattern.text}"
        for route in public
        if route.method not in {"GET", "HEAD"} or route.pattern.tail_place is not None
    ]
    yield (
        ROUTES_PUBLIC.warn(f"{', '.join(wide)} needs no credential")
        if wide
        else ROUTES_PUBLIC.ok(f"{len(public)} public")
    )
