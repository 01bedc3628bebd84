"""`Changes`: which chains of a server have changed since a cursor, at the cost of what changed.

A cursor names a server's start and a position in it; after a restart everything counts as changed,
so that nothing is missed. It reads no chain.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ate.wire.message import Changed


class News(NamedTuple):
    """What has changed.

    Args:
        position: of the cursor that comes next.
        heads: names with their heads, newest first.
        unknown: names that nobody has opened since the server's start; they count as changed for
            a cursor of another start.
    """

    position: int
    heads: list[tuple[str, int]]
    unknown: list[str]


class Changes:
    """Heads of chains in the order of their last change.

    Args:
        server_id: new at each start.
    """

    def __init__(self, server_id: bytes) -> None:
        self.server_id = server_id
        self._position = 0
        self._heads: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def note(self, name: str, head: int) -> None:
        """Say that a chain has a new head."""
        known = self._heads.get(name)
        if known is not None and known[1] == head:
            return
        self._position += 1
        self._heads[name] = (self._position, head)
        self._heads.move_to_end(name)

    def since(self, cursor: Mapping[bytes, int], names: Iterable[str]) -> News:
        """Return what of `names` has changed since `cursor`, at the cost of all that has."""
        wanted, since = set(names), cursor.get(self.server_id, -1)
        heads: list[tuple[str, int]] = []
        for name, (position, head) in reversed(self._heads.items()):
            if position <= since:
                break
            if name in wanted:
                heads.append((name, head))
        if since >= 0:
            return News(self._position, heads, [])
        return News(self._position, heads, sorted(wanted - self._heads.keys()))

    def answer(self, ref: int, news: News, cursor: Mapping[bytes, int]) -> Changed:
        """Return what a visitor is told; its cursor keeps what other servers said."""
        return Changed(ref, {**cursor, self.server_id: news.position}, news.heads)
