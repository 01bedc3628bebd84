from __future__ import annotations

import pytest

from ate.archive.memory import MemoryStore
from ate.archive.pace import TRIES, Patient, Stop, Throttle
from ate.crypto.entropy import SeededEntropy
from ate.errors import Disconnected, NotFound, StorageError, Throttled, TimedOut
from ate.testing.simclock import SimClock


class Waits:
    """A pause that notes how long it was asked to wait, and moves a clock by that."""

    def __init__(self, clock: SimClock | None = None, *, ends: bool = False) -> None:
        self.clock, self.ends, self.seconds = clock or SimClock(), ends, list[float]()

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        self.clock.advance(seconds)
        return self.ends


class Shaky(MemoryStore):
    """Fails so many times before each success, perhaps after it has written."""

    def __init__(self, failures: int, error: Exception, *, writes: bool = False) -> None:
        super().__init__()
        self.failures, self.left, self.error, self.writes = failures, failures, error, writes

    def put_new(self, key: str, data: bytes) -> bool:
        if self.left:
            self.left -= 1
            if self.writes:
                super().put_new(key, data)
            raise self.error
        self.left = self.failures
        return super().put_new(key, data)

    def get(self, key: str, limit: int) -> bytes:
        if self.left:
            self.left -= 1
            raise self.error
        self.left = self.failures
        return super().get(key, limit)


def patient(store: MemoryStore, waits: Waits) -> Patient:
    return Patient(store, waits, entropy=SeededEntropy(1))


@pytest.mark.parametrize("error", [Disconnected(), TimedOut(), Throttled()])
def test_what_passes_is_asked_again_ever_later(error: Exception) -> None:
    waits = Waits()
    store = patient(Shaky(4, error), waits)
    assert store.put_new("a/b", b"x")
    assert len(waits.seconds) == 4
    for at, seconds in enumerate(waits.seconds):
        assert 0.1 * 2**at <= seconds <= 0.2 * 2**at
    assert store.get("a/b", 1) == b"x"
    assert [*store.walk("a/")] == [("a/b", 1)]
    assert (store.folders(), store.name) == (["a"], "memory")


def test_patience_ends() -> None:
    waits = Waits()
    with pytest.raises(Disconnected):
        patient(Shaky(TRIES, Disconnected()), waits).put_new("a/b", b"x")
    assert len(waits.seconds) == TRIES - 1


def test_a_stop_ends_the_waiting() -> None:
    waits = Waits(ends=True)
    with pytest.raises(Disconnected):
        patient(Shaky(2, Disconnected()), waits).put_new("a/b", b"x")
    assert len(waits.seconds) == 1


@pytest.mark.parametrize("error", [StorageError("denied"), NotFound("gone")])
def test_what_does_not_pass_is_not_asked_again(error: Exception) -> None:
    waits = Waits()
    with pytest.raises(type(error)):
        patient(Shaky(1, error), waits).put_new("a/b", b"x")
    assert not waits.seconds


def test_an_answer_that_was_lost_is_not_taken_for_somebody_elses_object() -> None:
    store = patient(Shaky(1, TimedOut(), writes=True), Waits())
    assert store.put_new("a/b", b"mine")
    assert not store.put_new("a/b", b"other")
    store.delete("a/b")
    assert not store.folders()


def test_reading_is_kept_below_a_rate() -> None:
    clock = SimClock()
    waits = Waits(clock)
    throttle = Throttle(1000, clock, waits)
    for _ in range(11):
        throttle.take(500)
    assert 5.0 <= clock.monotonic_s() <= 5.5
    free = Throttle(0, clock, waits)
    before = len(waits.seconds)
    free.take(10**9)
    assert len(waits.seconds) == before


def test_a_stop_is_set_once_for_all() -> None:
    stop = Stop()
    assert not stop
    assert not stop.wait(0)
    stop.set()
    assert stop
    assert stop.wait(60)
