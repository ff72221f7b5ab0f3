"""What repeats while one credential asks for one thing, made once (spec 7)."""

import re
from typing import Final
from urllib.parse import quote

from sidegate.core.engine.shadow import ShadowFailure
from sidegate.core.identity.api_key import WARN_BEFORE
from sidegate.core.identity.assertion import Statement
from sidegate.core.model.decision import Decision, Outcome, Reason
from sidegate.core.model.principal import Address, CredentialKind, Query, VerifiedCredential
from sidegate.core.model.units import UnixMillis, format_instant
from sidegate.core.routing.resolve import Ask
from sidegate.core.routing.route import Route
from sidegate.core.trail.record import NO_ACTOR, Fragment, ShadowVerdict, actor_fragment, decision_fragment
from sidegate.core.wire.head import RequestLine
from sidegate.core.wire.memo import Memo
from sidegate.proxy.machines import machine_of
from sidegate.proxy.reading import LineReading
from sidegate.proxy.refusals import Refusal
from sidegate.telemetry.metrics import AUTHORITY_PLACE, REASON_CELL

# Written into headers: a comma separates the targets of an operation that has several.
_SAFE_IN_HEADER: Final = "/:@*!$&'()+;=~"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~/:@*!$&'()+;=-]*")


CRLF: Final = "\r\n"
NEVER: Final = UnixMillis(2**63 - 1)
REMEMBERED_REFUSALS: Final = 4096

_Refused = tuple[Reason, LineReading | None, int, int]


def verdict_of(shadow: Decision | ShadowFailure | None) -> ShadowVerdict | None:
    """Return what the record says of the candidate; a candidate that broke would have had to deny (spec 1.8)."""
    if shadow is None:
        return None
    if isinstance(shadow, ShadowFailure):
        return ShadowVerdict(Outcome.DENY, Reason.POLICY_UNAVAILABLE)
    return ShadowVerdict(shadow.outcome, shadow.reason)


def _header_text(target: str) -> str:
    return target if _PLAIN.fullmatch(target) is not None else quote(target, safe=_SAFE_IN_HEADER)


class Standing:
    """Texts that follow from a credential alone.

    Attributes:
        credential: Who asks.
        actor: Of the audit record.
        identity: The identity headers about the account (spec 6.5), each with CRLF.
        machine: Which machine identity acts, for the anomaly watch; None for a person.
        warns_from: From when on its user is told that an API key expires.
    """

    __slots__ = ("actor", "credential", "identity", "machine", "warning", "warns_from")

    def __init__(self, credential: VerifiedCredential) -> None:
        self.credential = credential
        self.actor = actor_fragment(credential)
        self.machine = machine_of(credential)
        expires_at = credential.expires_at if credential.kind is CredentialKind.API_KEY else None
        self.warns_from = NEVER if expires_at is None else UnixMillis(expires_at - WARN_BEFORE)
        self.warning = (
            b"" if expires_at is None else f"X-Sidegate-Key-Expires: {format_instant(expires_at)}\r\n".encode("ascii")
        )
        chain = ",".join([link.id for link in credential.chain])
        self.identity = (
            f"X-Sidegate-Account: {credential.account}\r\nX-Sidegate-Organization: {credential.org}\r\n"
            f"{'X-Sidegate-Chain: ' + chain + CRLF if chain else ''}"
        )


