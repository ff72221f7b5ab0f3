"""Sidegate: a sidecar authorization proxy that decides, enforces and records."""

__version__ = "0.1.0"
