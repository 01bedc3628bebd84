from __future__ import annotations

from itertools import product

import pytest

import ate
from ate.chain.form import check_form
from ate.chain.index import DEAD
from ate.chain.view import View, flags_of
from ate.client import Chain
from ate.errors import Compacted, CorruptLog, NotFound, ProtocolError, UnsupportedFormat
from ate.event.access import Access, Everyone
from ate.event.commit import AUTHOR_BYTES, ROWS_AT, Record
from ate.event.row import Kind
from ate.event.system import system_id
from ate.ids import ROOT, ObjectId
from ate.log.memory import MemoryLog
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member
from ate.testing.tamper import spliced


def rows_at(row: int, offset: int) -> int:
    return ROWS_AT + 128 * row + offset


def view_of(chain: Chain) -> View:
    return chain._ledger.view


def refolded(view: View) -> View:
    """Fold the same commits into another view, from the log alone."""
    again = View(view.store)
    for place, payload in view.store.scan(0):
        record = Record(payload)
        again.check_next(record)
        again.apply(record, place)
    return again


def state(view: View) -> tuple[object, ...]:
    columns = [column.tolist() for column in (*view.index.columns()[:5], *view.commits.columns())]
    origins = view.origins.table
    return columns, origins, view.head, view.link, view.frontier.root(), view.rules, view.index.live


async def records(chain: Chain) -> list[Record]:
    return [Record(payload) for _, payload in chain._ledger.store.scan(0)]


@pytest.mark.parametrize("size", [1, 63, 64, 700])
async def test_small_and_large_commits_fold_to_what_the_log_says(size: int) -> None:
    async with ate.open("v", memory=True, clock=SimClock(tick_us=1)) as chain:
        dio = chain.dio()
        daos = [dio.store({"n": number}) for number in range(size)]
        children = [dio.store(number, parent=daos[0]) for number in range(size)]
        await dio.commit()
        for dao in daos:
            dao.update()
        for child in children:
            child.update()
        children[-1].delete()
        await dio.commit()
        view = view_of(chain)
        assert state(refolded(view)) == state(view)
        assert view.head == 1 + 4 * size
        assert len(chain) == 2 * size - 1
        assert len(view.below(daos[0].id)) == size - 1
        row, seq, created = view.below(daos[0].id)[0] if size > 1 else (None, 0, 0)
        if row is not None:
            assert (row.parent, seq, created) == (daos[0].id, children[0].seq, 2 + size)


async def test_what_the_chain_holds_about_an_object() -> None:
    async with ate.open("v", memory=True) as chain:
        dio = chain.dio()
        plain = dio.store(1)
        ruled = dio.store(2, access=Access(write=Everyone), parent=plain)
        await dio.commit()
        view = view_of(chain)
        stored = view.stored(ruled.id)
        assert stored is not None
        assert (stored.seq, stored.dead, stored.access) == (3, False, Access(write=Everyone))
        assert stored.row.parent == plain.id
        stored = view.stored(plain.id)
        assert stored is not None
        assert stored.access is None
        plain.delete()
        await dio.commit()
        stored = view.stored(plain.id)
        assert stored is not None
        assert stored.dead
        assert view.index.locate(plain.id) & DEAD
        assert view.stored(ObjectId.random()) is None


async def test_rows_are_found_by_seq_and_named_by_schema() -> None:
    async with ate.open("v", memory=True) as chain:
        dio = chain.dio()
        first, second = dio.store("text"), dio.store(5)
        await dio.commit()
        view = view_of(chain)
        record, at = view.find(3)
        assert (record.row(at).id, at) == (second.id, 1)
        assert view.schema_at(2) != view.schema_at(3)
        assert view.schema_at(2) == record.row(0).schema
        assert record.header(at) is None
        view.recent.clear()
        assert view.find(2)[0].row(0).id == first.id, "read from the log again"


async def test_parsed_commits_are_kept_in_bounds() -> None:
    async with ate.open("v", memory=True, durability=ate.NONE) as chain:
        for number in range(4200):
            async with chain.dio() as dio:
                dio.store(number)
        view = view_of(chain)
        for seq in range(1, 4201):
            view.find(seq)
        assert 0 < len(view.recent) <= 4096


async def test_the_chains_own_rule_is_the_genesis_rule() -> None:
    everyone = Access(read=Everyone, write=Everyone)
    async with ate.open("v", memory=True, session=member("alice"), access=everyone) as chain:
        view = view_of(chain)
        assert view.root_access() == everyone
        assert view.rules == 1
        async with chain.dio() as dio:
            dio.store(1, access=Access(write=Everyone))
        assert view.rules == 2
        assert view.root_access() == everyone
        assert View(MemoryLog()).root_access() == Access()


