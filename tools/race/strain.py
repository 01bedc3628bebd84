"""The cells of a server under strain: a cold read beside appends, a kill, a crowd behind relays.

Who strains the server is light, so that it is the server that is measured. It judges nothing.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import time
import urllib.request
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import shake_128
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Final

from tools.race.cells import Figures, Options, WrongDataError
from tools.race.crew import Member, in_process, say
from tools.race.quantiles import quantile, shares
from tools.race.servers.known import make
from tools.race.servers.light import Follower
from tools.race.servers.ours import Ate
from tools.race.servers.process import free_port, running
from tools.race.traffic import body_of, now

_MIB: Final = 1 << 20
_COLD_BODY: Final = 64 * 1024
_BATCH: Final = 100
_SETTLE_S: Final = 1.5
_RETRY_S: Final = 0.005
_AFTER_S_MAX: Final = 60.0
_FOLLOWER_PROCESSES: Final = 4
_AT_ONCE: Final = 50
#: Descriptors that a program needs besides its connections.
_SPARE: Final = 200


def _ours(folder: str, *options: str) -> Ate:
    make("ate", Path(folder))  # imports what its clients need, before anybody is forked
    return Ate(Path(folder), options)


# --- a cold read beside appends -----------------------------------------------------------------


def cold_read(options: Options) -> Figures:
    """Append to one chain while another of `cold_mib`, which no cache holds, is read from the disk.

    The same is timed before, for `seconds`, with nobody reading; ratios are of these two.
    """
    with running(_ours(options["folder"], "--pure-tcp")) as server:
        in_process(partial(_fill_cold, server, options["cold_mib"]))
    forget(Path(options["folder"]) / "server" / "cold")
    with running(server):
        hot, reader = Member(partial(_append_hot, server)), Member(partial(_read_cold, server))
        try:
            hot.hear()
            time.sleep(options["seconds"])
            hot.tell("mark")
            alone = hot.hear()
            reader.tell("go")
            read, took = reader.hear()
            hot.tell("mark")
            strained = hot.hear()
        finally:
            for member in (hot, reader):
                member.kill()
    if read < options["cold_mib"] * _MIB:
        raise WrongDataError("the cold chain was not read to its end")
    found = {"p50_s": quantile(alone, 0.5), "p99_s": quantile(alone, 0.99)}
    return {
        **found, "p50_x": quantile(strained, 0.5) / found["p50_s"],
        "p99_x": quantile(strained, 0.99) / found["p99_s"],
        "read_mb_s": read / took / 1e6, "appends_beside": len(strained),
    }  # fmt: skip


async def _fill_cold(server: Ate, mib: int) -> None:
    client = await server.client("cold")
    raw = shake_128(b"cold").digest(_COLD_BODY)
    each = _MIB // _COLD_BODY
    for number in range(mib):
        head = number.to_bytes(8, "little")
        await client.append_batch([head + raw] * each)
    await client.close()


def forget(folder: Path) -> None:
    """Have the system forget what it holds of the files of a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


async def _append_hot(server: Ate, wire: Connection) -> None:
    """Append for ever, one in flight; say how long each took since the last mark."""
    client, waits, number = await server.client("hot"), array("d"), 0
    say(wire, "ready")
    while True:
        asked = now()
        await client.append(body_of(0, number))
        waits.append(now() - asked)
        number += 1
        if wire.poll():
            wire.recv()
            say(wire, waits)
            waits = array("d")


async def _read_cold(server: Ate, wire: Connection) -> tuple[int, float]:
    """Stream the cold chain from its start to its end; return its bytes and the seconds."""
    frames = read = 0

    def took(nbytes: int) -> None:
        nonlocal frames, read
        frames, read = frames + 1, read + nbytes
        if frames == follower.commits:
            done.set()

    done, follower = asyncio.Event(), Follower(took)
    wire.recv()
    started = now()
    await follower.connect(server.url, "cold")
    await _until(done, [asyncio.create_task(follower.follow())])
    return read, now() - started


