from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

import ate
from ate.dio.opening import chain_directory, home
from ate.errors import (
    CorruptLog,
    LimitExceeded,
    LogLocked,
    NotFound,
    ReadOnly,
    UnsupportedFormat,
    UntrustedRoot,
    UsageError,
)  # fmt: skip
from ate.ids import ChainName
from ate.joining import registry
from ate.log.disk import RealDisk, RealFile
from ate.mesh.hall import Hall
from ate.mesh.shelf import MemoryShelf
from ate.server import serve
from ate.session import Session
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import member


class Watched(RealDisk):
    """The machine's disk, taking notes of what is touched."""

    __slots__ = ("touched",)

    def __init__(self) -> None:
        self.touched: list[str] = []

    def open(self, path: str, *, readonly: bool = False) -> RealFile:
        self.touched.append(path)
        return super().open(path, readonly=readonly)

    def listdir(self, path: str) -> list[str]:
        self.touched.append(path)
        return super().listdir(path)

    def exists(self, path: str) -> bool:
        self.touched.append(path)
        return super().exists(path)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def filled(path: str | Path, name: str = "u", disk: SimDisk | None = None) -> ate.ObjectId:
    async with ate.open(name, path=path, disk=disk) as chain, chain.dio() as dio:
        dao = dio.store("kept")
    return dao.id


# --- where chains are ---------------------------------------------------------------------------


