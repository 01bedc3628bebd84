from __future__ import annotations

import asyncio

import pytest
from tests.unit.ate.mesh.actors import SERVER, EarPort, EchoHall

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey, VerifyKey
from ate.errors import (
    AteError,
    Disconnected,
    LocalProtocolError,
    NotFound,
    RemoteError,
    Throttled,
    WriteDenied,
)
from ate.mesh.attend import Visitor, attend
from ate.mesh.line import Line
from ate.mesh.transport import Transport
from ate.mesh.url import Url
from ate.testing.simlane import SimTransport
from ate.testing.simloop import run, sim_loop
from ate.testing.simnet import SimNetwork
from ate.wire.connection import Connection
from ate.wire.message import Close, Failed, Fetch, Records, Submit, Sync
from ate.wire.terms import Terms


class Play:
    """A server whose sessions take options, and a client."""

    def __init__(self, **options: object) -> None:
        self.net, self.hall = SimNetwork(sim_loop()), EchoHall()
        self.visitors: dict[Visitor, None] = {}
        self.failures: list[str] = []
        sim_loop().set_exception_handler(lambda _, what: self.failures.append(what["message"]))

        async def accept(transport: Transport) -> None:
            await attend(
                transport,
                self.hall,
                visitors=self.visitors,
                **options,  # type: ignore[arg-type]
            )

        self.net.listen("server", accept)
        self.port = EarPort()

    def line(self, url: Url = SERVER, identity: SigningKey | None = None) -> tuple[Line, int]:
        line = Line(url, self.net.dial("alice"), identity=identity)
        return line, line.attach(self.port)

    async def up(self) -> tuple[Line, int]:
        line, ch = self.line()
        await self.hall.until(lambda hall: bool(hall.here))
        return line, ch

    async def refused(self, url: Url = SERVER, identity: SigningKey | None = None) -> AteError:
        """Return what a client is told that is sent away."""
        line, _ = self.line(url, identity)
        await self.port.until("down")
        await line.close()
        return self.port.errors[0]


async def raw(net: SimNetwork) -> tuple[SimTransport, Connection]:
    """Return a client without a line: it reads only when told."""
    transport, connection = await net.dial("alice")(SERVER), Connection("client")
    connection.start(0.0)
    transport.send(connection.outgoing())
    while not connection.is_ready:
        connection.receive(await transport.receive(), 0.0)
        transport.send(connection.outgoing())
    return transport, connection


def test_messages_are_handled_one_at_a_time_and_in_order() -> None:
    async def main() -> None:
        play = Play(agent="server", server_id=bytes(16))
        play.hall.gate.clear()
        line, ch = await play.up()
        assert play.hall.here[0].address == "alice"
        assert "alice" in repr(play.hall.here[0])
        line.send(*(Submit(ch, bytes([n])) for n in range(9)))
        await play.hall.until(lambda hall: bool(hall.heard))
        await asyncio.sleep(0)
        assert len(play.hall.heard) == 1
        play.hall.gate.set()
        await play.port.until("message", 9)
        assert play.port.messages == [Records(ch, [bytes([n])]) for n in range(9)]
        assert list(play.visitors) == play.hall.here
        await line.close()
        await play.hall.until(lambda hall: not hall.here)
        await asyncio.sleep(0)
        assert not play.visitors

    run(main)


def test_errors_of_the_hall_are_answers_and_mistakes_stay_its_secret() -> None:
    async def main() -> None:
        play = Play()
        line, ch = await play.up()
        line.send(Fetch(ch, 7, []), Close(ch), Submit(ch, b"x"))
        await play.port.until("message", 3)
        first, second, third = play.port.messages
        assert first == Failed(ch, 7, "error", "no such body", "ask for another")
        assert isinstance(second, Failed)
        assert second.code == RemoteError.code
        assert "secret" not in repr(second)
        assert third == Records(ch, [b"x"])
        assert play.failures == ["the hall failed on a Close"]
        await line.close()

    run(main)


def test_a_hall_may_send_a_visitor_away() -> None:
    async def main() -> None:
        play = Play()
        play.hall.refuse = WriteDenied("you are not on the list")
        error = await play.refused()
        assert isinstance(error, WriteDenied)
        assert "not on the list" in error.message
        assert not play.hall.here  # `left` was called

    run(main)


def test_a_mistake_while_somebody_arrives_is_told_as_one() -> None:
    async def main() -> None:
        play = Play()
        play.hall.refuse = ZeroDivisionError("a secret")
        error = await play.refused()
        assert isinstance(error, RemoteError)
        assert "secret" not in error.message
        assert play.failures[0] == "the hall failed on a visitor"

    run(main)


def test_only_the_paths_that_are_served() -> None:
    async def main() -> None:
        play = Play(path_ok=lambda path: path == "/db")
        error = await play.refused(Url.parse("ws://server/other"))
        assert isinstance(error, NotFound)
        assert "/other" in error.message
        assert not play.hall.arrivals
        line, _ = play.line(Url.parse("ws://server/db"))
        await play.port.until("up")
        await line.close()

    run(main)


def test_a_full_server_says_so() -> None:
    async def main() -> None:
        error = await Play(is_full=True).refused()
        assert isinstance(error, Throttled)

    run(main)


