"""Settings that a pod's annotation adds, as the variables that carry them into the sidecar."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from sidegate.config.availability import find_unavailable
from sidegate.config.environment import PREFIX
from sidegate.config.explain import names_at, validate
from sidegate.config.settings_model import Settings
from sidegate.config.yaml_tree import Path, dotted, read_tree
from sidegate.core.model.errors import Problem

MAX_BYTES: Final = 16_384

DECIDED_ELSEWHERE: Final[dict[tuple[str, ...], str]] = {
    ("listen",): "`sidegate.dev/port`; what else `listen` says in the ConfigMap is kept",
    ("admin",): "`sidegate.dev/admin-port`",
    ("upstream", "url"): "`sidegate.dev/upstream-port`",
    ("routes",): "`sidegate.dev/routes`",
    ("policy", "source"): "`sidegate.dev/policy` or `sidegate.dev/policy-url`",
    ("audit", "spool"): "the volume of the sidecar",
    ("audit", "checkpoint", "key"): "`sidegate.dev/checkpoint-key`",
    ("sessions", "signed", "secret"): "`sidegate.dev/session-secret`",
    ("sessions", "signed", "secret_file"): "`sidegate.dev/session-secret`",
    ("forwarding", "assertion", "key"): "`sidegate.dev/assertion-key`",
}
"""Settings that this annotation may not set, and what decides them."""

_PASSWORD: Final = re.compile(r"://[^/\s\"']*@")

# Needed by the model, and never the annotation's to say.
_UPSTREAM: Final = "http://127.0.0.1:9000"


def read_settings(text: str, label: str) -> tuple[tuple[tuple[str, str], ...], list[Problem]]:
    """Read settings as ``sidegate.yaml`` has them, and turn them into variables.

    Args:
        text: YAML.
        label: What people call it; positions begin with it.

    Returns:
        Variables with their values, in the order in which they are written; and what is wrong.
    """
    tree = read_tree(text.encode("utf-8", "surrogatepass"), label, MAX_BYTES)
    if tree.problems:
        return (), list(tree.problems)
    data = tree.data
    if not isinstance(data, dict):
        return (), [Problem(tree.position(()), label, "is no mapping", "write settings, e.g. `log: {level: debug}`")]
    problems = [
        Problem(tree.key_position(path), dotted(path), f"is decided by {by}", "remove it here")
        for path, by in DECIDED_ELSEWHERE.items()
        if _is_set(data, path)
    ]
    if _PASSWORD.search(text) is not None:
        hint = "make a Secret of it and name that in `sidegate.dev/variables`"
        problems.append(Problem(tree.position(()), label, "holds an address with a password in it", hint))
    if problems:
        return (), problems
    settings, problems = validate(Settings, _with_upstream(data), tree)
    if settings is not None:
        problems += find_unavailable(settings, tree)
    return (() if problems else tuple(_variables(data, ()))), problems


def _with_upstream(data: dict[str, Any]) -> dict[str, Any]:
    upstream = data.get("upstream", {})
    return {**data, "upstream": {**upstream, "url": _UPSTREAM}} if isinstance(upstream, dict) else data


def _is_set(data: object, path: tuple[str, ...]) -> bool:
    for step in path:
        if not isinstance(data, dict) or step not in data:
            return False
        data = data[step]
    return True


def _variables(data: dict[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    """Yield a variable per setting; what is written with names of one's own, a list say, is one setting."""
    for key, inner in data.items():
        here = (*path, key)
        if isinstance(inner, dict) and names_at(Settings, here):
            yield from _variables(inner, here)
        else:
            name = PREFIX + "__".join(str(step).upper() for step in here)
            yield name, inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