def test_home_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATE_HOME", str(tmp_path / "mine"))
    assert home() == tmp_path / "mine"
    assert chain_directory(ChainName("a/b")) == tmp_path / "mine" / "chains" / "a" / "b"
    assert chain_directory(ChainName("a"), "x") == Path("x") / "a"
    monkeypatch.delenv("ATE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home() == tmp_path / "ate"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".local/share/ate"


async def test_a_chain_without_a_path_is_kept_in_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ATE_HOME", str(tmp_path))
    async with ate.open("example.com/alice/notes") as chain:
        assert str(chain.name) == "example.com/alice/notes"
    assert (tmp_path / "chains/example.com/alice/notes/CURRENT").exists()
    assert names(tmp_path) == ["chains"]


async def test_memory_makes_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """D24."""
    monkeypatch.setenv("ATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    disk = SimDisk()
    async with ate.open("m", memory=True, disk=disk, session=member("alice")) as chain:
        async with chain.dio() as dio:
            dao = dio.store(bytes(200_000))
        assert (await chain.dio().load(bytes, dao.id)).value == bytes(200_000)
    assert names(tmp_path) == []
    assert disk.snapshot() == {}
    for wrong in ({"path": "x"}, {"readonly": True}):
        with pytest.raises(UsageError, match="memory chain"):
            await ate.open("m", memory=True, **wrong)


async def test_a_thousand_chains_on_disk_and_only_one_is_opened(tmp_path: Path) -> None:
    """B3: nothing looks at a chain before it is opened by name."""
    await filled(tmp_path)
    for number in range(1000):
        shutil.copytree(tmp_path / "u", tmp_path / f"chain{number}")
    disk = Watched()
    async with ate.open("u", path=tmp_path, disk=disk) as chain:
        assert len(chain) == 1
    assert disk.touched
    assert [path for path in disk.touched if "/chain" in path.removeprefix(str(tmp_path))] == []
    with pytest.raises(UntrustedRoot, match="'u', not 'chain7'"):
        await ate.open("chain7", path=tmp_path)


@pytest.mark.parametrize(
    "name",
    ["", "/", "a//b", "../up", "a/../b", ".hidden", "a/.b", "a b", "naïve", "a/", "a\0b", "a\n"],
)
async def test_names_that_are_no_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a chain name") as caught:
        await ate.open(name, path=tmp_path)
    assert "letters" in caught.value.hint
    assert names(tmp_path) == []


async def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="chain name bytes is 257"):
        await ate.open("x" * 257, path=tmp_path)
    async with ate.open("x" * 250, memory=True) as chain:
        assert len(chain.name) == 250


# --- opening ------------------------------------------------------------------------------------


async def test_awaited_or_entered(tmp_path: Path) -> None:
    chain = await ate.open("u", path=tmp_path)
    assert repr(chain) == "Chain('u', 0 objects, head 1)"
    assert (chain.head, chain.commits, len(chain.id), len(chain.root)) == (1, 1, 32, 32)
    assert (chain.session, chain.readonly, chain.durability) == (None, False, ate.FULL)
    async with chain as same:
        assert same is chain
    await chain.close()
    for call in (chain.dio, chain.watch):
        with pytest.raises(UsageError, match="the chain is closed"):
            call()


async def test_a_restart_finds_what_was_there(tmp_path: Path) -> None:
    """D10 and B1: with the snapshot, and with all that is only a cache gone."""
    alice = member("alice")
    async with ate.open("u", path=tmp_path, session=alice, clock=SimClock(tick_us=1)) as chain:
        dio = chain.dio()
        daos = [dio.store({"n": number}) for number in range(100)]
        child = dio.store("child", parent=daos[3])
        await dio.commit()
        daos[5].delete()
        await dio.commit()
        facts = (chain.id, chain.head, chain.root, chain.commits, len(chain))
        order = [dao.id async for dao in chain.dio().all(object)]
    for cached in (True, False):
        if not cached:
            (tmp_path / "u/000001/index").unlink()
        async with ate.open("u", path=tmp_path, session=alice, readonly=True) as chain:
            assert (chain.id, chain.head, chain.root, chain.commits, len(chain)) == facts
            assert [dao.id async for dao in chain.dio().all(object)] == order
            assert [dao.id async for dao in chain.dio().children(daos[3].id, str)] == [child.id]
            assert (await chain.dio().load(dict, daos[7].id)).created == daos[7].created


async def test_large_bodies_are_apart_and_the_heads_alone_list_every_key(tmp_path: Path) -> None:
    """B2."""
    async with ate.open("u", path=tmp_path) as chain, chain.dio() as dio:
        large, small = dio.store(bytes(300_000)), dio.store("small")
    generation = tmp_path / "u/000001"
    assert (generation / "head.000001").stat().st_size < 10_000
    assert (generation / "body.000001").stat().st_size > 300_000
    (generation / "body.000001").unlink()
    (generation / "index").unlink()
    async with ate.open("u", path=tmp_path, readonly=True) as chain:
        dio = chain.dio()
        assert await dio.exists(large.id)
        assert (await dio.load(str, small.id)).value == "small"
        with pytest.raises(CorruptLog, match="body segment is missing"):
            await dio.load(bytes, large.id)


async def test_a_chain_that_is_not_there(tmp_path: Path) -> None:
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(NotFound, match="no chain 'u'"):
            await ate.open("u", path=tmp_path, **options)  # type: ignore[arg-type]
    assert names(tmp_path) == []
    async with ate.open("m", memory=True, create=False) as chain:
        assert chain.head == 1


async def test_a_chain_that_could_not_be_begun_leaves_no_files(tmp_path: Path) -> None:
    alice = member("alice")
    for wrong in ({"mode": "typo"}, {"suite": 9}, {"roots": [alice.public]}):
        with pytest.raises(UsageError):
            await ate.open("u", path=tmp_path, **wrong)
        assert not (tmp_path / "u").exists()


async def test_a_chain_whose_making_was_cut_off_is_made_at_the_next_opening() -> None:
    disk = SimDisk()
    await filled("/c", disk=disk)
    for done, style, survivor in disk.cuts():
        async with ate.open("u", path="/c", disk=survivor) as chain:
            assert chain.head in (1, 2), (done, style)
        with_reader = await ate.open("u", path="/c", disk=survivor, readonly=True)
        await with_reader.close()


async def test_one_writer_any_number_of_readers(tmp_path: Path) -> None:
    key = await filled(tmp_path)
    async with ate.open("u", path=tmp_path) as writer:
        with pytest.raises(LogLocked) as caught:
            await ate.open("u", path=tmp_path)
        assert "readonly" in caught.value.hint
        readers = [await ate.open("u", path=tmp_path, readonly=True) for _ in range(3)]
        async with writer.dio() as dio:
            dio.store("new")
        for reader in readers:
            assert reader.readonly
            assert await reader.refresh() == 3
            assert (await reader.dio().load(str, key)).value == "kept"
            dio = reader.dio()
            dio.store("x")
            with pytest.raises(ReadOnly):
                await dio.commit()
            await reader.close()
    async with ate.open("u", path=tmp_path):
        pass


async def test_a_failed_opening_gives_the_lock_back(tmp_path: Path) -> None:
    async with ate.open("u", path=tmp_path, session=member("alice")):
        pass
    with pytest.raises(UntrustedRoot):
        await ate.open("u", path=tmp_path, roots=[member("bob").public])
    async with ate.open("u", path=tmp_path, roots=[member("alice").public]) as chain:
        assert chain.session is None


async def test_the_wrong_key_sees_nothing_and_harms_nothing(tmp_path: Path) -> None:
    alice, mallory = member("alice"), Session.new("mallory")
    async with ate.open("u", path=tmp_path, session=alice) as chain, chain.dio() as dio:
        dao = dio.store("secret")
    for who in (mallory, None):
        async with ate.open("u", path=tmp_path, session=who) as chain:
            assert [one async for one in chain.dio().all(object)] == []
            with pytest.raises(ate.NoReadKey) as caught:
                await chain.dio().load(str, dao.id)
            assert "session" in caught.value.hint
            dio = chain.dio()
            dio.store("mine")
            with pytest.raises(ate.AteError):
                await dio.commit()
    async with ate.open("u", path=tmp_path, session=alice) as chain:
        assert (await chain.dio().load(str, dao.id)).value == "secret"
        assert len(chain) == 1


# --- garbage ------------------------------------------------------------------------------------


async def test_files_of_others_in_the_directory_are_left_alone(tmp_path: Path) -> None:
    key = await filled(tmp_path)
    garbage = {
        tmp_path / "u/notes.txt": b"mine", tmp_path / "u/000001/head.tmp": bytes(100),
        tmp_path / "u/000001/head.000001.bak": b"\xff" * 5000, tmp_path / "u/.DS_Store": b"",
        tmp_path / "u/000001/body.zip": b"PK", tmp_path / "u/000009x": b"?",
    }  # fmt: skip
    for path, content in garbage.items():
        path.write_bytes(content)
    (tmp_path / "u/000001/folder").mkdir()
    for readonly in (True, False):
        async with ate.open("u", path=tmp_path, readonly=readonly) as chain:
            assert (await chain.dio().load(str, key)).value == "kept"
    assert {path: path.read_bytes() for path in garbage} == garbage


@pytest.mark.parametrize("content", [b"", b"garbage", b"000001", b"../../x\n", b"000000\n"])
async def test_a_strange_current_is_refused_and_untouched(content: bytes, tmp_path: Path) -> None:
    await filled(tmp_path)
    (tmp_path / "u/CURRENT").write_bytes(content)
    before = contents(tmp_path)
    with pytest.raises(UnsupportedFormat):
        await ate.open("u", path=tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["CURRENT", "000001/head.000001"])
async def test_a_missing_file_is_not_taken_for_a_new_chain(name: str, tmp_path: Path) -> None:
    await filled(tmp_path)
    (tmp_path / "u" / name).unlink()
    with pytest.raises(CorruptLog):
        await ate.open("u", path=tmp_path)


@pytest.mark.parametrize("snapshot", [b"", b"garbage" * 100, None])
async def test_a_snapshot_that_is_missing_or_garbage_costs_nothing(
    snapshot: bytes | None, tmp_path: Path
) -> None:
    key = await filled(tmp_path)
    index = tmp_path / "u/000001/index"
    if snapshot is None:
        index.unlink()
    else:
        index.write_bytes(snapshot)
    async with ate.open("u", path=tmp_path) as chain:
        assert (await chain.dio().load(str, key)).value == "kept"
    assert index.stat().st_size > 500, "written anew"


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [True, False])
async def test_an_empty_chain_is_destroyed_when_that_was_asked_for(
    wanted: bool, tmp_path: Path
) -> None:
    """A60."""
    async with ate.open("u", path=tmp_path, destroy_when_empty=True) as chain:
        dio = chain.dio()
        daos = [dio.store(number) for number in range(3)]
        await dio.commit()
    assert (tmp_path / "u/000001/head.000001").exists(), "it is not empty"
    async with ate.open("u", path=tmp_path, destroy_when_empty=wanted) as chain:
        async with chain.dio() as dio:
            for dao in daos:
                dio.delete(dao.id)
        assert len(chain) == 0
    assert (tmp_path / "u").exists() is not wanted
    async with ate.open("u", path=tmp_path) as chain:
        assert chain.head == (1 if wanted else 7)


