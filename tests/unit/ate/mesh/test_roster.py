"""`ate.mesh.roster`: each chain is opened once, not too many are, and idle ones are closed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.ate.mesh.served import Envoy, Scribe, settled

from ate.clock import SystemClock
from ate.crypto.entropy import system_entropy
from ate.errors import AteError, Disconnected, LogLocked, NotFound, StorageError, Throttled
from ate.ids import ChainName
from ate.log.store import LogStore
from ate.mesh.gate import OpenGate
from ate.mesh.meter import SilentMeter
from ate.mesh.root import Root
from ate.mesh.roster import Making, Roster, Shelf
from ate.mesh.shelf import DiskShelf, MemoryShelf
from ate.testing.simdisk import SimDisk
from ate.testing.simloop import run, sim_loop
from ate.wire.message import Accepted, Submit

NAME = ChainName("notes")


class Told:
    def __init__(self) -> None:
        self.opened: list[str] = []
        self.failed: list[AteError] = []

    def open(self, root: Root) -> None:
        self.opened.append(root.name)

    def fail(self, root: Root, error: AteError) -> None:
        self.failed.append(error)


def roster(shelf: Shelf | None = None, told: Told | None = None, **options: float) -> Roster:
    told = told or Told()
    making = Making(SystemClock(), system_entropy, b"", OpenGate(), SilentMeter(), None)
    given = {"idle_close_s": 60.0, "max_open": 10, **options}
    return Roster(
        shelf or MemoryShelf(), making, on_opened=told.open, on_failure=told.fail,
        idle_close_s=given["idle_close_s"], max_open=int(given["max_open"]),
    )  # fmt: skip


async def found(chains: Roster, name: str) -> Root:
    """Make a chain, and leave it open."""
    root = await chains.root(ChainName(name), create=True)
    chains.enter(root)
    envoy = Envoy()
    await root.submit(envoy, Submit(1, await Scribe().founding(name)))
    await envoy.until(Accepted)
    return root


async def test_who_opens_at_the_same_time_gets_the_same_root() -> None:
    told = Told()
    chains = roster(told=told)
    one, other = await asyncio.gather(*(chains.root(NAME, create=True) for _ in range(2)))
    assert one is other
    assert await chains.root(NAME) is one
    assert told.opened == ["notes"]
    await chains.close()


async def test_what_is_not_there_is_not_made_unless_asked() -> None:
    chains = roster()
    refused, made = await asyncio.gather(
        chains.root(NAME), chains.root(NAME, create=True), return_exceptions=True
    )
    assert isinstance(refused, NotFound)
    assert isinstance(made, Root)
    assert chains.exists(NAME)
    await chains.close()


async def test_a_chain_that_nobody_has_open_is_closed_and_comes_back(tmp_path: Path) -> None:
    chains = roster(DiskShelf(tmp_path))
    root = await found(chains, "notes")
    chains._idle_close_s = 0.0
    chains.leave(root)
    await settled(lambda: not (chains.roots or chains._leaving))
    again = await chains.root(NAME)
    assert again is not root
    assert again.durable == 1
    await chains.close()


def test_idle_time_is_measured_from_the_last_one_who_left() -> None:
    async def main() -> None:
        chains = roster(SimShelf(), idle_close_s=60.0)
        root = await found(chains, "notes")
        chains.enter(root)
        chains.leave(root)
        await sim_loop().pause(100)
        assert chains.roots
        chains.leave(root)
        await sim_loop().pause(59)
        chains.enter(root)
        chains.leave(root)
        await sim_loop().pause(59)
        assert chains.roots
        await sim_loop().pause(2)
        assert not chains.roots
        await chains.close()

    run(main)


class SimShelf(MemoryShelf):
    """A shelf that counts what is open."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.most = 0

    def open(self, name: ChainName, *, create: bool) -> LogStore:
        self.count += 1
        self.most = max(self.most, self.count)
        log = super().open(name, create=create)
        close = log.close

        def closed() -> None:
            self.count -= 1
            close()

        log.close = closed  # type: ignore[method-assign]
        return log


async def test_the_longest_idle_is_closed_when_there_is_no_room() -> None:
    shelf = SimShelf()
    chains = roster(shelf, max_open=3)
    for name in ("a", "b", "c"):
        chains.leave(await found(chains, name))
    chains.enter(await chains.root(ChainName("a")))
    await found(chains, "d")
    assert set(chains.roots) == {"a", "c", "d"}
    await chains.root(ChainName("b"))
    assert set(chains.roots) == {"a", "b", "d"}
    assert shelf.most <= 3
    chains.enter(chains.roots["b"])
    with pytest.raises(Throttled, match="3 chains open"):
        await chains.root(ChainName("c"))
    chains.leave(chains.roots["d"])
    assert (await chains.root(ChainName("c"))).durable == 1
    await chains.close()


