"""Writes what is known from the rules into the runbooks: the head of each page, and the table of all.

usage: python -m scripts.runbooks [--check]      --check changes nothing and ends with 1 when a page is not current.
"""

import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml

PROJECT: Final = Path(__file__).resolve().parents[1]
ALERTS: Final = Path("config/alerts.yaml")
FOLDER: Final = Path("docs/runbooks")

BEGIN: Final = "<!-- generated: alert -->\n"
END: Final = "<!-- end: alert -->"

NOTE: Final = "<!-- Written from config/alerts.yaml by `make docs`; a test holds it to it. -->"

INTRO: Final = """\
# Runbooks

{note}

One page for each alert of [`config/alerts.yaml`](../../config/alerts.yaml), in its order: what it means and who is
hurt, how to see it, what to do now, how to undo that, how to prevent it, and whom to call.

| severity | means |
|---|---|
| critical | wakes somebody: requests are refused or go unrecorded, or will be soon |
| warning | for working hours: something is wrong that Sidegate still copes with |
| info | news: somebody wants to know, nothing is broken |

{table}
## Reading these pages

* Queries are for Prometheus, or for "Explore" in Grafana; [the dashboards](../dashboards/index.md) show most of them.
* Commands run where the sidecar runs, as they need its configuration and its spool. In a cluster, put
  `kubectl exec POD -c sidegate --` in front of them. `$ADMIN` is its admin port, `http://127.0.0.1:9090` by default;
  in a cluster `kubectl port-forward POD 9090` brings it to your machine.
* `sidegate top` shows a sidecar live, `sidegate tap` single decisions, `sidegate check --live` looks at everything
  around it.
* Reasons such as `policy_unavailable` are on [the page of reasons](../reference/reasons.md), metrics on
  [that of metrics](../reference/metrics.md), settings on [that of settings](../reference/settings.md), commands
  on [that of the command line](../cli.md).
* [How the alerts were tried](tried.md).
* Nothing on these pages leads past the sidecar. If it cannot decide or record, it refuses; that is what it is for.
"""


def alerts() -> list[dict[str, Any]]:
    """Return the alerts in their order."""
    document = yaml.safe_load((PROJECT / ALERTS).read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"] if "alert" in rule]


def plain(text: str) -> str:
    """Return a text of an alert without its templates, e.g. ``Sidegate at INSTANCE does not answer``."""
    text = re.sub(r"\{\{\s*\$labels\.(\w+)\s*\}\}", lambda found: found[1].upper(), text)
    return re.sub(r"\{\{[^}]*\}\}", "N", text)


def head(alert: dict[str, Any]) -> str:
    """Return what stands at the top of an alert's page."""
    after = f", after {alert['for']}" if "for" in alert else ", at once"
    return (
        f"**{alert['labels']['severity']}**{after} · [all runbooks](index.md)\n\n"
        f"> {plain(alert['annotations']['summary'])}\n\n"
        f"```promql\n{alert['expr'].strip()}\n```\n"
    )


def index() -> str:
    """Return the page with the table of all."""
    lines = ["| alert | severity | after | says |", "|---|---|---|---|"]
    lines += [
        f"| [{alert['alert']}]({alert['alert']}.md) | {alert['labels']['severity']} | {alert.get('for', 'at once')} |"
        f" {plain(alert['annotations']['summary'])} |"
        for alert in alerts()
    ]
    return INTRO.format(note=NOTE, table="\n".join(lines) + "\n")


def generated() -> dict[Path, str]:
    """Return every page with what it has to hold. The text of a page below its head is written by people.

    Raises:
        FileNotFoundError: An alert has no page yet.
    """
    folder = PROJECT / FOLDER
    pages = {folder / "index.md": index()}
    for alert in alerts():
        path = folder / f"{alert['alert']}.md"
        before, _, rest = path.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        pages[path] = f"{before}{BEGIN}{head(alert)}{END}{after}"
    return pages


def outdated() -> dict[Path, str]:
    """Return those of :func:`generated` that are not so."""
    return {path: text for path, text in generated().items() if not path.is_file() or path.read_text("utf-8") != text}


def main() -> int:
    """Write or check."""
    changed = outdated()
    for path, text in changed.items():
        name = path.relative_to(PROJECT)
        if "--check" in sys.argv[1:]:
            sys.stderr.write(f"{name} is not current; run `make docs`\n")
        else:
            path.write_text(text, "utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if changed and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
