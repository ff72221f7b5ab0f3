"""The data plane: one exchange per request (spec 2)."""
