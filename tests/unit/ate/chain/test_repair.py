"""A damaged log is made whole from copies of it, in the damaged ranges and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ate.chain.repair import Repair, repair
from ate.chain.source import Replica
from ate.errors import (
    AteError,
    Conflict,
    CorruptLog,
    LogLocked,
    NotFound,
    UnsupportedFormat,
    UntrustedRoot,
)
from ate.event.commit import Record
from ate.log import segment
from ate.session import Session
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Stage
from ate.testing.tamper import Tamperer, relinked

LARGE = "large " * 12_000


async def play(*, segment_bytes: int = 12_000, more: int = 0) -> tuple[Stage, Session]:
    """A signed chain in several segments, two bodies of it in a body segment."""
    stage = Stage()
    alice, _ = await stage.cast("alice", "bob")
    for number in range(4):
        await stage.as_(alice).store(f"note {number}")
    await stage.as_(alice).store(LARGE)
    await stage.as_(alice).store_many([f"row {number}" for number in range(30)])
    await stage.as_(alice).store(LARGE + "two")
    for number in range(3 + more):
        await stage.as_(alice).store(f"last {number}")
    tamperer = stage.tamperer()
    tamperer.remove("index")
    tamperer.write(tamperer.payloads(), segment_bytes=segment_bytes)
    return stage, alice


def replica(disk: SimDisk, stage: Stage) -> Replica:
    return Replica(disk, stage.directory, name="copy")


def flip(stage: Stage, name: str, at: int, size: int = 1) -> None:
    def change(content: bytearray) -> None:
        start = at % len(content)
        for spot in range(start, min(start + size, len(content))):
            content[spot] ^= 0xFF

    stage.tamperer().edit(name, change)


def own_files(stage: Stage) -> dict[str, bytes]:
    """Return the files that the product reads."""
    return {
        path: raw
        for path, raw in stage.tamperer().files().items()
        if ".damaged-" not in path and not path.endswith((".new", "LOCK"))
    }


async def mend(stage: Stage, *disks: SimDisk, **options: bool) -> Repair:
    sources = [replica(disk, stage) for disk in disks]
    return await repair(stage.directory, sources, disk=stage.disk, **options)


def frames(stage: Stage, number: int) -> list[tuple[int, int]]:
    """Return (offset, bytes) of the frames of a head segment."""
    raw = memoryview(stage.disk.snapshot()[stage.tamperer().path(f"head.{number:06d}")])
    return [
        (at, segment.frame_size(len(one)))
        for at, one in segment.frames(raw, segment.HEADER_BYTES, len(raw))
    ]


# --- what is damaged is replaced -----------------------------------------------------------------


def hit(name: str, *spots: int, size: int = 1) -> Callable[[Stage], None]:
    """Return what flips bits at some offsets of a file."""

    def damage(stage: Stage) -> None:
        for at in spots:
            flip(stage, name, at, size)

    return damage


def both(*damages: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def damage(stage: Stage) -> None:
        for one in damages:
            one(stage)

    return damage


def cut(name: str, size: int) -> Callable[[Stage], None]:
    return lambda stage: stage.tamperer().edit(
        name, lambda content: content.__delitem__(slice(size, None))
    )


def gone(name: str) -> Callable[[Stage], None]:
    return lambda stage: stage.tamperer().remove(name)


def current(text: bytes | None) -> Callable[[Stage], None]:
    def damage(stage: Stage) -> None:
        if text is None:
            stage.disk.remove(f"{stage.directory}/CURRENT")
            stage.disk.sync_dir(stage.directory)
        else:
            stage.disk.put(f"{stage.directory}/CURRENT", text)

    return damage


def grown(name: str) -> Callable[[Stage], None]:
    return lambda stage: stage.tamperer().edit(name, lambda content: content.extend(b"x" * 30))


DAMAGE: dict[str, Callable[[Stage], None]] = {
    "a bit of the first commit": hit("head.000001", 400),
    "a bit of another": hit("head.000002", 4300),
    "the front of a frame": hit("head.000002", 4200, size=32),
    "a whole block": hit("head.000002", 4096, size=1500),
    "two places of a segment": hit("head.000002", 4300, 6400),
    "two segments": both(hit("head.000001", 100), hit("head.000002", 4300)),
    "the end of one and the beginning of the next": both(
        hit("head.000002", -50), hit("head.000003", 70)
    ),
    "a segment is gone": gone("head.000002"),
    "a segment is cut": cut("head.000002", 4300),
    "a segment is cut between two frames": cut("head.000002", 4736),
    "one is cut and the next is gone": both(cut("head.000001", 70), gone("head.000002")),
    "a segment is empty": cut("head.000002", 0),
    "the header of a segment": hit("head.000002", 13),
    "the version in a header": hit("head.000001", 8),
    "the magic of a header": hit("head.000001", 0),
    "garbage behind a segment": grown("head.000001"),
    "the last segment": hit("head.000003", 70),
    "the header of the last segment": hit("head.000003", 3, size=40),
    "a large body": hit("body.000001", 5000, size=100),
    "the header of the bodies": hit("body.000001", 20),
    "no bodies": gone("body.000001"),
    "short bodies": cut("body.000001", 80_000),
    "a body and its commit": both(hit("body.000001", 5000), hit("head.000002", 5900)),
    "no CURRENT": current(None),
    "an empty CURRENT": current(b""),
    "CURRENT names another": current(b"000007\n"),
}


@pytest.mark.parametrize("how", DAMAGE)
async def test_what_is_damaged_is_replaced(how: str) -> None:
    stage, alice = await play()
    copy, whole = stage.backup(), own_files(stage)
    assert len(frames(stage, 3)) >= 2, "three segments"
    DAMAGE[how](stage)
    damaged = own_files(stage)
    assert damaged != whole
    rehearsal = await mend(stage, copy, dry_run=True)
    assert rehearsal.mends
    assert not rehearsal.is_written
    assert own_files(stage) == damaged, "a rehearsal writes nothing"
    result = await mend(stage, copy)
    assert result.is_written
    assert result.found.ok
    assert result.mends == rehearsal.mends
    for path, raw in own_files(stage).items():
        expect_same(path, raw, whole[path], result)
    assert [t for t in await stage.as_(alice).texts() if t.startswith("last")] == [
        "last 0", "last 1", "last 2",
    ]  # fmt: skip
    for name in result.kept:
        there = stage.disk.snapshot()[stage.tamperer().path(name)]
        assert there == damaged[stage.tamperer().path(name.partition(".damaged")[0])]
    assert not (await mend(stage, copy)).mends, "nothing is left to do"


def expect_same(path: str, found: bytes, wanted: bytes, result: Repair) -> None:
    """Outside of the ranges that were replaced every byte is the one that it was."""
    if path.endswith("CURRENT"):
        assert found == wanted
        return
    name = path.rpartition("/")[2]
    mine = [one for one in result.mends if one.file == name and one.what != "end"]
    if any(one.what == "body" and one.offset + one.length > len(wanted) for one in mine):
        assert found.startswith(wanted[:64])
        return
    assert len(found) == len(wanted), path
    covered = bytearray(len(wanted))
    for one in mine:
        covered[one.offset : one.offset + one.length] = b"\1" * one.length
    assert all(a == b or c for a, b, c in zip(found, wanted, covered, strict=True)), path


async def test_the_range_is_told_by_file_offset_and_commits() -> None:
    stage, _ = await play()
    copy = stage.backup()
    (first, size), (second, length) = frames(stage, 2)[1:3]
    flip(stage, "head.000002", first + 40)
    flip(stage, "head.000002", second + 40)
    (only,) = (await mend(stage, copy)).mends
    assert (only.file, only.offset, only.length) == ("head.000002", first, size + length)
    assert (only.what, only.first, only.last, only.source) == ("commits", 2, 3, "copy")


async def test_copies_that_are_damaged_in_different_places_repair_each_other() -> None:
    stage, _ = await play()
    copy = Stage()
    copy.disk, clean = stage.backup(), own_files(stage)
    flip(stage, "head.000001", 500)
    flip(copy, "head.000002", 500)
    flip(copy, "body.000001", 90)
    assert (await mend(stage, copy.disk)).is_written
    assert (await mend(copy, stage.disk)).is_written
    for one in (stage, copy):
        assert (await one.verify()).ok
    assert own_files(stage).keys() == clean.keys()


async def test_several_copies_may_be_needed() -> None:
    stage, _ = await play()
    one, other = Stage(), Stage()
    one.disk, other.disk = stage.backup(), stage.backup()
    flip(stage, "head.000001", 500)
    flip(stage, "head.000002", 500)
    flip(one, "head.000001", 500)
    flip(other, "head.000002", 500)
    for single in (one, other):
        with pytest.raises(NotFound):
            await mend(stage, single.disk)
    assert (await mend(stage, one.disk, other.disk)).is_written
    assert (await stage.verify()).ok


@pytest.mark.parametrize("segment_bytes", [0, 9_000, 30_000])
async def test_the_copy_may_be_cut_into_other_segments(segment_bytes: int) -> None:
    stage, _ = await play()
    copy = Stage()
    copy.disk = stage.backup()
    tamperer = copy.tamperer()
    payloads = tamperer.payloads()
    for name in ("head.000002", "head.000003", "head.000004"):
        if tamperer.has(name):
            tamperer.remove(name)
    tamperer.write(payloads, segment_bytes=segment_bytes)
    flip(stage, "head.000001", 600, 9000)
    flip(stage, "head.000002", 200, 5000)
    assert (await mend(stage, copy.disk)).is_written
    assert (await stage.verify()).ok
    assert stage.tamperer().payloads() == payloads


async def test_a_body_that_lies_elsewhere_in_the_copy_is_put_behind_the_others() -> None:
    stage, alice = await play()
    copy = Stage()
    copy.disk = stage.backup()
    raw = stage.disk.snapshot()[stage.tamperer().path("body.000001")]
    tamperer = copy.tamperer()
    moved = raw[:64] + bytes(800) + raw[64:]
    copy.disk.put(tamperer.path("body.000001"), moved)
    payloads = []
    for payload in tamperer.payloads():
        record = Record(memoryview(payload))
        place = record.row(record.row_count - 1).place
        there = (place + 800).to_bytes(8, "little")
        is_large = bool(place >> 63)
        payloads.append(
            payload.replace(place.to_bytes(8, "little"), there) if is_large else payload
        )
    tamperer.write(payloads, segment_bytes=12_000)
    assert (await copy.verify()).ok
    flip(stage, "head.000002", 5900)
    flip(stage, "body.000001", 5000)
    result = await mend(stage, copy.disk)
    assert any(one.what == "body" for one in result.mends)
    assert (await stage.verify()).ok
    assert LARGE in await stage.as_(alice).texts()


# --- what is refused, with nothing changed -------------------------------------------------------


async def refused(stage: Stage, disk: SimDisk, error: type[AteError], **options: bool) -> None:
    before = stage.disk.snapshot()
    begun = len(stage.disk.journal)
    with pytest.raises(error) as caught:
        await mend(stage, disk, **options)
    assert caught.value.hint
    assert stage.disk.snapshot() == before
    assert not [op for op in stage.disk.journal[begun:] if op[0] in ("write", "rename")]


async def test_another_chain_is_refused() -> None:
    stage, _ = await play()
    other, _ = await play()
    flip(stage, "head.000001", 500)
    await refused(stage, other.disk, UntrustedRoot)


async def test_a_copy_that_is_too_short_is_refused() -> None:
    stage, _ = await play()
    copy = Stage()
    copy.disk = stage.backup()
    copy.tamperer().remove("head.000003")
    copy.tamperer().remove("head.000002")
    flip(stage, "head.000002", 500)
    await refused(stage, copy.disk, NotFound)


async def test_a_copy_with_another_history_is_refused() -> None:
    stage, _ = await play(segment_bytes=0)
    copy = Stage()
    copy.disk = stage.backup()
    payloads = stage.tamperer().payloads()
    copy.tamperer().write(relinked([*payloads[:3], *payloads[4:]]))
    flip(stage, "head.000001", frames(stage, 1)[3][0] + 50)
    await refused(stage, copy.disk, Conflict)


async def test_nothing_is_left() -> None:
    stage, _ = await play(segment_bytes=0)
    copy = stage.backup()
    stage.tamperer().edit("head.000001", lambda c: c.__delitem__(slice(64, None)))
    await refused(stage, copy, CorruptLog)
    stage.tamperer().remove("head.000001")
    stage.disk.remove(f"{stage.directory}/CURRENT")
    await refused(stage, copy, CorruptLog)


async def test_a_source_without_a_chain_is_none() -> None:
    stage, _ = await play()
    with pytest.raises(NotFound):
        Replica(stage.disk, "/chains/nowhere")


async def test_a_writer_keeps_its_lock() -> None:
    stage, alice = await play()
    copy = stage.backup()
    async with stage.open(alice):
        with pytest.raises(LogLocked):
            await mend(stage, copy)
    assert not (await mend(stage, copy)).mends


async def test_a_directory_that_was_copied_without_its_lock_gets_none_for_nothing() -> None:
    stage, _ = await play()
    copy = stage.backup()
    stage.disk.remove(f"{stage.directory}/LOCK")
    assert not (await mend(stage, copy)).is_written
    assert not stage.disk.exists(f"{stage.directory}/LOCK")


async def test_a_sound_frame_that_is_not_admissible_is_not_repaired_away() -> None:
    """The walk sees form and links; the proof also sees signatures."""
    stage, _ = await play(segment_bytes=0)
    copy = Stage()
    payloads = stage.tamperer().payloads()
    signature = Record(memoryview(payloads[2])).signature
    bad = payloads[2].replace(signature, bytes(len(signature)))
    stage.tamperer().write([*payloads[:2], bad, *payloads[3:]])
    copy.disk = stage.backup()
    flip(stage, "head.000001", 500)
    await refused(stage, copy.disk, CorruptLog)


# --- the end of the log --------------------------------------------------------------------------


async def test_more_commits_in_the_copy_are_told_and_taken_on_request() -> None:
    stage, alice = await play(segment_bytes=0)
    short = stage.backup()
    await stage.as_(alice).store(LARGE + "three")
    await stage.as_(alice).store("and more")
    longer, wanted = stage.backup(), stage.tamperer().payloads()
    stage.disk = short
    before = own_files(stage)
    told = await mend(stage, longer)
    assert (told.beyond, told.appended, told.is_written) == (2, 0, False)
    assert own_files(stage) == before
    assert (await mend(stage, longer, tail=True, dry_run=True)).appended == 2
    assert own_files(stage) == before
    flip(stage, "head.000001", 500)
    result = await mend(stage, longer, tail=True)
    assert (result.beyond, result.appended, result.is_written) == (0, 2, True)
    assert result.found.ok
    assert len(stage.tamperer().payloads()) == len(wanted)
    assert {LARGE + "three", "and more"} <= set(await stage.as_(alice).texts())


async def test_a_torn_end_is_no_damage_but_may_be_the_newest_commit() -> None:
    stage, alice = await play(segment_bytes=0)
    copy, commits = stage.backup(), len(stage.tamperer().payloads())
    last, size = frames(stage, 1)[-1]
    flip(stage, "head.000001", last + 60)
    told = await mend(stage, copy)
    assert (told.beyond, told.is_written) == (1, False)
    assert size - 8 < told.torn <= size
    result = await mend(stage, copy, tail=True)
    assert (result.appended, result.is_written) == (1, True)
    assert len(stage.tamperer().payloads()) == commits
    assert any(".torn-" in path for path in stage.disk.snapshot())
    assert "last 2" in await stage.as_(alice).texts()


async def test_a_tail_that_does_not_follow_is_refused() -> None:
    stage, alice = await play(segment_bytes=0)
    fork = stage.backup()
    await stage.as_(alice).store("ours")
    ours, stage.disk = stage.disk, fork
    await stage.as_(alice).store("theirs")
    await stage.as_(alice).store("theirs too")
    theirs, stage.disk = stage.disk, ours
    await refused(stage, theirs, Conflict, tail=True)


# --- a power cut ---------------------------------------------------------------------------------


async def test_a_cut_at_any_moment_leaves_the_damaged_or_the_repaired_files() -> None:
    stage, _ = await play()
    copy, whole = stage.backup(), own_files(stage)
    flip(stage, "head.000001", 600, 3000)
    flip(stage, "head.000002", 4300)
    flip(stage, "head.000002", 80)
    flip(stage, "body.000001", 5000, 100)
    damaged = own_files(stage)
    begun = len(stage.disk.journal)
    result = await mend(stage, copy)
    repaired = own_files(stage)
    assert result.found.ok
    seen = set()
    for done, style, after in stage.disk.cuts(STYLES):
        if done < begun:
            continue
        again = Stage()
        again.disk = after
        there = own_files(again)
        assert there.keys() == whole.keys(), (done, style)
        for path, raw in there.items():
            assert raw in (damaged[path], repaired[path]), (done, style, path)
        seen.add(sum(raw == repaired[path] for path, raw in there.items()))
        if style.name in ("dropped", "torn, names mixed"):
            assert (await mend(again, copy)).found.ok, (done, style)
            assert own_files(again) == repaired
    assert len(seen) == 4, "each file by itself"


# --- newer versions ------------------------------------------------------------------------------


async def test_what_a_newer_version_wrote_is_no_damage() -> None:
    stage, _ = await play()
    copy = stage.backup()
    header = bytearray(segment.encode_header(segment.HEAD, 2, 1))
    header[8] = 2
    header[56:] = segment.check64((bytes(header[:56]),)).to_bytes(8, "little")
    stage.tamperer().edit("head.000002", lambda c: c.__setitem__(slice(0, 64), header))
    flip(stage, "head.000001", 500)
    await refused(stage, copy, UnsupportedFormat)
    source = Stage()
    source.disk = stage.disk
    stage.disk = copy
    flip(stage, "head.000001", 500)
    await refused(stage, source.disk, UnsupportedFormat)


def test_a_tamperer_is_at_hand() -> None:
    assert Tamperer(SimDisk(), "/chains/play").path("index") == "/chains/play/000001/index"
