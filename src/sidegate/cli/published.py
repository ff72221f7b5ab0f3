"""What commands read from and write to the Redis of the policy."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sidegate.cli.exit_codes import DataError, UsageError
from sidegate.cli.local import read_settings
from sidegate.config.endpoints import RedisSource
from sidegate.config.settings import Settings
from sidegate.core.model.errors import NamingError
from sidegate.core.model.target import require_name
from sidegate.distribution.redis_publish import PUBLISH_TIMEOUT
from sidegate.distribution.redis_read import PublishedPolicy, fetch_document
from sidegate.distribution.redis_trust import load_trusted_key, read_password
from sidegate.redis_link.link import Link, open_link

T = TypeVar("T")

RedisOption = Annotated[
    str | None,
    typer.Option("--redis", metavar="URL", help="Redis, instead of the configured one.", show_default=False),
]


def with_redis(url: str | None, config: Path | None, use: Callable[[Link, Settings | None], Awaitable[T]]) -> T:
    """Let *use* work with the Redis at *url*, else with the one that the configuration names as the policy's source.

    Raises:
        UsageError: There is none.
        DependencyError: It is away, or refuses.
    """
    settings = None if url is not None else read_settings(config)
    password = None
    if settings is not None:
        source = settings.policy.source
        if not isinstance(source, RedisSource):
            raise UsageError(f"the policy's source is {source}; name a Redis with --redis URL")
        url = source.url
        password = None if settings.policy.password_file is None else read_password(settings.policy.password_file)

    async def run() -> T:
        try:
            link = open_link(url or "", password=password, timeout=PUBLISH_TIMEOUT)
        except ValueError as error:
            raise UsageError(f"--redis: {error}") from None
        try:
            return await use(link, settings)
        finally:
            await link.close()

    return asyncio.run(run())


async def fetch_published(link: Link, settings: Settings | None, org: str) -> PublishedPolicy | None:
    """Read what is published of *org*, verified with the configured key if there is one.

    Raises:
        UsageError: *org* is no name.
        DependencyError: Redis is away.
        IntegrityError: What is there is not what was published.
    """
    try:
        require_name(org, "organization")
    except NamingError as error:
        raise UsageError(str(error)) from None
    key = None if settings is None else settings.policy.public_key
    return await fetch_document(link, org, None if key is None else load_trusted_key(key.path))


def read_published(url: str | None, config: Path | None, org: str) -> PublishedPolicy:
    """Read what is published of *org*.

    Raises:
        DataError: Nothing is.
        UsageError: As for :func:`with_redis`.
        DependencyError: As for :func:`with_redis`.
    """
    found = with_redis(url, config, lambda link, settings: fetch_published(link, settings, org))
    if found is None:
        raise DataError(f"no policy is published for the organization `{org}`")
    return found
