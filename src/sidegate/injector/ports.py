"""Which port of a pod the sidecar stands before, and what has to follow: declared ports, probes, hooks."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sidegate.core.model.errors import Problem
from sidegate.core.model.value import value
from sidegate.injector.annotations import PREFIX, Wishes
from sidegate.injector.definition import CONTAINER_NAME, Definition
from sidegate.injector.edits import Change, Edit, Place
from sidegate.injector.shape import CONTAINER_LISTS, Object, number_at, object_at, objects_at, refusal, text_at

PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
HOOKS: Final = ("postStart", "preStop")
ASKING: Final = ("httpGet", "tcpSocket", "grpc")
"""Ways in which the kubelet asks a port."""


@value
class DeclaredPort:
    """A TCP port that a container declares.

    Attributes:
        container: Its name.
        place: Of the declaration.
        name: Of the port, if it has one.
        number: What the container listens on.
        is_on_host: The node passes a port of its own on to it.
    """

    container: str
    place: Place
    name: str | None
    number: int
    is_on_host: bool


@value
class Passage:
    """Where requests come in, and where they go.

    Attributes:
        port: The sidecar's.
        upstream: The service's.
        admin: The sidecar's own.
    """

    port: int
    upstream: int
    admin: int

    @property
    def takes_over(self) -> bool:
        """Whether both ports are one: the service then has the loopback, the sidecar the pod's address."""
        return self.port == self.upstream


def containers_of(spec: Object) -> Iterator[tuple[Place, Object]]:
    """Yield the containers that run as long as the pod, native sidecars among them, with their places."""
    for section in CONTAINER_LISTS:
        for number, container in enumerate(objects_at(spec, section, "spec")):
            if section == "containers" or container.get("restartPolicy") == "Always":
                yield ("spec", section, number), container


def declared_ports(spec: Object) -> list[DeclaredPort]:
    """Return the TCP ports that the pod declares.

    Raises:
        MalformedError: A container is not one.
    """
    return [port for place, container in containers_of(spec) for port in _ports_of(place, container)]


def _ports_of(place: Place, container: Object) -> Iterator[DeclaredPort]:
    where = _written(place)
    for number, port in enumerate(objects_at(container, "ports", where)):
        inside = f"{where}.ports[{number}]"
        listens = number_at(port, "containerPort", inside)
        if listens is not None and (text_at(port, "protocol", inside) or "TCP") == "TCP":
            yield DeclaredPort(
                text_at(container, "name", where) or "",
                (*place, "ports", number),
                text_at(port, "name", inside),
                listens,
                number_at(port, "hostPort", inside) is not None,
            )


def find_passage(ports: list[DeclaredPort], wishes: Wishes, definition: Definition) -> Passage | Problem:
    """Return where requests come in and go on, or why that cannot be told."""
    wanted = wishes.upstream_port
    key = f"{PREFIX}upstream-port"
    if isinstance(wanted, int):
        numbers = {wanted}
    else:
        numbers = {port.number for port in ports if wanted is None or port.name == wanted}
    listed = _listed(ports)
    if wanted is None and len(numbers) != 1:
        what = f"is missing, and the pod declares {'several TCP ports' if numbers else 'no TCP port'}{listed}"
        return refusal(key, what, "name the one that clients use")
    if not numbers:
        return refusal(key, f"is '{wanted}', which no container declares{listed}", "write one of them, or a number")
    if len(numbers) > 1:
        return refusal(key, f"is '{wanted}', which two containers declare{listed}", "write the number")
    (upstream,) = numbers
    if wishes.port is None and upstream == definition.ports.data:
        # Never by accident: a service that listens on all addresses could not start beside it.
        hint = f"write another number; or {upstream}, if the service listens on 127.0.0.1 only, to take it over"
        return refusal(
            f"{PREFIX}port", f"is missing, and {upstream}, where the sidecar listens, is the service's", hint
        )
    return Passage(wishes.port or definition.ports.data, upstream, wishes.admin_port or definition.ports.admin)


def _listed(ports: Iterable[DeclaredPort]) -> str:
    texts = [f"{port.name}={port.number}" if port.name else str(port.number) for port in ports]
    return f" ({', '.join(texts)})" if texts else ""