async def test_many_at_once_are_not_too_many() -> None:
    shelf = SimShelf()
    chains = roster(shelf, max_open=5)
    for number in range(40):
        chains.leave(await found(chains, f"c{number}"))
    roots = await asyncio.gather(*(chains.root(ChainName(f"c{n}")) for n in range(40)),
                                 return_exceptions=True)  # fmt: skip
    assert all(isinstance(one, Root | Throttled) for one in roots)
    assert shelf.most <= 5
    await chains.close()
    assert not chains.roots


async def test_a_medium_that_fails_is_told_and_the_chain_can_be_opened_again() -> None:
    disk, told = SimDisk(), Told()
    chains = roster(DiskShelf("/s", disk), told)
    root = await found(chains, "notes")
    disk.fail("sync", StorageError("input/output error"))
    envoy, scribe = Envoy(), Scribe(2)
    scribe.join(root.ledger.view.trust.chain_id)
    note = scribe.note()
    await root.submit(envoy, Submit(1, note))
    await settled(lambda: told.failed)
    assert not envoy.heard
    again = await chains.root(NAME)
    assert again is not root
    await again.submit(envoy, Submit(1, note))
    await envoy.until(Accepted)
    chains.leave(root)  # whoever had the old one open may still let go of it
    assert chains.roots == {"notes": again}
    await chains.close()


async def test_a_log_that_somebody_else_writes_is_not_opened(tmp_path: Path) -> None:
    one, other = roster(DiskShelf(tmp_path)), roster(DiskShelf(tmp_path))
    await found(one, "notes")
    for _ in range(2):
        with pytest.raises(LogLocked):
            await other.root(NAME)
    both = await asyncio.gather(*(other.root(NAME) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(error, LogLocked) for error in both)
    await one.close()
    assert (await other.root(NAME)).durable == 1
    await other.close()


async def test_damage_is_told_and_the_log_is_let_go() -> None:
    disk = SimDisk()
    chains = roster(DiskShelf("/s", disk))
    root, envoy, scribe = await found(chains, "notes"), Envoy(), Scribe(2)
    scribe.join(root.ledger.view.trust.chain_id)
    await root.submit(envoy, Submit(1, scribe.note()))
    await chains.close()
    (path,) = [path for path in disk.snapshot() if "/head." in path]
    raw = bytearray(disk.snapshot()[path])
    raw[300] ^= 1
    disk.put(path, bytes(raw))
    for index in [path for path in disk.snapshot() if path.endswith("index")]:
        disk.put(index, b"")
    chains = roster(DiskShelf("/s", disk))
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            await chains.root(NAME)
        assert not isinstance(caught.value, LogLocked)
    await chains.close()


async def test_a_log_that_does_not_close_well_is_not_in_the_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = SimDisk()
    chains = roster(DiskShelf("/s", disk))
    root = await found(chains, "notes")
    root.ledger.store.append([b""])
    disk.fail("sync", StorageError("input/output error"))
    await chains.close()
    assert "was not closed well" in caplog.text


async def test_whoever_asks_while_it_closes_is_sent_away() -> None:
    chains = roster()
    await found(chains, "notes")
    await chains.close()
    with pytest.raises(Disconnected):
        await chains.root(NAME)


async def test_others_have_their_turn_while_a_large_chain_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ate.chain.ledger._PAUSE_WORK", 0)
    shelf = MemoryShelf()
    chains = roster(shelf)
    root = await found(chains, "notes")
    envoy, scribe = Envoy(), Scribe(2)
    scribe.join(root.ledger.view.trust.chain_id)
    for note in scribe.notes(50):
        await root.submit(envoy, Submit(1, note))
    await chains.close()
    shelf._logs["notes"]._index = None
    chains, turns = roster(shelf), 0
    opening = asyncio.ensure_future(chains.root(NAME))
    while not opening.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50
    assert (await opening).durable == 51
    await chains.close()


async def test_a_guard_makes_a_signed_chain_open_at_once() -> None:
    """The snapshot of a chain that has roots serves only who knows what guards it."""
    from ate.testing.stage import Stage

    stage = Stage()
    (alice,) = await stage.cast("alice")
    for text in "abc":
        await stage.as_(alice).store(text)
    reads = []
    for guard in (b"", b"", b"g" * 32, b"g" * 32, b"other" * 6 + b"ot"):
        making = Making(stage.clock, system_entropy, guard, OpenGate(), SilentMeter(), None)
        chains = Roster(
            DiskShelf("/chains", stage.disk), making, idle_close_s=60.0, max_open=3,
            on_opened=lambda _: None, on_failure=lambda *_: None,
        )  # fmt: skip
        root = await chains.root(ChainName("play"))
        reads.append(root.ledger.verified_commits)
        root.ledger._has_appended, root.ledger._snapshot_head = True, 0
        await chains.close()
    assert reads == [4, 4, 4, 0, 4]