async def test_destroying_a_chain_leaves_the_chains_below_its_name(tmp_path: Path) -> None:
    await filled(tmp_path, "u/below")
    async with ate.open("u", path=tmp_path, destroy_when_empty=True):
        pass
    assert not (tmp_path / "u/CURRENT").exists()
    async with ate.open("u/below", path=tmp_path) as chain:
        assert len(chain) == 1


async def test_closing_twice_is_closing_once_and_ends_who_waits(tmp_path: Path) -> None:
    chain = await ate.open("u", path=tmp_path)
    events = chain.watch()
    waiting = asyncio.ensure_future(anext(events, None))
    await asyncio.sleep(0)
    await chain.close()
    await chain.close()
    assert await waiting is None


async def test_readers_are_kept_by_session() -> None:
    alice = member("alice")
    async with ate.open("u", memory=True, session=alice) as chain:
        assert chain._reader(alice) is chain._reader(alice)
        assert chain._reader(None) is not chain._reader(alice)
        assert chain.dio(session=alice).session is alice


async def test_every_process_takes_another_origin(tmp_path: Path) -> None:
    alice = member("alice")
    for number in range(3):
        async with ate.open("u", path=tmp_path, session=alice) as chain, chain.dio() as dio:
            dio.store(number)
    async with ate.open("u", path=tmp_path, session=alice, readonly=True) as chain:
        assert len(chain._ledger.view.origins.table) == 3