def find_collisions(ports: list[DeclaredPort], passage: Passage) -> Iterator[Problem]:
    """Yield what cannot listen beside the pod's own containers: all of them share one network."""
    taken = {port.number: port.container for port in ports}
    taken.setdefault(passage.upstream, "the service")
    if passage.admin == passage.port:
        yield refusal(f"{PREFIX}admin-port", f"is {passage.admin}, as the sidecar's own port", "write another one")
    for name, number in (("port", passage.port), ("admin-port", passage.admin)):
        if number in taken and not (name == "port" and passage.takes_over):
            what = f"is {number}, on which `{taken[number]}` listens"
            yield refusal(f"{PREFIX}{name}", what, "write a number that nobody in the pod uses")


def move_ports(ports: list[DeclaredPort], passage: Passage) -> Iterator[Edit]:
    """Lead the names of the service's port, and ports of the node, to the sidecar.

    A Service that names its target finds the number in the declaration: it is the same for all containers of the pod.
    The name stays where it is, as Services do not find names of native sidecars before Kubernetes 1.32. A declaration
    without a name and without a port of the node means nothing to the cluster, and stays.
    """
    if not passage.takes_over:
        for port in ports:
            if port.number == passage.upstream and (port.name is not None or port.is_on_host):
                yield Edit(Change.REPLACE, (*port.place, "containerPort"), passage.port)


@value
class Asked:
    """A probe or hook by which the kubelet asks a port of a container.

    Attributes:
        place: Of the action's ``port``.
        what: For people: ``readinessProbe of container `app```.
        port: The number.
        by_name: It is written as a name.
    """

    place: Place
    what: str
    port: int
    by_name: bool


def asked_ports(spec: Object) -> Iterator[Asked]:
    """Yield what the kubelet asks, as far as its port can be told.

    Raises:
        MalformedError: A probe is not one.
    """
    for place, container in containers_of(spec):
        names = {port.name: port.number for port in _ports_of(place, container)}
        for inside, what, action in _actions(place, container):
            port = action.get("port")
            number = names.get(port) if isinstance(port, str) else port
            if isinstance(number, int) and not isinstance(number, bool):
                name = container.get("name")
                yield Asked((*inside, "port"), f"{what} of container `{name}`", number, isinstance(port, str))


def _actions(place: Place, container: Object) -> Iterator[tuple[Place, str, dict[str, Any]]]:
    where = _written(place)
    for probe in PROBES:
        yield from _asking((*place, probe), probe, object_at(container, probe, where))
    hooks = object_at(container, "lifecycle", where) or {}
    for hook in HOOKS:
        yield from _asking((*place, "lifecycle", hook), hook, object_at(hooks, hook, f"{where}.lifecycle"))


def _asking(place: Place, what: str, around: Object | None) -> Iterator[tuple[Place, str, dict[str, Any]]]:
    for kind in ASKING:
        action = object_at(around or {}, kind, _written(place))
        if action is not None:
            yield (*place, kind), what, action


def keep_probes(spec: Object, passage: Passage, wishes: Wishes) -> Iterator[Edit | Problem]:
    """Let the kubelet go on asking the service itself, which no credential of a client opens.

    Where the sidecar has a port of its own, probes go to the service's by its number, past the sidecar: the kubelet is
    no client. Where it takes over the number, the kubelet would ask the sidecar, and be refused.
    """
    for asked in asked_ports(spec):
        if asked.port != passage.upstream:
            continue
        if not passage.takes_over:
            if asked.by_name:
                yield Edit(Change.REPLACE, asked.place, passage.upstream)
        elif not wishes.has_public_probes:
            hint = (
                f"give the sidecar a `{PREFIX}port` of its own; or make the path a public route, and write "
                f"`{PREFIX}probes: through`"
            )
            yield refusal(f"{PREFIX}port", f"is that of the {asked.what}, which the sidecar would refuse", hint)


def names_sidecar(spec: Object) -> bool:
    """Whether a container of the pod is called like the sidecar."""
    return any(
        container.get("name") == CONTAINER_NAME
        for section in CONTAINER_LISTS
        for container in objects_at(spec, section, "spec")
    )


def _written(place: Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")
