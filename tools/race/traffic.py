"""The cells of servers: appends, delivery, catching up; each compares what comes back.

Clients are processes beside the server's. It judges nothing.
"""

from __future__ import annotations

import asyncio
import struct
import time
from array import array
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cache, partial
from hashlib import shake_128
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from tools.race.cells import Figures, Options, Stopwatch, WrongDataError
from tools.race.crew import Member, in_process, say
from tools.race.quantiles import quantile, shares
from tools.race.servers.known import make
from tools.race.servers.process import running

RECORD_BYTES: Final = 1024
_HEAD: Final = struct.Struct("<IId")
# A prime, so that a flipped bit in a number names another text.
_TEXTS: Final = 251
_LANES: Final = 256
_WARM: Final = 3
_LAST_S_MAX: Final = 30.0

now = time.perf_counter  # on Linux the same clock in all processes


@cache
def _texts() -> list[bytes]:
    size = RECORD_BYTES - _HEAD.size
    raw = shake_128(b"traffic").digest(_TEXTS * size)
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def body_of(client: int, number: int, stamp: float = 0.0) -> bytes:
    """Return a record of 1 KiB that no compressor makes smaller."""
    return _HEAD.pack(client, number, stamp) + _texts()[(client * 31 + number) % _TEXTS]


def read_body(body: bytes) -> tuple[int, int, float]:
    """Return (client, number, stamp); raises WrongDataError when a byte differs."""
    if len(body) == RECORD_BYTES:
        client, number, stamp = _HEAD.unpack_from(body)
        if body == body_of(client, number, stamp):
            return client, number, stamp
    raise WrongDataError("the server returned other records than were written")


async def compare(records: AsyncIterator[bytes], written: Mapping[int, int]) -> None:
    """Raise WrongDataError unless each client's records are all there, once.

    Args:
        written: client → how many it has written.
    """
    seen = {client: bytearray(count) for client, count in written.items()}
    async for body in records:
        client, number, stamp = read_body(body)
        if stamp or client not in seen or number >= len(seen[client]) or seen[client][number]:
            raise WrongDataError("the server returned a record twice, or one nobody wrote")
        seen[client][number] = 1
    if any(0 in one for one in seen.values()):
        raise WrongDataError("the server has lost a record that it acknowledged")


# --- appends ------------------------------------------------------------------------------------


def appends(options: Options) -> Figures:
    """Append records of 1 KiB for `seconds`; acknowledged records a second, and how long each took.

    `clients` clients in `processes` processes, each with `window` appends in flight; with `batch`
    each append is so many records together. With `own`, every client has a stream of its own.
    """
    with running(make(options["store"], Path(options["folder"]))) as server:
        dealt = shares(options["clients"], options.get("processes", 1))
        crew = [Member(partial(_append_share, server, share, options)) for share in dealt]
        try:
            for one in crew:
                one.hear()
            for one in crew:
                one.tell("go")
            found = [one.hear() for one in crew]
        finally:
            for one in crew:
                one.leave()
        counts: dict[int, int] = {}
        for one in found:
            counts |= one["counts"]
        for stream, written in _by_stream(counts, options).items():
            in_process(partial(_read_back, server, stream, written))
    took = max(one["ended"] for one in found) - min(one["started"] for one in found)
    waits = [wait for one in found for wait in one["waits"]]
    total = sum(counts.values()) - _WARM * len(counts)
    return {
        "per_s": total / took, "records": total,
        "p50_s": quantile(waits, 0.5), "p99_s": quantile(waits, 0.99),
    }  # fmt: skip


def _stream(client: int, options: Options) -> str:
    return f"bench{client}" if options.get("own") else "bench"


def _by_stream(counts: Mapping[int, int], options: Options) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for client, count in counts.items():
        found.setdefault(_stream(client, options), {})[client] = count
    return found


async def _append_share(
    server: Any, numbers: Sequence[int], options: Options, wire: Connection
) -> dict[str, Any]:
    """Be some of the clients: connect, wait for the start, append, say how it went."""
    clients = {number: await server.client(_stream(number, options)) for number in numbers}
    batch, counts, waits = options.get("batch", 1), dict.fromkeys(numbers, 0), array("d")

    async def append(number: int, many: int) -> None:
        at = counts[number]
        counts[number] += many
        if many == 1:
            await clients[number].append(body_of(number, at))
        else:
            await clients[number].append_batch([body_of(number, at + i) for i in range(many)])

    async def lane(number: int) -> None:
        while (asked := now()) < end:
            await append(number, batch)
            waits.append(now() - asked)

    for number in numbers:
        for _ in range(_WARM):
            await append(number, 1)
    say(wire, "ready")
    wire.recv()
    started, watch = now(), Stopwatch()
    end = started + options["seconds"]
    await asyncio.gather(*(lane(one) for one in numbers for _ in range(options["window"])))
    ended = started + watch.stop()
    for client in clients.values():
        await client.close()
    return {"counts": counts, "waits": waits, "started": started, "ended": ended}


