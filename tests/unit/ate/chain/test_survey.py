"""Every damaged range is found, and what belongs there; `test_repair.py` plays the whole."""

from __future__ import annotations

import pytest

from ate.chain.source import Replica, index_of
from ate.chain.survey import Survey
from ate.errors import Conflict, CorruptLog, NotFound, UntrustedRoot
from ate.log import segment
from ate.log.salvage import Salvage
from ate.log.segment import BODY, BODY_BIT, HEAD, place_of
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Stage
from ate.testing.tamper import relinked, spliced, with_body

LARGE = "large " * 12_000


async def play(segment_bytes: int = 2000) -> tuple[Stage, SimDisk]:
    """Return a chain in several segments, and a copy of it."""
    stage = Stage()
    for number in range(3):
        await stage.as_(None).store(f"note {number}")
    await stage.as_(None).store(LARGE)
    for number in range(6):
        await stage.as_(None).store(f"note {number}")
    tamperer = stage.tamperer()
    tamperer.remove("index")
    tamperer.write(tamperer.payloads(), segment_bytes=segment_bytes)
    return stage, stage.backup()


def flip(stage: Stage, name: str, at: int) -> None:
    stage.tamperer().edit(name, lambda content: content.__setitem__(at, content[at] ^ 1))


def survey(stage: Stage, *copies: SimDisk) -> Survey:
    sources = [Replica(disk, stage.directory, name="copy") for disk in copies]
    found = Survey(Salvage(stage.disk, stage.directory, 1), sources)
    found.run()
    return found


def offsets(stage: Stage, number: int) -> list[int]:
    return [at for at, _ in Salvage(stage.disk, stage.directory, 1).whole(number)]


async def test_a_sound_log_needs_nothing() -> None:
    stage, copy = await play()
    found = survey(stage, copy)
    assert (found.mends, found.patches, found.torn) == ([], {}, 0)
    assert (found.size, found.head) == (11, 11)
    assert found.beyond() == 0
    assert list(found.tail()) == []
    assert len(survey(stage).stretches) == len(found.stretches), "and no source either"


async def test_ranges_are_as_short_as_can_be() -> None:
    stage, copy = await play()
    second = offsets(stage, 2)
    flip(stage, "head.000002", second[1] + 40)
    flip(stage, "head.000002", second[-1] + 40)
    found = survey(stage, copy)
    assert [(one.what, one.offset) for one in found.mends] == [
        ("commits", second[1]),
        ("commits", second[-1]),
    ]
    (patch,) = found.patches.values()
    assert [at for at, _ in patch.writes] == [second[1], second[-1]]
    whole = copy.snapshot()[stage.tamperer().path("head.000002")]
    for at, parts in patch.writes:
        written = b"".join(parts)
        assert written[32:] == whole[at + 32 : at + len(written)]


@pytest.mark.parametrize("also", [0, 1, 2])
async def test_the_first_commit_of_a_damaged_segment_is_found_from_those_behind(also: int) -> None:
    stage, copy = await play()
    flip(
        stage, "head.000001", len(stage.disk.snapshot()[stage.tamperer().path("head.000001")]) - 20
    )
    for number in range(also + 1):
        flip(stage, "head.000002", offsets(stage, 2)[0] + 40 if number else 100)
    found = survey(stage, copy)
    assert found.size == 11
    assert not found.has_moved
    numbers = [(one.file, one.first, one.last) for one in found.mends]
    assert numbers[0][0] == "head.000001"
    assert numbers[1][:2] == ("head.000002", numbers[0][2] + 1)


async def test_where_nothing_tells_the_boundary_the_snapshot_goes() -> None:
    stage, copy = await play()
    stage.tamperer().remove("head.000001")
    stage.tamperer().remove("head.000002")
    found = survey(stage, copy)
    assert found.has_moved
    assert found.size == 11


