"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine only (200 ms would be the limit of each).
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
