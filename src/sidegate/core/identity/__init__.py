"""What tokens, sessions and keys say, without looking anything up (spec 3)."""
