"""A centralized chain on a server as people run it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.test_atedb import Server, run

import ate
from ate.chain.verify import verify
from ate.crypto.sign import FastVerifyKey
from ate.errors import UsageError
from ate.log.local import LocalLog
from ate.session import Session
from ate.wire.terms import Terms

ALICE, BOB = Session.new("alice"), Session.new("bob")
TEAM = ate.Access(read=ate.Only(ALICE.public, BOB.public), write=ate.Any(ALICE.public, BOB.public))


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    running: list[Server] = []
    yield running
    for one in running:
        one.process.kill()
        one.process.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()


def start(servers: list[Server], folder: Path, *words: str) -> Server:
    servers.append(Server(folder, *words))
    return servers[-1]


@asynccontextmanager
async def notes(
    server: Server, who: Session = ALICE, mode: str = "centralized", **options: object
) -> AsyncIterator[ate.Chain]:
    async with ate.open(
        "team/notes",
        url=server.url,
        session=who,
        mode=mode,
        access=TEAM,
        **options,  # type: ignore[arg-type]
    ) as chain:
        yield chain


async def store(chain: ate.Chain, *values: int) -> list[ate.ObjectId]:
    dio = chain.dio()
    made = [dio.store({"n": value}) for value in values]
    await dio.commit()
    return [one.id for one in made]


def suites(chain: ate.Chain) -> list[int]:
    view = chain._ledger.view
    return [view.record(place).author.suite for place in view.commits.between(1, view.head)]


async def sound(folder: Path) -> int:
    """Verify the chain of a directory; returns how many commits a server has signed."""
    log = LocalLog.open(str(folder / "team" / "notes"), readonly=True)
    try:
        told = await verify(log)
    finally:
        log.close()
    assert told.ok, told.problems
    return told.ordered


def command(folder: Path, *words: str) -> None:
    """Run `ate` in a directory."""
    done = run(folder, *words, module="atecli")
    assert done.returncode == 0, done.stderr


async def rule(chain: ate.Chain) -> None:
    """Store something at the top that all may read."""
    dio = chain.dio()
    dio.store({"n": 2}, access=ate.Access(read=ate.Everyone))
    await dio.commit()


async def values(chain: ate.Chain) -> list[int]:
    return sorted([one.value["n"] async for one in chain.dio().all(dict)])


async def test_the_server_signs_and_others_believe_it(
    tmp_path: Path, servers: list[Server]
) -> None:
    server = start(servers, tmp_path, "data", "--trust", "centralized")
    key = FastVerifyKey(bytes.fromhex(server.ready["sequencer"]))
    async with notes(server) as chain:
        await store(chain, 1)
        async with notes(server, BOB) as other:
            await store(other, 2)
        await chain.sync()
        assert await values(chain) == [1, 2]
        (proved,) = await store(chain, 3)
        await chain.checkpoint()
        assert set(suites(chain)[1:]) == {0}
        assert set(chain._ledger.view.trust.sequencers) == {key.key_id}
        found = ate.check_proof(await chain.prove(proved), roots=[ALICE.public])
        assert found.proven is not None
        assert [one.key_id for one in found.proven.authors] == [ALICE.public.key_id]
    assert server.stop() == 0
    log = LocalLog.open(str(tmp_path / "data" / "team" / "notes"), readonly=True)
    try:
        told = await verify(log)
    finally:
        log.close()
    assert told.ok, told.problems
    assert told.ordered == 4
    assert any("server's word" in one for one in told.notes)


async def test_it_is_compacted_and_restarted_and_verifies(
    tmp_path: Path, servers: list[Server]
) -> None:
    server = start(servers, tmp_path, "data", "--trust", "centralized")
    async with notes(server, path=tmp_path / "copy") as chain:
        first = await store(chain, *range(20))
        dio = chain.dio()
        for one in first[:10]:
            (await dio.load(dict, one)).value = {"n": 100}
        await dio.commit()
        await chain.checkpoint()
    assert server.stop() == 0
    path = tmp_path / "data" / "team" / "notes"
    async with ate.open("team/notes", path=tmp_path / "data", session=ALICE, create=False) as local:
        assert suites(local)[1:] == [0, 0, 0]
        await local.compact()
        await store(local, 7)
        assert suites(local)[-1] == 2  # here is no server: she signs
    log = LocalLog.open(str(path), readonly=True)
    try:
        told = await verify(log)
    finally:
        log.close()
    assert told.ok, told.problems
    assert told.ordered
    server = start(servers, tmp_path, "data", "--trust", "centralized")
    async with notes(server, BOB) as chain:
        assert await values(chain) == sorted([7, *range(10, 20), *[100] * 10])
        await store(chain, 8)
        assert suites(chain)[-1] == 0


async def test_a_member_of_a_role_acts_for_it(tmp_path: Path, servers: list[Server]) -> None:
    server = start(servers, tmp_path, "data", "--trust", "centralized")
    carol = Session.new("carol")
    async with notes(server) as chain:
        await chain.set_role("editors", [carol.public])
        dio = chain.dio()
        board = dio.store({"n": 0}, access=ate.Access(ate.Everyone, ate.Any("editors")))
        await dio.commit()
        assert suites(chain)[1:] == [2, 2]  # what decides who may write is signed by its author
        async with notes(server, carol) as other:
            dio = other.dio()
            dio.store({"n": 1}, parent=board.id)
            await dio.commit()
            assert suites(other)[-1] == 0
            with pytest.raises(ate.errors.WriteDenied):
                await rule(other)
        await chain.set_role("editors", [BOB.public])
        async with notes(server, carol) as other:
            dio = other.dio()
            dio.store({"n": 3}, parent=board.id)
            with pytest.raises(ate.errors.WriteDenied):
                await dio.commit()


async def test_a_chain_moves_to_another_server(tmp_path: Path, servers: list[Server]) -> None:
    first = start(servers, tmp_path, "one", "--trust", "centralized")
    async with notes(first) as chain:
        await store(chain, 1)
    assert first.stop() == 0
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "team").rename(tmp_path / "two" / "team")
    plain = start(servers, tmp_path, "two")
    async with notes(plain, BOB) as chain:
        await store(chain, 2)
        assert suites(chain)[-1] == 2  # this server signs for nobody
    assert plain.stop() == 0
    second = start(servers, tmp_path, "two", "--trust", "centralized")
    key = bytes.fromhex(second.ready["sequencer"])
    assert second.ready["sequencer"] != first.ready["sequencer"]
    async with notes(second) as chain:
        await store(chain, 3)
        assert suites(chain)[-1] == 2  # nor this one, until a root names it
        await chain.set_sequencers([key])
        (proved,) = await store(chain, 4)
        assert suites(chain)[-2:] == [2, 0]
        await chain.checkpoint()
        assert ate.check_proof(await chain.prove(proved), roots=[ALICE.public]).proven
    async with notes(second, BOB) as chain:
        assert await values(chain) == [1, 2, 3, 4]
        await store(chain, 5)
    assert second.stop() == 0
    async with ate.open("team/notes", path=tmp_path / "two", session=ALICE) as local:
        await local.compact()  # what three keys have signed is sound without what was dropped
    assert await sound(tmp_path / "two") >= 2


async def test_it_is_backed_up_restored_and_repaired(tmp_path: Path, servers: list[Server]) -> None:
    server = start(servers, tmp_path, "data", "--trust", "centralized")
    async with notes(server) as chain:
        for n in range(20):
            await store(chain, n)
    assert server.stop() == 0

    command(tmp_path, "backup", "team/notes", "kept", "--path", "data")
    command(tmp_path, "restore", "team/notes", "kept", "--path", "again")
    assert await sound(tmp_path / "again") == 20
    (head,) = (tmp_path / "data" / "team" / "notes").glob("*/head.*")
    raw = bytearray(head.read_bytes())
    raw[len(raw) // 3] ^= 1
    head.write_bytes(raw)
    command(tmp_path, "repair", "team/notes", "--path", "data", "--from", "kept")
    assert await sound(tmp_path / "data") == 20


async def test_what_is_refused_says_what_to_do(tmp_path: Path, servers: list[Server]) -> None:
    server = start(servers, tmp_path, "data")
    with pytest.raises(UsageError, match="does not sign") as refused:
        async with notes(server):
            pass
    assert "--trust centralized" in (refused.value.hint or "")
    async with notes(server, mode="distributed") as chain:
        await store(chain, 1)
        assert suites(chain)[-1] == 2
        with pytest.raises(UsageError, match="not centralized"):
            await chain.set_sequencers([bytes(32)])


async def test_work_without_the_server_is_signed_by_it_later(
    tmp_path: Path, servers: list[Server]
) -> None:
    server = start(servers, tmp_path, "data", "--trust", "centralized")
    options: dict[str, object] = {"path": tmp_path / "mine", "recovery": "async"}
    async with notes(server, **options) as chain:
        await store(chain, 1)
    assert server.stop() == 0
    async with notes(server, **options) as chain:
        await store(chain, 2)
    # The port is another one now: the same directory, the same key.
    again = start(servers, tmp_path, "data", "--trust", "centralized")
    async with notes(again, **options) as chain:
        await chain.sync()
        assert await values(chain) == [1, 2]
        assert suites(chain)[-1] == 0


async def test_only_over_an_encrypted_wire(tmp_path: Path, servers: list[Server]) -> None:
    server = start(servers, tmp_path, "data", "--trust", "centralized")
    async with notes(server) as chain:
        await store(chain, 1)
        async with ate.open("team/notes", url=server.url, session=BOB) as plain:
            await store(plain, 2)
            assert suites(plain)[-2:] == [0, 2]  # somebody between could have said it
        async with notes(server, BOB, connection={"terms": Terms(encryption=True)}) as other:
            await store(other, 3)
            assert suites(other)[-1] == 0
    done = run(tmp_path, "solo", "--help")
    assert "centralized" in done.stdout