class Prepared:
    """A credential, what it asks for, and the texts that follow from both.

    Attributes:
        standing: Who asks.
        asks: For what; not empty.
        asked: The questions for the engine as they were asked last, from the source that is in them; empty before.
        refusal: The answer that refused it last, where its connection goes on; None before.
        cell: Of the metric that counts the decision which :meth:`fragment` wrote last.
    """

    __slots__ = (
        "_decision",
        "_fragment",
        "_identity",
        "_identity_revision",
        "_line",
        "_revision",
        "_verdict",
        "asked",
        "asks",
        "cell",
        "refusal",
        "route",
        "standing",
    )

    def __init__(self, standing: Standing, asks: tuple[Ask, ...], route: Route, line: RequestLine) -> None:
        self.standing = standing
        self.asks = asks
        self.route = route
        self._line = line
        self.asked: tuple[Query, ...] = ()
        self._identity = b""
        self._identity_revision = -1
        self._fragment = Fragment(b"")
        self._decision: Decision | None = None
        self._verdict: ShadowVerdict | None = None
        self._revision = -1
        self.cell = 0
        self.refusal: Refusal | None = None

    def ask_from(self, source: Address | None) -> tuple[Query, ...]:
        """Put the questions for the engine as a client at *source* asks them."""
        credential = self.standing.credential
        self.asked = tuple([Query(credential, ask.authority, ask.target, source) for ask in self.asks])
        return self.asked

    def fragment(self, decision: Decision, shadow: ShadowVerdict | None, revision: int) -> Fragment:
        """Return the part of the audit record that does not change from request to request."""
        if decision is self._decision and revision == self._revision and shadow == self._verdict:
            return self._fragment
        main = self.asks[0]
        path = self._line.path
        fragment = decision_fragment(
            self.standing.actor,
            decision,
            org=main.target.org,
            authority=main.authority,
            primitive=main.primitive,
            target=main.target.text,
            kind=main.target.kind,
            shadow=shadow,
            revision=revision,
            method=self._line.method.decode("ascii"),
            path=None if path is None else path.text.decode("ascii"),
            route=self.route.id,
        )
        self._decision = decision
        self._verdict = shadow
        self.cell = REASON_CELL[decision.reason] + AUTHORITY_PLACE[main.authority]
        self._revision = revision
        self._fragment = fragment
        return fragment

    def identity(self, revision: int) -> bytes:
        """Return the identity headers that do not change from request to request (spec 6.5), each with CRLF."""
        if revision != self._identity_revision:
            authorities, targets = self._asked()
            self._identity = (
                f"{self.standing.identity}X-Sidegate-Authority: {authorities}\r\n"
                f"X-Sidegate-Target: {targets}\r\nX-Sidegate-Revision: {revision}\r\n"
            ).encode("ascii")
            self._identity_revision = revision
        return self._identity

    def statement(self, revision: int, decision_id: str) -> Statement:
        """Return what a signed assertion says, in the words of the identity headers (spec 6.5)."""
        credential, path = self.standing.credential, self._line.path
        authorities, targets = self._asked()
        return Statement(
            account=str(credential.account),
            organization=credential.org,
            authority=authorities,
            target=targets,
            revision=revision,
            chain=tuple([link.id for link in credential.chain]),
            method=self._line.method.decode("ascii"),
            path=None if path is None else path.text.decode("ascii"),
            decision_id=decision_id,
        )

    def _asked(self) -> tuple[str, str]:
        """Return authorities and targets as headers say them."""
        authorities = ", ".join([ask.authority.value for ask in self.asks])
        return authorities, ", ".join([_header_text(ask.target.text) for ask in self.asks])


class Undecided:
    """Records of requests that are not put to the engine: refused before, or public. Equal ones are written once."""

    __slots__ = ("_fragments",)

    def __init__(self) -> None:
        # A credential by its identity, which its entry keeps from becoming another's.
        self._fragments: Memo[_Refused, tuple[Fragment, VerifiedCredential | None]] = Memo(REMEMBERED_REFUSALS)

    def fragment(
        self, decision: Decision, reading: LineReading | None, credential: VerifiedCredential | None, revision: int
    ) -> Fragment:
        """Write what is known of such a request."""
        key = (decision.reason, reading, id(credential), revision)
        known = self._fragments.find(key)
        if known is not None:
            return known[0]
        line = None if reading is None else reading.line
        fragment = decision_fragment(
            NO_ACTOR if credential is None else actor_fragment(credential),
            decision,
            org=None if credential is None else credential.org,
            revision=revision,
            method=None if line is None else line.method.decode("ascii"),
            path=None if line is None or line.path is None else line.path.text.decode("ascii"),
            route=None if reading is None or reading.match is None else reading.match.route.id,
        )
        self._fragments.remember(key, (fragment, credential))
        return fragment