async def test_a_fork_and_the_row_of_a_time(tmp_path: Path) -> None:
    async with ate.open("notes", path=tmp_path) as chain:
        dio = chain.dio()
        dao = dio.store("first")
        await dio.commit()
        assert dao.updated is not None
        assert chain.seq_at_time(dao.updated) == dao.seq
        dio.store("second")
        await dio.commit()
        then = await chain.fork("then", at=dao.updated, path=tmp_path)
        assert (then.seq, then.objects) == (dao.seq, 1)
        now = await chain.fork("now", path=tmp_path)
        assert (now.seq, now.objects) == (chain.head, 2)
    with pytest.raises(ate.UsageError, match="closed"):
        await chain.fork("late", path=tmp_path)


# --- shared -------------------------------------------------------------------------------------


async def test_a_shared_chain_is_opened_by_the_address_of_its_server(tmp_path: Path) -> None:
    alice, hall = member("alice"), Hall(MemoryShelf())
    async with serve(hall, websocket=False, tcp=True) as server:
        with pytest.raises(NotFound):
            await ate.open("s", url=server.url, session=alice, create=False)
        async with ate.open("s", url=server.url, session=alice, path=tmp_path) as chain:
            assert chain.status.url.startswith("tcp://127.0.0.1")
            async with chain.dio() as dio:
                dio.store("x")
        with pytest.raises(UsageError, match="recovery"):
            await ate.open("s", url=server.url, session=alice, path=tmp_path, recovery="maybe")
        other = ate.open(
            "s", url=server.url, session=alice, path=tmp_path, roots=[member("bob").public]
        )
        with pytest.raises(UntrustedRoot):
            await other
        async with ate.open("s", url=server.url, session=alice, path=tmp_path) as chain:
            assert len(chain) == 1
        await registry().close()
    await hall.close()


async def test_a_timer_of_checkpoints_needs_a_key() -> None:
    with pytest.raises(UsageError, match="checkpoint_every"):
        ate.open("c", memory=True, checkpoint_every=5)
