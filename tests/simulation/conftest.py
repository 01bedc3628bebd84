"""Settings of the simulations: many hosts live in one process; no fixture hides a broken promise.

A signature that one host found good is not computed again for the next ones: it takes half of the
time, and is a pure function. What is not good is computed each time (and all of it by `make long`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.effort import LONG

from ate.crypto.sign import FastVerifyKey, VerifyKey


def remember(patch: pytest.MonkeyPatch, key: type[Any]) -> None:
    """Let keys of this class know again what they found good."""
    real, good = key.verify, set[tuple[bytes, ...]]()

    def verify(self: Any, signature: Any, message: Any, context: bytes = b"") -> None:
        what = self.raw, bytes(signature), bytes(message), context
        if what not in good:
            real(self, signature, message, context)
            good.add(what)

    patch.setattr(key, "verify", verify)


@pytest.fixture(scope="module", autouse=True)
def _signatures_are_checked_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if not LONG:
            remember(patch, VerifyKey)
            remember(patch, FastVerifyKey)
        yield
