"""What can be set in ``sidegate.yaml`` (spec 6.1), with defaults, bounds and what each is for."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, SecretStr, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from sidegate.config.ages import Age
from sidegate.config.explain import Written, suggest
from sidegate.config.forms import (
    Duration,
    Hint,
    Line,
    OrganizationName,
    OrOne,
    ServerName,
    SurfaceName,
    Text,
    Whole,
    WrittenNetwork,
    form,
    refuse,
)
from sidegate.config.places import (
    DirectorySource,
    FilePath,
    RedisSource,
    UnixEndpoint,
    WrittenCollector,
    WrittenEndpoint,
    WrittenFile,
    WrittenJwks,
    WrittenNats,
    WrittenPolicySource,
    WrittenRedis,
    WrittenUpstream,
)
from sidegate.core.model.decision import Reason
from sidegate.core.model.units import Millis

DAY_MS: Final = 86_400_000
_HEADER_NAME: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"
_HeaderName = Annotated[Text, Field(pattern=_HEADER_NAME), Hint("write a header name, e.g. X-API-Key")]
# Any token (RFC 6265 section 4.1.1).
_CookieName = Annotated[Text, Field(pattern=_HEADER_NAME), Hint("write a cookie name, e.g. __session")]


class TlsVersion(StrEnum):
    """Versions of TLS that are spoken at all (RFC 8996 ends those before)."""

    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


class Tls(Written):
    """TLS on a listener."""

    cert: FilePath = Field(description="Certificate, then those between it and its root, PEM; read again when changed.")
    key: FilePath = Field(description="Its private key, PEM, not encrypted; read again when changed.")
    client_ca: FilePath | None = Field(
        default=None, description="CA of client certificates, PEM; every client then needs one of them."
    )
    min_version: TlsVersion = Field(default=TlsVersion.TLS_1_2, description="Oldest version: TLSv1.2 or TLSv1.3.")


class UpstreamTls(Written):
    """TLS to the upstream."""

    ca: FilePath | None = Field(default=None, description="Who may sign its certificate, PEM; else the system's.")
    cert: FilePath | None = Field(
        default=None,
        description="Our certificate to it, with those between it and its root, PEM; read again when changed.",
    )
    key: FilePath | None = Field(default=None, description="Its private key, PEM, not encrypted.")
    server_name: ServerName | None = Field(
        default=None, description="Name or address in its certificate; else the one in `upstream.url`."
    )
    min_version: TlsVersion = Field(default=TlsVersion.TLS_1_2, description="Oldest version: TLSv1.2 or TLSv1.3.")

    @model_validator(mode="after")
    def _need_both(self) -> Self:
        if (self.cert is None) is not (self.key is None):
            missing = "cert" if self.cert is None else "key"
            raise refuse("is missing", "give certificate and key, or neither", (missing,))
        return self


class Listener(Written):
    """Where a port listens: the address alone, or a mapping with TLS."""

    address: WrittenEndpoint = Field(description="host:port or unix:/path.")
    tls: Tls | None = Field(default=None, description="TLS on this listener.")

    @model_validator(mode="before")
    @classmethod
    def _take_address(cls, written: object) -> object:
        return {"address": written} if isinstance(written, str) else written

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form."""
        schema = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [dict(schema["properties"]["address"]), schema]}


class ProxyProtocol(StrEnum):
    """Whether connections begin with a header of the PROXY protocol."""

    OFF = "off"
    REQUIRED = "required"


class HttpProtocol(StrEnum):
    """Versions of HTTP by their names in ALPN (RFC 9113 section 3.1; h2c as RFC 7540 had it)."""

    HTTP_1 = "http/1.1"
    H2 = "h2"
    H2C = "h2c"


