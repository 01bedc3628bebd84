"""Clients of servers that were set back, compacted, swapped, lie, or run by another clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.shared import KILLED, NAME, Device, Note, World, play, put, texts, until

import ate
from ate import Durability
from ate.errors import (
    AteError,
    BodyNotHeld,
    CorruptLog,
    Forked,
    Offline,
    TimedOut,
    UntrustedRoot,
    UsageError,
    WriteDenied,
)  # fmt: skip
from ate.mesh.acknowledged import Acknowledged
from ate.mesh.evidence import decode, judge
from ate.mesh.gate import OpenGate, Rights
from ate.mesh.hall import Hall
from ate.testing.stage import member

# --- set back, swapped ---------------------------------------------------------------------------


@pytest.mark.parametrize("signs", [False, True])
def test_a_server_that_was_set_back_is_told_by_those_who_know_more(signs: bool) -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        await put(chain, "old")
        await world.stop()
        backup = world.disk.cut(KILLED)
        world.start()
        kept = await put(chain, "acknowledged")
        await chain.sync()
        await world.loop.pause(3)
        await world.stop()
        world.disk = backup
        world.start()
        with pytest.raises(Forked) as found:
            await chain.sync()
        assert chain.status.trouble == found.value.message
        assert not chain.status.online
        with pytest.raises(Forked):
            await put(chain, "more")
        assert await texts(chain) == ["acknowledged", "old"], "what is here stays"
        if signs:
            files = [one for one in device.disk.listdir(f"/d/{NAME}") if "evidence" in one]
            file = device.disk.open(f"/d/{NAME}/{files[0]}", readonly=True)
            verdict = judge(decode(file.pread(1 << 20, 0)))
            file.close()
            assert verdict.kind == "shrunk"
            assert world.identity is not None
            assert verdict.server == world.identity.public
            assert "ate check" in found.value.hint
        else:
            assert "set back" in found.value.message
            assert "keep the copy" in found.value.hint
        await chain.close()
        for recovery in ("readonly-async", "sync"):
            with pytest.raises(Forked):
                await device.open(recovery=recovery)
        chain = await device.open(recovery="async")
        assert await chain.dio().exists(kept.id)
        await chain.close()

    play(main, signs=signs)


def test_another_chain_of_the_same_name_is_not_followed() -> None:
    async def main(world: World) -> None:
        one, two = world.device("one"), world.device("two")
        chain = await one.open()
        await put(chain, "mine")
        await chain.close()
        await world.stop()
        world.disk = type(world.disk)(2)
        world.start()
        other = await two.open("bob")
        await put(other, "theirs")
        with pytest.raises(UntrustedRoot, match=r"is another one|not what it was"):
            await one.open(recovery="readonly-async")
        chain = await one.open()
        with pytest.raises(UntrustedRoot, match=r"is another one|not what it was"):
            await chain.sync()
        assert await texts(chain) == ["mine"]
        await chain.close()
        await other.close()

    play(main)


def test_roots_that_were_named_must_have_founded_the_chain() -> None:
    async def main(world: World) -> None:
        alice, bob = member("alice"), member("bob")
        chain = await world.device("one").open()
        await put(chain, "a")
        with pytest.raises(UntrustedRoot):
            await world.device("two").open(memory=True, roots=[bob.public])
        right = await world.device("three").open(memory=True, roots=[alice.public])
        assert await texts(right) == ["a"]
        for one in (chain, right):
            await one.close()

    play(main)


@pytest.mark.parametrize("seed", range(6))
def test_of_two_founders_one_wins_and_the_other_follows(seed: int) -> None:
    async def main(world: World) -> None:
        who = ("alice", "alice") if seed % 2 else ("alice", "bob")
        opened = await asyncio.gather(
            *(
                world.device(f"host {n}").open(one, recovery="readonly-async")
                for n, one in enumerate(who)
            )
        )
        assert opened[0].id == opened[1].id
        await asyncio.gather(*(chain.sync() for chain in opened))
        roots = opened[0]._ledger.view.trust.genesis
        assert roots is not None
        for chain in opened:
            assert chain.conflicts == []
            assert chain._remote is not None
            assert len(chain._remote.forwarder.outbox) == 0
            await chain.close()

    play(main, seed=seed)


# --- liars ---------------------------------------------------------------------------------------


class Lying(Hall):
    """Sends other bytes from the second batch on, as `lie` makes them."""

    lie: Any = staticmethod(lambda frames: frames)

    def _opened(self, root: Any) -> None:
        super()._opened(root)
        stream = root._stream

        def lying(frames: list[bytes], first: int) -> None:
            stream(self.lie(list(frames)) if first >= 2 else frames, first)

        root._stream = lying


def garbage(frames: list[bytes]) -> list[bytes]:
    return [b"\xfe" * len(one) for one in frames]


def empty(frames: list[bytes]) -> list[bytes]:
    return [b"" for _ in frames]


def short(frames: list[bytes]) -> list[bytes]:
    return [one[:300] for one in frames]


def flipped(frames: list[bytes]) -> list[bytes]:
    return [one[:-40] + bytes([one[-40] ^ 1]) + one[-39:] for one in frames]


def twice(frames: list[bytes]) -> list[bytes]:
    return [frames[0], *frames]


def renumbered(frames: list[bytes]) -> list[bytes]:
    return [one[:208] + (9).to_bytes(8, "little") + one[216:] for one in frames]


def later(frames: list[bytes]) -> list[bytes]:
    return [one[:200] + (1).to_bytes(8, "little") + one[208:] for one in frames]


@pytest.mark.parametrize("lie", [empty, short, flipped, twice, renumbered, later])
def test_a_liar_is_left_and_the_copy_is_as_it_was(lie: Any) -> None:
    async def main(world: World) -> None:
        class Liar(Lying):
            pass

        Liar.lie = staticmethod(lie)
        world.hall_type = Liar
        world.start()
        one, two = world.device("one"), world.device("two")
        a, b = await one.open(), await two.open()
        await put(a, "true")
        await b.sync()
        doubted = asyncio.ensure_future(put(a, "doubted"))
        with pytest.raises(Forked):
            await until(b, lambda: False)
        if lie is twice:
            await doubted  # it came before it came again
        else:
            with pytest.raises(AteError):
                await doubted
        head = b.commits
        assert head in (2, 3)
        assert await texts(b) in (["true"], ["doubted", "true"])
        await b.close()
        await a.close()
        b = await two.open()  # what was kept is a good log
        assert b.commits == head
        await b.close()

    play(main, starts=False)


def test_what_cannot_be_read_at_all_is_asked_for_again() -> None:
    async def main(world: World) -> None:
        class Liar(Lying):
            lie = staticmethod(garbage)

        world.hall_type = Liar
        world.start()
        chain = await world.device().open()
        for n in range(4):
            await put(chain, f"{n}")
        await chain.sync()
        assert await texts(chain) == ["0", "1", "2", "3"]
        await chain.close()

    play(main, starts=False)


class Leaving(Hall):
    """Sends the third commit in the place of the second."""

    def _opened(self, root: Any) -> None:
        super()._opened(root)
        stream = root._stream

        def lying(frames: list[bytes], first: int) -> None:
            if first != 2:
                stream(frames, first - (first > 2))

        root._stream = lying


def test_a_server_that_leaves_one_out_is_found_out() -> None:
    async def main(world: World) -> None:
        a, b = await world.device("one").open(), await world.device("two").open()
        await put(a, "true")
        await b.sync()
        await put(a, "left out", Durability.LOCAL)
        await world.loop.pause(1)
        await put(a, "next", Durability.LOCAL)
        with pytest.raises(Forked, match="no continuation"):
            await until(b, lambda: False)
        assert await texts(b) == ["true"]
        await a.close()
        await b.close()

    play(main, hall=Leaving)


@pytest.mark.parametrize("at", [150, 1000, 3000, 5000])
def test_a_damaged_copy_is_told_and_left_alone(at: int) -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        for n in range(20):
            await put(chain, f"{n}")
            await world.loop.pause(1)
        await chain.close()
        directory = f"/d/{NAME}/000001"
        file = device.disk.open(f"{directory}/head.000001")
        before = bytes(file.pread(1 << 20, 0))
        assert len(before) > at + 64
        file.pwrite([b"\xff" * 64], at)
        file.datasync()
        damaged = bytes(file.pread(1 << 20, 0))
        file.close()
        device.disk.remove(f"{directory}/index")
        with pytest.raises(CorruptLog):
            await device.open()
        file = device.disk.open(f"{directory}/head.000001", readonly=True)
        assert bytes(file.pread(1 << 20, 0)) == damaged, "nothing is touched"
        file.close()

    play(main)


# --- compaction ----------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("durability", [Durability.LOCAL, Durability.FULL])
@pytest.mark.parametrize("later_s", [0.0, 400 * 86_400.0])
def test_commits_that_wait_while_the_server_compacts_land_once(
    durability: Durability, restarts: bool, later_s: float
) -> None:
    """The keys that signed them may have expired by then: they are signed anew."""

    async def main(world: World) -> None:
        one, two = world.device("one"), world.device("two")
        a, b = await one.open(), await two.open()
        dao = await put(a, "v")
        await b.sync()
        world.net.cut("one", "server")
        world.net.reset("one", "server")
        await world.loop.pause(3)
        waiting = [await put(a, f"mine {n}", durability) for n in range(5)]
        for n in range(10):
            dio = b.dio()
            loaded = await dio.load(Note, dao.id)
            loaded.value = Note("v", n)
            await dio.commit()
        await compacted(world, later_s)
        if restarts:
            await one.kill()
        world.net.heal()
        if restarts:
            a = await one.open()
        await a.sync(120)
        await b.sync(120)
        expected = sorted(["v", *(f"mine {n}" for n in range(5))])
        assert await texts(a) == await texts(b) == expected
        assert (await a.dio().load(Note, dao.id)).value.n == 9
        assert a.conflicts == []
        assert len(waiting) == 5
        await put(a, "after")
        await b.sync()
        assert "after" in await texts(b)
        await a.close()
        await b.close()

    play(main)


async def compacted(world: World, later_s: float) -> None:
    """Compact the server's copy while the server is away."""
    await world.stop()
    clock = world.loop.clock(later_s)
    chain = await ate.open(NAME, path="/s", disk=world.disk, session=member("alice"), clock=clock)
    assert (await chain.compact()).commits_after < 10
    await chain.close()
    world.start()


