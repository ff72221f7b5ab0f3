"""The vocabulary every other package speaks (spec 1, style 2)."""
