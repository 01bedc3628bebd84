"""`Fetched`: bodies that this log was not given, asked for when they are read, then kept a while.

It checks nothing: whoever reads a body compares it with its row.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from ate import limits
from ate.errors import Compacted


class Fetched:
    """Bodies by seq; the ones used last stay at hand.

    Args:
        fetch: asks for the stored bodies of rows; None for one that is kept no more.
    """

    def __init__(self, fetch: Callable[[Sequence[int]], Awaitable[list[bytes | None]]]) -> None:
        self._fetch = fetch
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._size = 0

    async def get(self, seqs: Sequence[int]) -> list[bytes]:
        """Return the bodies of these rows.

        Raises:
            BodyNotHeld: there is nobody to ask.
            Compacted: one of them is kept no more.
        """
        held = self._held
        # Taken at once: others may come while the rest is under way, and this may be let go.
        found = {seq: held[seq] for seq in seqs if seq in held}
        missing = [seq for seq in dict.fromkeys(seqs) if seq not in found]
        for seq in found:
            held.move_to_end(seq)
        for seq, body in zip(missing, await self._fetch(missing) if missing else (), strict=True):
            if body is None:
                raise Compacted(f"row {seq} was superseded and is not kept any more")
            found[seq] = body
            if seq not in held:
                held[seq] = body
                self._size += len(body)
        while self._size > limits.FETCHED_BYTES_MAX:
            self._size -= len(held.popitem(last=False)[1])
        return [found[seq] for seq in seqs]
