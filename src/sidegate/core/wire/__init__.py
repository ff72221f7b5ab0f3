"""HTTP heads, framing, targets and headers as pure functions over bytes (spec 2)."""
