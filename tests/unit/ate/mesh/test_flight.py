from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ate
from ate.errors import AteError, Conflict, OutOfSpace
from ate.event.commit import AUTHOR_BYTES, SEQUENCER_BYTES, Record
from ate.event.prefix import is_commit
from ate.merkle import Frontier
from ate.mesh.flight import Flights
from ate.testing.simloop import run, sim_loop
from ate.wire.message import Refused

#: What a commit of device 9 begins with.
OF_NINE = bytes(40) + (9).to_bytes(8, "little")


class Plane:
    """A flight of some log's commit."""

    def __init__(self, lsn: int, payload: bytes = OF_NINE, session: int = 1) -> None:
        self.session, self.lsn, self.payload = session, lsn, payload
        self.rows: Sequence[Any] = (object(),)
        self.at, self.guards, self.is_kept = None, (), False

    def __repr__(self) -> str:
        return f"{self.session}.{self.lsn}"


class Tower:
    """An author that takes notes."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.sent: list[Plane] = []
        self.flights = Flights(self, self.sent.append)  # type: ignore[arg-type]

    def landed(self, parcel: Plane, record: Record, frontier: Frontier) -> None:
        self.told.append(("landed", parcel))

    def passed(self, parcel: Plane) -> None:
        self.told.append(("passed", parcel))

    def refused(self, parcel: Plane, error: AteError) -> None:
        self.told.append((error.code, parcel))

    def skipped(self, parcels: Sequence[Plane]) -> None:
        self.told.append(("skipped", list(parcels)))

    def changed(self) -> None:
        self.told.append(("changed", None))

    def refuse(self, lsn: int, code: str, *, device: int = 9, retry_ms: int = 0) -> None:
        again = retry_ms > 0
        self.flights.refuse(
            Refused(1, device, 1, lsn, 0, code, "why", again=again, retry_ms=retry_ms)
        )


def fly(count: int) -> tuple[Tower, list[Plane]]:
    tower = Tower()
    planes = [Plane(lsn) for lsn in range(1, count + 1)]
    for plane in planes:
        tower.flights.add(plane, send=True)
    return tower, planes


def test_all_are_sent_and_counted() -> None:
    tower, planes = fly(3)
    tower.flights.add(Plane(1, session=5), send=False)
    assert tower.sent == planes
    assert len(tower.flights) == 4
    assert tower.flights.sources() == [(9, 1), (9, 5)]
    assert [repr(one) for one in tower.flights] == ["1.1", "1.2", "1.3", "5.1"]


def test_a_new_connection_gets_what_the_server_lacks() -> None:
    tower, planes = fly(4)
    tower.sent.clear()
    tower.flights.resume({(9, 1): 1})
    assert tower.sent == planes[1:]
    assert tower.told == []
    tower.sent.clear()
    tower.flights.resume({(9, 1): 1}, Conflict("no"))
    assert tower.sent == []
    assert [one for _, one in tower.told] == planes[1:]
    assert list(tower.flights) == [planes[0]]


def test_what_follows_a_refused_commit_is_made_anew() -> None:
    tower, planes = fly(4)
    tower.refuse(2, "conflict")
    assert tower.told == [("skipped", planes[2:]), ("conflict", planes[1])]
    assert list(tower.flights) == planes[:1]
    tower.refuse(3, "lsn_gap")  # its answer comes later, and is nobody's
    tower.refuse(1, "conflict", device=8)
    assert list(tower.flights) == planes[:1]
    tower.refuse(1, "conflict")
    assert tower.told[2:] == [("conflict", planes[0])]


def test_a_gap_before_the_first_means_that_all_are_made_anew() -> None:
    tower, planes = fly(3)
    tower.refuse(1, "lsn_gap")
    assert tower.told == [("skipped", planes)]
    assert len(tower.flights) == 0


def test_a_server_that_sees_gaps_everywhere_is_not_flooded() -> None:
    async def main() -> None:
        tower, _ = fly(1)
        tower.refuse(1, "lsn_gap")
        second, third = Plane(2), Plane(3)
        tower.flights.add(second, send=True)
        assert tower.sent[-1] is second, "numbered anew, it goes at once"
        tower.refuse(2, "lsn_gap")
        tower.flights.add(third, send=True)
        assert tower.sent[-1] is second
        await sim_loop().pause(1.1)
        assert tower.sent[-1] is third

    run(main, seed=1)


def test_what_is_put_off_is_sent_again_in_order() -> None:
    async def main() -> None:
        tower, planes = fly(3)
        tower.sent.clear()
        tower.refuse(2, "throttled", retry_ms=500)
        tower.refuse(3, "lsn_gap")
        late = Plane(4)
        tower.flights.add(late, send=True)
        assert tower.sent == []
        await sim_loop().pause(0.6)
        assert tower.sent == [planes[1], planes[2], late]
        tower.refuse(4, "lsn_gap")  # too early again: it is not forgotten
        tower.sent.clear()
        await sim_loop().pause(1.1)
        assert tower.sent == [late], "the others are on their way"
        tower.refuse(2, "throttled", retry_ms=500)
        tower.flights.close()
        tower.sent.clear()
        await sim_loop().pause(2)
        assert tower.sent == []
        assert tower.told == []

    run(main)


def test_without_room_authors_are_told_and_what_is_kept_comes_again() -> None:
    async def main() -> None:
        tower, planes = fly(4)
        planes[0].is_kept = planes[2].is_kept = True
        tower.sent.clear()
        tower.refuse(1, "out_of_space", retry_ms=1000)
        assert tower.told == [
            ("skipped", [planes[2]]), ("out_of_space", planes[3]), ("out_of_space", planes[1])
        ]  # fmt: skip
        assert isinstance(tower.flights.hindrance, OutOfSpace)
        waits = []
        for _ in range(4):
            before = sim_loop().time()
            while not tower.sent:
                await sim_loop().pause(0.1)
            waits.append(round(sim_loop().time() - before))
            assert tower.sent == planes[:1]
            tower.sent.clear()
            tower.refuse(1, "out_of_space", retry_ms=1000)
        assert waits == [1, 2, 4, 5]
        tower.flights.resume({})  # another connection
        assert tower.flights.hindrance is None
        assert tower.sent == planes[:1]
        tower.flights.close()

    run(main)


def test_without_room_and_with_nothing_kept_nothing_is_in_the_way() -> None:
    tower, planes = fly(2)
    tower.refuse(1, "out_of_space", retry_ms=1000)
    assert tower.told == [("out_of_space", planes[1]), ("out_of_space", planes[0])]
    assert tower.flights.hindrance is None
    assert len(tower.flights) == 0
    tower.refuse(2, "lsn_gap")  # the answer to what was behind it
    later = Plane(3)
    tower.flights.add(later, send=True)
    assert tower.sent == [*planes, later]


async def records() -> list[Record]:
    async with ate.open("c", memory=True) as chain:
        for n in range(3):
            async with chain.dio() as dio:
                dio.store(f"{n}")
        found = [bytes(p) for _, p in chain._ledger.store.scan() if is_commit(p)]
        return [Record(memoryview(one)) for one in found]


async def test_a_flight_is_known_by_its_bytes() -> None:
    one, two, three, _ = await records()
    author = two.author
    tower = Tower()
    blank = bytearray(two.payload)
    blank[AUTHOR_BYTES : AUTHOR_BYTES + SEQUENCER_BYTES] = bytes(SEQUENCER_BYTES)
    assert tower.flights.of(two.payload) is None
    plane = Plane(author.lsn, bytes(blank), author.session)
    tower.flights.add(plane, send=True)
    assert tower.flights.of(two.payload) is plane
    assert tower.flights.of(one.payload) is None
    assert tower.flights.of(two.payload[:100]) is None
    for wrong in (two.payload[:-1], bytes(two.payload[:-1]) + b"\7", b"\7" + two.payload[1:]):
        assert tower.flights.of(memoryview(wrong)) is None
    plane.rows = ()
    assert tower.flights.of(two.payload) is None, "it is checked like any other"
    tower.flights.land(one, Frontier())
    tower.flights.land(three, Frontier())
    assert tower.told == []
    tower.flights.land(two, Frontier())
    tower.flights.land(two, Frontier())
    assert tower.told == [("landed", plane)]
    other = Plane(author.lsn, bytes(one.payload), author.session)
    tower.flights.add(other, send=True)
    tower.flights.land(two, Frontier())
    assert tower.told[1][1] is other
    assert tower.told[1][0] != "landed", "somebody has used its number"
    blank[40] ^= 1
    tower.flights.add(Plane(author.lsn, bytes(blank), author.session), send=True)
    tower.flights.land(two, Frontier())
    assert len(tower.told) == 2, "another device's"
