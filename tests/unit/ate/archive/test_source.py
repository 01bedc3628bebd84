from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.ate.archive.chains import LARGE, write

import ate
from ate.archive.source import Moved, Source, complete
from ate.errors import CorruptLog, NotFound, UsageError
from ate.log import takeover
from ate.log.disk import RealDisk
from ate.log.local import LocalLog
from ate.testing.simdisk import SimDisk


def test_what_it_says_is_what_the_chain_says(tmp_path: Path) -> None:
    head, root = write(tmp_path, commits=3, size=LARGE, signed=True)
    source = Source(tmp_path / "c")
    facts = source.survey(source.look())
    assert (facts.name, facts.head, facts.frontier.root(), facts.thinned) == ("c", head, root, 0)
    assert source.identity(source.look()) == ("c", facts.chain.hex())
    lengths = source.lengths(facts)
    assert sorted(lengths) == ["body.000001", "head.000001"]
    assert source.read(1, "head.000001", 0, 8) == b"ATELOG1\n"
    source.check_unmoved(facts)
    source.close()


def test_more_is_the_same_as_all_at_once(tmp_path: Path) -> None:
    write(tmp_path, commits=2)
    source = Source(tmp_path / "c")
    before = source.survey(source.look())
    write(tmp_path, commits=3, size=LARGE)
    log = source.look()
    assert source.goes_on(log, before.last_place, before.last_digest)
    assert source.survey_more(log, before) == source.survey(log)
    assert source.survey_more(log, source.survey(log)) == source.survey(log)
    source.close()


def test_it_sees_what_a_writer_does_meanwhile(tmp_path: Path) -> None:
    with ate.blocking.open("c", path=tmp_path) as chain:
        source = Source(tmp_path / "c")
        facts = source.survey(source.look())
        for _ in range(3):
            dio = chain.dio()
            dio.store({"n": 1})
            dio.commit()
            facts = source.survey_more(source.look(), facts)
            assert (facts.head, facts.frontier.root()) == (chain.head, chain.root)
            source.check_unmoved(facts)
        source.close()


def test_a_reader_makes_durable_what_it_takes(tmp_path: Path) -> None:
    disk = SimDisk(1)
    with ate.blocking.open("c", path="/d", disk=disk, durability=ate.Durability.NONE) as chain:
        dio = chain.dio()
        dio.store({"n": 1})
        dio.commit()
        source = Source("/d/c", disk=disk)
        facts = source.survey(source.look())
        from ate.testing.platter import STYLES

        survivor = disk.cut(STYLES[0])  # loses everything that was not flushed
    again = Source("/d/c", disk=survivor)
    assert again.survey(again.look()).head == facts.head


def test_no_chain(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Source(tmp_path / "c").look()
    LocalLog.open(tmp_path / "c").close()  # a chain whose genesis was never written
    source = Source(tmp_path / "c")
    assert source.identity(source.look()) is None
    with pytest.raises(NotFound, match="still empty"):
        source.survey(source.look())


def test_a_damaged_chain_is_told(tmp_path: Path) -> None:
    write(tmp_path, commits=3, size=LARGE)
    for name, at in (("head.000001", 700), ("body.000001", 500)):
        path = tmp_path / "c/000001" / name
        raw = path.read_bytes()
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        source = Source(tmp_path / "c")
        with pytest.raises(CorruptLog):
            source.survey(source.look())
        path.write_bytes(raw)


def test_files_that_go_away_are_noticed(tmp_path: Path) -> None:
    write(tmp_path, commits=2)
    source = Source(tmp_path / "c")
    facts = source.survey(source.look())
    with pytest.raises(Moved, match="shorter"):
        source.read(1, "head.000001", 0, 10**6)
    with pytest.raises(Moved, match="went away"):
        source.read(1, "body.000001", 0, 8)
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(Moved, match="destroyed"):
        source.check_unmoved(facts)
    write(tmp_path, commits=2)  # another chain in the same place
    with pytest.raises(Moved, match="replaced"):
        source.check_unmoved(facts)


def test_work_that_waits_is_refused() -> None:
    import asyncio

    async def quick() -> int:
        return 7

    async def slow() -> None:
        await asyncio.sleep(0)

    assert complete(quick()) == 7
    with pytest.raises(UsageError):
        complete(slow())


def test_a_chain_that_goes_on_elsewhere_is_followed(tmp_path: Path) -> None:
    head, _ = write(tmp_path, commits=2)
    source = Source(tmp_path / "c")
    first = source.look()
    takeover.branch(RealDisk(), str(tmp_path / "c"), str(tmp_path / "c/.epoch-2"))
    second = source.look()
    assert second is not first
    facts = source.survey(second)
    assert facts.head == head
    source.check_unmoved(facts)
    source.close()
