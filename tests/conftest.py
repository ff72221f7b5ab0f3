"""What holds for all tests."""

from hypothesis import settings

# How long an example takes says something about the machine only (200 ms would be the limit of each).
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