# --- rights --------------------------------------------------------------------------------------


class Readers(OpenGate):
    """Lets the first visitor write, and everybody read."""

    is_closed = False

    def may_open(self, *args: Any, **more: Any) -> Rights:
        rights = super().may_open(*args, **more)
        return rights._replace(write=rights.write and not Readers.is_closed)


class ReadersHall(Hall):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, gate=Readers(), **more)


def test_a_chain_that_may_only_be_read_says_so_at_once() -> None:
    async def main(world: World) -> None:
        Readers.is_closed = False
        device = world.device()
        chain = await device.open()
        await put(chain, "a")
        await world.stop()
        await world.loop.pause(2)
        kept = await put(chain, "offline")
        Readers.is_closed = True
        world.start()
        await chain.sync()
        assert chain.status.online
        with pytest.raises(WriteDenied, match="takes no commits"):
            await put(chain, "b")
        (setback,) = chain.conflicts
        assert setback.changes[0].id == kept.id
        assert isinstance(setback.error, WriteDenied)
        assert await texts(chain) == ["a"]
        with pytest.raises(WriteDenied):
            await setback.overwrite(chain)
        Readers.is_closed = False
        world.net.reset("one", "server")
        await world.loop.pause(5)
        await chain.sync()
        await chain.conflicts[0].overwrite(chain)
        assert await texts(chain) == ["a", "offline"]
        await chain.close()

    play(main, hall=ReadersHall)


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_days", [-365, 365])
def test_a_clock_that_is_a_year_off_harms_nobody(ahead_days: int) -> None:
    async def main(world: World) -> None:
        one, two = world.device("one", ahead_days * 86_400.0), world.device("two")
        a, b = await one.open(), await two.open()
        await put(a, "x")
        await put(b, "y")
        assert abs(a._ledger.now_us() - world.clock.now_us()) < 2_000_000
        assert abs(a.clock_skew - ahead_days * 86_400) < 2
        async with a.lease("pen", ttl_s=5):
            with pytest.raises(TimedOut):
                async with b.lease("pen", ttl_s=5, wait_s=1):
                    pass
        await b.sync()
        assert await texts(b) == ["x", "y"]
        await a.close()
        await b.close()

    play(main)


