"""Alerts: each can be read, asks for what is exported, says what to do, and is shown to fire and to keep silent."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.observability.queries import problems
from tests.observability.rules import ALERTS, CASES, PROJECT, Rule, alerts, recorded, rules, shortened

NAMED: Final = {
    "SidegateDown",
    "SidegatePolicyStale",
    "SidegatePolicyLoadFailing",
    "SidegateFleetDisagrees",
    "SidegateDenySpike",
    "SidegateDecisionSlow",
    "SidegateOverheadBudgetBurnsFast",
    "SidegateOverheadBudgetBurnsSlowly",
    "SidegateAuditBacklog",
    "SidegateAuditDropping",
    "SidegateRedisDown",
    "SidegateJwksStale",
    "SidegateShadowWouldDeny",
    "SidegateApprovalsStuck",
    "SidegateLoopLagging",
    "SidegateKeyExpiring",
    "SidegateAnomaly",
}
"""What operators were promised."""

EACH = pytest.mark.parametrize(("name", "alert"), alerts().items(), ids=alerts())


def promtool(*arguments: str) -> str:
    """Run promtool and return what it printed."""
    command = shutil.which("promtool")
    assert command is not None, "promtool is missing; bash scripts/need-debian.sh test"
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cases() -> list[dict[str, Any]]:
    """Return the cases of promtool."""
    found: list[dict[str, Any]] = yaml.safe_load(CASES.read_text("utf-8"))["tests"]
    return found


def expected(case: dict[str, Any]) -> set[str]:
    """Return the alerts that fire in a case."""
    (test,) = case["promql_expr_test"]
    return {name for sample in test["exp_samples"] for name in re.findall(r'alertname="(\w+)"', sample["labels"])}


def test_prometheus_can_read_them() -> None:
    """As shipped, and with shorter times."""
    assert "SUCCESS" in promtool("check", "rules", str(ALERTS))


def test_the_shortened_rules_are_rules(tmp_path: Path) -> None:
    """Only times differ."""
    (tmp_path / "rules.yaml").write_text(shortened(60))
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(tmp_path / "rules.yaml"))
    short = yaml.safe_load(shortened(60))
    pairs = zip(rules(), (rule for group in short["groups"] for rule in group["rules"]), strict=True)

    def timeless(rule: Rule) -> str:
        # A duration, or the bound of an age.
        return re.sub(r"\b\d+(?:ms|[smhd])\b|(?<=_seconds > )[\d.]+", "T", f"{rule}")

    assert [timeless(long) for long, _ in pairs] == [
        timeless(rule) for group in short["groups"] for rule in group["rules"]
    ]


def test_each_fires_and_keeps_silent_in_its_cases() -> None:
    """`promtool test rules`, on made-up series."""
    assert "SUCCESS" in promtool("test", "rules", str(CASES))


def test_each_has_a_case_of_both_kinds() -> None:
    """In the order of the rules; a case expects all that fires, so a silent one also shows that none other does."""
    assert [title for name in alerts() for title in (f"{name} fires", f"{name} is silent")] == [
        case["name"].partition(":")[0] for case in cases()
    ]
    for case in cases():
        name, _, kind = case["name"].partition(":")[0].partition(" ")
        assert (name in expected(case)) == (kind == "fires"), case["name"]


def test_all_that_was_promised_is_there() -> None:
    """Names are what silences and routes of a pager hold on to."""
    assert set(alerts()) >= NAMED


@EACH
def test_an_alert_says_what_to_do(name: str, alert: Rule) -> None:
    """A severity, one line for the pager, what it means, and where the page is."""
    assert re.fullmatch(r"Sidegate[A-Z][A-Za-z]+", name)
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    notes = alert["annotations"]
    assert notes.keys() == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"] == f"runbooks/{name}.html"
    assert len(notes["summary"]) <= 100
    assert notes["description"].endswith(".")
    for text in (notes["summary"], notes["description"]):
        assert "$labels." in text, "it has to say which sidecar or job"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert", rule.get("record")))
def test_a_rule_asks_for_what_sidecars_export(rule: Rule) -> None:
    """Metrics and labels of the catalogue, label values out of their closed sets; a recorded series is one of ours."""
    assert problems(rule["expr"], recorded()) == []


@EACH
def test_a_label_of_the_text_is_a_label_of_the_alert(name: str, alert: Rule) -> None:
    """A label that was summed away is empty in the text."""
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    by = re.search(r"(?:sum|count|min) by \(([^)]*)\)", alert["expr"])
    if by is not None and "histogram_quantile" not in alert["expr"]:
        assert used <= set(by[1].replace(" ", "").split(","))
    elif "sidegate:" in alert["expr"]:
        assert used <= {"namespace", "job"}, name


def test_the_chart_carries_them() -> None:
    """`make chart` copies what is in config/."""
    assert ALERTS.read_text("utf-8") == (PROJECT / "helm/sidegate/files/alerts.yaml").read_text("utf-8")
