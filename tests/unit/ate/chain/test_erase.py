"""Erasing: what is dropped is gone from every file, and a copy that is left is found."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

import ate
from ate.chain import erase as erasing
from ate.chain.erase import Erased, Found, Kept, Prints, Search
from ate.chain.retention import Retention
from ate.limits import MIB
from ate.log.memory import MemoryLog
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member

NOTHING = Kept(np.empty(0, "S32"), {}, 0)


def found(bodies: list[bytes], content: bytes, kept: Kept = NOTHING) -> list[tuple[int, int]]:
    """Return where copies of the bodies are in a file with this content."""
    disk = SimDisk()
    disk.create("/file").pwrite((content,), 0)
    prints = Prints()
    prints.add([memoryview(one) for one in bodies])
    search = Search(prints.without(kept.digests), kept)
    search.look("file", disk.open("/file", readonly=True))
    assert (search.files, search.searched) == (1, len(content))
    return [(one.start, one.stop) for one in sorted(search.found)]


def noise(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


@pytest.mark.parametrize("at", [0, 1, 7, 4096, MIB - 20, MIB - 8, MIB - 7, MIB, MIB + 3])
def test_a_copy_is_found_at_every_offset(at: int) -> None:
    body = noise(50, seed=2)
    content = noise(at) + body + noise(900)
    assert found([body], content) == [(at, at + 50)]


def test_a_copy_at_the_end_and_two_in_one_file() -> None:
    body = noise(16, seed=2)
    assert found([body], body + b"x" + body) == [(0, 16), (17, 33)]
    assert found([body], body[:15]) == []
    assert found([body], b"short") == []


def test_what_only_begins_alike_is_no_copy() -> None:
    body = b"{title: a long enough value}"
    assert found([body], body[:-1] + b"]") == []
    assert found([body, body[:-1] + b"]"], b"." + body) == [(1, 1 + len(body))]


def test_bodies_of_one_beginning_and_different_lengths() -> None:
    front = b"the same beginning "
    bodies = [front + noise(n, seed=n) for n in range(1, 40)]
    content = b"-".join(bodies)
    assert len(found(bodies, content)) == len(bodies)


def test_zeros_in_front_do_not_hide_a_body_and_files_are_full_of_zeros() -> None:
    body = bytes(30) + noise(10)
    assert found([body], bytes(2 * MIB) + body[30:] + bytes(50)) == [
        (2 * MIB - 30, 2 * MIB + 10)
    ]  # zeros in front of the rest are a copy, too
    late = bytes(60) + b"\x01\x02\x03"
    assert found([late], bytes(100) + late) == [(100, 163)]
    assert found([late], b"\xff" + late[1:]) == []
    assert found([bytes(40)], bytes(4096)) == []


def test_a_digest_that_ends_in_a_zero_byte_is_known_again() -> None:
    from ate.crypto.hash import digest

    body = next(one for n in range(9999) if not digest(one := b"%020d" % n)[-1])
    assert found([body], b"..." + body) == [(3, 23)]


def test_part_of_a_kept_value_is_no_leftover() -> None:
    body = noise(40)
    content = b"head" + body + b"tail"
    spans = {"file": (np.array([2], np.uint64), np.array([48], np.uint64))}
    assert found([body], content, Kept(np.empty(0, "S32"), spans, 0)) == []
    spans = {"file": (np.array([5], np.uint64), np.array([48], np.uint64))}
    assert found([body], content, Kept(np.empty(0, "S32"), spans, 0)) == [(4, 44)]
    spans = {"other": (np.array([0], np.uint64), np.array([48], np.uint64))}
    assert found([body], content, Kept(np.empty(0, "S32"), spans, 0)) == [(4, 44)]


def test_equal_bodies_count_once_and_kept_ones_not_at_all() -> None:
    first, second = noise(20, 1), noise(20, 2)
    prints, kept = Prints(), Prints()
    prints.add([memoryview(one) for one in (first, second, first, b"")])
    kept.add([memoryview(second)])
    wanted = prints.without(kept.digests)
    assert wanted.length.tolist() == [20]
    assert wanted.word.tolist() == [int.from_bytes(first[:8], "little")]


# --- whole chains -----------------------------------------------------------------------------


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def stored_bodies(chain: ate.Chain) -> dict[int, bytes]:
    """Return the bodies that the log holds, sealed or plain, by seq."""
    view = chain._ledger.view
    return {
        seq: bytes(view.body(record, record.row(at)))
        for seq, record, at in view.rows(1, chain.head)
    }


async def fill(chain: ate.Chain) -> list[ate.ObjectId]:
    """Store what is replaced or deleted, small and large, beside what stays."""
    dio = chain.dio()
    daos = [dio.store({"text": f"superseded value number {n}"}) for n in range(20)]
    large = dio.store(noise(70_000, seed=9))
    dio.store("a value that stays as it is")
    dio.store(noise(80_000, seed=8))
    await dio.commit()
    for number, dao in enumerate(daos):
        dao.update(text=f"this is the newest value, {number}")
    dio.delete(large.id)
    await dio.commit()
    return [dao.id for dao in daos]


@pytest.fixture(params=[None, "alice"])
async def chain(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ate.Chain]:
    session = member(request.param) if request.param else None
    async with ate.open("vault", path=tmp_path, session=session) as made:
        yield made


async def test_what_was_dropped_is_gone_from_the_disk(chain: ate.Chain, tmp_path: Path) -> None:
    ids = await fill(chain)
    stored = stored_bodies(chain)
    done = await chain.compact(erase=True)
    erased = done.erased
    assert erased is not None
    assert erased.is_proved
    assert erased.bodies >= 21  # grants and certificates may be superseded, too
    assert (erased.left, erased.superseded, erased.still_read) == ((), 0, "")
    assert erased.overwritten > 150_000
    assert erased.searched > 150_000
    after = bytes_of(tmp_path)
    assert b"superseded value" not in after
    assert noise(70_000, seed=9)[:32] not in after
    dropped = stored.keys() - stored_bodies(chain).keys()
    assert len(dropped) == 21
    assert not [seq for seq in dropped if len(stored[seq]) >= 16 and stored[seq] in after]
    async with chain.dio() as dio:
        assert (await dio.load(dict, ids[3])).value["text"] == "this is the newest value, 3"
    assert done.still_read == ()
    assert not (tmp_path / "vault/000001").exists()


async def test_the_old_files_are_overwritten_and_not_only_unlinked(
    chain: ate.Chain, tmp_path: Path
) -> None:
    """A name that somebody gave the old file shows what is left in its blocks."""
    await fill(chain)
    chain._ledger.store.flush()
    secrets = stored_bodies(chain).values()
    for name in ("head", "body"):
        old = tmp_path / f"vault/000001/{name}.000001"
        (tmp_path / f"{name}.linked").hardlink_to(old)
    (tmp_path / "vault/000001/head.000001.torn-64").write_bytes(b"an unfinished write, kept aside")
    (tmp_path / "torn.linked").hardlink_to(tmp_path / "vault/000001/head.000001.torn-64")
    await chain.compact(erase=True)
    left = b"".join((tmp_path / f"{name}.linked").read_bytes() for name in ("head", "body", "torn"))
    assert len(left) > 150_000
    assert not [one for one in secrets if len(one) > 16 and one in left]
    assert b"unfinished" not in left


async def test_rows_that_live_objects_look_at_stay_readable(chain: ate.Chain) -> None:
    ids = await fill(chain)
    dio = chain.dio()
    dao = await dio.load(dict, ids[0])
    await chain.compact(erase=True)
    assert dao.id == ids[0]
    dao.update(text="written on the way")
    await dio.commit()
    again = await chain.dio().load(dict, ids[0])
    assert again.value["text"] == "written on the way"


async def test_equal_values_that_are_kept_are_no_leftovers(tmp_path: Path) -> None:
    async with ate.open("plain", path=tmp_path) as chain:
        dio = chain.dio()
        text = "one and the same text, twice"
        gone = dio.store(text)
        dio.store(text)
        dio.store(text + ", and more of it")
        await dio.commit()
        dio.delete(gone.id)
        await dio.commit()
        erased = (await chain.compact(erase=True)).erased
        assert erased is not None
        assert (erased.is_proved, erased.bodies) == (True, 0)


async def test_a_value_that_is_stored_again_meanwhile(tmp_path: Path) -> None:
    """A commit that came between the look at what is kept and the search explains what is found."""
    async with ate.open("plain", path=tmp_path) as chain:
        dio = chain.dio()
        gone = dio.store("a text that comes and goes and comes")
        await dio.commit()
        dio.delete(gone.id)
        await dio.commit()
        stale = Kept(np.empty(0, "S32"), {}, 0)
        search = Search(_prints_of(chain).without(stale.digests), stale)
        for name, file in chain._ledger.store.every_file():
            search.look(name, file)
        assert search.found
        now = Kept.of(chain._ledger.store)
        assert all(now.covers(*one) for one in search.found)


def _prints_of(chain: ate.Chain) -> Prints:
    prints = Prints()
    for _ in erasing._spans(chain._ledger.store, prints):
        pass
    return prints


async def test_a_copy_in_another_file_is_found_and_named(tmp_path: Path) -> None:
    async with ate.open("plain", path=tmp_path) as chain:
        dio = chain.dio()
        gone = dio.store("a secret that somebody copied")
        await dio.commit()
        (tmp_path / "plain/backup.old").write_bytes(
            b"..." + (tmp_path / "plain/000001/head.000001").read_bytes()
        )
        (tmp_path / "plain/below").mkdir()  # the place of another chain
        dio.delete(gone.id)
        await dio.commit()
        erased = (await chain.compact(erase=True)).erased
        assert erased is not None
        assert not erased.is_proved
        assert [one.partition(" at ")[0] for one in erased.left] == ["backup.old"]


async def test_nothing_is_claimed_while_somebody_reads_the_old_files(tmp_path: Path) -> None:
    async with ate.open("plain", path=tmp_path) as chain:
        dio = chain.dio()
        gone = dio.store("a secret that is still being read")
        await dio.commit()
        dio.delete(gone.id)
        await dio.commit()
        async with ate.open("plain", path=tmp_path, readonly=True):
            (tmp_path / "linked").hardlink_to(tmp_path / "plain/000001/head.000001")
            done = await chain.compact(erase=True)
            assert done.erased == Erased(still_read="000001")
            assert not done.erased.is_proved
            assert done.still_read == ("000001",)
            assert b"a secret" in (tmp_path / "linked").read_bytes()
    # Whoever opens it for writing next finds nobody reading, and finishes the work.
    async with ate.open("plain", path=tmp_path):
        pass
    assert not any((tmp_path / "linked").read_bytes())
    assert not (tmp_path / "plain/000001").exists()


async def test_what_retention_keeps_is_counted(tmp_path: Path) -> None:
    async with ate.open("plain", path=tmp_path) as chain:
        dio = chain.dio()
        dao = dio.store({"text": "version 0 of this text"})
        await dio.commit()
        for number in (1, 2, 3):
            dao.update(text=f"version {number} of this text")
            await dio.commit()
        erased = (await chain.compact(Retention(versions=3), erase=True)).erased
        assert erased is not None
        assert (erased.bodies, erased.superseded, erased.left) == (1, 2, ())


async def test_what_is_too_short_is_counted_and_not_searched_for(tmp_path: Path) -> None:
    async with ate.open("plain", path=tmp_path) as chain:
        dio = chain.dio(codec=3)
        gone = [dio.store(one) for one in (b"short", b"a body that is long enough")]
        await dio.commit()
        for one in gone:
            dio.delete(one.id)
        await dio.commit()
        erased = (await chain.compact(erase=True)).erased
        assert erased is not None
        assert (erased.bodies, erased.too_short) == (2, 1)
        assert erased.is_proved


async def test_a_chain_in_memory_has_nothing_on_disk() -> None:
    async with ate.open("plain", memory=True) as chain:
        dio = chain.dio()
        gone = dio.store("a secret in memory only")
        await dio.commit()
        dio.delete(gone.id)
        await dio.commit()
        erased = (await chain.compact(erase=True)).erased
        assert erased == Erased(bodies=1)
        assert isinstance(chain._ledger.store, MemoryLog)
        assert len(chain) == 0


def test_places_are_compared_with_the_spans_around_them() -> None:
    spans = {"f": (np.array([10, 50], np.uint64), np.array([20, 60], np.uint64))}
    kept = Kept(np.empty(0, "S32"), spans, 0)
    inside = {(10, 20): True, (9, 20): False, (10, 21): False, (50, 55): True, (0, 5): False,
              (20, 30): False, (15, 55): False}  # fmt: skip
    assert {pair: kept.covers("f", *pair) for pair in inside} == inside
    assert Found("f", 1, 2) < Found("f", 3, 4)
