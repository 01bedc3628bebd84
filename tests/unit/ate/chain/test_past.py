"""The past as arrays and walks, against what a plain reading of the log says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

import ate
from ate.chain import past
from ate.chain.view import View
from ate.client import Chain
from ate.errors import Compacted, NotFound
from ate.event.commit import Origin, Record
from ate.event.draft import Draft
from ate.event.row import Kind
from ate.event.system import PublicKeys, encode, system_id
from ate.ids import ROOT, ObjectId
from ate.testing.simclock import SimClock
from ate.testing.stage import member, role_draft

SECOND = 1_000_000
A, B, C = (ObjectId(bytes(15) + bytes([one])) for one in (1, 2, 3))
#: Rows that compaction dropped, in the eyes of `Holed`.
DROPPED: set[int] = set()


class Thinned:
    """A commit that lost rows: the duck that a compacted log holds."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._kept = [at for at in range(record.row_count) if record.seq_at(at) not in DROPPED]
        self.row_count = len(self._kept)
        self.first_seq, self.last_seq = record.first_seq, record.last_seq
        self.author, self.sequencer = record.author, record.sequencer
        self.table = record.table[self._kept]
        self.seqs = record.seqs[self._kept]

    def seq_at(self, at: int) -> int:
        return self._record.seq_at(self._kept[at])

    def at(self, seq: int) -> int:
        found = [at for at in range(self.row_count) if self.seq_at(at) == seq]
        return found[0] if found else -1

    def head(self, at: int) -> memoryview:
        return self._record.head(self._kept[at])

    def row(self, at: int) -> object:
        return self._record.row(self._kept[at])


class Holed(View):
    """A view of a compacted chain."""

    def record(self, place: int) -> Record:
        return Thinned(super().record(place))  # type: ignore[return-value]


@pytest.fixture
def clock() -> SimClock:
    return SimClock(tick_us=SECOND)


@pytest.fixture
async def chain(clock: SimClock) -> AsyncIterator[Chain]:
    async with ate.open("p", memory=True, clock=clock) as made:
        yield made


@pytest.fixture
def dropped() -> Iterator[set[int]]:
    DROPPED.clear()
    yield DROPPED
    DROPPED.clear()


async def put(chain: Chain, **values: str | None) -> None:
    dio = chain.dio()
    for name, value in values.items():
        one = {"a": A, "b": B, "c": C}[name]
        if value is None:
            dio.delete(one)
        elif await dio.exists(one):
            (await dio.load(str, one)).value = value
        else:
            dio.store(value, id=one)
    await dio.commit()


def standing(chain: Chain, at: int) -> list[int]:
    seqs, heads = past.standing_at(chain._ledger.view, at)
    assert len(seqs) == len(heads)
    return seqs.tolist()


async def test_a_lineage_goes_through_deletions(chain: Chain) -> None:
    await put(chain, a="1", b="1")
    await put(chain, a="2")
    await put(chain, a=None)
    await put(chain, a="3")
    view = chain._ledger.view
    assert [seq for seq, _, _ in past.lineage(view, A)] == [6, 5, 4, 2]
    assert [seq for seq, _, _ in past.lineage(view, ROOT)] == [1]
    with pytest.raises(NotFound):
        list(past.lineage(view, C))


async def test_bases_of_system_rows_are_not_believed(chain: Chain) -> None:
    key = member("alice").public
    body = encode(PublicKeys.of(key))
    row_id = system_id("key", key.key_id)
    await put(chain, a="1")
    ledger = chain._ledger
    for number, base in enumerate((99, 4, 2)):  # nobody judges them: ahead, itself, another object
        row = Draft(int(Kind.KEY), row_id, bytes(ROOT), 0, base, 0, 0, 0, body)
        drafts = [row, role_draft(f"r{number}", 1, [key])]
        origin = Origin(1, 1, number + 1, number)
        commit, rows = await ledger.preparer(None).prepare(
            drafts, origin=origin, seen_seq=ledger.view.head, now_us=0
        )
        ledger.settle(await ledger.append(commit, rows))
        assert len(list(past.lineage(ledger.view, row_id))) == 1
        if base > 2:
            with pytest.raises(NotFound):
                ledger.view.seq_at(row_id, 2)


async def test_what_stood_at_each_row(chain: Chain) -> None:
    await put(chain, a="1", b="1")  # 2, 3
    await put(chain, a="2")  # 4
    await put(chain, b=None)  # 5
    await put(chain, b="2", c="1")  # 6, 7
    expected = [[], [2], [2, 3], [3, 4], [4], [4, 6], [4, 6, 7]]
    assert [standing(chain, at) for at in range(1, 8)] == expected
    assert standing(chain, 0) == []
    seqs, heads = past.standing_at(chain._ledger.view, 4)
    assert heads["id_lo"].tolist() == [int.from_bytes(one[8:], "little") for one in (B, A)]
    assert past.oldest_whole(chain._ledger.view) == 0
    assert seqs.dtype == np.uint64


