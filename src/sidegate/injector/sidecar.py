"""The sidecar of one pod: the chart's definition with what the pod asks for laid over it."""

import copy
from typing import Any, Final

from sidegate.injector.annotations import SecretKey, Wishes
from sidegate.injector.definition import (
    CONFIG_FOLDER,
    CONFIG_VOLUME,
    POLICY_FOLDER,
    POLICY_VOLUME,
    SECRETS_FOLDER,
    SECRETS_VOLUME,
    SPOOL_FOLDER,
    Definition,
)
from sidegate.injector.ports import Passage
from sidegate.injector.shape import Object

_DATA_PORT: Final = "sidegate"
_ADMIN_PORT: Final = "sidegate-admin"
_LOOPBACK: Final = "127.0.0.1"

# Of a projected Secret: files belong to root, and `fsGroup` of somebody else's pod is not ours to set. The volume is in
# our container alone.
_SECRET_MODE: Final = 0o444


def build_sidecar(
    definition: Definition, wishes: Wishes, passage: Passage, *, native: bool
) -> tuple[Object, list[Object]]:
    """Return the container and its volumes.

    Args:
        definition: As the chart has it.
        wishes: What the pod asks for.
        passage: Its ports.
        native: An init container that stays.
    """
    container = {key: copy.deepcopy(part) for key, part in definition.container.items() if key != "restartPolicy"}
    volumes = copy.deepcopy(definition.volumes)
    if native:
        container["restartPolicy"] = "Always"
    if wishes.image is not None:
        container["image"] = wishes.image
    if wishes.resources is not None:
        container["resources"] = copy.deepcopy(dict(wishes.resources))
    _move_ports(container, passage)
    volumes = _name_sources(container, volumes, wishes)
    _set_variables(container, definition, wishes, passage)
    return _in_order(container), [_in_order(volume) for volume in volumes]


_FIRST: Final = ("name", "image", "imagePullPolicy", "args", "restartPolicy", "env", "ports")


def _in_order(part: Object) -> Object:
    """Return *part* as people write it: what it is called first."""
    return {**{key: part[key] for key in _FIRST if key in part}, **part}


def _move_ports(container: Object, passage: Passage) -> None:
    numbers = {_DATA_PORT: passage.port, _ADMIN_PORT: passage.admin}
    for port in container["ports"]:
        port["containerPort"] = numbers.get(port["name"], port["containerPort"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        action = container.get(probe, {}).get("httpGet")
        if action is not None:
            action["port"] = passage.admin


def _name_sources(container: Object, volumes: list[Object], wishes: Wishes) -> list[Object]:
    """Put the pod's own ConfigMaps and Secrets in the place of those of the chart's release."""
    named: dict[str, Object] = {volume["name"]: volume for volume in volumes}
    sources: list[Object] = [{"configMap": {"name": wishes.config}}]
    if wishes.routes is not None:
        items = [{"key": "routes.yaml", "path": "routes.yaml"}]
        sources.append({"configMap": {"name": wishes.routes, "items": items}})
    named[CONFIG_VOLUME]["projected"]["sources"] = sources
    if wishes.policy_url is not None:
        volumes = _without(container, volumes, POLICY_VOLUME)
    elif wishes.policy is not None or POLICY_VOLUME in named:
        policy = {"name": POLICY_VOLUME, "configMap": {"name": wishes.policy or f"{wishes.config}-policy"}}
        volumes = _with(container, volumes, policy, POLICY_FOLDER, after=CONFIG_VOLUME)
    if wishes.secrets:
        listed = [_secret_source(path, key) for path, key in wishes.secrets]
        secrets = {"name": SECRETS_VOLUME, "projected": {"defaultMode": _SECRET_MODE, "sources": listed}}
        after = POLICY_VOLUME if any(volume["name"] == POLICY_VOLUME for volume in volumes) else CONFIG_VOLUME
        volumes = _with(container, volumes, secrets, SECRETS_FOLDER, after=after)
    return volumes


def _secret_source(path: str, key: SecretKey) -> Object:
    return {"secret": {"name": key.name, "items": [{"key": key.key, "path": path}]}}


def _without(container: Object, volumes: list[Object], name: str) -> list[Object]:
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != name]
    return [volume for volume in volumes if volume["name"] != name]


def _with(container: Object, volumes: list[Object], volume: Object, folder: str, *, after: str) -> list[Object]:
    """Put *volume* in the place of one with its name, or behind *after*, mounted read-only."""
    mount = {"name": volume["name"], "mountPath": folder, "readOnly": True}
    container["volumeMounts"] = _placed(container["volumeMounts"], mount, after)
    return _placed(volumes, volume, after)


def _placed(listed: list[Object], new: Object, after: str) -> list[Object]:
    names = [one["name"] for one in listed]
    if new["name"] in names:
        return [new if one["name"] == new["name"] else one for one in listed]
    place = names.index(after) + 1
    return [*listed[:place], new, *listed[place:]]


def _set_variables(container: Object, definition: Definition, wishes: Wishes, passage: Passage) -> None:
    """Say by variables, which go before the file, what the injection decides: any `sidegate.yaml` then fits."""
    entries: list[Object] = []
    if passage.takes_over:
        # The service has the same number on the loopback: only the pod's own address is left.
        entries.append({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    entries += [{"name": name, "value": text} for name, text in _decided(container, definition, passage).items()]
    entries += [{"name": name, "value": text} for name, text in wishes.settings]
    referenced = dict(wishes.variables)
    if wishes.policy_url is not None:
        referenced["SIDEGATE_POLICY__SOURCE"] = wishes.policy_url
    entries += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}
        for name, key in referenced.items()
    ]
    names = {entry["name"] for entry in entries}
    container["env"] = [*(entry for entry in container["env"] if entry["name"] not in names), *entries]


def _decided(container: Object, definition: Definition, passage: Passage) -> dict[str, str]:
    address = definition.bind_address
    if passage.takes_over:
        address = "[$(POD_IP)]" if address.startswith("[") else "$(POD_IP)"
    decided: dict[str, Any] = {
        "SIDEGATE_LISTEN__ADDRESS": f"{address}:{passage.port}",
        "SIDEGATE_ADMIN__ADDRESS": f"{definition.admin_address}:{passage.admin}",
        "SIDEGATE_UPSTREAM__URL": f"http://{_LOOPBACK}:{passage.upstream}",
        "SIDEGATE_ROUTES": f"{CONFIG_FOLDER}/routes.yaml",
        "SIDEGATE_AUDIT__SPOOL": SPOOL_FOLDER,
    }
    if any(mount["name"] == POLICY_VOLUME for mount in container["volumeMounts"]):
        decided["SIDEGATE_POLICY__SOURCE"] = f"dir:{POLICY_FOLDER}"
    return decided
