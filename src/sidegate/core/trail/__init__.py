"""Audit records, their chain and their checkpoints as bytes (spec 5.5, 5.7)."""