async def _read_back(server: Any, stream: str, written: Mapping[int, int]) -> None:
    client, total = await server.client(stream), sum(written.values())
    await client.catch_up(total)
    await compare(client.records(total), written)
    await client.close()


# --- delivery -----------------------------------------------------------------------------------


def delivery(options: Options) -> Figures:
    """Append one record every `gap_s`; seconds from each append's start to each subscriber.

    `last_p50_s` is about the last of `subscribers` subscribers, who share one process.
    """
    messages, subscribers = options["messages"], options["subscribers"]
    with running(make(options["store"], Path(options["folder"]))) as server:
        publisher = Member(partial(_publish, server, messages, options["gap_s"]))
        crowd = None
        try:
            publisher.hear()  # so that the stream is there
            crowd = Member(partial(_subscribe, server, messages, subscribers))
            crowd.hear()
            publisher.tell("go")
            publisher.hear()
            waits: list[array[float]] = crowd.hear()
        finally:
            for member in (publisher, crowd):
                if member is not None:
                    member.leave()
    last = [max(of_message) for of_message in zip(*waits)]
    everything = [wait for of_subscriber in waits for wait in of_subscriber]
    return {
        "p50_s": quantile(everything, 0.5), "p99_s": quantile(everything, 0.99),
        "last_p50_s": quantile(last, 0.5), "last_p99_s": quantile(last, 0.99),
        "delivered": len(everything),
    }  # fmt: skip


async def _publish(server: Any, messages: int, gap_s: float, wire: Connection) -> None:
    client = await server.client()
    say(wire, "ready")
    wire.recv()
    started = now()
    for number in range(messages):
        await asyncio.sleep(started + number * gap_s - now())
        await client.append(body_of(0, number, now()))
    await client.close()


async def _subscribe(
    server: Any, messages: int, subscribers: int, wire: Connection
) -> list[array[float]]:
    """Be all subscribers; return for each how long each message took to it, in their order."""
    waits = [array("d") for _ in range(subscribers)]
    missing, done = subscribers * messages, asyncio.Event()
    wrong: list[str] = []

    def receiver(mine: array[float]) -> Callable[[bytes], None]:
        def deliver(body: bytes) -> None:
            nonlocal missing
            arrived = now()
            try:
                _, number, stamp = read_body(body)
            except WrongDataError as error:
                wrong.append(str(error))
            else:
                if number != len(mine):
                    wrong.append("the server delivered records in another order, or not once")
                mine.append(arrived - stamp)
            missing -= 1
            if wrong or not missing:
                done.set()

        return deliver

    clients = [await server.client() for _ in waits]
    for client, mine in zip(clients, waits):
        await client.subscribe(receiver(mine))
    say(wire, "ready")
    try:
        async with asyncio.timeout(_LAST_S_MAX + messages):
            await done.wait()
    except TimeoutError:
        wrong.append(f"{missing} deliveries did not come")
    if wrong:
        raise WrongDataError(wrong[0])
    return waits


# --- catching up --------------------------------------------------------------------------------


def fill_stream(options: Options) -> Figures:
    """Make the stream that newcomers catch up on: `count` records in appends of `batch`."""
    started = now()
    with running(make(options["store"], Path(options["folder"]))) as server:
        in_process(partial(_fill, server, options["count"], options["batch"]))
    return {"fill_s": now() - started}


async def _fill(server: Any, count: int, batch: int) -> None:
    client = await server.client()
    if batch > 1:
        for at in range(0, count, batch):
            some = range(at, min(count, at + batch))
            await client.append_batch([body_of(0, number) for number in some])
    else:
        numbers = iter(range(count))

        async def lane() -> None:
            for number in numbers:
                await client.append(body_of(0, number))

        await asyncio.gather(*(lane() for _ in range(_LANES)))
    await client.close()


def catch_up(options: Options) -> Figures:
    """Be a new client: seconds from connecting until all `count` records are here and checked."""
    with running(make(options["store"], Path(options["folder"]))) as server:
        took = in_process(partial(_newcomer, server, options["count"]))
    return {"per_s": options["count"] / took, "catch_up_s": took}


async def _newcomer(server: Any, count: int) -> float:
    watch = Stopwatch()
    client = await server.client()
    await client.catch_up(count)
    took = watch.stop()
    await compare(client.records(count), {0: count})
    await client.close()
    return took


CELLS: Final[dict[str, Callable[[Options], Figures]]] = {
    "appends": appends, "delivery": delivery, "fill_stream": fill_stream, "catch_up": catch_up,
}  # fmt: skip
