"""A small versioned file service that knows nothing of permissions: Sidegate in front of it does."""