async def test_grants_are_read_only_where_they_are_grants() -> None:
    session = member("alice")
    async with ate.open("v", memory=True, session=session) as chain:
        view = view_of(chain)
        grant = view.grant(system_id("grant", ROOT))
        assert grant is not None
        assert view.grant(bytes(range(16))) is None
        async with chain.dio() as dio:
            squatter = dio.store("no grant")
        assert view.grant(squatter.id) is None
        with pytest.raises(CorruptLog, match="grant"):
            view.grant(ROOT)


async def test_a_commit_that_does_not_follow_is_named() -> None:
    async with ate.open("v", memory=True) as chain:
        for number in range(3):
            async with chain.dio() as dio:
                dio.store(number)
        genesis, first, second, third = await records(chain)
        view = View(chain._ledger.store)
        view.check_next(genesis)
        view.apply(genesis, 1)
        for wrong in (genesis, second, third):
            with pytest.raises(CorruptLog, match="dropped, swapped or repeated"):
                view.check_next(wrong)
        for at, message in ((AUTHOR_BYTES + 24, "link"), (AUTHOR_BYTES + 56, "altered")):
            flipped = spliced(bytes(first.payload), at, bytes([first.payload[at] ^ 1]))
            with pytest.raises(CorruptLog, match=message):
                view.check_next(Record(memoryview(flipped)))
        early = spliced(bytes(first.payload), AUTHOR_BYTES + 8, bytes(8))
        with pytest.raises(CorruptLog, match="altered"):
            view.check_next(Record(memoryview(early)))
        view.check_next(first)


