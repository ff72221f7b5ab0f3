"""Verification: keys, sessions, caches and key sets (spec 3)."""
