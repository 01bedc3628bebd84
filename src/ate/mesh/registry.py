"""The lines of a program, one for each server; it never opens a chain.

A line that nobody uses stays for a while: programs open and close chains often, and a new
connection costs several round trips and signatures.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, TypeAlias

from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.sign import SigningKey
from ate.errors import UsageError
from ate.mesh.dial import dialer
from ate.mesh.line import Line
from ate.mesh.transport import Dial
from ate.mesh.url import Url
from ate.wire.terms import Terms, Trust

#: Seconds that a line outlives its last user.
KEEP_S: Final = 60.0

_Key: TypeAlias = tuple[Url, bytes, Trust | None, Terms]


@dataclass(slots=True)
class _Entry:
    line: Line
    users: int = 0
    end: asyncio.TimerHandle | None = None


class Registry:
    """Lines by server, identity, trust and terms.

    Args:
        dial: connects lines; by their scheme and the system's certificates when not given.
        keep_s: how long a line outlives its last user.
        entropy: of the lines.
        agent: what the program calls itself.
    """

    def __init__(
        self,
        dial: Dial | None = None,
        *,
        keep_s: float = KEEP_S,
        entropy: Entropy = system_entropy,
        agent: str = "",
    ) -> None:
        self._dial, self._keep_s = dial or dialer(), keep_s
        self._entropy, self._agent = entropy, agent
        self._entries: dict[_Key, _Entry] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def line(
        self,
        url: Url | str,
        *,
        identity: SigningKey | None = None,
        trust: Trust | None = None,
        terms: Terms | None = None,
    ) -> Line:
        """Return the line to `url`; give it back with `release`.

        Two users share a line only if they would trust the same servers in the same way.

        Raises:
            UsageError: `url` is no address of a server.
        """
        place = Url.several(url) if isinstance(url, str) else url
        terms = terms or Terms()
        key = (place, b"" if identity is None else identity.public.key_id, trust, terms)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(
                Line(
                    place,
                    self._dial,
                    identity=identity,
                    trust=trust,
                    terms=terms,
                    entropy=self._entropy,
                    agent=self._agent,
                )
            )
        if entry.end is not None:
            entry.end.cancel()
            entry.end = None
        entry.users += 1
        return entry.line

    def release(self, line: Line) -> None:
        """Give a line back; when nobody has it any more it is closed after a while.

        Raises:
            UsageError: the line is not from here, or was given back already.
        """
        for key, entry in self._entries.items():
            if entry.line is line and entry.users:
                entry.users -= 1
                if not entry.users:
                    loop = asyncio.get_running_loop()
                    entry.end = loop.call_later(self._keep_s, self._end, key)
                return
        raise UsageError("this line is not in use here: it was given back before")

    async def close(self) -> None:
        """Close all lines at once."""
        for key in tuple(self._entries):
            self._end(key)
        if self._ending:
            await asyncio.wait(self._ending)

    def _end(self, key: _Key) -> None:
        entry = self._entries.pop(key)
        if entry.end is not None:
            entry.end.cancel()
        task = asyncio.get_running_loop().create_task(entry.line.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
