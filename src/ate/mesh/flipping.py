"""Compacts a served chain where a root's checkpoint says so; it decides nothing itself.

What is due is looked for at each checkpoint, and when the chain is opened: a server that was killed
in the middle goes on then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ate.chain.flip import Flips, due
from ate.errors import AteError

if TYPE_CHECKING:
    from ate.mesh.root import Root

_log = logging.getLogger("ate")


class Flipping:
    """Follows the flips of one chain, as long as its root is open."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._task: asyncio.Task[None] | None = None
        self._flips = Flips(root.ledger, self._begin)
        self._flips.look()

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        root = self._root
        try:
            async with root.alone:  # the checkpoint is durable
                at = due(root.ledger.view)
            while at is not None:
                done = await root.compact(at=at)
                root.meter.compacted("done", done.bytes_before - done.bytes_after)
                at = due(root.ledger.view)
        except AteError as error:  # tried again at the next checkpoint
            root.meter.compacted("failed", 0)
            _log.warning("the chain %s could not be compacted: %s", root.name, error)
