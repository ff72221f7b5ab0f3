"""From an HTTP request to (authority, target) (spec 6.2)."""
