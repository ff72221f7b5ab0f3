"""The parts that prove who asks, built from settings (spec 3)."""

import aiohttp

from sidegate.app.policy import ALONE
from sidegate.app.shared_state import open_state
from sidegate.config.endpoints import FileSource, UrlSource
from sidegate.config.held import Settings
from sidegate.config.held import SignedSessions as SignedSettings
from sidegate.core.identity.claims import ClaimRules, parse_claim_path
from sidegate.core.identity.jwk import Algorithm, VerificationKey, shared_secret
from sidegate.core.identity.jwt import TokenRules
from sidegate.core.identity.session import SessionLimits
from sidegate.credentials.jwks import (
    Fetcher,
    FileFetcher,
    JwksSource,
    RefreshRules,
    SecretSource,
    UrlFetcher,
    open_session,
)
from sidegate.credentials.proving import SignedSessions
from sidegate.credentials.verifier import CredentialVerifier
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.tasks import TaskSet


class Identity:
    """Verifier, shared state and key set of one process.

    Attributes:
        verifier: What the data path asks.
        jwks: The key set, where tokens are verified with one.
        state: Sessions, revocations and used-up keys.
        link: To the Redis that they are in, if they are in one.
    """

    def __init__(self, settings: Settings, clock: Clock, part: str = ALONE) -> None:
        self._opened = open_state(settings, clock, part)
        self.state = self._opened.state
        self.link = self._opened.link
        self._session: aiohttp.ClientSession | None = None
        self.jwks: JwksSource | None = None
        self.verifier = CredentialVerifier(
            self.state,
            {
                surface: SessionLimits(absolute=limits.absolute_ms, idle=limits.idle_ms)
                for surface, limits in settings.sessions.surfaces.items()
            },
            signed=None if settings.sessions.signed is None else self._signed(settings.sessions.signed, clock),
            accept_opaque=settings.sessions.opaque is not None,
        )

    def _signed(self, signed: SignedSettings, clock: Clock) -> SignedSessions:
        algorithms = frozenset(Algorithm(algorithm.value) for algorithm in signed.algorithms)
        shared: VerificationKey | None = None
        if signed.secret is not None:
            shared = shared_secret(signed.secret.get_secret_value().encode())
        rules = TokenRules(
            algorithms,
            ClaimRules(
                issuer=signed.issuer,
                audiences=frozenset(signed.audience),
                authorized_parties=frozenset(signed.authorized_parties),
                organization=None if signed.org_claim is None else parse_claim_path(signed.org_claim),
                surface=None if signed.surface_claim is None else parse_claim_path(signed.surface_claim),
                leeway=signed.leeway_ms,
            ),
        )
        if signed.jwks is None:
            assert shared is not None  # noqa: S101 - the settings hold keys or a secret
            return SignedSessions(SecretSource(shared), rules)
        fetcher: Fetcher = (
            FileFetcher(signed.jwks.path) if isinstance(signed.jwks, FileSource) else self._fetcher(signed.jwks)
        )
        refresh = RefreshRules(interval=signed.refresh_ms, keep=signed.max_stale_ms)
        self.jwks = JwksSource(fetcher, algorithms - {Algorithm.HS256}, clock, refresh, shared)
        return SignedSessions(self.jwks, rules)

    def _fetcher(self, source: FileSource | UrlSource) -> Fetcher:
        if isinstance(source, FileSource):
            return FileFetcher(source.path)
        self._session = open_session()
        return UrlFetcher(source.url, self._session)

    async def start(self, tasks: TaskSet) -> None:
        """Fetch keys once, then keep everything current. Keys that cannot be had now verify nothing until they can."""
        await self._opened.start()
        if self.jwks is not None:
            await self.jwks.refresh()
            tasks.spawn(self.jwks.run(), "refresh_keys")

    async def close(self) -> None:
        """Write what waits and let go."""
        await self._opened.close()
        if self._session is not None:
            await self._session.close()
