"""What can be set about records of decisions (spec 5.5 to 5.7)."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from sidegate.config.choices import Completions
from sidegate.config.explain import Written
from sidegate.config.forms import DAY_MS, MIB, Duration, Line, Whole, refuse
from sidegate.config.places import FilePath, WrittenCollector, WrittenFile, WrittenNats, WrittenRedis
from sidegate.core.model.units import Millis
from sidegate.core.trail.durability import Durability, OnFull


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

    @property
    def kind(self) -> str:
        """Which of the keys is there."""
        (kind,) = self.model_fields_set
        return kind

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


class Audit(Written):
    """Records of decisions (spec 5.5 to 5.7)."""

    spool: FilePath = Field(default=Path("var/audit"), validate_default=True, description="Folder of the spool.")
    durability: Durability = Field(default=Durability.PROCESS, description="What a record survives.")
    on_full: OnFull = Field(default=OnFull.DENY, description="What happens at the cap.")
    sinks: tuple[Sink, ...] = Field(default=(), description="Where records are shipped to.")
    max_bytes: Whole = Field(default=1024 * MIB, ge=MIB, le=1 << 50, description="Cap of the spool.")
    segment_bytes: Whole = Field(default=16 * MIB, ge=65_536, le=1024 * MIB, description="Size of one segment.")
    reserve_bytes: Whole = Field(default=64 * MIB, ge=0, le=1 << 50, description="Of the disk, left free.")
    checkpoint: Checkpoint = Field(default=Checkpoint(), description="Signed checkpoints.")
    completions: Completions = Field(
        default=Completions.EXCEPTIONAL, description="Completion records: of unusual ends only, or of all requests."
    )

    @field_validator("sinks", mode="after")
    @classmethod
    def _one_of_a_kind(cls, sinks: tuple[Sink, ...]) -> tuple[Sink, ...]:
        seen: set[str] = set()
        for number, sink in enumerate(sinks):
            if sink.kind in seen:
                # How far each has come is kept under its kind.
                raise refuse(f"is a second sink of kind {sink.kind}", "keep one of each kind", (number,))
            seen.add(sink.kind)
        return sinks
