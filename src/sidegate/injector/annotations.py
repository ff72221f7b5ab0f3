"""What a pod asks for: the annotations ``sidegate.dev/…``, each read strictly, everything wrong said at once."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from sidegate.config.explain import suggest
from sidegate.core.model.errors import Problem
from sidegate.core.model.value import value
from sidegate.injector.definition import MAX_PORT, MIN_PORT
from sidegate.injector.settings import read_settings
from sidegate.injector.shape import refusal

T = TypeVar("T")

PREFIX: Final = "sidegate.dev/"
INJECT: Final = f"{PREFIX}inject"
INJECTED: Final = f"{PREFIX}injected"
SIDECAR_LABEL: Final = f"{PREFIX}sidecar"
"""Label by which the chart's NetworkPolicy and PodMonitor find pods with a sidecar in them."""

ENABLED: Final = "enabled"
DISABLED: Final = "disabled"

MEANINGS: Final = {
    "inject": "`enabled`, or `disabled`",
    "config": "ConfigMap with `sidegate.yaml` and `routes.yaml`; needed",
    "routes": "ConfigMap with `routes.yaml`, if it is another one",
    "policy": "ConfigMap with a policy file per organization; `<config>-policy` if left out",
    "policy-url": "`SECRET/KEY` that holds the address of the Redis with the policy, in place of `policy`",
    "upstream-port": "where the service listens: the name or the number of its port; its only TCP port if left out",
    "port": "where the sidecar listens; the same number as the service's takes over its address",
    "admin-port": "of health, metrics and questions",
    "probes": "`through`: probes of the service may go through the sidecar, their paths are public routes",
    "settings": "further settings, written as in `sidegate.yaml`; paths absolute",
    "resources": "of the sidecar, as JSON",
    "image": "of the sidecar",
    "image-pull-secret": "name of a Secret to pull it with, if the pod has none for its registry",
    "native": "`true`: an init container that stays; `false`: an ordinary container",
    "checkpoint-key": "`SECRET/KEY` with the key that signs checkpoints",
    "session-secret": "`SECRET/KEY` with the shared secret of HS256 session tokens",
    "assertion-key": "`SECRET/KEY` with the key of the assertion to the upstream",
    "tls": "Secret of type kubernetes.io/tls for the data port; `SECRET/KEY` with the key of a CA of clients",
    "secret-files": "`PATH=SECRET/KEY`, several with commas: further files in `/etc/sidegate/secrets`",
    "variables": "`VARIABLE=SECRET/KEY`, several with commas: settings from Secrets",
}
"""Every annotation that a pod may have, and what it takes."""

_IGNORED: Final = frozenset({"injected", "checksum-config", "checksum-policy"})
"""The injector's own, and those whose change makes new pods."""

_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9](?:-?[a-z0-9]){0,14}")
_IMAGE: Final = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9._/:]{0,254}(?:@sha256:[0-9a-f]{64})?")
_FILE_NAME: Final = re.compile(r"[a-zA-Z0-9][-._a-zA-Z0-9]{0,252}")
_TAKEN_FILES: Final = frozenset(
    {"checkpoint.key", "session.secret", "assertion.key", "tls.crt", "tls.key", "client-ca.crt"}
)
_VARIABLE: Final = re.compile(r"SIDEGATE_[A-Z0-9]+(?:_[A-Z0-9]+|__[A-Z0-9]+)*")
_NUMBER: Final = re.compile(r"[0-9]{1,5}")
# apimachinery, resource.Quantity.
_QUANTITY: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?(?:m|k|Ki|[MGTPE]i?)?")
_RESOURCES: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
_MAX_RESOURCES: Final = 1024


@value
class SecretKey:
    """One key of a Secret."""

    name: str
    key: str


