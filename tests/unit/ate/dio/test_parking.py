from __future__ import annotations

import pytest

import ate
from ate.dio.overlay import PROVISIONAL
from ate.dio.parking import Parking
from ate.errors import Conflict, LimitExceeded, OutOfSpace
from ate.event.draft import Draft
from ate.log.outbox import Outbox
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member


def new(n: int, *, base: int = 0, parent: int = 0, kind: int = 1, overwrite: bool = False) -> Draft:
    ids = n.to_bytes(16, "big"), parent.to_bytes(16, "big")
    return Draft(kind, *ids, 0, base, base and 1, 1, 1, b"x", None, overwrite)


@pytest.fixture
async def chain():  # type: ignore[no-untyped-def]
    async with ate.open("c", memory=True, session=member("alice")) as chain:
        yield chain


async def test_versions_stand_on_each_other(chain: ate.Chain) -> None:
    parking = Parking(chain._ledger, Outbox.in_memory())
    one, first = parking.park([new(1)])
    two, second = parking.park([new(1, base=first)])
    assert parking.newest(new(1).id) == (second, True)
    for wrong in (new(1), new(1, base=first), new(2, base=4)):
        with pytest.raises(Conflict):
            parking.park([wrong])
    three, third = parking.park([new(1, base=9, overwrite=True)])
    _, last = parking.park([new(1, base=third, kind=2)])
    assert parking.newest(new(1).id) == (last, False)
    _, again = parking.park([new(1)])
    assert parking.newest(new(1).id) == (again, True)
    assert (one, two, three) == (1, 2, 3)
    with pytest.raises(LimitExceeded):
        parking.park([new(1)] * 100_000)


async def test_nothing_hangs_below_what_is_not_there(chain: ate.Chain) -> None:
    parking = Parking(chain._ledger, Outbox.in_memory())
    parking.park([new(1), new(2, parent=1)])
    _, gone = parking.park([new(3)])
    parking.park([new(3, base=gone, kind=2)])
    for parent in (3, 4):
        with pytest.raises(Conflict, match="parent"):
            parking.park([new(9, parent=parent)])
    with pytest.raises(Conflict, match="parent"):
        first = parking.newest(new(1).id)[0]
        parking.park([new(1, base=first, kind=2), new(9, parent=1)])


async def test_an_entry_stays_while_something_stands_on_it(chain: ate.Chain) -> None:
    outbox = Outbox.in_memory()
    parking = Parking(chain._ledger, outbox)
    drafts = [[new(1), new(2)], [new(1)], [new(2)], [new(1)]]
    kept = []
    for n, some in enumerate(drafts):
        for draft in some:
            draft.base = parking.newest(draft.id)[0]
        kept.append((some, *parking.park(some)))
        assert len(outbox) == n + 1

    def land(n: int, real: int) -> list[int]:
        some, entry, first = kept[n]
        parking.ready(some)
        parking.overlay.land(some, first, real)
        parking.leave(some, entry)
        return [one.number for one in outbox.entries]

    assert land(0, 10) == [1, 2, 3, 4]
    assert land(1, 12) == [1, 2, 3, 4], "the first is needed by the third"
    assert drafts[1][0].base == 10
    assert land(2, 13) == [2, 4]
    assert drafts[2][0].base == 11
    assert land(3, 14) == []
    assert len(parking.overlay) == 0


async def test_what_stands_on_something_refused_is_refused(chain: ate.Chain) -> None:
    outbox = Outbox.in_memory()
    parking = Parking(chain._ledger, outbox)
    one, two, three = [new(1)], [new(1)], [new(1)]
    placed = []
    for some in (one, two, three):
        some[0].base = parking.newest(some[0].id)[0]
        some[0].created = PROVISIONAL if some is not one else 0
        placed.append(parking.park(some))
    parking.overlay.land(one, placed[0][1], 10)
    parking.leave(one, placed[0][0])
    assert len(outbox) == 3
    parking.ready(two)
    number = parking.refuse(placed[1][0], two, placed[1][1], Conflict("no"))
    entry = outbox.find(number)
    assert entry is not None
    assert (entry.state, entry.note) == ("conflict", b"conflict\nno")
    with pytest.raises(Conflict, match="was refused"):
        parking.ready(three)
    parking.refuse(placed[2][0], three, placed[2][1], Conflict("no"))
    assert [one.state for one in outbox.entries] == ["conflict", "conflict"]
    waiting, refused = parking.restore()
    assert waiting == []
    assert [work and work.drafts[0].base for _, work in refused] == [10, placed[1][1]]


async def test_what_is_on_its_way_together_is_adopted_one_by_one(chain: ate.Chain) -> None:
    outbox = Outbox.in_memory()
    parking = Parking(chain._ledger, outbox)
    works = [[new(1), new(2)], [new(3)]]
    (one, first), (two, second) = parking.adopt(works, (5, 6), b"payload")
    assert second == first + 2
    assert [(e.session, e.lsn, e.commit, e.shares) for e in outbox.entries] == [
        (5, 6, b"payload", (one, two)), (5, 6, b"", (one, two))
    ]  # fmt: skip
    other = Parking(chain._ledger, outbox)
    kept, _ = other.restore()
    assert [work and len(work.drafts) for _, work in kept] == [2, 1]
    assert [other.newest(new(n).id) for n in (1, 2, 3)] == [(first + n, True) for n in range(3)]
    other.withdraw(two)
    assert [entry.state for entry in outbox.entries] == ["waiting"] * 2
    for drafts, place in zip(works, (first, second), strict=True):
        other.overlay.lift(drafts, place)
        assert other.newest(drafts[0].id) == (0, False)
    outbox.prepare([one, two], 5, 7, b"again")
    other.leave([draft for drafts in works for draft in drafts], one)
    assert len(outbox) == 0
    parking.forget(0)
    parking.forget(one)


async def test_what_cannot_be_adopted_whole_is_not_kept_at_all(chain: ate.Chain) -> None:
    disk = SimDisk(1)
    disk.mkdir("/d")
    outbox = Outbox.open(disk, "/d")
    parking = Parking(chain._ledger, outbox)
    outbox.add(b"before")
    for skip in range(3):
        disk.fail("write", OutOfSpace("full"), skip=skip)
        with pytest.raises(OutOfSpace):
            parking.adopt([[new(1)], [new(2)]], (5, 6), b"payload")
        disk.heal()
        assert [entry.work for entry in outbox.entries] == [b"before"]
        assert len(parking.overlay) == 0
    outbox.close()


async def test_a_disk_that_fails_costs_a_note_and_nothing_else(
    chain: ate.Chain, caplog: pytest.LogCaptureFixture
) -> None:
    disk = SimDisk(1)
    disk.mkdir("/d")
    outbox = Outbox.open(disk, "/d")
    parking = Parking(chain._ledger, outbox)
    entry, first = parking.park([new(1)])
    disk.fail("write", OutOfSpace("full"))
    parking.forget(entry)
    assert "was not removed" in caplog.text
    disk.fail("write", OutOfSpace("full"), times=-1)
    assert parking.refuse(entry, [new(1)], first, Conflict("no")) == entry
    assert "could not be marked" in caplog.text
    parking.withdraw(entry)
    assert "was not changed" in caplog.text
    disk.heal()
    assert len(outbox) == 1
    assert not parking.admits([new(1)], None)
    assert parking.admits([new(1)], chain.session)
    outbox.close()
