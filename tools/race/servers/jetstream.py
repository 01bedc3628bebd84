"""NATS JetStream, flushed or as it comes; and NATS alone, which keeps nothing.

As it comes, JetStream acknowledges what is in the page cache only: a pulled plug loses records that
were acknowledged. Such cells are named "unflushed" wherever they are shown, and are never taken for
the product's equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

from tools.race.servers.contract import Begin, Deliver, Report
from tools.race.servers.process import Process, answers, find, free_port

_BATCH: Final = 1_000
_ANSWER_S_MAX: Final = 30.0
_CATCH_UP_S_MAX: Final = 300.0


class JetStreamUnflushed:
    """A nats-server as it comes."""

    settings: ClassVar[str] = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self) -> None:
        self._port = free_port()
        config = self._folder / "nats.conf"
        store = self._folder / "jetstream"
        config.write_text(
            f'listen: "127.0.0.1:{self._port}"\n'
            f'jetstream {{ store_dir: "{store}", max_file_store: 64G, max_memory_store: 64M\n'
            f"{self.settings} }}\n"
        )
        command = [find("nats-server") or "", "-c", str(config)]
        self._process = Process(command, self._folder / "nats.log")
        self._process.wait_until(lambda: answers(self._port, b"", b"INFO "))

    def stop(self) -> None:
        self._process.stop()

    async def client(self, stream: str = "bench") -> Any:
        nats = await self._connect()
        jetstream = nats.jetstream(timeout=_ANSWER_S_MAX)
        await jetstream.add_stream(name=stream, subjects=[stream])
        return JetStreamClient(nats, jetstream, stream)

    async def _connect(self) -> Any:
        return await import_module("nats").connect(f"nats://127.0.0.1:{self._port}")

    # --- jobs: a work queue with one durable consumer ------------------------------------------

    async def push(self, bodies: Sequence[bytes]) -> None:
        nats = await self._connect()
        jetstream = nats.jetstream(timeout=_ANSWER_S_MAX)
        await jetstream.add_stream(name="jobs", subjects=["jobs"], retention="workqueue")
        await jetstream.add_stream(name="done", subjects=["done"])
        await JetStreamClient(nats, jetstream, "jobs").append_batch(bodies)
        await nats.close()

    async def work(self, begin: Begin, report: Report, *, effects: bool, lease_s: float) -> None:
        nats = await self._connect()
        jetstream = nats.jetstream(timeout=_ANSWER_S_MAX)
        config = import_module("nats.js.api").ConsumerConfig(ack_wait=lease_s)
        source = await jetstream.pull_subscribe("jobs", durable="workers", config=config)
        begin()
        late: Any = import_module("nats.errors").TimeoutError
        while True:
            try:
                jobs = await source.fetch(1, timeout=1)
            except late:
                continue
            for job in jobs:
                number = int.from_bytes(job.data[:4], "little")
                if effects:
                    name = {"Nats-Msg-Id": str(number)}
                    await jetstream.publish("done", str(number).encode(), headers=name)
                await job.ack_sync(timeout=_ANSWER_S_MAX)
                report(number)

    async def left(self) -> int:
        nats = await self._connect()
        info = await nats.jetstream().stream_info("jobs")
        await nats.close()
        return int(info.state.messages)

    async def effects(self) -> list[int]:
        client = await self.client("done")
        info = await client.jetstream.stream_info("done")
        found = [int(body) async for body in client.records(info.state.messages)]
        await client.close()
        return found


class JetStream(JetStreamUnflushed):
    """A nats-server that flushes before it acknowledges, which newer ones can."""

    settings = 'sync_interval: "always"'


class NatsAlone(JetStreamUnflushed):
    """Publish and subscribe without a stream: what arrives was never kept."""

    async def client(self, stream: str = "bench") -> Any:
        return NatsClient(await self._connect(), stream)


class NatsClient:
    """A client that publishes and listens."""

    def __init__(self, nats: Any, stream: str) -> None:
        self._nats, self._stream = nats, stream

    async def append(self, body: bytes) -> None:
        await self._nats.publish(self._stream, body)
        await self._nats.flush()

    async def append_batch(self, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            await self._nats.publish(self._stream, body)
        await self._nats.flush()

    async def subscribe(self, deliver: Deliver) -> None:
        async def arrived(message: Any) -> None:
            deliver(message.data)

        await self._nats.subscribe(self._stream, cb=arrived)
        await self._nats.flush()

    async def close(self) -> None:
        await self._nats.close()


class JetStreamClient:
    """A client of one stream."""

    def __init__(self, nats: Any, jetstream: Any, stream: str) -> None:
        self._nats, self.jetstream, self._stream = nats, jetstream, stream

    async def append(self, body: bytes) -> None:
        await self.jetstream.publish(self._stream, body)

    async def append_batch(self, bodies: Sequence[bytes]) -> None:
        for at in range(0, len(bodies), _BATCH):
            some = bodies[at : at + _BATCH]
            sent = [await self.jetstream.publish_async(self._stream, body) for body in some]
            await asyncio.gather(*sent)

    async def subscribe(self, deliver: Deliver) -> None:
        await self._listen(deliver, "NEW")

    async def _listen(self, deliver: Deliver, start: str) -> Any:
        async def arrived(message: Any) -> None:
            deliver(message.data)

        policy = import_module("nats.js.api").DeliverPolicy[start]
        listening = await self.jetstream.subscribe(
            self._stream, ordered_consumer=True, cb=arrived, deliver_policy=policy
        )
        await self._nats.flush()
        return listening

    async def catch_up(self, count: int) -> None:
        got, here = 0, asyncio.Event()

        def deliver(_: bytes) -> None:
            nonlocal got
            got += 1
            if got >= count:
                here.set()

        listening = await self._listen(deliver, "ALL")
        async with asyncio.timeout(_CATCH_UP_S_MAX):
            await here.wait()
        await listening.unsubscribe()

    async def records(self, count: int) -> AsyncIterator[bytes]:
        arrived: asyncio.Queue[bytes] = asyncio.Queue()
        listening = await self._listen(arrived.put_nowait, "ALL")
        for _ in range(count):
            yield await asyncio.wait_for(arrived.get(), _ANSWER_S_MAX)
        await listening.unsubscribe()

    async def close(self) -> None:
        await self._nats.close()
