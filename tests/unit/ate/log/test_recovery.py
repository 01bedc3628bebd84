from __future__ import annotations

import pytest

from ate.errors import CorruptLog, UnsupportedFormat
from ate.log import recovery, segment
from ate.log.recovery import Verdict
from ate.testing.platter import STYLES
from ate.testing.simdisk import SimDisk

PLACE = segment.place_of(1, 0)
DROPPED = STYLES[0]


def created() -> SimDisk:
    disk = SimDisk()
    recovery.make_directory(disk, "/a/b/chain")
    assert recovery.create(disk, "/a/b/chain") == 1
    return disk


def frame(payload: bytes, durable: int = 0) -> bytes:
    return b"".join(segment.flatten(payload, durable))


def test_creation_is_durable_up_to_the_root() -> None:
    disk = created().cut(DROPPED)
    assert recovery.locate(disk, "/a/b/chain") == 1
    assert disk.snapshot()["/a/b/chain/CURRENT"] == b"000001\n"
    assert recovery.segments(disk, "/a/b/chain/000001") == [(segment.HEAD, 1)]
    recovery.make_directory(disk, "/a/b/chain")


def test_nothing_there_is_no_chain() -> None:
    disk = SimDisk()
    assert recovery.locate(disk, "/nowhere") == 0
    disk.mkdir("/empty")
    assert recovery.locate(disk, "/empty") == 0


@pytest.mark.parametrize("text", [b"", b"1\n", b"000000\n", b"000001", b"000001\nx", b"\xff" * 7])
def test_current_that_says_something_else(text: bytes) -> None:
    disk = created()
    disk.put("/a/b/chain/CURRENT", text)
    with pytest.raises(UnsupportedFormat):
        recovery.locate(disk, "/a/b/chain")


def test_a_generation_that_is_missing_is_damage() -> None:
    disk = created()
    disk.put("/a/b/chain/CURRENT", b"000007\n")
    with pytest.raises(CorruptLog, match="000007"):
        recovery.locate(disk, "/a/b/chain")


def test_current_that_is_missing_over_frames_is_damage() -> None:
    for prepare in ("frames", "second segment"):
        disk = created()
        disk.remove("/a/b/chain/CURRENT")
        assert recovery.locate(disk, "/a/b/chain") == 0
        if prepare == "frames":
            file = disk.open("/a/b/chain/000001/head.000001")
            file.pwrite((frame(b"x"),), 64)
        else:
            recovery.create_segment(disk, "/a/b/chain/000001", segment.BODY, 2)
        with pytest.raises(CorruptLog, match="CURRENT"):
            recovery.locate(disk, "/a/b/chain")
    disk = created()
    disk.remove("/a/b/chain/CURRENT")
    disk.remove("/a/b/chain/000001/head.000001")
    assert recovery.locate(disk, "/a/b/chain") == 0


def test_destruction_that_was_interrupted_is_finished() -> None:
    disk = created()
    disk.rename("/a/b/chain/000001", "/a/b/chain/doomed.000001")
    assert recovery.locate(disk, "/a/b/chain") == 0
    assert recovery.create(disk, "/a/b/chain") == 1
    assert disk.listdir("/a/b/chain") == ["000001", "CURRENT"]


def test_doom_removes_the_directory_unless_others_use_it() -> None:
    disk = created()
    recovery.doom(disk, "/a/b/chain", 1)
    assert not disk.exists("/a/b/chain")
    disk = created()
    disk.mkdir("/a/b/chain/child")
    recovery.doom(disk, "/a/b/chain", 1)
    assert disk.listdir("/a/b/chain") == ["child"]


def test_segments_are_counted_and_none_may_be_missing() -> None:
    disk = created()
    path = "/a/b/chain/000001"
    assert recovery.count_segments(disk, path, segment.HEAD) == 1
    assert recovery.count_segments(disk, path, segment.BODY) == 0
    disk.put(f"{path}/head.000001.torn-64", b"")
    disk.put(f"{path}/notes", b"")
    assert recovery.count_segments(disk, path, segment.HEAD) == 1
    recovery.create_segment(disk, path, segment.HEAD, 3)
    with pytest.raises(CorruptLog, match="head"):
        recovery.count_segments(disk, path, segment.HEAD)
    disk.remove(f"{path}/head.000001")
    disk.remove(f"{path}/head.000003")
    with pytest.raises(CorruptLog, match="head"):
        recovery.count_segments(disk, path, segment.HEAD)


def test_judging_a_clean_end_a_torn_tail_and_damage() -> None:
    start = segment.HEADER_BYTES
    one, two = frame(b"one"), frame(b"two", PLACE + start + 40)
    three = frame(b"three", PLACE + start + 80)
    bad = two[:-8] + b"TWO\0\0\0\0\0"

    def judge(*parts: bytes) -> Verdict:
        content = bytes(start) + b"".join(parts)
        return recovery.judge(memoryview(content), start, PLACE)

    assert judge() == Verdict(-1, start, 0, -1)
    assert judge(one, two) == Verdict(start + 40, start + 80, 0, -1)
    assert judge(one, bytes(4096)) == Verdict(start, start + 40, 0, -1)
    assert judge(one, bad, bytes(100)) == Verdict(start, start + 40, 35, -1)
    assert judge(one, bad, three) == Verdict(start, start + 40, 77, start + 80)
    # The second frame was written together with the first, before either was confirmed.
    assert judge(bytes(40), frame(b"two", PLACE + start)).proof == -1


