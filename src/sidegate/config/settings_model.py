"""What can be set in ``sidegate.yaml`` (spec 6.1), with defaults, bounds and what each is for."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, SecretStr, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from sidegate.config.ages import Age
from sidegate.config.audit_model import Audit
from sidegate.config.choices import CredentialsForwarding, OpaqueStore, ProblemDetail, ProxyProtocol
from sidegate.config.endpoints import DirectorySource
from sidegate.config.explain import Written, suggest
from sidegate.config.forms import DAY_MS, MIB, Duration, Line, OrganizationName, Whole, WrittenNetwork, form, refuse
from sidegate.config.held import shared_redis
from sidegate.config.listener_model import DataListener, Listener, Upstream
from sidegate.config.places import FilePath, WrittenFile, WrittenPolicySource
from sidegate.config.session_model import Anomalies, ApiKeys, Sessions
from sidegate.core.model.decision import Reason
from sidegate.core.model.units import Millis

DEFAULT_POLICY_SOURCE: Final = DirectorySource(Path("policy"))


class MaxStaleness(Written):
    """How long a policy is decided with while Redis is away: one age for all, or by authority (spec 5.4)."""

    default: Age = Field(default=Millis(900_000), description="For an authority that is not named.")
    read: Age | None = Field(default=None, description="For read.")
    write: Age | None = Field(default=None, description="For write.")
    delete: Age | None = Field(default=None, description="For delete.")
    run: Age | None = Field(default=None, description="For run.")
    solve: Age | None = Field(default=None, description="For solve.")
    approve: Age | None = Field(default=None, description="For approve.")
    share: Age | None = Field(default=None, description="For share.")
    configure: Age | None = Field(default=None, description="For configure.")

    @model_validator(mode="before")
    @classmethod
    def _take_age(cls, written: object) -> object:
        return {"default": written} if isinstance(written, str) or type(written) is int else written

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form."""
        schema = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [dict(schema["properties"]["default"]), schema]}


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


class Limits(Written):
    """What one client, and all together, may cost (spec 2.8)."""

    head_bytes: Whole = Field(default=32_768, ge=1024, le=MIB, description="Request line and headers.")
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
        default=MIB, ge=256, le=64 * MIB, description="Request body that a route reads, held in memory."
    )
    drain_timeout_ms: Duration = Field(
        default=Millis(25_000), ge=0, le=600_000, description="For requests at shutdown."
    )


class Assertion(Written):
    """A signed assertion to the upstream."""

    issuer: Line = Field(description="`iss` of the assertion.", examples=["sidegate"])
    key: WrittenFile = Field(description="Private key, PEM: Ed25519, P-256 or RSA.", examples=["file:assertion.pem"])


class Forwarding(Written):
    """What the upstream is told."""

    credentials: CredentialsForwarding = Field(
        default=CredentialsForwarding.STRIP, description="strip the credential, or pass it on."
    )
    assertion: Assertion | None = Field(default=None, description="One signed JWT about each decision.")


class Log(Written):
    """The operational log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe line.")
    format: Literal["auto", "json", "console"] = Field(default="auto", description="auto: console on a terminal.")


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
