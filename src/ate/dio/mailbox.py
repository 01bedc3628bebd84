"""`Mailbox`: wakes each caller when its own reply has come; it opens no reply and keeps none.

However many callers wait, a new row is looked at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Self

from ate.dio.bell import Bell

if TYPE_CHECKING:
    from ate.dio.chain import Chain


class Mailbox:
    """The replies that are waited for on one chain."""

    def __init__(self, chain: Chain) -> None:
        self._ledger = chain._ledger
        self._seen = 0
        self._letters: dict[bytes, Letter] = {}
        self._first_s = float("inf")
        #: What is sent behind the backs of callers.
        self.tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, letter: Letter) -> None:
        if not self._letters:
            self._seen = self._ledger.view.head
            self._ledger.feed.subscribe(self._look)
        self._letters[letter.reply_id] = letter
        self._first_s = min(self._first_s, letter.deadline_s)

    def remove(self, letter: Letter) -> None:
        self._letters.pop(letter.reply_id, None)
        if not self._letters:
            self._ledger.feed.unsubscribe(self._look)
            self._first_s = float("inf")

    def _look(self) -> None:
        """Ring for the replies among the new rows, and for those whose time is over."""
        view, letters = self._ledger.view, self._letters
        for _, record, at in view.rows(self._seen + 1, view.head):
            letter = letters.get(record.row(at).id)
            if letter is not None:
                letter.wake()
        self._seen = view.head
        now_s = self._ledger.clock.monotonic_s()
        if now_s >= self._first_s:
            for letter in letters.values():
                if now_s >= letter.deadline_s:
                    letter.wake()
            later = (one.deadline_s for one in letters.values() if one.deadline_s > now_s)
            self._first_s = min(later, default=float("inf"))


class Letter(Bell):
    """One reply that is waited for: rings when it came, when its time is over, and at the end.

    Args:
        reply_id: where the reply will be.
        deadline_s: by the chain's monotonic clock.
    """

    def __init__(self, chain: Chain, reply_id: bytes, deadline_s: float) -> None:
        super().__init__(chain)
        self.reply_id, self.deadline_s = reply_id, deadline_s

    def __enter__(self) -> Self:
        if self._chain._mailbox is None:
            self._chain._mailbox = Mailbox(self._chain)
        self._chain._mailbox.add(self)
        self._register()
        if self._chain._remote is not None:
            self._chain._remote.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._chain._mailbox is not None:
            self._chain._mailbox.remove(self)
        self._chain._watches.pop(self, None)
        if self._chain._remote is not None:
            self._chain._remote.discard(self)

    @property
    def is_reachable(self) -> bool:
        """Whether a reply can come: there is a connection, or was a moment ago."""
        remote = self._chain._remote
        return remote is None or remote.forwarder.patience.is_reachable

    def send(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` while the caller goes on."""
        assert self._chain._mailbox is not None
        tasks = self._chain._mailbox.tasks
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