async def test_a_body_that_points_nowhere_is_corruption() -> None:
    async with ate.open("v", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store("x")
        view = view_of(chain)
        record, at = view.find(2)
        row = record.row(at)
        assert view.body(record, row)
        for wrong in (
            row._replace(place=0),
            row._replace(length=1000),
            row._replace(place=1 << 63),
        ):
            with pytest.raises(CorruptLog):
                view.body(record, wrong)


async def test_bodies_in_the_body_file_move_the_mark_behind_them() -> None:
    async with ate.open("v", memory=True) as chain:
        view = view_of(chain)
        async with chain.dio() as dio:
            dio.store(bytes(100_000))
        mark = view.bodies_end
        assert mark > 1 << 63
        async with chain.dio() as dio:
            for _ in range(70):
                dio.store(bytes(70_000))
        assert view.bodies_end >= mark + 70 * 70_000
        assert refolded(view).bodies_end == view.bodies_end


async def _form(payload: bytes) -> None:
    check_form(Record(memoryview(payload)))


async def test_rows_that_no_program_writes_are_refused() -> None:
    async with ate.open("v", memory=True) as chain:
        async with chain.dio() as dio:
            dio.store(1)
            dio.store(2, access=Access(write=Everyone))
        _, commit = await records(chain)
        raw = bytes(commit.payload)
        check_form(commit)
        first_id = raw[rows_at(0, 8) : rows_at(0, 24)]
        for changed, message in (
            (spliced(raw, rows_at(0, 0), b"\x63"), "unknown kind"),
            (spliced(raw, rows_at(0, 3), b"\1"), "non-zero padding"),
            (spliced(raw, rows_at(0, 116), b"\1"), "non-zero padding"),
            (spliced(raw, rows_at(1, 8), first_id), "touches one object twice"),
            (spliced(raw, rows_at(0, 8), bytes(16)), "reserved"),
            (spliced(raw, rows_at(0, 1), b"\x80"), "unknown flags"),
            (spliced(raw, rows_at(0, 1), b"\1"), "do not fit"),
            (spliced(raw, rows_at(1, 1), b"\1"), "do not fit"),
        ):
            with pytest.raises(ProtocolError, match=message):
                await _form(changed)


async def test_ids_and_flags_of_rows() -> None:
    async with ate.open("v", memory=True) as chain:
        async with chain.dio() as dio:
            ids = [dio.store(number).id for number in range(5)]
        record, _ = view_of(chain).find(2)
        assert record.ids == ids
        assert flags_of(Kind.DATA) == 0
        assert flags_of(Kind.TOMBSTONE) == DEAD
        assert flags_of(Kind.KEY) not in (0, DEAD)
        with pytest.raises(NotFound):
            await chain.dio().load(int, ObjectId(bytes(15) + b"\1"))


async def test_versions_and_times_of_the_past() -> None:
    clock = SimClock(tick_us=1)
    async with ate.open("v", memory=True, clock=clock) as chain:
        dio = chain.dio()
        first, dao = dio.store(0), dio.store(1)
        await dio.commit()
        dao.value = 2
        await dio.commit()
        view = view_of(chain)
        assert [view.seq_at(dao.id, seq) for seq in (3, 4, 99)] == [3, 4, 4]
        assert view.time_of(3) < view.time_of(4)
        for too_early in (0, first.seq):
            with pytest.raises(NotFound, match="as of seq"):
                view.seq_at(dao.id, too_early)


async def test_all_bodies_of_a_commit_inline_or_not() -> None:
    async with ate.open("v", memory=True) as chain:
        for large in (b"small", bytes(70_000)):
            async with chain.dio() as dio:
                dio.store(b"one")
                dao = dio.store(large)
            view = view_of(chain)
            record, _ = view.find(dao.seq)
            found = [bytes(view.body(record, record.row(at))) for at in range(2)]
            assert found[0].endswith(b"one")
            assert found[1].endswith(large)


async def test_news_that_somebody_waits_for_are_at_hand() -> None:
    async with ate.open("v", memory=True) as chain:
        view = view_of(chain)
        for watched, large in product((False, True), (False, True)):
            if watched and not large:
                chain._ledger.feed.subscribe(lambda: None)
            async with chain.dio() as dio:
                dio.store(bytes(20_000 if large else 20))
            place = view.commits.find(view.head)[1]
            assert (place in view.recent) is (watched and not large)
            assert view.record(place).last_seq == view.head


async def test_a_commit_that_changed_under_our_feet_is_not_believed() -> None:
    """What was judged once is read from the files again much later."""
    disk = SimDisk()
    async with ate.open("v", path="/c", disk=disk) as chain:
        for count in (1, 2):
            async with chain.dio() as dio:
                for number in range(count):
                    dio.store(number, access=Access(write=Everyone))
        view = view_of(chain)
        path = "/c/v/000001/head.000001"
        whole = disk.snapshot()[path]
        for seq in (2, 3):
            payload = bytes(view.find(seq)[0].payload)
            start = whole.index(payload)
            rare = start + payload.index(b"access")
            for at in (start, start + 4, start + 150, rows_at(0, 30) + start, rare):
                disk.put(path, spliced(whole, at, bytes([whole[at] ^ 1])))
                view.recent.clear()
                with pytest.raises((CorruptLog, UnsupportedFormat)):
                    view.find(seq)
            disk.put(path, whole)
            view.recent.clear()
            assert bytes(view.find(seq)[0].payload) == payload


# --- another generation ------------------------------------------------------------------------


async def test_a_compacted_chain_tells_what_is_gone() -> None:
    disk, clock = SimDisk(), SimClock(tick_us=1)
    async with ate.open("v", path="/d", disk=disk, clock=clock) as chain:
        dio = chain.dio()
        one = dio.store({"n": 1})
        dio.store({"n": 2})
        await dio.commit()
        old, view = one.seq, view_of(chain)
        one.value = {"n": 3}
        await dio.commit()
        rows, present = view.held, view.index.all()
        await chain.compact()
        assert view.index.all() == present
        assert (view.held, view.cut) == (rows - 1, chain.commits)
        assert view.settled_rows == view.held - view.index.objects == 0
        with pytest.raises(Compacted):
            view.find(old)
        assert [seq for seq, _, _ in view.rows(1, view.head)] == [1, 3, 4]
        assert view.hold is None
        await chain.set_hold("case")
        assert view.hold == "case"


async def test_a_reader_moves_to_what_goes_on_where_it_is_and_to_nothing_else() -> None:
    disk, clock = SimDisk(), SimClock(tick_us=1)
    options = {"path": "/d", "disk": disk, "clock": clock}
    async with ate.open("v", **options) as chain, ate.open("v", readonly=True, **options) as reader:
        mine, theirs = view_of(reader), view_of(chain)
        origins, trust = mine.origins, mine.trust
        dio = chain.dio()
        one = dio.store({"n": 1})
        await dio.commit()
        mine.check_successor(theirs)
        await reader.refresh()
        one.value = {"n": 2}
        await dio.commit()
        await chain.compact()
        await reader.refresh()
        assert (mine.head, mine.cut, mine.index.all()) == (theirs.head, theirs.cut, [3])
        assert (mine.origins, mine.trust) == (origins, trust)
        assert mine.origins.table == theirs.origins.table
        with pytest.raises(CorruptLog, match="does not go on"):
            mine.check_successor(View(mine.store))
        async with ate.open("other", memory=True) as other:
            with pytest.raises(CorruptLog, match="does not go on"):
                mine.check_successor(view_of(other))