def test_a_client_key_that_is_not_welcome() -> None:
    alice = SigningKey.generate(SeededEntropy(1))

    def trust(key: VerifyKey | None) -> None:
        if key is None:
            raise WriteDenied("show a key")

    async def main() -> None:
        play = Play(trust=trust)
        assert isinstance(await play.refused(), WriteDenied)
        assert not play.hall.arrivals
        line, _ = play.line(identity=alice)
        await play.port.until("up")
        await play.hall.until(lambda hall: bool(hall.here))
        assert play.hall.here[0].peer.key_id == alice.public.key_id
        await line.close()

    run(main)


def test_a_visitor_that_reads_nothing_is_let_go() -> None:
    """Its queue grows to the bound and no further; the others are served meanwhile."""

    async def main() -> None:
        bound = 1 << 20
        play = Play(queue_max=bound)
        transport, _ = await raw(play.net)
        await play.hall.until(lambda hall: bool(hall.here))
        lazy, most = play.hall.here[0], 0
        for _ in range(1000):
            lazy.send(Records(1, [bytes(50_000)]))
            most = max(most, lazy.queued)
            if lazy not in play.visitors or (play.visitors and most > bound):
                break
            await asyncio.sleep(0)
        assert bound < most < bound + 100_000
        line, ch = play.line()
        line.send(Submit(ch, b"x"))
        await play.port.until("up")
        line.send(Submit(ch, b"x"))
        await play.port.until("message")
        await play.hall.until(lambda hall: lazy not in hall.here)
        with pytest.raises(Disconnected):
            while True:
                await transport.receive()
        await line.close()

    run(main)


def test_a_visitor_that_stops_reading_is_let_go_even_with_a_little_queue() -> None:
    async def main() -> None:
        play = Play()
        await raw(play.net)
        await play.hall.until(lambda hall: bool(hall.here))
        lazy = play.hall.here[0]
        while not lazy.queued:
            lazy.send(Records(1, [bytes(50_000)]))
            await asyncio.sleep(0)
        began = sim_loop().time()
        with pytest.raises(Disconnected):
            while True:
                lazy.send(Records(1, [bytes(50_000)]))
                await lazy.drain()
        await play.hall.until(lambda hall: not hall.here)
        assert sim_loop().time() - began < 2.25 * 15 + 3

    run(main)


def test_a_hall_that_takes_long_does_not_lose_its_visitors() -> None:
    async def main() -> None:
        play = Play()
        line, ch = await play.up()
        play.hall.gate.clear()
        line.send(Submit(ch, b"1"), Submit(ch, b"2"))
        await _after(25)
        play.hall.gate.set()
        await play.port.until("message", 2)
        await _after(60)
        assert play.port.events == ["up", "message", "message"]
        await line.close()

    run(main)


def test_a_visitor_is_dismissed_when_its_message_is_handled() -> None:
    async def main() -> None:
        play = Play()
        line, ch = await play.up()
        play.hall.gate.clear()
        line.send(Submit(ch, b"1"), Submit(ch, b"2"))
        await play.hall.until(lambda hall: bool(hall.heard))
        for visitor in play.visitors:
            visitor.dismiss("the server stops")
        assert play.hall.here
        play.hall.gate.set()
        await play.port.until("down")
        assert play.port.messages == [Records(ch, [b"1"])]
        assert len(play.hall.heard) == 1
        await play.port.until("up", 2)  # back at once: it was a clean end
        await play.hall.until(lambda hall: bool(hall.here))
        for visitor in play.visitors:
            visitor.dismiss("the server stops")  # one that waits goes at once
        await play.port.until("down", 2)
        await line.close()

    run(main)


def test_a_message_that_a_server_may_not_send_is_refused_here() -> None:
    async def main() -> None:
        play = Play()
        line, _ = await play.up()
        with pytest.raises(LocalProtocolError):
            play.hall.here[0].send(Sync(1))
        await line.close()

    run(main)


def test_a_peer_that_breaks_the_protocol_is_told_and_let_go() -> None:
    async def main() -> None:
        play = Play()
        transport, connection = await raw(play.net)
        transport.send([b"\x00\xff\xff"])
        while not connection.is_closed:
            connection.receive(await transport.receive(), 0.0)
        assert isinstance(connection.lost(), LocalProtocolError)
        await play.hall.until(lambda hall: not hall.here)

    run(main)


def test_a_cancelled_session_leaves_nothing() -> None:
    async def main() -> None:
        hall, net = EchoHall(), SimNetwork(sim_loop())
        tasks: list[asyncio.Task[None]] = []

        async def accept(transport: Transport) -> None:
            tasks.append(asyncio.create_task(attend(transport, hall)))

        net.listen("server", accept)
        line, port = Line(SERVER, net.dial("alice")), EarPort()
        line.attach(port)
        await hall.until(lambda hall: bool(hall.here))
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()
        assert not hall.here
        assert not net.connections("server", "alice")
        await port.until("down")
        await line.close()

    run(main)


def test_silent_strangers_are_let_go() -> None:
    async def main() -> None:
        play = Play(terms=Terms(handshake_s=3))
        transport = await play.net.dial("alice")(SERVER)
        with pytest.raises(Disconnected):
            while True:
                await transport.receive()
        assert 3 <= sim_loop().time() <= 5
        assert not play.hall.arrivals
        assert not play.visitors

    run(main)


async def _after(seconds: float) -> None:
    gone = asyncio.Event()
    sim_loop().call_later(seconds, gone.set)
    await gone.wait()
