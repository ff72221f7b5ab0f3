"""The Grafana dashboards: written down once, turned into JSON, and drawn from what a Prometheus has stored."""
