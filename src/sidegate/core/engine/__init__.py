"""Decides: may this credential exercise this authority on this target, now? (spec 1.5 to 1.8)."""