@value
class Wishes:
    """What the annotations of one pod ask for; None where they leave it open.

    Attributes:
        config: Name of the ConfigMap, which is also the label that policies select by.
        routes: Of another ConfigMap.
        policy: Of the ConfigMap with policy files.
        policy_url: Where the policy is in Redis.
        upstream_port: Name or number.
        port: Of the sidecar.
        admin_port: Of the sidecar.
        has_public_probes: Probes may go through the sidecar.
        settings: Variables and their values.
        resources: In place of the definition's.
        image: In place of the definition's.
        pull_secret: That the pod gets for it.
        native: In place of the definition's.
        secrets: By the file that the sidecar reads them from.
        variables: Settings from Secrets.
    """

    config: str
    routes: str | None
    policy: str | None
    policy_url: SecretKey | None
    upstream_port: str | int | None
    port: int | None
    admin_port: int | None
    has_public_probes: bool
    settings: tuple[tuple[str, str], ...]
    resources: Mapping[str, Any] | None
    image: str | None
    pull_secret: str | None
    native: bool | None
    secrets: tuple[tuple[str, SecretKey], ...]
    variables: tuple[tuple[str, SecretKey], ...]


class _Reader:
    """Reads annotations and keeps what is wrong with them."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        self._annotations = annotations
        self.problems: list[Problem] = []

    def read(self, name: str, read: Callable[[str], T]) -> T | None:
        """Return annotation *name* as *read* has it; None if it is not there, or wrong."""
        text = self._annotations.get(PREFIX + name)
        if text is None:
            return None
        try:
            return read(text.strip())
        except ValueError as error:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
            self.problems.append(refusal(PREFIX + name, f"is '{shown}'", str(error)))
            return None

    def read_settings(self) -> tuple[tuple[str, str], ...]:
        """Return the variables that annotation ``settings`` stands for."""
        text = self._annotations.get(f"{PREFIX}settings")
        if text is None:
            return ()
        variables, problems = read_settings(text, f"{PREFIX}settings")
        self.problems += problems
        return variables


_SHOWN: Final = 80


def read_wishes(annotations: Mapping[str, str]) -> tuple[Wishes | None, list[Problem]]:
    """Read what a pod asks for.

    Args:
        annotations: All of the pod's.

    Returns:
        The wishes, and what is wrong; the wishes are None if something is.
    """
    reader = _Reader(annotations)
    for key in annotations:
        name = key.removeprefix(PREFIX)
        if name != key and name not in MEANINGS and name not in _IGNORED:
            hint = suggest(key, (PREFIX + known for known in MEANINGS))
            reader.problems.append(refusal(key, "is not known", hint))
    config = reader.read("config", _name)
    if config is None and f"{PREFIX}config" not in annotations:
        hint = "name the ConfigMap that holds sidegate.yaml and routes.yaml"
        reader.problems.append(refusal(f"{PREFIX}config", "is missing", hint))
    if {f"{PREFIX}policy", f"{PREFIX}policy-url"} <= annotations.keys():
        reader.problems.append(refusal(f"{PREFIX}policy", f"stands beside {PREFIX}policy-url", "keep one"))
    tls = reader.read("tls", _tls) or ()
    files = (
        (path, reader.read(name, _secret_key))
        for name, path in (
            ("checkpoint-key", "checkpoint.key"),
            ("session-secret", "session.secret"),
            ("assertion-key", "assertion.key"),
        )
    )
    wishes = Wishes(
        config=config or "",
        routes=reader.read("routes", _name),
        policy=reader.read("policy", _name),
        policy_url=reader.read("policy-url", _secret_key),
        upstream_port=reader.read("upstream-port", _upstream_port),
        port=reader.read("port", _port),
        admin_port=reader.read("admin-port", _port),
        has_public_probes=reader.read("probes", _through) is not None,
        settings=reader.read_settings(),
        resources=reader.read("resources", _resources),
        image=reader.read("image", _image),
        pull_secret=reader.read("image-pull-secret", _name),
        native=reader.read("native", _truth),
        secrets=(
            *((path, key) for path, key in files if key is not None),
            *(reader.read("secret-files", _secret_files) or ()),
            *tls,
        ),
        variables=reader.read("variables", _variables) or (),
    )
    return (None if reader.problems else wishes), reader.problems


def read_redirection(annotations: Mapping[str, str]) -> tuple[int | None, int | None, list[Problem]]:
    """Read what a Service asks for.

    Returns:
        The service's own port and the sidecar's, each None if it is left open; and what is wrong.
    """
    reader = _Reader(annotations)
    return reader.read("upstream-port", _any_port), reader.read("port", _port), reader.problems


def _any_port(text: str) -> int:
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= MAX_PORT:
        raise ValueError(f"write the number of a port, from 1 to {MAX_PORT}; a Service does not see names of the pod")
    return int(text)


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError("write the name of an object: lower case, digits, `-` and `.`")
    return text


def _port(text: str) -> int:
    if _NUMBER.fullmatch(text) is None or not MIN_PORT <= int(text) <= MAX_PORT:
        raise ValueError(f"write a whole number from {MIN_PORT} to {MAX_PORT}")
    return int(text)


def _upstream_port(text: str) -> str | int:
    if _NUMBER.fullmatch(text) is not None and 1 <= int(text) <= MAX_PORT:
        return int(text)
    if _PORT_NAME.fullmatch(text) is None:
        raise ValueError(f"write the name of a port of the pod, or a number from 1 to {MAX_PORT}")
    return text


def _secret_key(text: str) -> SecretKey:
    name, slash, key = text.partition("/")
    if not slash or _NAME.fullmatch(name) is None or _DATA_KEY.fullmatch(key) is None:
        raise ValueError("write the name of a Secret and the key in it: SECRET/KEY")
    return SecretKey(name, key)


def _tls(text: str) -> tuple[tuple[str, SecretKey], ...]:
    name, _, client_ca = text.partition("/")
    if _NAME.fullmatch(name) is None or (client_ca and _DATA_KEY.fullmatch(client_ca) is None):
        raise ValueError("write the name of a Secret of type kubernetes.io/tls, or SECRET/KEY with the CA of clients")
    files = (("tls.crt", SecretKey(name, "tls.crt")), ("tls.key", SecretKey(name, "tls.key")))
    return (*files, ("client-ca.crt", SecretKey(name, client_ca))) if client_ca else files


def _secret_files(text: str) -> tuple[tuple[str, SecretKey], ...]:
    found: dict[str, SecretKey] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        path, equals, key = part.partition("=")
        if not equals or _FILE_NAME.fullmatch(path) is None:
            raise ValueError("write PATH=SECRET/KEY, e.g. redis-ca.crt=redis/ca.crt")
        if path in found or path in _TAKEN_FILES:
            raise ValueError(f"names {path}, which is taken; choose another one")
        found[path] = _secret_key(key)
    return tuple(found.items())


def _variables(text: str) -> tuple[tuple[str, SecretKey], ...]:
    found: dict[str, SecretKey] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        variable, equals, key = part.partition("=")
        if not equals or _VARIABLE.fullmatch(variable) is None:
            raise ValueError("write VARIABLE=SECRET/KEY, e.g. SIDEGATE_AUDIT__SINKS=audit/sinks")
        if variable in found:
            raise ValueError(f"names {variable} twice; keep one")
        found[variable] = _secret_key(key)
    return tuple(found.items())


def _resources(text: str) -> Mapping[str, Any]:
    hint = 'write JSON, e.g. {"requests": {"cpu": "100m", "memory": "128Mi"}}'
    try:
        found = json.loads(text) if len(text) <= _MAX_RESOURCES else None
    except (ValueError, RecursionError):
        raise ValueError(hint) from None
    if not isinstance(found, dict) or not found or not found.keys() <= {"requests", "limits"}:
        raise ValueError(f"{hint}; known are requests, limits")
    if not all(isinstance(amounts, dict) for amounts in found.values()):
        raise ValueError(hint)
    for amounts in found.values():
        for resource, amount in amounts.items():
            if resource not in _RESOURCES:
                raise ValueError(f"{suggest(resource, _RESOURCES)} ({hint})")
            if not isinstance(amount, str) or _QUANTITY.fullmatch(amount) is None:
                raise ValueError(f"{resource}: write an amount in quotes, e.g. 100m or 128Mi")
    return found


def _image(text: str) -> str:
    if _IMAGE.fullmatch(text) is None:
        raise ValueError("write an image, e.g. sidegate:0.1.0 or sidegate@sha256:…")
    return text


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError('write "true" or "false"')
    return text == "true"


def _through(text: str) -> bool:
    if text != "through":
        raise ValueError("write `through`, or leave it out")
    return True
