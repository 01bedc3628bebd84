"""Settings for every test: how hard Hypothesis searches; no fixture hides what a test needs."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Machines are noisy, so no example has a deadline; a failure is printed as code that repeats it.
_QUICK = settings(
    max_examples=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", _QUICK)
settings.register_profile("fuzz", settings(_QUICK, max_examples=20_000))
settings.load_profile("quick")

pytest_plugins = ["tests.buckets"]