async def test_a_copy_that_lacks_or_contradicts() -> None:
    stage, copy = await play(segment_bytes=0)
    payloads = stage.tamperer().payloads()
    flip(stage, "head.000001", offsets(stage, 1)[3] + 40)
    with pytest.raises(NotFound, match="commit 3"):
        survey(stage)
    liar = Stage()
    liar.disk = copy
    liar.tamperer().write(relinked([*payloads[:2], payloads[3], *payloads[5:]]))
    with pytest.raises(Conflict):
        survey(stage, copy)
    other, foreign = await play()
    with pytest.raises(UntrustedRoot):
        survey(stage, foreign)
    assert other.name == stage.name


async def test_segments_that_overlap_are_no_work_for_a_copy() -> None:
    stage, copy = await play()
    whole = stage.disk.snapshot()
    first = whole[stage.tamperer().path("head.000002")]
    stage.tamperer().edit(
        "head.000002",
        lambda content: content.__setitem__(
            slice(0, None), whole[stage.tamperer().path("head.000001")]
        ),
    )
    assert first
    with pytest.raises((Conflict, NotFound)):
        survey(stage, copy)


async def test_a_gap_that_does_not_close_is_told() -> None:
    """The copy goes on differently: its commits pass the ones that are left here."""
    stage, _ = await play(segment_bytes=0)
    ours, stage.disk = stage.disk, stage.backup()
    tamperer = stage.tamperer()
    tamperer.write(tamperer.payloads()[:5])
    for number in range(9):
        await stage.as_(None).store(f"other {number} " * 20)
    fork, stage.disk = stage.disk, ours
    flip(stage, "head.000001", offsets(stage, 1)[5] + 40)
    flip(stage, "head.000001", offsets(stage, 1)[5] + 40)
    with pytest.raises(Conflict):
        survey(stage, fork)


async def test_without_any_commit_nobody_knows_the_chain() -> None:
    stage, copy = await play()
    for name in ("head.000001", "head.000002", "head.000003"):
        if stage.tamperer().has(name):
            stage.tamperer().edit(name, lambda content: content.__delitem__(slice(64, None)))
    with pytest.raises(CorruptLog, match="no commit is left"):
        survey(stage, copy)


async def test_new_places_for_bodies_are_behind_the_others() -> None:
    stage, copy = await play()
    found = survey(stage, copy)
    size = len(stage.disk.snapshot()[stage.tamperer().path("body.000001")])
    first = found.new_place(10)
    assert first == BODY_BIT | place_of(1, (size + 7) & ~7)
    assert found.new_place(64 << 20) == BODY_BIT | place_of(2, 64)
    assert found.patches == {}
    found._put_body(BODY_BIT | place_of(2, 64), b"body", "copy")
    assert found.patches[BODY, 2].writes[0] == (0, (segment.encode_header(BODY, 2, 1),))


async def test_large_bodies_are_mended_and_moved() -> None:
    stage, copy = await play()
    tamperer = stage.tamperer()
    raw = tamperer.files()[tamperer.path("body.000001")]
    flip(stage, "body.000001", 3000)
    found = survey(stage, copy)
    (only,) = found.mends
    assert (only.what, only.offset, only.first, only.source) == ("body", 64, 4, "copy")
    assert bytes(found.bodies[BODY_BIT | place_of(1, 64)]) == raw[64 : 64 + only.length]
    with pytest.raises(NotFound, match="a body of commit 4"):
        survey(stage, stage.backup())
    number = next(n for n in (1, 2, 3) if survey_of(stage, n, 4))
    flip(stage, f"head.{number:06d}", survey_of(stage, number, 4) + 50)
    found = survey(stage, copy)
    assert [one.what for one in found.mends] == ["body", "commits"]
    end = (len(raw) + 7) & ~7
    assert found.mends[0].offset == end, "behind the others, as nothing tells where it was"
    with pytest.raises(Conflict):
        survey(stage, stage.backup(), damaged_bodies(copy, stage))


