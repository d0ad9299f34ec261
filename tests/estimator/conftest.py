"""Properties are not timed: a busy machine is no counterexample (pytest-timeout ends a hang)."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
