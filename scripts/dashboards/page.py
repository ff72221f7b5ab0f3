"""The page about the dashboards: a picture of each, and what every panel shows."""

from collections.abc import Sequence
from typing import Final

from scripts.dashboards.model import Dashboard

_HEAD: Final = """\
# Dashboards

<!-- Written from scripts/dashboards by `python -m scripts.dashboards`; a test holds it to it. -->

Five dashboards for Grafana, as JSON in [`config/dashboards`](../../config/dashboards). Import them, or let the chart do
it: with `dashboards.enabled` it makes a ConfigMap of each, for Grafana's sidecar ([more](../deploy/kubernetes.md)).
They need nothing but a Prometheus data source; data source, namespace, job and sidecar are chosen at the top. Changes
of policy are marked on every panel. Dashed lines are where an [alert](../runbooks/index.md) begins, or what is aimed
at.

The pictures are drawn from what a Prometheus scraped from two sidecars in nine minutes of load with TLS, in which

* policy was published several times (blue lines), once so that it took rights away for a while;
* a publication was not signed by the right key, and was refused;
* a client came with bad credentials, and with a key for what it may not do;
* somebody's sessions were revoked, and one expired;
* another one did not speak TLS, and the certificate was renewed;
* the sink of the audit trail was away for two minutes;
* the service behind one of them was slow, then away;
* Redis was away for a minute;
* a sidecar was killed and started again.

`make pictures` draws them anew.
"""


def write_page(dashboards: Sequence[Dashboard]) -> str:
    """Return the page in Markdown."""
    parts = [_HEAD]
    for dashboard in dashboards:
        title = dashboard.title.removeprefix("Sidegate / ")
        parts += [f"## {title}\n", f"{dashboard.description}\n", f"![{title}]({dashboard.name}.png)\n"]
        for row in dashboard.rows:
            parts += [f"### {title}: {row.title.lower()}\n"]
            parts += ["".join(f"* **{panel.title}**: {panel.description}\n" for panel in row.panels)]
    return "\n".join(parts)
