"""Compacts a chain that is served: between its commits, in small steps, without any of its keys.

What it may leave out is vouched for by the newest checkpoint of a root, which a client's heartbeat
writes. It decides nothing about rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ate.chain.compact import Compaction, Step, Thinned, finish
from ate.chain.filling import fill
from ate.chain.flip import Due
from ate.chain.retention import Retention
from ate.chain.thinning import Cut
from ate.errors import Conflict, Refused, StorageError
from ate.tasks import rest, to_its_end

if TYPE_CHECKING:
    from ate.mesh.root import Root

_TRIES: Final = 8
#: Work in one go, and the rest after it when commits come meanwhile.
_WORK_S: Final = 0.0005
_REST_S: Final = 0.002


async def compact(root: Root, retention: Retention, at: Due | None = None) -> Thinned:
    """Compact the chain of a root, which goes on meanwhile.

    Args:
        at: where and how all who hold the chain do, if that is what is wanted.

    Raises:
        Refused: the chain is write-once, or under a legal hold.
        UsageError: no checkpoint vouches for what would be left.
        StorageError: the medium failed.
    """
    view = root.ledger.view
    genesis = view.trust.genesis
    if genesis is not None and genesis.policy.get("worm"):
        raise Refused("a write-once chain keeps everything: it is never compacted")
    kept = retention.widened(genesis.policy if genesis else {}) if at is None else at.retention
    for attempt in range(_TRIES):
        _check_hold(root)
        try:
            return await _once(root, kept, at)
        except Conflict:  # a commit went on from what was about to go
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _check_hold(root: Root) -> None:
    hold = root.ledger.view.hold
    if hold is not None:
        raise Refused(f"a legal hold forbids compaction: {hold}")


async def _once(root: Root, retention: Retention, at: Due | None) -> Thinned:
    ledger = root.ledger
    view, now_us = ledger.view, max(ledger.clock.now_us(), ledger.view.time_us)
    if at is not None:
        now_us = at.now_us
    async with root.alone:  # all that is read now is durable
        compaction = Compaction(ledger, Cut(view, set(), at.seq if at is not None else 0))
    try:
        await _drive(root, fill(compaction, view, retention, set(), now_us))
        done = await to_its_end(_take_over(root, compaction))
    finally:
        size, still_read = await to_its_end(asyncio.to_thread(compaction.tidy_up))
    view.settle(ledger.store)
    return replace(done, bytes_after=size, still_read=still_read)


async def _take_over(root: Root, compaction: Compaction) -> Thinned:
    """The last of it, while no commit is on its way."""
    async with root.alone:
        finish(compaction.catch_up())
        _check_hold(root)  # it may have come meanwhile
        try:
            await asyncio.to_thread(compaction.switch)
        except StorageError as error:
            root.fail(error)  # which generation a crash would leave is unknown
            raise
        return compaction.adopt()


async def _drive(root: Root, steps: Iterator[Step]) -> None:
    """Take steps, between commits; steps that are calls are made in a thread."""
    assert isinstance(steps, Generator)
    now_s = root.ledger.clock.monotonic_s
    value: Any = None
    durable, begun_s = root.durable, now_s()
    with suppress(StopIteration):
        while True:
            step = steps.send(value)
            value = None
            if step is not None:
                value = await to_its_end(asyncio.to_thread(step))
            elif now_s() - begun_s < _WORK_S:
                continue
            # When somebody commits, most of the time is theirs.
            await (asyncio.sleep(0) if root.durable == durable else rest(_REST_S))
            durable, begun_s = root.durable, now_s()
