"""How fast and how stubborn: waiting that can be ended, a bound on reading, and asking again.

It never decides that something failed for good by itself: the number of tries is handed in, and so
are clock and chance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

from ate.archive.store import Entry, ObjectStore
from ate.clock import Clock
from ate.crypto.entropy import Entropy, system_entropy
from ate.errors import Disconnected, Throttled, TimedOut

_T = TypeVar("_T")

TRIES: Final = 6
FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 20.0
_PASSING: Final = (Disconnected, TimedOut, Throttled)


class Pause(Protocol):
    """Waiting as an argument."""

    def wait(self, seconds: float) -> bool:
        """Return True at once when the work shall end, else False after `seconds`."""
        ...


class Stop:
    """A pause that `set` ends, also from a signal handler or another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)


class Throttle:
    """Keeps a reader below a rate.

    Args:
        rate: bytes a second; 0 is as fast as can be.
        clock, pause: time.
    """

    def __init__(self, rate: float, clock: Clock, pause: Pause) -> None:
        self._rate, self._clock, self._pause = rate, clock, pause
        self._free_at = clock.monotonic_s()
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Return when `count` bytes more may be read."""
        if self._rate <= 0:
            return
        with self._lock:
            now = self._clock.monotonic_s()
            wait = max(self._free_at - now, 0.0)
            self._free_at = max(self._free_at, now) + count / self._rate
        if wait:
            self._pause.wait(wait)


class Patient:
    """An object store that asks again when the way to it fails. Keeps `ObjectStore`.

    Args:
        store: the one behind it.
        pause: waits between two tries; twice as long each time, a random part of it.
        entropy: for that part.
        tries: how often at most.
    """

    def __init__(
        self,
        store: ObjectStore,
        pause: Pause,
        *,
        entropy: Entropy = system_entropy,
        tries: int = TRIES,
    ) -> None:
        self._store, self._pause, self._entropy, self._tries = store, pause, entropy, tries

    @property
    def name(self) -> str:
        return self._store.name

    def _again(self, call: Callable[[], _T]) -> tuple[_T, int]:
        """Return what a call returns, and how often it was asked before that."""
        for failures in range(self._tries):
            try:
                return call(), failures
            except _PASSING:
                if failures + 1 == self._tries or self._pause.wait(self._delay(failures)):
                    raise
        raise AssertionError("at least one try")

    def _delay(self, failures: int) -> float:
        bound = min(FIRST_WAIT_S * 2.0**failures, LONGEST_WAIT_S)
        return bound * (0.5 + int.from_bytes(self._entropy(4), "little") / 2**33)

    def put_new(self, key: str, data: bytes) -> bool:
        is_new, failures = self._again(lambda: self._store.put_new(key, data))
        if is_new or not failures:
            return is_new
        # The answer to an earlier try may have been lost, and what is there may be ours.
        return self.get(key, len(data)) == data

    def get(self, key: str, limit: int) -> bytes:
        return self._again(lambda: self._store.get(key, limit))[0]

    def walk(self, prefix: str) -> Iterator[Entry]:
        yield from self._again(lambda: [*self._store.walk(prefix)])[0]

    def folders(self) -> list[str]:
        return self._again(self._store.folders)[0]

    def delete(self, key: str) -> None:
        self._again(lambda: self._store.delete(key))
