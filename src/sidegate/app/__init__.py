"""Builds the objects from settings, starts them, stops them."""

from sidegate.telemetry import lean_http  # noqa: F401  before anything of the application imports aiohttp
