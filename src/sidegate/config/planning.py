"""Reads what settings name, but for keys and certificates: everything that takes a reader of files."""

from sidegate.config.endpoints import DirectorySource
from sidegate.config.holding import hold
from sidegate.config.plan import Documents, Plan, key_of
from sidegate.config.policy_file import LoadedPolicy, load_policy_directory, read_policy
from sidegate.config.routes_file import load_routes
from sidegate.config.settings import Settings, masked


def make_plan(settings: Settings) -> Plan:
    """Read routes and policy.

    Raises:
        ConfigError: The routes cannot be used.
        PolicyError: A policy file cannot be used.
    """
    routes = load_routes(settings.routes).table
    source = settings.policy.source
    documents: Documents = {}

    def read(content: bytes, file: str) -> LoadedPolicy:
        loaded = read_policy(content, file)
        documents[key_of(content, file)] = loaded.document
        return loaded

    if isinstance(source, DirectorySource):
        load_policy_directory(source.path, read)
    return Plan(hold(settings), masked(settings), routes, documents)
