"""Where commands find what is on this machine: the configuration, and what it names (spec 6.4 ``--config``)."""

from pathlib import Path
from typing import Final

from sidegate.cli.exit_codes import UsageError
from sidegate.config.endpoints import DirectorySource
from sidegate.config.environment import PREFIX, config_path, read_environment
from sidegate.config.policy_file import inspect_policy_file, load_policy_directory
from sidegate.config.routes_file import LoadedRoutes, load_routes
from sidegate.config.settings import Settings, load_settings
from sidegate.core.model.errors import ConfigError, Problem
from sidegate.core.model.value import value
from sidegate.core.policy.compile import compile_document
from sidegate.core.policy.snapshot import OrganizationSnapshot, Snapshot

DEFAULT_CONFIG: Final = Path("config/sidegate.yaml")


def find_config(given: Path | None) -> Path | None:
    """Return the configuration file: as given, as the environment names it, or the usual one if it is there."""
    if given is not None:
        return given
    named = config_path(read_environment())
    if named is not None:
        return named
    return DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None


def read_settings(given: Path | None) -> Settings:
    """Load the settings.

    Raises:
        ConfigError: There is none, or it cannot be used; with everything that is wrong.
    """
    path = find_config(given)
    environment = read_environment()
    if path is None and not any(name.startswith(PREFIX) for name in environment):
        problem = Problem(None, "--config", f"is not given and there is no {DEFAULT_CONFIG} here", "name the file")
        raise ConfigError((problem,))
    return load_settings(path, environment)


def find_spool(given: Path | None, config: Path | None) -> Path:
    """Return the spool's folder: as given, else the configured one.

    Raises:
        ConfigError: The configuration cannot be used.
    """
    return given if given is not None else read_settings(config).audit.spool


@value
class LoadedPolicies:
    """Policy files, ready to decide with.

    Attributes:
        snapshot: All organizations.
        warnings: What looks wrong but fails safe.
    """

    snapshot: Snapshot
    warnings: tuple[Problem, ...]

    def organization(self, name: str) -> OrganizationSnapshot:
        """Return the organization called *name*.

        Raises:
            UsageError: There is none; with those there are.
        """
        found = self.snapshot.organizations.get(name)
        if found is None:
            known = ", ".join(sorted(self.snapshot.organizations)) or "none at all"
            raise UsageError(f"no policy is for the organization `{name}`; there are: {known}")
        return found


def load_policies(path: Path) -> LoadedPolicies:
    """Load a policy file, or a folder of them.

    Raises:
        PolicyError: With everything that is wrong in any of them.
    """
    loaded = load_policy_directory(path) if path.is_dir() else (inspect_policy_file(path),)
    organizations = [compile_document(one.document, _revision_of(one.file)) for one in loaded]
    revision = max((organization.revision for organization in organizations), default=0)
    return LoadedPolicies(
        Snapshot(revision, organizations), tuple(warning for one in loaded for warning in one.warnings)
    )


def _revision_of(file: str) -> int:
    """Return the revision that a running sidegate gives the file: when it was changed, in milliseconds."""
    return Path(file).stat().st_mtime_ns // _NANOS_PER_MILLI


_NANOS_PER_MILLI: Final = 1_000_000


def find_policies(given: Path | None, config: Path | None) -> LoadedPolicies:
    """Load the policy *given*, else the configured one.

    Raises:
        ConfigError: The configuration cannot be used, or its policy is not in files.
        PolicyError: The policy cannot be used.
    """
    return load_policies(given if given is not None else policy_folder(read_settings(config)))


def policy_folder(settings: Settings) -> Path:
    """Return the folder of policy files that *settings* name.

    Raises:
        ConfigError: The policy is elsewhere.
    """
    source = settings.policy.source
    if not isinstance(source, DirectorySource):
        problem = Problem(None, "policy.source", f"is {source}", "name policy files with --policy PATH")
        raise ConfigError((problem,))
    return source.path


def find_routes(given: Path | None, config: Path | None) -> LoadedRoutes:
    """Load the routes *given*, else the configured ones.

    Raises:
        ConfigError: The configuration or the routes cannot be used.
    """
    return load_routes(given if given is not None else read_settings(config).routes)
