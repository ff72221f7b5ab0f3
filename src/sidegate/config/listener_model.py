"""What can be set about connections: listeners, TLS, and the service behind (spec 6.1)."""

from typing import Self

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from sidegate.config.choices import HttpProtocol, ProxyProtocol, TlsVersion
from sidegate.config.endpoints import UnixEndpoint
from sidegate.config.explain import Written
from sidegate.config.forms import DAY_MS, Duration, ServerName, Whole, refuse
from sidegate.config.places import FilePath, WrittenEndpoint, WrittenUpstream
from sidegate.core.model.units import Millis


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
