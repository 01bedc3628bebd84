"""A replica gives what it has, and promises nothing."""

from __future__ import annotations

import pytest

from ate.chain.source import Replica, index_of
from ate.crypto.hash import digest
from ate.errors import NotFound, UnsupportedFormat
from ate.event.commit import Record
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Stage
from ate.testing.tamper import spliced

LARGE = "large " * 12_000


async def play() -> tuple[Stage, list[bytes]]:
    stage = Stage()
    for text in ("one", LARGE, "three", "four"):
        await stage.as_(None).store(text)
    return stage, stage.tamperer().payloads()


def of(stage: Stage) -> Replica:
    return Replica(stage.disk, stage.directory, name="copy")


async def test_commits_come_by_index() -> None:
    stage, payloads = await play()
    one = of(stage)
    assert one.name == "copy"
    assert one.newest() == 4
    assert [bytes(record.payload) for record in one.commits(1, 3)] == payloads[1:4]
    assert list(one.commits(5, 9)) == []
    assert Replica(stage.disk, stage.directory).name == stage.directory


async def test_bodies_come_from_where_they_are() -> None:
    stage, _ = await play()
    one = of(stage)
    for number in (1, 2):
        (record,) = one.commits(number, number)
        (body,) = one.bodies(record, 0)
        assert digest(body) == record.row(0).body_hash
    stage.tamperer().remove("body.000001")
    one = of(stage)
    (record,) = one.commits(2, 2)
    assert list(one.bodies(record, 0)) == []


async def test_what_is_damaged_is_left_out() -> None:
    stage, payloads = await play()
    short = spliced(payloads[2], 4, b"\xff\xff\0\0")
    stage.tamperer().write([payloads[0], b"tiny", payloads[1], short, payloads[3], payloads[3]])
    one = of(stage)
    assert [record.sequencer.index for record in one.commits(0, 9)] == [0, 1, 3, 3]
    (first, _) = one.commits(3, 3)
    lost = Record(memoryview(spliced(bytes(first.payload), 272 + 120, b"\xff" * 7)))
    assert list(one.bodies(lost, 0)) == []


async def test_other_generations_help_too() -> None:
    stage, _ = await play()
    stage.disk.mkdir(f"{stage.directory}/000002")
    for path, raw in stage.tamperer().files().items():
        if "/000001/" in path:
            head = bytearray(raw)
            stage.disk.put(path.replace("/000001/", "/000002/"), bytes(head))
    assert len(list(of(stage).commits(2, 2))) == 2


def test_nothing_is_no_source() -> None:
    with pytest.raises(NotFound):
        Replica(SimDisk(), "/nowhere")


async def test_a_log_without_frames_has_nothing() -> None:
    stage, _ = await play()
    stage.tamperer().edit("head.000001", lambda content: content.__delitem__(slice(64, None)))
    assert of(stage).newest() == -1
    assert list(of(stage).commits(0, 9)) == []


async def test_newer_and_thinned_commits() -> None:
    stage, payloads = await play()
    thinned = bytes([0x81]) + payloads[1][1:]
    assert index_of(memoryview(thinned)) == -1
    assert index_of(memoryview(payloads[3])) == 3
    assert index_of(memoryview(b"short")) == -1
    stage.tamperer().write([payloads[0], bytes([2]) + payloads[1][1:]])
    with pytest.raises(UnsupportedFormat):
        of(stage).newest()
