"""Bugs planted in clients and servers, one by one: the simulation of real clients finds each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from tests.sharing.deeds import Worker
from tests.sharing.journal import NotingForwarder
from tests.simulation.test_real_clients import Run

from ate.chain.ledger import Ledger
from ate.dio.overlay import Overlay
from ate.dio.parcel import Parcel
from ate.dio.parking import Parking
from ate.errors import AteError, StorageError
from ate.log.outbox import Outbox
from ate.mesh.flight import Flights
from ate.mesh.guest import Guest
from ate.mesh.hall import Hall
from ate.mesh.root import Root
from ate.mesh.roster import Roster
from ate.testing.simloop import SimulationFailed
from ate.wire.message import Open

Patch = pytest.MonkeyPatch
#: A bug that needs more of them is not found in practice.
SEEDS = 60


# --- of the server ------------------------------------------------------------------------------


def acknowledges_before_the_flush(patch: Patch) -> None:
    async def flush(self: Root) -> None:
        """What is in the page cache is good enough."""

    patch.setattr(Root, "_flush", flush)


def streams_before_the_flush(patch: Patch) -> None:
    real_flush, real_stream = Root._flush, Root._stream

    async def flush(self: Root) -> None:
        first, self.durable = self.durable, self.ledger.view.frontier.size
        real_stream(self, [bytes(self.frame(at)) for at in range(first, self.durable)], first)
        self._flusher._usual_s += 1.0
        await real_flush(self)

    patch.setattr(Root, "_flush", flush)
    patch.setattr(Root, "_stream", lambda *_: None)


def forgets_origins_at_restart(patch: Patch) -> None:
    real = Roster._add

    def add(self: Roster, root: Root) -> Root:
        root.ledger.view.origins.table.clear()
        return real(self, root)

    patch.setattr(Roster, "_add", add)


def trims_past_a_follower(patch: Patch) -> None:
    """Whoever is behind what was compacted gets what comes after it."""
    real = Hall._enter

    def enter(self: Hall, visitor: Guest, message: Open, root: Root, *rest: Any) -> None:
        if message.commits:
            behind = max(message.commits, root.ledger.view.cut)
            message = msgspec.structs.replace(message, commits=behind)
        real(self, visitor, message, root, *rest)

    patch.setattr(Hall, "_enter", enter)


def ignores_guards(patch: Patch) -> None:
    patch.setattr("ate.mesh.root.check_guards", lambda *_: None)
    # Two holders of one lease are seldom; the more of them ask for it, the less so.
    for other in ("read", "sync", "look", "settle", "delete"):
        patch.setattr(Worker, other, Worker.leased)


def ignores_conditions(patch: Patch) -> None:
    real = Root._check_asked

    def check_asked(self: Root, message: Any) -> None:
        with pytest.MonkeyPatch.context() as inner:
            if message.at is not None:
                inner.setattr(self.ledger.view, "head", message.at)
            real(self, message)

    patch.setattr(Root, "_check_asked", check_asked)


# --- of the client ------------------------------------------------------------------------------


def retries_under_a_new_number(patch: Patch) -> None:
    def resume(self: Flights, last: dict[int, int], refusal: AteError | None = None) -> None:
        """Whatever was not answered is made anew."""
        flights = list(self)
        for flight in flights:
            self.remove(flight)
        self.author.skipped(flights)

    patch.setattr(Flights, "resume", resume)


def resends_conditions_after_a_restart(patch: Patch) -> None:
    real = NotingForwarder._send

    def send(self: NotingForwarder, parcel: Parcel) -> None:
        if not parcel.entry:
            with suppress(StorageError):
                parcel.entry = self.outbox.add_prepared(parcel.session, parcel.lsn, parcel.payload)
                self.outbox.flush()
        real(self, parcel)

    patch.setattr(NotingForwarder, "_send", send)


def drops_the_entry_before_the_landing(patch: Patch) -> None:
    real = NotingForwarder._send

    def send(self: NotingForwarder, parcel: Parcel) -> None:
        real(self, parcel)
        with suppress(StorageError):
            self.outbox.remove(parcel.entry)
            self.outbox.flush()

    patch.setattr(NotingForwarder, "_send", send)


def sends_before_the_outbox_is_flushed(patch: Patch) -> None:
    real = NotingForwarder._pack

    async def pack(self: NotingForwarder, ready: Any) -> Parcel:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self.outbox, "flush", lambda: None)
            return await real(self, ready)

    patch.setattr(NotingForwarder, "_pack", pack)


def forgets_one_by_one_what_landed_together(patch: Patch) -> None:
    patch.setattr(Outbox, "settle", Outbox.remove)


def numbers_again_from_one(patch: Patch) -> None:
    real = NotingForwarder.__init__

    def init(self: Any, ledger: Ledger, device: int, _: int, *rest: Any, **options: Any) -> None:
        real(self, ledger, device, 7, *rest, **options)

    patch.setattr(NotingForwarder, "__init__", init)


def shows_what_was_refused(patch: Patch) -> None:
    real = Parking.refuse

    def refuse(self: Parking, *args: Any) -> int:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Overlay, "lift", lambda *_: None)
            return real(self, *args)

    patch.setattr(Parking, "refuse", refuse)


def forgets_what_was_refused(patch: Patch) -> None:
    real = Parking.refuse

    def refuse(self: Parking, entry: int, *rest: Any) -> int:
        number = real(self, entry, *rest)
        with suppress(StorageError):
            self.outbox.remove(number)
        return number

    patch.setattr(Parking, "refuse", refuse)


#: Where the search begins for those that few seeds catch; it goes on through all others.
BEGINS = {
    streams_before_the_flush: 12,
    forgets_origins_at_restart: 37,
    ignores_guards: 8,
    shows_what_was_refused: 11,
    forgets_what_was_refused: 18,
}


@pytest.mark.parametrize(
    "plant",
    [
        acknowledges_before_the_flush,
        streams_before_the_flush,
        forgets_origins_at_restart,
        trims_past_a_follower,
        ignores_guards,
        ignores_conditions,
        retries_under_a_new_number,
        resends_conditions_after_a_restart,
        drops_the_entry_before_the_landing,
        sends_before_the_outbox_is_flushed,
        forgets_one_by_one_what_landed_together,
        numbers_again_from_one,
        shows_what_was_refused,
        forgets_what_was_refused,
    ],
)
def test_a_planted_bug_is_caught(plant: Callable[[Patch], None]) -> None:
    first = BEGINS.get(plant, 0)
    for seed in (*range(first, SEEDS), *range(first)):
        run = Run(seed, patch=plant, flush_s=0.3 if plant is streams_before_the_flush else 0.001)
        try:
            if run.run():
                return
        except (SimulationFailed, AssertionError, AteError):
            return
    pytest.fail(f"{plant.__name__} was not caught in {SEEDS} seeds")