class DataListener(Listener):
    """Where the data port listens: the address alone, or a mapping."""

    protocols: frozenset[HttpProtocol] = Field(
        default=frozenset({HttpProtocol.HTTP_1, HttpProtocol.H2}),
        description="http/1.1, always; h2, offered to clients that speak TLS; h2c, taken without TLS from clients that"
        " begin with HTTP/2.",
    )
    proxy_protocol: ProxyProtocol = Field(
        default=ProxyProtocol.OFF,
        description="required: every connection comes from `trusted_proxies` and begins with a header of the PROXY"
        " protocol, version 1 or 2, that names the client.",
    )

    @field_validator("protocols", mode="after")
    @classmethod
    def _keep_http_1(cls, protocols: frozenset[HttpProtocol]) -> frozenset[HttpProtocol]:
        if HttpProtocol.HTTP_1 not in protocols:
            raise refuse("leaves out http/1.1, which is always spoken", "add it")
        return protocols

    @model_validator(mode="after")
    def _need_cleartext(self) -> Self:
        if self.tls is not None and HttpProtocol.H2C in self.protocols:
            raise refuse("names h2c, but clients speak TLS here", "write h2", ("protocols",))
        return self

    @model_validator(mode="after")
    def _need_tcp(self) -> Self:
        if isinstance(self.address, UnixEndpoint):
            hint = "listen on host:port, or remove it"
            if self.tls is not None:
                raise refuse("is given for a Unix socket", hint, ("tls",))
            if self.proxy_protocol is ProxyProtocol.REQUIRED:
                raise refuse("is required on a Unix socket, where no peer has an address", hint, ("proxy_protocol",))
        return self


class Upstream(Written):
    """The DataStore service behind the proxy."""

    url: WrittenUpstream = Field(
        description="http://host:port, https://host:port or unix:/path.", examples=["http://127.0.0.1:9000"]
    )
    tls: UpstreamTls | None = Field(default=None, description="TLS to it, for an https url.")
    connect_timeout_ms: Duration = Field(
        default=Millis(1000), ge=1, le=60_000, description="To connect, TLS handshake included."
    )
    response_timeout_ms: Duration = Field(
        default=Millis(30_000), ge=1, le=DAY_MS, description="Until a response's head."
    )
    max_connections: Whole = Field(default=512, ge=1, le=65_536, description="Connections to it, per worker.")

    @model_validator(mode="after")
    def _match_scheme(self) -> Self:
        if self.tls is not None and self.url.scheme != "https":
            raise refuse("is given, but `upstream.url` is not https", "write https://, or remove it", ("tls",))
        return self


DEFAULT_POLICY_SOURCE: Final = DirectorySource(Path("policy"))


class MaxStaleness(Written):
    """How long a policy is decided with while Redis is away, by authority (spec 5.4)."""

    default: Age = Field(default=Millis(900_000), description="For an authority that is not named.")
    read: Age | None = Field(default=None, description="For read.")
    write: Age | None = Field(default=None, description="For write.")
    delete: Age | None = Field(default=None, description="For delete.")
    run: Age | None = Field(default=None, description="For run.")
    solve: Age | None = Field(default=None, description="For solve.")
    approve: Age | None = Field(default=None, description="For approve.")
    share: Age | None = Field(default=None, description="For share.")
    configure: Age | None = Field(default=None, description="For configure.")


class PolicySettings(Written):
    """Where the policy comes from; all but the source is about Redis."""

    source: WrittenPolicySource = Field(
        default=DEFAULT_POLICY_SOURCE,
        validate_default=True,
        description="dir: and a folder of policy files, one per organization; or redis:// and the like.",
    )
    password_file: FilePath | None = Field(default=None, description="File that holds the password of Redis.")
    timeout_ms: Duration = Field(default=Millis(250), ge=10, le=10_000, description="Longest wait of a request.")
    max_staleness: MaxStaleness = Field(
        default=MaxStaleness(),
        description="How long known accounts are decided while Redis is away.",
        examples=["{default: 15m, approve: 60s}"],
    )
    preload: tuple[OrganizationName, ...] = Field(
        default=(), description="Organizations that are loaded whole at start."
    )
    max_subjects: Whole = Field(default=10_000, ge=1, le=10_000_000, description="Accounts in memory, per worker.")
    public_key: WrittenFile | None = Field(
        default=None, description="Public Ed25519 key, PEM; policy that it did not sign is refused."
    )


DEFAULT_CACHE_BYTES: Final = 67_108_864
"""64 MiB: 10,000 accounts with 20 bindings take some 25, and a file grows to twice that before it is written anew."""


class Cache(Written):
    """What was last known from Redis, on disk, for a start while Redis is away (spec 5.4)."""

    folder: FilePath | None = Field(default=None, description="Where it is kept; `cache` beside the spool by default.")
    max_bytes: Whole = Field(
        default=DEFAULT_CACHE_BYTES,
        ge=0,
        le=1 << 40,
        description="Most that the policy takes there, over all workers; 0 to keep nothing.",
    )


class Algorithm(StrEnum):
    """Signature algorithms of session tokens (spec 3.1)."""

    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"
    HS256 = "HS256"


