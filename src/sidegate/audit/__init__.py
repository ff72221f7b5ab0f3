"""The spool that every decision is in before anything happens (spec 5.6, 5.7)."""