async def test_heads_of_large_and_small_commits(chain: Chain) -> None:
    dio = chain.dio()
    for number in range(300):
        dio.store(number)
    await dio.commit()
    await put(chain, a="1")
    view = chain._ledger.view
    seqs = np.array([2, 7, 200, 302], np.uint64)
    heads = past.heads_of(view, seqs)
    assert heads.tobytes() == b"".join(
        bytes(record.head(at)) for record, at in map(view.find, seqs.tolist())
    )
    assert len(past.heads_of(view, np.empty(0, np.uint64))) == 0


async def test_a_state_that_is_not_held_says_which_is(chain: Chain, dropped: set[int]) -> None:
    await put(chain, a="1", b="1")  # 2, 3
    await put(chain, a="2", b="2")  # 4, 5
    await put(chain, c="1")  # 6
    await put(chain, a="3", c="2")  # 7, 8
    whole = {at: standing(chain, at) for at in range(1, 9)}
    view = chain._ledger.view
    view.recent.clear()
    view.__class__ = Holed
    dropped.update({2, 4})  # versions of `a` that were superseded
    assert past.is_kept(view, 3)
    assert not past.is_kept(view, 2)
    for at in (7, 8):
        assert standing(chain, at) == whole[at]
    for at in range(1, 7):
        with pytest.raises(Compacted) as caught:
            standing(chain, at)
        assert caught.value.hint.endswith("held is 7")
    assert past.oldest_whole(view) == 7
    dropped.clear()
    dropped.update({2, 3})
    view.recent.clear()
    assert past.oldest_whole(view) == 5
    assert standing(chain, 5) == whole[5]
    with pytest.raises(Compacted):
        standing(chain, 4)
    with pytest.raises(Compacted):
        past.heads_of(view, np.array([2, 4, 5], np.uint64))
    with pytest.raises(Compacted):
        list(past.lineage(view, B))


async def test_a_lost_tail_is_noticed(chain: Chain, dropped: set[int]) -> None:
    await put(chain, a="1", b="1")
    await put(chain, a="2")
    await put(chain, a=None)
    view = chain._ledger.view
    view.__class__ = Holed
    dropped.add(5)  # the tombstone itself, and nothing behind it
    with pytest.raises(Compacted):
        standing(chain, 3)
    assert past.oldest_whole(view) == 5


async def test_a_time_is_a_row(chain: Chain, clock: SimClock) -> None:
    view = chain._ledger.view
    times = []
    for number in range(9):
        await put(chain, a=str(number))
        times.append(view.time_us)
    for at, when in enumerate(times):
        assert past.seq_at_time(view, when) == at + 2
        assert past.seq_at_time(view, when - 1) == at + 1
    assert past.seq_at_time(view, 0) == 0
    assert past.seq_at_time(view, times[-1] + SECOND) == view.head


async def test_times_in_a_table_with_gaps(chain: Chain) -> None:
    view = chain._ledger.view
    times = [view.time_us]
    for number in range(6):
        await put(chain, a=str(number))
        times.append(view.time_us)
    kept = [0, 1, 4, 6]  # whole commits were dropped
    first, place, leaf = view.commits.columns()
    view.commits.adopt(first[kept].copy(), place[kept].copy(), leaf.reshape(-1, 32)[kept].ravel())
    assert [past.seq_at_time(view, when) for when in times] == [1, 2, 2, 2, 5, 5, 7]
    assert past.seq_at_time(view, times[0] - 1) == 0


def test_times_without_a_zone_are_utc() -> None:
    assert past.time_us(datetime(1970, 1, 1, 0, 0, 1)) == SECOND  # noqa: DTZ001
    assert past.time_us(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == SECOND + 5
    east = timezone(timedelta(hours=2))
    assert past.time_us(datetime(1970, 1, 1, 2, tzinfo=east)) == 0
    assert past.time_us(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -SECOND


async def test_the_root_at_a_row(chain: Chain) -> None:
    view = chain._ledger.view
    roots = [view.frontier.root()]
    for number in range(5):
        await put(chain, a=str(number), b=str(number))
        roots.append(view.frontier.root())
    found = [past.root_at(view, seq) for seq in range(1, view.head + 1)]
    assert found == [roots[0], *(root for root in roots[1:] for _ in "ab")]
    assert past.root_at(view, view.head + 9) == roots[-1]
    await chain.compact()
    assert past.root_at(view, 2) is None
    assert past.root_at(view, view.head) == chain.root


async def test_large_commits_and_rows_in_the_middle_of_them(
    chain: Chain, dropped: set[int]
) -> None:
    dio = chain.dio()
    daos = [dio.store(number) for number in range(100)]
    await dio.commit()  # 2 to 101
    await put(chain, a="1")  # 102
    for dao in daos:
        dao.value += 1
    await dio.commit()  # 103 to 202
    assert standing(chain, 1) == []
    assert standing(chain, 51) == list(range(2, 52))
    assert standing(chain, 101) == list(range(2, 102))
    assert standing(chain, 150) == [*range(50, 102), 102, *range(103, 151)]
    assert standing(chain, 202) == list(range(102, 203))
    view = chain._ledger.view
    view.recent.clear()
    view.__class__ = Holed
    dropped.update(range(2, 12))
    assert past.oldest_whole(view) == 112
    assert standing(chain, 112) == [*range(12, 102), 102, *range(103, 113)]
