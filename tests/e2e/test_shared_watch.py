"""Watchers of a shared chain: each change once and in order, whatever becomes of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import ate
from ate.chain.retention import Retention
from ate.mesh.hall import Hall
from ate.mesh.registry import Registry
from ate.mesh.shelf import DiskShelf
from ate.server import serve
from ate.testing.nemesis import RealPace
from ate.testing.proxy import Proxy

LIMIT_S = 60


@asynccontextmanager
async def served(folder: Path, port: int = 0) -> AsyncIterator[int]:
    """Serve the chains of a folder; yields the port."""
    hall = Hall(DiskShelf(folder))
    async with serve(hall, websocket=False, tcp=True, port=port) as server:
        yield int(server.url.rstrip("/").rpartition(":")[2])
        await hall.close()


@asynccontextmanager
async def client(port: int, path: Path | None = None) -> AsyncIterator[ate.Chain]:
    lines, url = Registry(agent="test"), f"tcp://127.0.0.1:{port}/"
    async with ate.open("feed", url=url, path=path, connection={"lines": lines}) as chain:
        yield chain
    await lines.close()


async def publish(chain: ate.Chain, *texts: str) -> None:
    for text in texts:
        dio = chain.dio()
        dio.store({"text": text})
        await dio.commit()


async def test_watchers_miss_nothing_over_cut_connections(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(LIMIT_S),
        served(tmp_path) as port,
        Proxy("127.0.0.1", port, pace=RealPace(1)) as proxy,
        client(port) as writer,
        client(proxy.port) as chain,
    ):
        seen: list[tuple[int, str]] = []

        async def follow() -> None:
            async for change in chain.watch(type=dict, since=0):
                seen.append((change.seq, change.value["text"]))
                if change.value["text"] == "end":
                    return

        following = asyncio.create_task(follow())
        wanted = [str(number) for number in range(60)]
        for number, text in enumerate(wanted):
            await publish(writer, text)
            if number % 10 == 9:
                await chain.sync()
                proxy.reset()
            if number % 10 == 4:
                proxy.tear("down")
        await publish(writer, "end")
        await following
        assert [text for _, text in seen] == [*wanted, "end"]
        assert [seq for seq, _ in seen] == sorted({seq for seq, _ in seen})


async def test_watchers_go_on_when_what_they_missed_was_compacted(tmp_path: Path) -> None:
    server = tmp_path / "server"
    async with asyncio.timeout(LIMIT_S):
        async with served(server) as port, client(port) as other:
            await publish(other, "first")
            chain = await ate.open(
                "feed", url=f"tcp://127.0.0.1:{port}/", path=tmp_path / "copy",
                connection={"lines": (lines := Registry(agent="test"))},
            )  # fmt: skip
            changes = chain.watch(type=dict, since=0)
            assert (await anext(changes)).value == {"text": "first"}
        # The client is away; the server's chain goes on, and is compacted.
        async with ate.open("feed", path=server) as away:
            dio = away.dio()
            dao = dio.store({"text": "old"})
            await dio.commit()
            for text in ("older", "newest"):
                dao.value = {"text": text}
                await dio.commit()
            await publish(away, "second")
            await away.compact()
            compacted = away.head
        async with served(server, port), client(port) as other:
            await chain.sync()
            assert chain.head == compacted
            await publish(other, "third")
            texts, seqs = [], []
            async for change in changes:
                texts.append(change.value["text"])
                seqs.append(change.seq)
                if texts[-1] == "third":
                    break
            assert texts == ["newest", "second", "third"], "superseded versions are nowhere"
            assert seqs == sorted(set(seqs))
            await chain.close()
            await lines.close()


async def test_a_queue_knows_what_is_done_after_its_log_was_compacted(tmp_path: Path) -> None:
    server = tmp_path / "server"
    async with asyncio.timeout(LIMIT_S):
        async with served(server) as port:
            lines = Registry(agent="test")
            chain = await ate.open(
                "feed", url=f"tcp://127.0.0.1:{port}/", path=tmp_path / "copy",
                connection={"lines": lines},
            )  # fmt: skip
            queue = ate.Queue(chain, dict)
            await publish(chain, "a", "b", "c")
            assert len(queue) == 3
        async with ate.open("feed", path=server) as away:
            there = ate.Queue(away, dict)
            for _ in range(2):
                async with there.claim():
                    pass
            await away.compact(Retention(tombstones=timedelta(0)))
            await publish(away, "d")
        async with served(server, port):
            await chain.sync()
            assert len(queue) == 2
            for left in "cd":
                async with queue.claim() as job:
                    assert job.value == {"text": left}
            await queue.join()
            await chain.close()
            await lines.close()
