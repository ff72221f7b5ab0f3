"""Builds the objects from settings, starts them, stops them."""
