"""What all connections of one worker share."""

import asyncio
from collections.abc import Callable
from typing import Final

from sidegate.audit.trail import AuditTrail
from sidegate.core.model.decision import Decision, Reason
from sidegate.core.model.principal import VerifiedCredential
from sidegate.core.model.value import value
from sidegate.core.routing.resolve import resolve
from sidegate.core.wire.block import HeaderBlock
from sidegate.core.wire.credential import NOTHING, Presented
from sidegate.core.wire.memo import MakingMemo, Memo
from sidegate.core.wire.response import ResponseHead, read_response_head
from sidegate.credentials.reverification import Reverifier
from sidegate.credentials.verifier import CredentialVerifier
from sidegate.distribution.ports import PolicySource
from sidegate.proxy.arrival import DIRECT, Arrival, Guest
from sidegate.proxy.attestor import Attestor
from sidegate.proxy.client import ClientConnection
from sidegate.proxy.deadlines import Deadlines
from sidegate.proxy.forwarding import Peers
from sidegate.proxy.machines import MachineWatch
from sidegate.proxy.prepared import Prepared, Standing, Undecided
from sidegate.proxy.reading import REMEMBERED_BYTES, LineReading, Readings
from sidegate.proxy.refusals import Refusals
from sidegate.proxy.streams import Streams
from sidegate.proxy.upstream import UpstreamPool
from sidegate.telemetry.catalogue import PresentedKind, RequestKind
from sidegate.telemetry.clock import Clock
from sidegate.telemetry.metrics import (
    AUTHORITY_PLACE,
    CONNECTIONS,
    CREDENTIAL_CELL,
    CREDENTIAL_REASON_PLACE,
    IN_FLIGHT,
    NO_STATUS,
    REASON_CELL,
    REQUEST_CELL,
    Metrics,
)

_NO_CREDENTIAL: Final = CREDENTIAL_CELL[PresentedKind.NONE]
_API_KEY: Final = CREDENTIAL_CELL[PresentedKind.API_KEY]
_SESSION: Final = CREDENTIAL_CELL[PresentedKind.SESSION]

REMEMBERED_RESPONSES: Final = 512
REMEMBERED_QUESTIONS: Final = 2048
REMEMBERED_CREDENTIALS: Final = 2048

NO_RECORD: Final = b"00000000-0000-0000-0000-000000000000"
"""Stands for the id of a decision where there is none: a connection beyond the limit is refused before any request is
read (the nil UUID, RFC 9562 section 5.9)."""


@value
class Limits:
    """What a client may cost (spec 2.8), in bytes and seconds; 0 for no limit where it says so.

    Attributes:
        min_body_rate: Bytes per second, judged per window of ten seconds; 0 for no limit.
        max_body_bytes: 0 for no limit.
        body_json_bytes: Of a body that a decision reads.
    """

    head_bytes: int
    target_bytes: int
    head_timeout_s: float
    idle_timeout_s: float
    response_timeout_s: float
    min_body_rate: int
    connections: int
    in_flight: int
    max_body_bytes: int
    body_json_bytes: int


