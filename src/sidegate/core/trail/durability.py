"""What a record survives, and what happens when there is no room for it (spec 5.6)."""

from enum import StrEnum


class Durability(StrEnum):
    """What a record survives before its request goes on (spec 5.6)."""

    PROCESS = "process"
    """It is in the file: the sidecar may be killed."""
    HOST = "host"
    """It is on the disk: the machine may lose its power."""
    MEMORY = "memory"
    """Nothing; tests only."""


class OnFull(StrEnum):
    """What happens when the spool is at its cap (spec 5.6)."""

    DENY = "deny"
    DROP_OLDEST = "drop_oldest"