class SignedSessions(Written):
    """Signed session tokens (JWT) of an identity provider."""

    issuer: Line = Field(description="Exactly the token's `iss`.", examples=["https://clerk.example"])
    jwks: WrittenJwks | None = Field(default=None, description="The issuer's keys: file:path or https:// address.")
    algorithms: tuple[Algorithm, ...] = Field(min_length=1, description="Allowed algorithms.", examples=["[RS256]"])
    authorized_parties: tuple[Line, ...] = Field(default=(), description="Allowed `azp`; empty for any.")
    audience: Annotated[tuple[Line, ...], OrOne()] = Field(
        default=(), description="One of these must be in `aud`; empty for any."
    )
    leeway_ms: Duration = Field(default=Millis(5000), ge=0, le=60_000, description="Clock skew for `exp` and `nbf`.")
    org_claim: Line | None = Field(default=None, description="Claim of the organization, e.g. o.slg; default o.id.")
    surface_claim: Line | None = Field(default=None, description="Claim of the surface; without it every one is web.")
    secret: SecretStr | None = Field(default=None, description="Shared secret of HS256, at least 32 bytes.")
    secret_file: FilePath | None = Field(default=None, description="File that holds the secret.")
    refresh_ms: Duration = Field(default=Millis(300_000), ge=1000, le=DAY_MS, description="How often keys are fetched.")
    max_stale_ms: Duration = Field(
        default=Millis(3_600_000),
        ge=0,
        le=7 * DAY_MS,
        description="How long fetched keys serve while the issuer is away.",
    )

    @model_validator(mode="after")
    def _match_keys(self) -> Self:
        has_secret = self.secret is not None or self.secret_file is not None
        if self.secret is not None and self.secret_file is not None:
            raise refuse("is given twice, here and in `secret_file`", "keep one", ("secret",))
        if (Algorithm.HS256 in self.algorithms) is not has_secret:
            what = "allows HS256 without a secret" if not has_secret else "does not allow HS256, but there is a secret"
            raise refuse(what, "give both, or neither", ("algorithms",))
        if self.jwks is None and set(self.algorithms) != {Algorithm.HS256}:
            raise refuse("is missing", "add the issuer's keys, e.g. `jwks: file:jwks.json`", ("jwks",))
        return self


class OpaqueStore(StrEnum):
    """Where opaque sessions are kept."""

    MEMORY = "memory"
    REDIS = "redis"


class OpaqueSessions(Written):
    """Opaque session cookies, looked up in a store."""

    store: OpaqueStore = Field(
        default=OpaqueStore.MEMORY, description="memory: of this machine; redis: of all that use `sessions.redis`."
    )


class SurfaceLimits(Written):
    """How long a session lasts on one surface."""

    idle_ms: Duration = Field(ge=1, le=366 * DAY_MS, description="Without activity.", examples=[900_000])
    absolute_ms: Duration = Field(ge=1, le=366 * DAY_MS, description="From its start.", examples=[43_200_000])

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.idle_ms > self.absolute_ms:
            raise refuse(
                f"is {self.idle_ms}, more than `absolute_ms`", f"write at most {self.absolute_ms}", ("idle_ms",)
            )
        return self


DEFAULT_SURFACES: Final = {
    "web": SurfaceLimits(idle_ms=Millis(1_800_000), absolute_ms=Millis(43_200_000)),
    "admin": SurfaceLimits(idle_ms=Millis(600_000), absolute_ms=Millis(14_400_000)),
    "mobile": SurfaceLimits(idle_ms=Millis(43_200_000), absolute_ms=Millis(30 * DAY_MS)),
}


class Sessions(Written):
    """Sessions of people (spec 3.1)."""

    cookie: _CookieName = Field(default="__session", description="Name of the session cookie.")
    redis: WrittenRedis | None = Field(
        default=None,
        description="Redis in which sidecars share sessions, revocations and used-up keys; that of the policy if it is"
        " in one, else each machine has its own.",
    )
    max_staleness_ms: Duration = Field(
        default=Millis(900_000),
        ge=1000,
        le=DAY_MS,
        description="How long what is known of sessions and keys is believed while that Redis is away.",
    )
    signed: SignedSessions | None = Field(default=None, description="Signed session tokens.")
    opaque: OpaqueSessions | None = Field(default=None, description="Opaque session cookies.")
    surfaces: dict[SurfaceName, SurfaceLimits] = Field(
        default=DEFAULT_SURFACES, description="Limits by surface; those not named keep their defaults."
    )

    @field_validator("surfaces", mode="after")
    @classmethod
    def _keep_defaults(cls, given: dict[str, SurfaceLimits]) -> dict[str, SurfaceLimits]:
        return {**DEFAULT_SURFACES, **given}