class Gateway:
    """The data plane of one worker, but for its connections.

    Attributes:
        attestor: Signs what the upstream is told; None for nobody.
        draining: The worker is about to end: every answer closes its connection.
        emptied: Set when the last connection ends while draining.
        response_heads: Of upstreams, as read.
        prepared: What credentials ask for, by the request line's reading and the credential's identity.
        records_completions: Every forwarded request gets a completion record, not only the unusual ones.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        limits: Limits,
        readings: Readings,
        policies: PolicySource,
        verifier: CredentialVerifier,
        reverifier: Reverifier,
        trail: AuditTrail,
        pool: UpstreamPool,
        refusals: Refusals,
        metrics: Metrics,
        machines: MachineWatch,
        peers: Peers,
        attestor: Attestor | None = None,
        records_completions: bool = False,
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.limits = limits
        self.readings = readings
        self.policies = policies
        self.verifier = verifier
        self.trail = trail
        self.pool = pool
        self.refusals = refusals
        self.metrics = metrics
        self.machines = machines
        self.cells = metrics.cells
        self.peers = peers
        self.attestor = attestor
        self.records_completions = records_completions
        self.draining = False
        self.emptied = asyncio.Event()
        self.deadlines = Deadlines(loop)
        self.streams = Streams(self, reverifier)
        self.undecided = Undecided()
        self.response_heads: MakingMemo[bytes, ResponseHead] = MakingMemo(REMEMBERED_RESPONSES, read_response_head)
        self._standings: Memo[int, Standing] = Memo(REMEMBERED_CREDENTIALS)
        # By the identity of both: what is remembered keeps the credential alive, so its id cannot be another's.
        self.prepared: Memo[tuple[LineReading, int], Prepared] = Memo(REMEMBERED_QUESTIONS)
        self.connections: set[Guest] = set()
        self._successions = 0

    @property
    def overloaded_answer(self) -> bytes:
        """What a client gets that cannot even be asked what it wants."""
        return self.refusals.write(self.refusals.find(Reason.OVERLOADED, close=True, head_only=False), NO_RECORD)

    def accept(self, arrival: Arrival = DIRECT) -> ClientConnection:
        """Make what speaks HTTP/1 on a new connection."""
        return ClientConnection(self, arrival)

    def admit(self, client: Guest) -> bool:
        """Take *client* in, unless there are as many as there may be."""
        if len(self.connections) - self._successions >= self.limits.connections:
            return False
        self.connections.add(client)
        self.deadlines.watch(client)
        self.cells[CONNECTIONS] += 1
        return True

    def hand_over(self, client: Guest, begin: Callable[[], None]) -> None:
        """Let *begin* admit who takes the place of *client* on its connection: never refused, and never nobody's."""
        self._successions += 1
        try:
            begin()
        finally:
            self._successions -= 1
            self.dismiss(client)

    def dismiss(self, client: Guest) -> None:
        """Forget *client*, whose connection is gone."""
        if client in self.connections:
            self.connections.remove(client)
            self.deadlines.forget(client)
            self.cells[CONNECTIONS] -= 1
            if self.draining and not self.connections:
                self.emptied.set()

    def prepare(
        self, reading: LineReading, credential: VerifiedCredential, block: HeaderBlock, body: bytes | None
    ) -> Prepared:
        """Find out what a request asks for.

        Raises:
            WireError: 400: what decides is missing, ambiguous or not a name.
        """
        known = self.prepared.find((reading, id(credential)))
        if known is not None:
            return known
        match = reading.match
        assert match is not None  # noqa: S101 - only matched requests are put to the engine
        query = reading.line.query or b""
        asks = resolve(match, credential.org, query, lambda name: block.fields.get(name, ()), body)
        prepared = Prepared(self._standing_of(credential), asks, match.route, reading.line)
        if match.route.line_only:
            self.prepared.remember((reading, id(credential)), prepared)
        return prepared

    def _standing_of(self, credential: VerifiedCredential) -> Standing:
        known = self._standings.find(id(credential))
        if known is None:
            known = Standing(credential)
            self._standings.remember(id(credential), known)
        return known

    def read_response_head(self, head: bytes) -> ResponseHead:
        """Read a response head; equal ones only once, unless they are long.

        Raises:
            WireError: 502 ``upstream_invalid``.
        """
        return self.response_heads.get(head) if len(head) <= REMEMBERED_BYTES else read_response_head(head)

    def count_decision(self, decision: Decision) -> None:
        """Count a refusal that came before the engine."""
        self.cells[REASON_CELL[decision.reason] + AUTHORITY_PLACE[None]] += 1

    def count_refused(self, presented: Presented, reason: Reason) -> None:
        """Count a verification that failed, by what was presented."""
        if reason not in CREDENTIAL_REASON_PLACE:
            return  # not the credential's fault: used from elsewhere, or the state that judges it is away
        if presented is NOTHING or presented.ambiguous:
            cell = _NO_CREDENTIAL
        elif presented.api_key is not None:
            cell = _API_KEY
        else:
            cell = _SESSION
        self.cells[cell + CREDENTIAL_REASON_PLACE[reason]] += 1

    def count_end(self, kind: RequestKind, status: int | None) -> None:
        """Count a request that is over; *status* is 100 to 599, our own or checked where the upstream's was read."""
        self.cells[IN_FLIGHT] -= 1
        self.cells[REQUEST_CELL[kind] + (NO_STATUS if status is None else status)] += 1