async def _until(done: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Return when it is done; raises what ends one of the tasks before."""
    ending = asyncio.create_task(done.wait())
    ended, _ = await asyncio.wait([ending, *tasks], return_when="FIRST_COMPLETED")
    if ending not in ended:
        await ended.pop()


# --- a kill -------------------------------------------------------------------------------------


def recovery(options: Options) -> Figures:
    """Kill the server `kills` times, start it anew at once; seconds to the next acknowledgement.

    The chain has `records` records. What counts is an append that was begun after the kill.
    """
    server = _ours(options["folder"], "--port", str(free_port()))
    ready: list[float] = []
    with running(server):
        in_process(partial(_fill, server, options["records"]))
        writer = Member(partial(_append_on, server))
        try:
            writer.hear()
            gaps = []
            for _ in range(options["kills"]):
                time.sleep(_SETTLE_S)
                killed = now()
                server.process.kill()
                server.start()
                ready.append(now() - killed)
                writer.tell(killed)
                gaps.append(writer.hear(_AFTER_S_MAX) - killed)
            writer.tell(None)
            acknowledged = writer.hear()
        finally:
            writer.leave()
        in_process(partial(_count, server, options["records"] + acknowledged))
    return {
        "recovery_s": median(gaps), "worst_s": max(gaps), "ready_s": median(ready),
        "acknowledged": acknowledged,
    }  # fmt: skip


async def _fill(server: Ate, records: int) -> None:
    client = await server.client()
    for at in range(0, records, _BATCH):
        await client.append_batch([body_of(0, at + number) for number in range(_BATCH)])
    await client.close()


async def _append_on(server: Ate, wire: Connection) -> int:
    """Append, whatever happens; told of a kill, say when the first append since was acknowledged.

    Returns how many were acknowledged.
    """
    from ate.errors import AteError

    client, done, killed = await server.client(), 0, 0.0
    say(wire, "ready")
    while True:
        asked = now()
        try:
            await client.append(body_of(1, done))
        except AteError:  # the server is gone; it may have landed all the same
            await asyncio.sleep(_RETRY_S)
            continue
        done += 1
        if wire.poll():
            told = wire.recv()
            if told is None:
                return done
            killed = told
        if 0 < killed <= asked:
            say(wire, now())
            killed = 0.0


async def _count(server: Ate, least: int) -> None:
    client = await server.client()
    await client.catch_up(least)
    await client.close()


# --- a crowd behind relays ----------------------------------------------------------------------


def crowd(options: Options) -> Figures:
    """Append `messages` records, one every `gap_s`, to a chain with `subscribers` behind `relays`.

    A message's time is from its append to the last of all subscribers.
    """
    _raise_limit(options["subscribers"] // options["relays"] + _SPARE)
    folder, status = Path(options["folder"]), free_port()
    ports = [free_port() for _ in range(options["relays"] + 1)]
    topology = folder / "cluster.toml"
    topology.write_text("".join(
        f'[[node]]\nurl = "tcp://127.0.0.1:{port}/"\nrole = "{"relay" if at else "master"}"\n'
        for at, port in enumerate(ports)
    ))  # fmt: skip
    servers = []
    for at, port in enumerate(ports):
        (folder / f"node{at}").mkdir()
        more = () if at else ("--status-port", str(status))
        where = ("--pure-tcp", "--port", str(port), "--url", f"tcp://127.0.0.1:{port}/")
        servers.append(_ours(str(folder / f"node{at}"), *where, "--topology", str(topology), *more))
    started: list[Ate] = []
    try:
        for server in servers:
            server.start()
            started.append(server)
        return _crowd(servers, status, options)
    finally:
        for server in started:
            server.stop()


def _crowd(servers: Sequence[Ate], status: int, options: Options) -> Figures:
    master, relays = servers[0], servers[1:]
    publisher = Member(partial(_publish, master, options["messages"], options["gap_s"]))
    members = []
    try:
        publisher.hear()
        before = [resident(relay.process.pid) for relay in relays]
        asked = now()
        for some in shares(options["subscribers"], _FOLLOWER_PROCESSES):
            urls = [relays[one % len(relays)].url for one in some]
            members.append(Member(partial(_follow, urls, options["messages"])))
        for member in members:
            member.hear()
        opened = now() - asked
        grown = sum(resident(one.process.pid) for one in relays) - sum(before)
        publisher.tell("go")
        sent = publisher.hear()
        arrived = [member.hear() for member in members]
        connections = _metric(status, "atedb_connections")
    finally:
        for member in (publisher, *members):
            member.kill()
    last = [max(of_message) - began for began, *of_message in zip(sent, *arrived, strict=True)]
    return {
        "last_p50_s": median(last), "last_max_s": max(last), "master_connections": connections,
        "relay_b": grown / options["subscribers"], "opened_s": opened,
    }  # fmt: skip


async def _publish(server: Ate, messages: int, gap_s: float, wire: Connection) -> array[float]:
    client, sent = await server.client(), array("d")
    await client.append(body_of(0, 0))
    say(wire, "ready")
    wire.recv()
    for number in range(messages):
        sent.append(now())
        await client.append(body_of(0, number + 1))
        await asyncio.sleep(sent[-1] + gap_s - now())
    return sent


async def _follow(urls: Sequence[str], messages: int, wire: Connection) -> array[float]:
    """Be one follower for each URL; return when each message had come to the last of them."""
    arrivals, counts = array("d", [0.0] * messages), [0] * messages
    done = asyncio.Event()

    async def one(url: str) -> None:
        """Follow from the moment it is there: whoever is silent is let go."""
        seen = 0

        def took(_: int) -> None:
            nonlocal seen
            number = seen - follower.commits
            seen += 1
            if follower.commits >= 0 and 0 <= number < messages:
                counts[number] += 1
                if counts[number] == len(urls):
                    arrivals[number] = now()
                    if min(counts) == len(urls):
                        done.set()

        follower = Follower(took)
        await follower.connect(url, "bench")
        tasks.append(asyncio.create_task(follower.follow()))

    tasks: list[asyncio.Task[None]] = []
    for at in range(0, len(urls), _AT_ONCE):
        await asyncio.gather(*map(one, urls[at : at + _AT_ONCE]))
    say(wire, "ready")
    await _until(done, tasks)
    return arrivals


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


def _metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    if found is None:
        raise WrongDataError(f"the server has no metric {name}")
    return float(found[1])


def _raise_limit(files: int) -> None:
    """Let this process and those it starts have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        if hard != resource.RLIM_INFINITY and hard < files:
            raise WrongDataError(f"{files} descriptors are needed (ulimit -n), {hard} allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


CELLS: Final[dict[str, Callable[[Options], Figures]]] = {
    "cold_read": cold_read, "recovery": recovery, "crowd": crowd,
}  # fmt: skip
