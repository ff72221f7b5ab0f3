"""The only door to Redis: standalone, Sentinel and Cluster alike (spec 5.1)."""
