"""Typed settings and files, with the place of everything in them (spec 6.1 to 6.3)."""
