"""Where policy snapshots come from (spec 5.1)."""
