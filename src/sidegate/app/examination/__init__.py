"""Looks at everything that a sidecar leans on, before it starts or while it runs (spec 6.4, ``check --live``)."""