def test_a_torn_tail_is_copied_before_it_is_cut() -> None:
    disk = created()
    path = "/a/b/chain/000001/head.000001"
    for serial, name in enumerate(("torn-64", "torn-64-2", "torn-64-3")):
        file = disk.open(path)
        file.pwrite((b"torn %d" % serial + bytes(9),), 64)
        assert recovery.set_aside(disk, path, file, Verdict(-1, 64, 6, -1)) == f"head.000001.{name}"
        kept = disk.cut(DROPPED).snapshot()
        assert kept[f"{path}.{name}"] == b"torn %d" % serial
        assert len(kept[path]) == 64


def test_a_note_says_where_and_what_became_of_it() -> None:
    note = recovery.torn_note("/x/head.000001", Verdict(-1, 0, 6, -1), PLACE + 64, "left alone")
    assert note == "head.000001: 6 bytes of an unfinished write at 64, left alone"


def test_frames_that_nobody_confirmed_are_written_again() -> None:
    disk = created()
    path = "/a/b/chain/000001/head.000001"
    file = disk.open(path)
    content = frame(b"one") + frame(b"two", PLACE + 64)
    file.pwrite((content,), 64)
    disk.record_on(file.number, "lose")
    assert len(disk.cut(DROPPED).snapshot()[path]) == 64
    verdict = recovery.judge(file.map(file.size()), 64, PLACE)
    recovery.confirm(file, file.map(file.size()), verdict, 1)
    assert disk.cut(DROPPED).snapshot()[path][64:] == content


def test_replace_leaves_the_old_or_the_new_content() -> None:
    disk = SimDisk()
    recovery.replace(disk, "/file", (b"old",))
    recovery.replace(disk, "/file", (b"n", b"ew"))
    seen = {after.snapshot().get("/file") for _, _, after in disk.cuts()}
    assert seen == {None, b"old", b"new"}


def test_a_chain_lives_where_the_newest_take_over_is_finished() -> None:
    disk, base = created(), "/a/b/chain"
    assert recovery.home(disk, base) == base
    assert recovery.is_chain(disk, base)
    for epoch in (2, 10):
        disk.mkdir(recovery.epoch_path(base, epoch))
    disk.mkdir(f"{base}/.epoch-007")
    assert recovery.epochs(disk, base) == [2, 10]
    assert recovery.home(disk, base) == base
    assert recovery.create(disk, f"{base}/.epoch-2") == 1
    assert recovery.home(disk, base) == f"{base}/.epoch-2"
    assert recovery.epoch_of(recovery.home(disk, base)) == 2
    assert recovery.epoch_of(base) == 0
    assert not recovery.is_chain(disk, "/nowhere")


def test_a_destroyed_chain_leaves_a_directory_in_which_others_lie() -> None:
    """What is made in it between the last look and its end must not go with it."""
    disk = created()

    class Late(SimDisk):
        def listdir(self, path: str) -> list[str]:
            found = super().listdir(path)
            if path == "/a/b/chain" and not found:
                self.mkdir("/a/b/chain/below")
                return []
            return found

    late = Late(platter=disk._platter)
    recovery.doom(late, "/a/b/chain", 1)
    assert disk.exists("/a/b/chain/below") or not disk.exists("/a/b/chain")


@pytest.mark.parametrize("start", [0, 64, 72])
def test_the_last_segment_is_made_ready_for_more(start: int) -> None:
    disk = created()
    path = "/a/b/chain/000001/head.000001"
    file = disk.open(path)
    whole = frame(b"one") + frame(b"two")
    file.pwrite((whole, b"torn", bytes(100)), segment.HEADER_BYTES)
    end = segment.HEADER_BYTES + len(whole)
    verdict, size, torn = recovery.settle(disk, path, file, 1, start)
    assert (verdict.end, size) == (end, end)
    assert torn == (
        f"head.000001: 4 bytes of an unfinished write at {end}, kept as head.000001.torn-{end}",
    )
    assert recovery.settle(disk, path, file, 1, start)[2] == ()
    kept = disk.cut(DROPPED).snapshot()
    assert kept[path][segment.HEADER_BYTES :] == whole
    assert kept[f"{path}.torn-{end}"] == b"torn"


def test_a_segment_that_is_damaged_is_left_as_it_is() -> None:
    disk = created()
    path = "/a/b/chain/000001/head.000001"
    first = frame(b"one")
    behind = segment.place_of(1, segment.HEADER_BYTES + len(first))
    file = disk.open(path)
    file.pwrite((b"x" * len(first), frame(b"two", durable=behind)), segment.HEADER_BYTES)
    before = disk.snapshot()
    with pytest.raises(CorruptLog, match=r"head.000001 at byte 64"):
        recovery.settle(disk, path, file, 1, 0)
    assert disk.snapshot() == before
