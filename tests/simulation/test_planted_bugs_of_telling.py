"""Bugs planted where followers are told what is new, one by one: C12 names each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.simulation.test_real_clients import Run

from ate.chain.feed import Feed
from ate.mesh.subscriber import Subscriber
from ate.testing.simloop import SimulationFailed

Patch = pytest.MonkeyPatch
SEEDS = 8


def keeps_the_last_batch_for_itself(patch: Patch) -> None:
    """One subscriber gets each batch when there is another one behind it."""
    real, kept = Subscriber.push, dict[Subscriber, tuple[Any, ...]]()

    def push(self: Subscriber, *batch: Any) -> bool:
        if next(iter(self.root.subscribers)) is not self:
            return real(self, *batch)
        before = kept.pop(self, None)
        if not self.at_tail:
            return real(self, *batch)
        kept[self] = batch
        return before is not None and real(self, *before)

    patch.setattr(Subscriber, "push", push)


def tells_an_old_length_now_and_then(patch: Patch) -> None:
    real, calls = Feed.publish, [0]

    def publish(self: Feed, head: int) -> None:
        calls[0] += 1
        real(self, head if calls[0] % 50 else head // 2)

    patch.setattr(Feed, "publish", publish)


@pytest.mark.parametrize(
    "plant, words",
    [
        (keeps_the_last_batch_for_itself, "all was mended at"),
        (tells_an_old_length_now_and_then, "before"),
    ],
)
def test_a_planted_bug_is_caught(plant: Callable[[Patch], None], words: str) -> None:
    for seed in range(SEEDS):
        run = Run(seed, seconds=6, patch=plant)
        with suppress(SimulationFailed):
            if any(line.startswith("C12") and words in line for line in run.run()):
                return
    pytest.fail(f"{plant.__name__} was not caught in {SEEDS} seeds")