def survey_of(stage: Stage, number: int, index: int) -> int:
    """Return the offset of a commit in a head segment, 0 when it is not there."""
    for at, payload in Salvage(stage.disk, stage.directory, 1).whole(number):
        if index_of(payload) == index:
            return at
    return 0


def damaged_bodies(copy: SimDisk, stage: Stage) -> SimDisk:
    other = Stage()
    other.disk = copy
    flip(other, "body.000001", 3001)
    return other.disk


async def test_commits_behind_the_end_come_with_their_bodies() -> None:
    stage, _ = await play(segment_bytes=0)
    short = stage.backup()
    await stage.as_(None).store(LARGE)
    await stage.as_(None).store("more")
    longer, stage.disk = stage.disk, short
    found = survey(stage, longer)
    assert found.beyond() == 2
    first, second = found.tail()
    assert (len(first.bodies), len(second.bodies)) == (1, 0)
    assert (found.size, found.beyond()) == (13, 0)


async def test_a_missing_end_in_a_copy_is_no_error() -> None:
    stage, _ = await play(segment_bytes=0)
    short = stage.backup()
    for number in range(3):
        await stage.as_(None).store(f"more {number}")
    payloads = stage.tamperer().payloads()
    stage.tamperer().write([*payloads[:12], *payloads[13:]])
    gapped, stage.disk = stage.disk, short
    found = survey(stage, gapped)
    assert [one.record.sequencer.index for one in found.tail()] == [11]


async def test_garbage_behind_a_segment_is_cut() -> None:
    stage, copy = await play()
    stage.tamperer().edit("head.000001", lambda content: content.extend(b"x" * 30))
    found = survey(stage, copy)
    (only,) = found.mends
    assert (only.what, only.length) == ("end", 30)
    assert found.patches[HEAD, 1].size == only.offset


async def test_a_frame_whose_content_is_wrong_is_damaged_too() -> None:
    stage, copy = await play(segment_bytes=0)
    payloads = stage.tamperer().payloads()
    bad = with_body(payloads[2], 0, b"other body")
    short = spliced(payloads[3], 4, b"\xff\xff\0\0")
    for at, one in ((2, bad), (3, short)):
        stage.tamperer().write([*payloads[:at], one, *payloads[at + 1 :]])
        if at == 2:
            with pytest.raises(Conflict):
                survey(stage, copy)  # it is longer than what belongs there
        else:
            (only,) = survey(stage, copy).mends
            assert (only.first, only.last) == (3, 3)


@pytest.mark.parametrize("is_alike", [True, False])
async def test_every_frame_of_a_compacted_log_can_be_put_back(is_alike: bool) -> None:
    """Behind the cut from any copy, before it from one that was compacted alike."""
    stage = Stage()
    ids = [await stage.as_(None).store(f"note {number}") for number in range(5)]
    await stage.as_(None).store_many(["a", "b", "c"])
    for one in ids[:3]:
        await stage.as_(None).change(one, "changed")
    other = stage.backup()
    async with stage.open(None) as chain:
        cut = (await chain.compact()).cut
    path = f"{stage.directory}/000002/head.000001"
    stage.disk.remove(f"{stage.directory}/000002/index")
    await stage.as_(None).change(ids[4], "later")
    await stage.as_(None).change(ids[4], "and later")
    whole = stage.disk.snapshot()[path]
    copy = stage.backup()
    offsets = [at for at, _ in Salvage(copy, stage.directory, 2).whole(1)]
    assert len(offsets) > 6
    for at in offsets[:-1]:
        raw = bytearray(whole)
        raw[at + 40] ^= 1
        stage.disk.put(path, bytes(raw))
        source = Replica(copy if is_alike else other, stage.directory, name="copy")
        found = Survey(Salvage(stage.disk, stage.directory, 2), [source])
        if not is_alike:
            with pytest.raises((NotFound, Conflict)):
                found.run()
            continue
        found.run()
        ((_, parts),) = found.patches[HEAD, 1].writes
        assert b"".join(parts)[32:] == whole[at + 32 : at + sum(map(len, parts))]
    assert cut > 0
