from __future__ import annotations

import asyncio

import pytest
from tests.unit.ate.mesh.actors import SERVER

from ate.errors import (
    AteError,
    Disconnected,
    LocalProtocolError,
    RemoteProtocolError,
    Throttled,
    TimedOut,
)
from ate.mesh.pump import Pump, Traffic, report
from ate.testing.simlane import SimTransport
from ate.testing.simloop import run, sim_loop
from ate.testing.simnet import SimNetwork
from ate.wire.connection import Connection
from ate.wire.message import AnyMessage, Records, Submit


class Pair:
    """A client's pump and a server's on two ends of one connection."""

    def __init__(self, near: SimTransport, far: SimTransport, queue_max: int) -> None:
        self.traffic = Traffic()
        self.near = Pump(near, Connection("client"), queue_max=queue_max)
        self.far = Pump(far, Connection("server"), queue_max=queue_max, traffic=self.traffic)

    async def ready(self) -> None:
        async def until_ready(pump: Pump) -> None:
            while not pump.connection.is_ready:
                assert not await pump.receive()

        await asyncio.gather(until_ready(self.near), until_ready(self.far))

    async def close(self) -> None:
        await asyncio.gather(self.near.close(), self.far.close())


async def pair(queue_max: int = 1 << 20) -> tuple[SimNetwork, Pair]:
    net, accepted = SimNetwork(sim_loop()), asyncio.Queue[SimTransport]()

    async def accept(transport: SimTransport) -> None:
        accepted.put_nowait(transport)

    net.listen("server", accept)
    near = await net.dial("alice")(SERVER)
    made = Pair(near, await accepted.get(), queue_max)
    await made.ready()
    return net, made


async def end_of(pump: Pump) -> AteError:
    """Return what `receive` raises in the end."""
    try:
        while True:
            await pump.receive()
    except AteError as error:
        return error


def test_a_burst_is_one_frame() -> None:
    async def main() -> None:
        net, made = await pair()
        before = net.connections("alice", "server")[0].queued
        made.near.send(*(Submit(1, b"x") for _ in range(10)))
        for n in range(90):
            made.near.send(Submit(2, b"%d" % n))
        assert net.connections("alice", "server")[0].queued == before  # nothing leaves yet
        messages: list[AnyMessage] = await made.far.receive()
        assert len(messages) == 100
        assert messages[-1] == Submit(2, b"89")
        await made.close()

    run(main)


def test_the_bytes_of_frames_are_counted() -> None:
    async def main() -> None:
        _, made = await pair()
        sent, received = made.traffic.sent, made.traffic.received
        assert sent > 0 < received  # the handshake
        made.near.send(Submit(1, bytes(5000)))
        await made.far.receive()
        assert 5000 < made.traffic.received - received < 5100
        assert made.traffic.sent == sent
        made.far.send(Records(1, [bytes(3000)]))
        made.far.flush()
        assert 3000 < made.traffic.sent - sent < 3100
        await made.close()

    run(main)


def test_asking_for_the_queue_sends_what_waits() -> None:
    async def main() -> None:
        _, made = await pair()
        made.near.send(Submit(1, bytes(5000)))
        assert made.near.queued >= 0
        await made.near.drain()
        assert len(await made.far.receive()) == 1
        await made.close()

    run(main)


def test_the_transport_takes_larger_frames_once_the_peer_is_known() -> None:
    async def main() -> None:
        _, made = await pair()
        assert made.far.transport.frame_max == made.far.connection.frame_bound > 64 * 1024
        await made.close()

    run(main)


def test_bye_is_the_last_thing_said_and_both_ends_know() -> None:
    async def main() -> None:
        _, made = await pair()
        made.near.send(Submit(1, b"last"))
        made.near.bye("", "enough")
        made.near.bye("throttled", "twice")
        made.near.send(Submit(1, b"too late"))
        assert await made.far.receive() == [Submit(1, b"last")]
        error = await end_of(made.far)
        assert isinstance(error, Disconnected)
        assert made.far.connection.ended_well
        assert (await end_of(made.near)).message == "enough"
        await made.close()
        await made.close()

    run(main)


def test_a_bye_with_a_code_is_that_error_there() -> None:
    async def main() -> None:
        _, made = await pair()
        made.far.bye("throttled", "slower")
        error = await end_of(made.near)
        assert isinstance(error, Throttled)
        assert not made.near.connection.ended_well
        await made.close()

    run(main)


def test_broken_frames_end_it_on_both_sides() -> None:
    async def main() -> None:
        _, made = await pair()
        made.near.transport.send([b"\x40garbage"])
        assert isinstance(await end_of(made.far), RemoteProtocolError)
        assert isinstance(await end_of(made.near), LocalProtocolError)
        await made.close()

    run(main)


def test_a_full_queue_ends_it() -> None:
    async def main() -> None:
        _, made = await pair(queue_max=300_000)
        while not made.far.queued > 300_000:
            made.far.send(Records(1, [bytes(50_000)]))
        assert isinstance(await end_of(made.far), Throttled)
        await made.close()

    run(main)


def test_silence_ends_it_and_asking_keeps_it() -> None:
    async def main() -> None:
        net, made = await pair()
        ends = [asyncio.create_task(end_of(pump)) for pump in (made.near, made.far)]
        gone = asyncio.Event()
        sim_loop().call_later(1000, gone.set)
        await gone.wait()
        assert not any(end.done() for end in ends)
        net.cut()
        began = sim_loop().time()
        for error in await asyncio.gather(*ends):
            assert isinstance(error, TimedOut | Throttled)
        assert sim_loop().time() - began <= 2.25 * 15
        await made.close()

    run(main)


def test_a_program_that_did_nothing_for_a_while_does_not_take_its_peer_for_gone() -> None:
    """It was busy, stopped, or the machine had no time for it: the answer waits to be read."""

    async def main() -> None:
        net, made = await pair()
        ends = [asyncio.create_task(end_of(pump)) for pump in (made.near, made.far)]
        for _ in range(3):
            await sim_loop().pause(7)
            sim_loop()._now_s += 100  # no callback runs meanwhile
            await sim_loop().pause(20)
            assert not any(end.done() for end in ends)
        net.cut()
        began = sim_loop().time()
        await asyncio.gather(*ends)
        assert sim_loop().time() - began <= 2.25 * 15, "and silence still ends it"
        await made.close()

    run(main)


def test_who_waits_to_drain_is_woken_by_the_end() -> None:
    async def main() -> None:
        net, made = await pair(queue_max=1 << 30)
        net.cut()
        made.far.send(*(Records(1, [bytes(900_000)]) for _ in range(5)))
        waiting = asyncio.create_task(made.far.drain())
        assert isinstance(await end_of(made.far), AteError)
        with pytest.raises(Disconnected):
            await waiting
        await made.close()

    run(main)


def test_mistakes_of_the_program_are_told_to_the_loop() -> None:
    async def main() -> list[object]:
        told: list[object] = []
        sim_loop().set_exception_handler(lambda _, what: told.append(what["exception"]))
        report("a mistake", error)
        return told

    error = KeyError("x")
    assert run(main) == [error]
