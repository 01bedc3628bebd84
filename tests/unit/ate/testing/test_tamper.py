from __future__ import annotations

from ate.event.commit import Record
from ate.event.row import Kind
from ate.ids import ObjectId
from ate.testing.forger import Line
from ate.testing.stage import Stage
from ate.testing.tamper import copy_of, following, relinked, row_span, spliced, with_body


async def scene() -> Stage:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    for number in range(3):
        await stage.as_(alice).store(f"note {number}")
    return stage


async def test_what_it_writes_back_is_what_was_there() -> None:
    stage = await scene()
    tamperer = stage.tamperer()
    payloads = tamperer.payloads()
    assert len(payloads) == 4
    assert relinked(payloads) == payloads
    tamperer.write(payloads)
    assert (await stage.verify()).ok
    tamperer.write(payloads, segment_bytes=6000)
    assert tamperer.has("head.000002")
    assert tamperer.payloads() == payloads
    assert (await stage.verify()).ok


async def test_numbers_and_links_are_made_right_again() -> None:
    stage = await scene()
    payloads = stage.tamperer().payloads()
    records = [Record(memoryview(one)) for one in relinked([*payloads[:2], payloads[3]])]
    assert [record.sequencer.index for record in records] == [0, 1, 2]
    assert records[2].first_seq == records[1].first_seq + records[1].row_count
    part = following([bytes(record.payload) for record in records[:2]], 5)
    assert (part.link, part.first_seq, part.index) == (
        records[2].sequencer.link,
        records[2].first_seq,
        2,
    )


async def test_a_commit_is_appended_without_asking() -> None:
    stage = await scene()
    forger = await stage.forger(None)
    stage.tamperer().append(forger.commit(Line(ObjectId.random())))
    assert not (await stage.verify()).ok
    assert len(stage.tamperer().payloads()) == 5


async def test_files_are_edited_and_removed() -> None:
    stage = await scene()
    tamperer = stage.tamperer()
    assert {path.rpartition("/")[2] for path in tamperer.files()} >= {"CURRENT", "index"}
    tamperer.edit("index", lambda content: content.__setitem__(0, 0))
    assert stage.disk.snapshot()[tamperer.path("index")][0] == 0
    tamperer.remove("index")
    assert not tamperer.has("index")


async def test_a_copy_of_a_disk_is_another_disk() -> None:
    stage = await scene()
    twin = copy_of(stage.disk)
    assert twin.snapshot() == stage.disk.snapshot()
    stage.tamperer().remove("index")
    assert twin.snapshot() != stage.disk.snapshot()


async def test_bodies_and_bytes_are_exchanged() -> None:
    stage = await scene()
    payload = stage.tamperer().payloads()[-1]
    at = Record(memoryview(payload)).kinds.index(Kind.DATA)
    record = Record(memoryview(with_body(payload, at, b"another")))
    assert bytes(record.inline(record.row(at))) == b"another"
    assert record.root == Record(memoryview(payload)).root
    assert payload[row_span(0)][0] in set(Kind)
    assert spliced(b"abcdef", 2, b"XY") == b"abXYef"
