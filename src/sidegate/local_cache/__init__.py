"""What was last known of a store over the network, kept on disk for a start while that store is away (spec 5.4)."""
