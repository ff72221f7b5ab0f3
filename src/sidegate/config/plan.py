"""What a configuration comes to, ready to be served."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sidegate.config.held import Settings
from sidegate.core.model.value import value
from sidegate.core.policy.document import PolicyDocument
from sidegate.core.routing.table import RouteTable

ContentKey = tuple[str, bytes]
"""Name and SHA-256 of a file's content: what was read of it holds for these bytes under this name."""

Documents = dict[ContentKey, PolicyDocument]
"""Policy files by name and content."""


def key_of(content: bytes, file: str) -> ContentKey:
    """Return under what the document in *content* of the file called *file* is kept."""
    return file, hashlib.sha256(content).digest()


@value
class Plan:
    """Everything that was read before anything is started; it may come from another process.

    Attributes:
        settings: As configured.
        shown: The same as plain values for people, secrets replaced.
        routes: Compiled.
        documents: The policy files of a folder, none where the policy is elsewhere. Whoever puts one in force takes it
            out, as it would stay in memory beside what comes after it.
    """

    settings: Settings
    shown: Mapping[str, Any]
    routes: RouteTable
    documents: Documents


Serve = Callable[[Plan], int]
"""Serves what was read, or sees to it that it is served, and returns the exit code."""
