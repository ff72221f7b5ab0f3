"""Policy documents and the immutable snapshots they compile to (spec 1.3, 6.3)."""
