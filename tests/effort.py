"""How much is done: what suits every change, or all there is; it says so and runs nothing.

`make long` sets ATE_LONG=1. What a test leaves out without it is written where it asks.
"""

from __future__ import annotations

import os
from typing import Final, TypeVar

LONG: Final = os.environ.get("ATE_LONG") == "1"
T = TypeVar("T")


def effort(quick: T, long: T) -> T:
    """Return the first, and the second for `make long`."""
    return long if LONG else quick