def test_the_token_is_asked_for_at_each_opening_and_its_faults_are_told() -> None:
    async def main(world: World) -> None:
        asked = []

        def token() -> bytes:
            asked.append(world.loop.time())
            if len(asked) == 2:
                raise ZeroDivisionError("no token")
            return b"t"

        chain = await world.device().open(connection={"token": token})
        world.net.reset("one", "server")
        world.loop.errors.clear()
        await until(chain, lambda: len(asked) > 2 and chain.status.online)
        assert len(asked) >= 3
        world.loop.errors.clear()
        await put(chain, "x")
        await chain.close()

    play(main)


# --- bodies that stay at the server --------------------------------------------------------------


def test_a_sparse_copy_asks_for_long_bodies_and_says_when_it_cannot() -> None:
    async def main(world: World) -> None:
        full = await world.device("one").open()
        long, short_one = await put(full, "l" * 9000), await put(full, "s")
        device = world.device("two")
        chain = await device.open(sparse=1000)
        assert (await chain.dio().load(Note, long.id)).value.text == "l" * 9000
        await chain.close()
        for _ in range(2):  # a copy that is opened again lacks the same
            chain = await device.open(sparse=1000)
            await chain.sync()
            assert len(await texts(chain)) == 2
            mine = await put(chain, "m" * 5000)
            assert (await chain.dio().load(Note, mine.id)).value.text == "m" * 5000
            dio = chain.dio()
            dio.delete(mine.id)
            await dio.commit()
            await chain.close()
        await world.stop()
        chain = await device.open(sparse=1000)
        assert (await chain.dio().load(Note, short_one.id)).value.text == "s"
        with pytest.raises(BodyNotHeld, match="on the server"):
            await chain.dio().load(Note, long.id)
        world.start()
        await chain.sync()
        assert (await chain.dio().load(Note, long.id)).value.text == "l" * 9000
        await chain.close()
        await full.close()

    play(main)


