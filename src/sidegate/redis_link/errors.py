"""What can go wrong on the way to Redis, told apart by what it means for the caller."""

from sidegate.core.model.errors import Dependency, DependencyError

RETRY_AFTER_S = 1.0
"""What a client is told: the link looks several times a second whether Redis is back."""


class RedisAwayError(DependencyError):
    """Redis was not reached, or did not answer in time. What was asked for may or may not have happened.

    Attributes:
        why: In a few words.
    """

    def __init__(self, doing: str, why: str) -> None:
        super().__init__(Dependency.REDIS, doing, RETRY_AFTER_S)
        self.why = why

    def __str__(self) -> str:
        return f"redis failed while {self.doing}: {self.why}"


class RedisRefusedError(DependencyError):
    """Redis answered with an error: nothing of this command happened.

    Attributes:
        code: First word of the answer, e.g. ``WRONGTYPE``, ``OOM``, ``NOAUTH``, ``READONLY``.
        why: What it said.
    """

    def __init__(self, doing: str, why: str, code: str | None = None) -> None:
        super().__init__(Dependency.REDIS, doing, RETRY_AFTER_S)
        self.code = why.partition(" ")[0] if code is None else code
        self.why = why

    def __str__(self) -> str:
        return f"redis refused while {self.doing}: {self.why}"