class OnAnomaly(StrEnum):
    """What follows when a machine identity behaves unusually (spec 3.4)."""

    REPORT = "report"
    DENY = "deny"


class Anomalies(Written):
    """The watch over API keys and service accounts (spec 3.4)."""

    on_anomaly: OnAnomaly = Field(default=OnAnomaly.REPORT, description="report, or deny while it lasts.")
    rate_multiple: Whole = Field(default=10, ge=2, le=1000, description="Times its usual rate that is unusual.")
    min_requests: Whole = Field(
        default=100, ge=1, le=1_000_000, description="Requests in a window that are never too many."
    )
    denials: Whole = Field(default=20, ge=1, le=1_000_000, description="Denials in a window that are no burst yet.")
    window_ms: Duration = Field(default=Millis(60_000), ge=1000, le=3_600_000, description="What counts as lately.")


class ApiKeys(Written):
    """API keys (spec 3.2)."""

    header: _HeaderName = Field(default="X-API-Key", description="Header besides Authorization: Bearer.")

    @field_validator("header", mode="after")
    @classmethod
    def _own_header(cls, name: str) -> str:
        if name.lower() in {"authorization", "cookie", "host", "content-length", "transfer-encoding", "connection"}:
            raise refuse(f"is '{name}'", "write a header of its own, e.g. X-API-Key")
        return name


class Durability(StrEnum):
    """What a record survives before its request goes on (spec 5.6)."""

    PROCESS = "process"
    HOST = "host"
    MEMORY = "memory"


class OnFull(StrEnum):
    """What happens when the spool is at its cap (spec 5.6)."""

    DENY = "deny"
    DROP_OLDEST = "drop_oldest"


class Completions(StrEnum):
    """Which requests get a completion record (spec 5.5)."""

    EXCEPTIONAL = "exceptional"
    ALL = "all"


class Collector(Written):
    """An HTTP endpoint that records are posted to: the address alone, or a mapping."""

    url: WrittenCollector = Field(description="https:// address; http:// only on the loopback.")
    ca: FilePath | None = Field(default=None, description="Who may sign its certificate, PEM; else the system's.")
    token_file: FilePath | None = Field(default=None, description="File that holds a bearer token.")

    @model_validator(mode="before")
    @classmethod
    def _take_url(cls, written: object) -> object:
        return {"url": written} if isinstance(written, str) else written

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form."""
        schema = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [dict(schema["properties"]["url"]), schema]}


class Sink(Written):
    """Where the audit stream is shipped to: exactly one of the keys."""

    file: FilePath | None = Field(default=None, description="A folder whose files records are appended to.")
    redis: WrittenRedis | None = Field(default=None, description="A Redis stream.")
    http: Collector | None = Field(default=None, description="An HTTP endpoint.")
    nats: WrittenNats | None = Field(default=None, description="A NATS server with JetStream; needs the extra nats.")
    kafka: Line | None = Field(default=None, description="A Kafka broker.")

    KINDS: ClassVar[tuple[str, ...]] = ("file", "redis", "http", "nats", "kafka")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise refuse("names no sink or several", f"write one of {', '.join(self.KINDS)} in each entry")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Require exactly one kind."""
        schema = handler.resolve_ref_schema(handler(core))
        return {**schema, "minProperties": 1, "maxProperties": 1}


class Checkpoint(Written):
    """Signed checkpoints of the hash chain (spec 5.7)."""

    records: Whole = Field(default=1000, ge=1, le=1_000_000, description="After so many records.")
    interval_ms: Duration = Field(default=Millis(10_000), ge=100, le=DAY_MS, description="After so long.")
    key: WrittenFile | None = Field(
        default=None, description="Private Ed25519 key, PEM; without it one is made in the spool's folder."
    )
    copy_to: WrittenFile | None = Field(default=None, description="A second place for checkpoints.")


_MIB: Final = 1_048_576


