"""Where spooled records go (spec 5.6)."""
