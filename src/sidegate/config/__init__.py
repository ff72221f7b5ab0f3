"""Typed settings and files, with the place of everything in them (spec 6.1 to 6.3)."""

from sidegate.config import lean  # noqa: F401  before anything imports pydantic