class Audit(Written):
    """Records of decisions (spec 5.5 to 5.7)."""

    spool: FilePath = Field(default=Path("var/audit"), validate_default=True, description="Folder of the spool.")
    durability: Durability = Field(default=Durability.PROCESS, description="What a record survives.")
    on_full: OnFull = Field(default=OnFull.DENY, description="What happens at the cap.")
    sinks: tuple[Sink, ...] = Field(default=(), description="Where records are shipped to.")
    max_bytes: Whole = Field(default=1024 * _MIB, ge=_MIB, le=1 << 50, description="Cap of the spool.")
    segment_bytes: Whole = Field(default=16 * _MIB, ge=65_536, le=1024 * _MIB, description="Size of one segment.")
    reserve_bytes: Whole = Field(default=64 * _MIB, ge=0, le=1 << 50, description="Of the disk, left free.")
    checkpoint: Checkpoint = Field(default=Checkpoint(), description="Signed checkpoints.")
    completions: Completions = Field(
        default=Completions.EXCEPTIONAL, description="Completion records: of unusual ends only, or of all requests."
    )

    @field_validator("sinks", mode="after")
    @classmethod
    def _one_of_a_kind(cls, sinks: tuple[Sink, ...]) -> tuple[Sink, ...]:
        seen: set[str] = set()
        for number, sink in enumerate(sinks):
            (kind,) = sink.model_fields_set
            if kind in seen:
                # How far each has come is kept under its kind.
                raise refuse(f"is a second sink of kind {kind}", "keep one of each kind", (number,))
            seen.add(kind)
        return sinks


class Limits(Written):
    """What one client, and all together, may cost (spec 2.8)."""

    head_bytes: Whole = Field(default=32_768, ge=1024, le=_MIB, description="Request line and headers.")
    target_bytes: Whole = Field(default=8192, ge=256, le=65_536, description="Request target.")
    headers: Whole = Field(default=100, ge=8, le=1000, description="Header fields.")
    head_timeout_ms: Duration = Field(default=Millis(10_000), ge=1, le=600_000, description="For a whole request head.")
    idle_timeout_ms: Duration = Field(default=Millis(75_000), ge=1, le=DAY_MS, description="Between two requests.")
    min_body_rate: Whole = Field(
        default=1024, ge=0, le=1 << 30, description="Bytes per second of a body after 10 s; 0 for no limit."
    )
    connections: Whole = Field(default=10_000, ge=1, le=1_000_000, description="Client connections, per worker.")
    streams: Whole = Field(default=100, ge=1, le=1000, description="Requests at a time on one HTTP/2 connection.")
    in_flight: Whole = Field(default=4096, ge=1, le=1_000_000, description="Requests being served, per worker.")
    max_body_bytes: Whole = Field(default=0, ge=0, le=1 << 50, description="Request body; 0 for no limit.")
    body_json_bytes: Whole = Field(
        default=_MIB, ge=256, le=64 * _MIB, description="Request body that a route reads, held in memory."
    )
    drain_timeout_ms: Duration = Field(
        default=Millis(25_000), ge=0, le=600_000, description="For requests at shutdown."
    )


class CredentialsForwarding(StrEnum):
    """What becomes of the credential on its way upstream (spec 6.5)."""

    STRIP = "strip"
    PASS = "pass"  # noqa: S105  a word of the configuration


class Assertion(Written):
    """A signed assertion to the upstream."""

    issuer: Line = Field(description="`iss` of the assertion.", examples=["sidegate"])
    key: WrittenFile = Field(description="Private key, PEM.", examples=["file:assertion.pem"])


class Forwarding(Written):
    """What the upstream is told."""

    credentials: CredentialsForwarding = Field(
        default=CredentialsForwarding.STRIP, description="strip the credential, or pass it on."
    )
    assertion: Assertion | None = Field(default=None, description="One signed JWT about the decision.")


