"""`Feed`: tells watchers that the head has moved.

They read the log themselves, so nothing piles up here.
"""

from __future__ import annotations

from collections.abc import Callable


class Feed:
    """Wake-up calls for any number of watchers. A watcher that never reads costs one list entry."""

    def __init__(self) -> None:
        self._wakers: list[Callable[[], None]] = []
        self.head = 0

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Call `wake()` at each publish; it must return at once and never raise."""
        self._wakers.append(wake)

    def unsubscribe(self, wake: Callable[[], None]) -> None:
        if wake in self._wakers:
            self._wakers.remove(wake)

    def publish(self, head: int) -> None:
        """Say that rows up to `head` are visible."""
        self.head = head
        for wake in tuple(self._wakers):
            wake()

    def __len__(self) -> int:
        return len(self._wakers)
