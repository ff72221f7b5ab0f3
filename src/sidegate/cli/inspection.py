"""Everything that a sidecar would start from, looked at whole: what one file gets wrong hides nothing of another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sidegate.cli.local import find_config, read_settings
from sidegate.config.endpoints import DirectorySource
from sidegate.config.files import read_file
from sidegate.config.policy_file import LoadedPolicy, load_policy_directory
from sidegate.config.routes_file import LoadedRoutes, load_routes
from sidegate.config.settings import MAX_SETTINGS_BYTES, Settings
from sidegate.config.settings_model import DEFAULT_POLICY_SOURCE
from sidegate.config.yaml_tree import read_tree
from sidegate.core.model.errors import ConfigError, PolicyError, Position, Problem
from sidegate.telemetry.clock import SystemClock

_DEFAULT_ROUTES: Final = "routes.yaml"
_DEFAULT_SOURCE: Final = f"dir:{DEFAULT_POLICY_SOURCE.path}"


@dataclass(slots=True)
class Inspection:
    """What was found.

    Attributes:
        config: The configuration file, if there is one.
        settings: None when they cannot be used.
        routes: None when they cannot be used, or it is not known where they are.
        policies: None when they cannot be used, or it is not known where they are.
        problems: What keeps a sidecar from starting.
        warnings: What looks wrong but fails safe.
    """

    config: Path | None
    settings: Settings | None
    routes: LoadedRoutes | None
    policies: tuple[LoadedPolicy, ...] | None
    problems: list[Problem]
    warnings: list[Problem]


def inspect(given: Path | None) -> Inspection:
    """Read the configuration and all that it names."""
    config = find_config(given)
    found = Inspection(config, None, None, None, [], [])
    try:
        settings = found.settings = read_settings(given)
    except ConfigError as error:
        found.problems.extend(error.problems)
        routes, policy = _named_by(config)
    else:
        source = settings.policy.source
        routes, policy = settings.routes, source.path if isinstance(source, DirectorySource) else None
        _look_at_certificates(found, settings)
        _look_at_assertion(found, settings)
    if routes is not None and routes.is_file():
        try:
            found.routes = load_routes(routes)
        except ConfigError as error:
            found.problems.extend(error.problems)
    if policy is not None and policy.is_dir():
        try:
            found.policies = load_policy_directory(policy)
        except PolicyError as error:
            found.problems.extend(error.problems)
    _look_for_nothing(found, policy)
    return found


def _look_at_certificates(found: Inspection, settings: Settings) -> None:
    """Say which certificates and keys cannot be used, and warn of those whose time is over or comes to its end."""
    if settings.listen.tls is None and settings.upstream.url.scheme != "https":
        return
    # Imported where there is TLS only: every command would take longer to start.
    from sidegate.app.certificates import expiry_warnings  # noqa: PLC0415 - see above
    from sidegate.app.tls import check_tls  # noqa: PLC0415 - see above

    try:
        for files, material in check_tls(settings).items():
            found.warnings.extend(expiry_warnings(files, material, SystemClock.now()))
    except ConfigError as error:
        found.problems.extend(error.problems)


def _look_at_assertion(found: Inspection, settings: Settings) -> None:
    """Say why the key of the assertion to the upstream cannot be used."""
    if settings.forwarding.assertion is None:
        return
    # Imported where it is asked for: every command would take longer to start.
    from sidegate.app.assertion import load_assertion_signer  # noqa: PLC0415 - see above

    try:
        load_assertion_signer(settings)
    except ConfigError as error:
        found.problems.extend(error.problems)


def _named_by(config: Path | None) -> tuple[Path | None, Path | None]:
    """Return where routes and policy seem to be, by a configuration that cannot be used as it is.

    What it does not name is looked for where it is by default.
    """
    if config is None:
        return None, None
    content, problem = read_file(config)
    data: Any = None if problem is not None else read_tree(content, str(config), MAX_SETTINGS_BYTES).data
    if not isinstance(data, dict):
        return None, None
    routes, policy = data.get("routes", _DEFAULT_ROUTES), data.get("policy", {})
    source = policy.get("source", _DEFAULT_SOURCE) if isinstance(policy, dict) else None
    return (
        config.parent / routes if isinstance(routes, str) else None,
        config.parent / source.removeprefix("dir:") if isinstance(source, str) and source.startswith("dir:") else None,
    )


def _look_for_nothing(found: Inspection, policy: Path | None) -> None:
    """Warn of what is valid and refuses everything."""
    if found.routes is not None and not found.routes.table.routes:
        found.warnings.append(Problem(None, "routes", "are none: every request is refused", "write the first route"))
    if found.policies == () and policy is not None:
        place = Position(str(policy), 1, 1)
        hint = "add a policy file, one per organization"
        found.warnings.append(Problem(place, "policy", "holds no policy file: every request is refused", hint))
    for loaded in found.policies or ():
        found.warnings.extend(loaded.warnings)
