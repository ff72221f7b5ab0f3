"""The shipped rules, and the same rules in minutes made seconds."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

PROJECT: Final = Path(__file__).resolve().parents[2]
ALERTS: Final = PROJECT / "config/alerts.yaml"
CASES: Final = PROJECT / "tests/observability/alerts_test.yaml"
RUNBOOKS: Final = PROJECT / "docs/runbooks"

Rule = dict[str, Any]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=offset )(\d+)([smhd])\b")
_AGE: Final = re.compile(r"(_(?:age|unshipped)_seconds > )(\d+)\b(?! *\*)")


def rules() -> list[Rule]:
    """Return every rule."""
    document = yaml.safe_load(ALERTS.read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> dict[str, Rule]:
    """Return every alert by its name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> frozenset[str]:
    """Return the names of recording rules."""
    return frozenset(rule["record"] for rule in rules() if "record" in rule)


def shortened(factor: int) -> str:
    """Return the shipped rules with every time divided by *factor*, and nothing else changed.

    Times are what `for` says, ranges, offsets, and the bound of an age in seconds. A range has at least 2 s, as a rate
    needs two scrapes.
    """
    document = yaml.safe_load(ALERTS.read_text("utf-8"))
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _AGE.sub(lambda found: f"{found[1]}{int(found[2]) / factor:g}", rule["expr"])
            rule["expr"] = _DURATION.sub(lambda found: _divided(found, factor), rule["expr"])
            if "for" in rule:
                (number, unit) = (int(rule["for"][:-1]), rule["for"][-1])
                rule["for"] = f"{number * _SECONDS[unit] * 1000 // factor}ms"
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def _divided(found: re.Match[str], factor: int) -> str:
    number, unit = found[1] or found[3], found[2] or found[4]
    return f"{max(2000, int(number) * _SECONDS[unit] * 1000 // factor)}ms"