# --- receipts ------------------------------------------------------------------------------------


def test_an_acknowledgement_can_be_shown_to_anybody() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open()
        for n in range(5):
            dio = chain.dio()
            dio.store(Note(f"{n}"))
            receipt = await dio.commit()
            raw = await chain.acknowledged(receipt)
            found = Acknowledged.decode(raw)
            assert world.identity is not None
            assert found.check(world.identity.public).size > receipt.proof().index
            assert found.commit.root == receipt.commit_root
        await world.stop()
        await world.loop.pause(2)
        dio = chain.dio()
        dio.store(Note("pending"))
        with pytest.raises(UsageError, match="not in the chain yet"):
            await chain.acknowledged(await dio.commit())
        assert await chain.acknowledged(receipt)  # what was said before needs no server
        await chain.close()

    play(main, signs=True)


def test_a_server_that_signs_nothing_acknowledges_nothing() -> None:
    async def main(world: World) -> None:
        device = world.device()
        chain = await device.open()
        dio = chain.dio()
        dio.store(Note("x"))
        receipt = await dio.commit()
        await chain.close()
        chain = await device.open()
        await chain.sync()
        with pytest.raises(UsageError, match="signs no statements"):
            await chain.acknowledged(receipt)
        receipt.proof().check(receipt.chain_root)
        await chain.close()
        async with ate.open("local", memory=True) as local:
            with pytest.raises(UsageError, match="no server"):
                await local.acknowledged(receipt)

    play(main)


def test_a_receipt_is_right_also_when_the_commit_was_found_later() -> None:
    async def main(world: World) -> None:
        chain = await world.device().open(recovery="readonly-async")
        assert chain._remote is not None
        receipts = []
        for n in range(9):
            dio = chain.dio()
            dio.store(Note(f"{n}"))
            waiting = asyncio.ensure_future(dio.commit())
            await world.loop.pause(0.001 * n)
            world.net.reset("one", "server")
            receipts.append(await waiting)
        for receipt in receipts:
            receipt.proof().check(receipt.chain_root)
        await chain.close()

    play(main)


def test_nothing_is_founded_without_a_server() -> None:
    async def main(world: World) -> None:
        device: Device = world.device()
        with pytest.raises(Offline, match="cannot reach ws://server"):
            await device.open(connection={"timeout_s": 0.5})
        world.start()
        chain = await device.open()
        await put(chain, "x")
        await chain.close()

    play(main, starts=False)
