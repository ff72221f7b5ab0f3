"""The admin port (spec 6.6)."""
