"""What can be set about credentials: sessions, API keys, and the watch over machines (spec 3)."""

from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from sidegate.config.choices import Algorithm, OnAnomaly, OpaqueStore
from sidegate.config.explain import Written
from sidegate.config.forms import DAY_MS, Duration, Hint, Line, OrOne, SurfaceName, Text, Whole, refuse
from sidegate.config.places import FilePath, WrittenJwks, WrittenRedis
from sidegate.core.model.units import Millis

_HEADER_NAME: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"
_HeaderName = Annotated[Text, Field(pattern=_HEADER_NAME), Hint("write a header name, e.g. X-API-Key")]
# Any token (RFC 6265 section 4.1.1).
_CookieName = Annotated[Text, Field(pattern=_HEADER_NAME), Hint("write a cookie name, e.g. __session")]


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
