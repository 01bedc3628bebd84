"""Settings for every test: how hard Hypothesis searches; no fixture hides what a test needs."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# Machines are noisy, so no example has a deadline; a failure is printed as code that repeats it.
_QUICK = settings(
    max_examples=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", _QUICK)
settings.register_profile("long", settings(_QUICK, max_examples=1000))
settings.register_profile("fuzz", settings(_QUICK, max_examples=20_000))
settings.load_profile("quick")

pytest_plugins = ["tests.buckets"]

#: Those that wait longest begin first, so that the others are done meanwhile.
FIRST = ("tests/nemesis/test_real.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda one: not one.nodeid.startswith(FIRST))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while thousands of tests are found, nor among them afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