class Log(Written):
    """The operational log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe line.")
    format: Literal["auto", "json", "console"] = Field(default="auto", description="auto: console on a terminal.")


class ProblemDetail(StrEnum):
    """How much an answer says (spec 6.5)."""

    FULL = "full"
    MINIMAL = "minimal"


HIDEABLE: Final = (
    *(Reason.CROSS_ORG, Reason.NOT_A_MEMBER, Reason.NO_GRANT, Reason.NOT_GRANTED, Reason.ABOVE_CEILING),
    *(Reason.DENIED_BY_RULE, Reason.OUTSIDE_CREDENTIAL_SCOPE, Reason.SUBTREE_NARROWED, Reason.UNMAPPED_ROUTE),
    *(Reason.ACCOUNT_INACTIVE, Reason.SURFACE, Reason.SOURCE_ADDRESS),
)
"""Reasons of a 403 that an answer may turn into 404. Not those whose remedy the client has to be told."""


def _hideable(text: str) -> Reason:
    if text not in HIDEABLE:
        raise ValueError(f"{suggest(text, HIDEABLE)}; only refusals by policy can be hidden")
    return Reason(text)


_Hideable = Annotated[Reason, *form(_hideable, {"enum": list(HIDEABLE)})]

DEFAULT_LISTEN: Final = "127.0.0.1:8080"
DEFAULT_ADMIN: Final = "127.0.0.1:9090"


def _unset() -> Any:  # noqa: ANN401  read like a mapping that was written, so that its paths get their folder
    return {}


class Settings(Written):
    """Configuration of one sidecar."""

    listen: DataListener = Field(default=DataListener.model_validate(DEFAULT_LISTEN), description="Data port.")
    admin: Listener = Field(
        default=Listener.model_validate(DEFAULT_ADMIN), description="Admin port; never for clients."
    )
    upstream: Upstream = Field(description="The service behind the proxy.", examples=["{url: http://127.0.0.1:9000}"])
    routes: FilePath = Field(default=Path("routes.yaml"), validate_default=True, description="Routes file.")
    policy: PolicySettings = Field(default_factory=_unset, validate_default=True, description="Where the policy is.")
    cache: Cache = Field(default=Cache(), description="Last known state of Redis, on disk.")
    sessions: Sessions = Field(default=Sessions(), description="Sessions of people.")
    api_keys: ApiKeys = Field(default=ApiKeys(), description="API keys.")
    anomalies: Anomalies = Field(default=Anomalies(), description="Unusual behaviour of machines.")
    audit: Audit = Field(default_factory=_unset, validate_default=True, description="Records of decisions.")
    limits: Limits = Field(default=Limits(), description="Limits.")
    forwarding: Forwarding = Field(default=Forwarding(), description="What goes upstream beside the request.")
    trusted_proxies: tuple[WrittenNetwork, ...] = Field(
        default=(), description="Networks of proxies whose forwarding headers are believed."
    )
    hide: frozenset[_Hideable] = Field(default=frozenset(), description="Reasons that are answered as 404.")
    problem_detail: ProblemDetail = Field(default=ProblemDetail.FULL, description="Whether answers name the target.")
    workers: Whole = Field(default=1, ge=1, le=256, description="Processes that share the data port.")
    log: Log = Field(default=Log(), description="Operational log.")

    @model_validator(mode="after")
    def _match_session_store(self) -> Self:
        opaque, is_shared = self.sessions.opaque, shared_redis(self) is not None
        place = ("sessions", "opaque", "store")
        if opaque is None:
            return self
        if opaque.store is OpaqueStore.REDIS and not is_shared:
            raise refuse("is redis, but none is named", "add `redis: redis://host:6379` under `sessions`", place)
        if opaque.store is OpaqueStore.MEMORY and is_shared and "store" in opaque.model_fields_set:
            raise refuse("is memory, but sessions are shared in Redis", "write redis, or leave it out", place)
        return self

    @model_validator(mode="after")
    def _know_who_speaks_for_others(self) -> Self:
        if self.listen.proxy_protocol is ProxyProtocol.REQUIRED and not self.trusted_proxies:
            hint = "name the networks of your load balancers under `trusted_proxies`"
            raise refuse("is required, but nobody is trusted to speak it", hint, ("listen", "proxy_protocol"))
        return self


def shared_redis(settings: Settings) -> RedisSource | None:
    """Return the Redis in which sidecars share sessions, revocations and used-up keys; None for none."""
    source = settings.policy.source
    return settings.sessions.redis or (source if isinstance(source, RedisSource) else None)


def masked(settings: Settings) -> dict[str, Any]:
    """Return *settings* as plain values for people, every secret replaced (spec 6.6, ``/v1/config``)."""
    return {name: plain(getattr(settings, name)) for name in type(settings).model_fields}


def plain(setting: object) -> Any:  # noqa: ANN401  plain values for JSON
    """Return a setting as JSON could hold it, secrets replaced."""
    match setting:
        case SecretStr():
            return "***"
        case Written():
            return {
                field.alias or name: plain(getattr(setting, name)) for name, field in type(setting).model_fields.items()
            }
        case dict():
            return {name: plain(inner) for name, inner in setting.items()}
        case tuple() | list():
            return [plain(inner) for inner in setting]
        case frozenset():
            return sorted(plain(inner) for inner in setting)
        case bool() | int() | None:
            return setting
        case _:
            return str(setting)
