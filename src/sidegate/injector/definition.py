"""The sidecar as the chart defines it: container, volumes and defaults, rendered from the chart's own templates.

There is one definition. The chart's templates make it, for a service's own chart as for the injector, whose ConfigMap
holds the same as ``sidecar.json``. What lies beside this module is the chart's with its default values.
"""

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sidegate.core.model.errors import ConfigError, Position, Problem

DEFAULT_PATH: Final = Path(__file__).with_name("sidecar.json")
MAX_BYTES: Final = 1 << 20
"""What a ConfigMap can hold."""

CONTAINER_NAME: Final = "sidegate"
CONFIG_VOLUME: Final = "sidegate-config"
POLICY_VOLUME: Final = "sidegate-policy"
SECRETS_VOLUME: Final = "sidegate-secrets"

CONFIG_FOLDER: Final = "/etc/sidegate/config"
POLICY_FOLDER: Final = "/etc/sidegate/policy"
SECRETS_FOLDER: Final = "/etc/sidegate/secrets"
SPOOL_FOLDER: Final = "/var/lib/sidegate/audit"

MIN_PORT: Final = 1024
"""Below it a process that is not root may not listen everywhere."""
MAX_PORT: Final = 65_535

_Port = Annotated[int, Field(ge=MIN_PORT, le=MAX_PORT)]
_Json = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Ports(_Part):
    """Where the sidecar listens, if a pod does not say otherwise."""

    data: _Port
    admin: _Port


class Definition(_Part):
    """The sidecar.

    Attributes:
        native: An init container that stays, or an ordinary container.
        bind_address: Of the data port, as settings have it: ``0.0.0.0`` or ``[::]``.
        admin_address: Of the admin port.
        ports: Defaults of both.
        grace_seconds: What it needs to end.
        container: Of a pod; ``restartPolicy`` goes by *native*, not by what stands here.
        volumes: Of the pod, all of them the sidecar's.
    """

    native: bool
    bind_address: Annotated[str, Field(alias="bindAddress", pattern=r"^[0-9.]+$|^\[[0-9a-fA-F:]+\]$")]
    admin_address: Annotated[str, Field(alias="adminAddress", pattern=r"^[0-9.]+$|^\[[0-9a-fA-F:]+\]$")]
    ports: Ports
    grace_seconds: Annotated[int, Field(alias="graceSeconds", ge=0, le=86_400)]
    container: _Json
    volumes: list[_Json]

    @model_validator(mode="after")
    def _is_ours(self) -> "Definition":
        if self.container.get("name") != CONTAINER_NAME:
            raise ValueError(f"the container is not called {CONTAINER_NAME}")
        for key in ("env", "ports", "volumeMounts"):
            listed = self.container.get(key)
            if not isinstance(listed, list) or not all(isinstance(one, dict) and "name" in one for one in listed):
                raise ValueError(f"container.{key} is no list of named objects")
        if CONFIG_VOLUME not in self.volume_names:
            raise ValueError(f"there is no volume {CONFIG_VOLUME}")
        return self

    @property
    def volume_names(self) -> frozenset[str]:
        """The volumes' names."""
        return frozenset(str(volume.get("name")) for volume in self.volumes)


def read_definition(path: Path) -> Definition:
    """Read a definition.

    Raises:
        ConfigError: It is none.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise _unusable(path, f"has {len(content)} bytes, more than {MAX_BYTES}")
    try:
        return Definition.model_validate(json.loads(content))
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise ConfigError(
            tuple(
                Problem(
                    Position(str(path), 1, 1),
                    ".".join(map(str, one["loc"])) or "sidecar",
                    f"cannot be used: {one['msg']}",
                    "take the file that the chart renders",
                )
                for one in found
            )
        ) from None
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"is no JSON: {error}") from None


@cache
def default_definition() -> Definition:
    """Return the chart's definition with its default values."""
    return read_definition(DEFAULT_PATH)


def _unusable(path: Path, what: str) -> ConfigError:
    hint = "take `sidecar.json` of the injector's ConfigMap, or leave it out for the chart's defaults"
    return ConfigError((Problem(None, str(path), what, hint),))
