"""Errors of the link tell what was done and why it failed."""

from sidegate.core.model.errors import Dependency
from sidegate.redis_link.errors import RedisAwayError, RedisRefusedError


def test_away() -> None:
    """Says what was being done and why, and when to come back."""
    error = RedisAwayError("reading a session", "no answer in time")
    assert str(error) == "redis failed while reading a session: no answer in time"
    assert (error.dependency, error.retry_after_s) == (Dependency.REDIS, 1.0)


def test_refused() -> None:
    """The code is the first word of the answer, unless it is known."""
    assert RedisRefusedError("reading", "WRONGTYPE Operation against").code == "WRONGTYPE"
    assert RedisRefusedError("writing", "command not allowed", "OOM").code == "OOM"
    assert str(RedisRefusedError("writing", "full", "OOM")) == "redis refused while writing: full"
