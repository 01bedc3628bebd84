from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from tests.unit.ate.mesh.actors import SERVER, EarPort, EchoHall

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey, VerifyKey
from ate.errors import (
    AteError,
    Disconnected,
    LocalProtocolError,
    Throttled,
    TimedOut,
    TrustError,
    UntrustedRoot,
)
from ate.mesh.attend import attend
from ate.mesh.line import ANSWER_S, BACKOFF_S, STABLE_S, Line
from ate.mesh.transport import CONNECT_S, Transport
from ate.mesh.url import Url
from ate.testing.simlane import SimTransport
from ate.testing.simloop import run, sim_loop
from ate.testing.simnet import SimNetwork
from ate.wire.message import AnyMessage, Changed, Opened, Records, Submit, Sync
from ate.wire.terms import Terms


class Play:
    """A server, and alice's line to it."""

    def __init__(self, **options: object) -> None:
        self.net, self.hall = SimNetwork(sim_loop()), EchoHall()
        self.dials: list[float] = []
        self.net.listen("server", self.hall.accept)
        self.line = Line(SERVER, self.dial, entropy=SeededEntropy(1), **options)  # type: ignore[arg-type]

    async def dial(self, url: Url) -> SimTransport:
        self.dials.append(sim_loop().time())
        return await self.net.dial("alice")(url)

    async def up(self) -> tuple[EarPort, int]:
        port = EarPort()
        ch = self.line.attach(port)
        await port.until("up")
        await self.hall.until(lambda hall: bool(hall.here))
        return port, ch


def test_a_line_connects_when_a_port_comes_and_carries_its_messages() -> None:
    async def main() -> None:
        play = Play(agent="test")
        assert not play.dials
        port, ch = await play.up()
        assert play.line.is_up
        assert play.line.error is None
        assert "up" in repr(play.line)
        play.line.send(*(Submit(ch, bytes([n])) for n in range(100)))
        await play.line.drain()
        await port.until("message", 100)
        assert port.messages == [Records(ch, [bytes([n])]) for n in range(100)]
        assert play.hall.here[0].peer.agent == "test"
        assert play.line.queued == 0
        await play.line.close()
        assert port.events[-1] == "down"
        assert not play.line.is_up
        await play.hall.until(lambda hall: not hall.here)
        assert len(play.dials) == 1

    run(main)


def test_it_encrypts_when_the_server_wants_it() -> None:
    async def main() -> None:
        play = Play()

        async def accept(transport: Transport) -> None:
            await attend(transport, play.hall, terms=Terms(encryption=True))

        play.net.listen("server", accept)
        port, ch = await play.up()
        assert port.peer is not None
        assert port.peer.encrypted
        assert port.events == ["up"], "nobody was told that it did not work at first"
        assert play.dials == pytest.approx([0, 0], abs=0.5)
        play.hall.here[0].close()
        await port.until("up", 2)
        assert len(play.dials) == 3, "and never again without"
        assert port.peer.encrypted
        play.line.send(Submit(ch, b"x"))
        await port.until("message")
        await play.line.close()

    run(main)


def test_each_channel_has_its_port() -> None:
    async def main() -> None:
        play = Play()
        first, a = await play.up()
        second, b = await play.up()
        assert a != b
        assert len(play.dials) == 1
        play.line.send(Submit(b, b"b"), Submit(a, b"a"))
        await first.until("message")
        await second.until("message")
        assert first.messages == [Records(a, [b"a"])]
        assert second.messages == [Records(b, [b"b"])]
        play.line.detach(a)
        play.line.send(Submit(a, b"a"), Submit(b, b"b"))
        await second.until("message", 2)
        assert len(first.messages) == 1
        await play.line.close()
        assert "down" not in first.events

    run(main)


def test_a_message_without_a_channel_comes_to_every_port() -> None:
    async def main() -> None:
        play = Play()
        ports = [(await play.up())[0] for _ in range(2)]
        play.hall.here[0].send(Changed(1, {}, []))
        for port in ports:
            await port.until("message")
            assert port.messages == [Changed(1, {}, [])]
        await play.line.close()

    run(main)


def test_a_message_that_a_client_may_not_send_is_refused_here() -> None:
    async def main() -> None:
        play = Play()
        _, ch = await play.up()
        with pytest.raises(LocalProtocolError):
            play.line.send(Opened(ch, b"", 0, 0, bytes(32)))
        play.line.send(Sync(1))
        await play.hall.until(lambda hall: bool(hall.heard))
        await play.line.close()

    run(main)


def test_after_a_cut_it_comes_back_and_repeats_nothing() -> None:
    async def main() -> None:
        play = Play()
        port, ch = await play.up()
        play.line.send(Submit(ch, b"1"))
        await port.until("message")
        assert play.net.reset("alice", "server")
        await port.until("down")
        assert isinstance(play.line.error, Disconnected)
        play.line.send(Submit(ch, b"2"))  # dropped: the port opens anew
        with pytest.raises(Disconnected):
            await play.line.drain()
        await port.until("up", 2)
        play.line.send(Submit(ch, b"3"))
        await port.until("message", 2)
        assert [m.commit for m in play.hall.heard if isinstance(m, Submit)] == [b"1", b"3"]
        assert play.hall.arrivals == 2
        await play.line.close()

    run(main)


def test_what_arrives_is_a_prefix_in_order_whatever_breaks() -> None:
    async def main() -> None:
        play = Play()
        play.net.shape(slow_percent=20, slow_s=0.5)
        port, ch = await play.up()
        for round_ in range(20):
            name = f"{round_}."
            sent = [f"{name}{n}" for n in range(50)]
            for commit in sent:
                play.line.send(Submit(ch, commit.encode()))
                await asyncio.sleep(0)
            if round_ % 2:
                await play.hall.until(lambda hall: len(hall.heard) % 50 > 10)
            play.net.reset("alice", "server")
            await port.until("up", round_ + 2)
            texts = [m.commit.decode() for m in play.hall.heard if isinstance(m, Submit)]
            heard = [text for text in texts if text.startswith(name)]
            assert heard == sent[: len(heard)]
        await play.line.close()

    for seed in range(5):
        run(main, seed=seed)


def test_attempts_back_off_with_jitter() -> None:
    async def main() -> None:
        play = Play()
        play.net.refuse("server")
        port = EarPort()
        play.line.attach(port)
        await port.until("down", 200)
        waits = [b - a for a, b in pairwise(play.dials)]
        for n, wait in enumerate(waits):
            assert wait <= min(BACKOFF_S[1], BACKOFF_S[0] * 2**n) + 0.1
        late = waits[12:]
        assert max(late) > 0.8 * BACKOFF_S[1]
        assert min(late) < 0.2 * BACKOFF_S[1]
        assert 0.35 < sum(late) / len(late) / BACKOFF_S[1] < 0.65
        assert isinstance(play.line.error, Disconnected)
        assert play.line.error.hint
        play.net.listen("server", play.hall.accept)
        began = sim_loop().time()
        await port.until("up")
        assert sim_loop().time() - began < BACKOFF_S[1] + 1
        await play.line.close()

    run(main)


def test_a_new_port_does_not_wait_for_the_next_attempt() -> None:
    async def main() -> None:
        play = Play()
        play.net.refuse("server")
        port = EarPort()
        play.line.attach(port)
        await port.until("down", 30)
        play.net.listen("server", play.hall.accept)
        began = sim_loop().time()
        await play.up()
        assert sim_loop().time() - began < 0.1
        await play.line.close()

    run(main)


def test_whoever_is_in_a_hurry_does_not_wait() -> None:
    async def main() -> None:
        play = Play()
        play.net.refuse("server")
        port = EarPort()
        play.line.attach(port)
        for _ in range(20):
            await port.until("down", 30)
        play.net.listen("server", play.hall.accept)
        began = sim_loop().time()
        play.line.hurry()
        await port.until("up")
        assert sim_loop().time() - began < 0.1
        play.line.hurry()  # nothing is to be hurried
        await play.line.close()

    run(main)


def test_a_connection_that_stood_long_makes_the_next_wait_short() -> None:
    async def main() -> None:
        play = Play()
        play.net.refuse("server")
        port = EarPort()
        play.line.attach(port)
        await port.until("down", 30)
        play.net.listen("server", play.hall.accept)
        await port.until("up")
        play.net.reset("alice", "server")  # at once: not a good connection
        downs = port.events.count("down") + 1
        await port.until("up", 2)
        await _after(STABLE_S + 1)
        began = sim_loop().time()
        play.net.reset("alice", "server")
        await port.until("up", 3)
        assert sim_loop().time() - began < 0.3
        assert downs <= port.events.count("down")
        await play.line.close()

    run(main)


def test_after_a_clean_end_it_is_back_at_once_and_only_once() -> None:
    async def main() -> None:
        play = Play()
        port, _ = await play.up()
        play.hall.here[0].close("", "restart")
        began = sim_loop().time()
        await port.until("up", 2)
        assert sim_loop().time() - began < 0.05
        for times in range(3, 13):  # a server that always says good-bye is not asked for ever
            await play.hall.until(lambda hall: bool(hall.here))
            play.hall.here[0].close("", "restart")
            await port.until("up", times)
        assert sim_loop().time() - began > 5
        await play.line.close()

    run(main)


def test_a_silent_peer_is_noticed_after_two_keepalives() -> None:
    async def main() -> None:
        play = Play()
        port, _ = await play.up()
        await _after(100)  # an idle line stays: both sides ask each other
        assert port.events == ["up"]
        assert play.hall.arrivals == 1
        play.net.cut("alice", "server")
        began = sim_loop().time()
        await port.until("down")
        assert 15 <= sim_loop().time() - began <= 2.25 * 15
        assert isinstance(port.errors[0], TimedOut)
        await play.hall.until(lambda hall: not hall.here)
        assert sim_loop().time() - began <= 2.25 * 15 + 1
        play.net.heal()
        await port.until("up", 2)
        await play.line.close()

    run(main)


def test_a_server_that_answers_nothing_is_given_up() -> None:
    async def main() -> None:
        net = SimNetwork(sim_loop())
        held: list[SimTransport] = []

        async def mute(transport: SimTransport) -> None:
            held.append(transport)

        net.listen("server", mute)
        line, port = Line(SERVER, net.dial("alice")), EarPort()
        line.attach(port)
        await port.until("down")
        assert 10 <= sim_loop().time() <= 10 + 2.6
        assert isinstance(port.errors[0], TimedOut)
        net.cut("alice", "server")
        began = sim_loop().time()
        await port.until("down", 2)
        assert sim_loop().time() - began <= CONNECT_S + 1
        await line.close()

    run(main)


def test_a_server_that_is_not_trusted_is_told_so_and_hears_nothing_else() -> None:
    async def main() -> None:
        key = SigningKey.generate(SeededEntropy(2))

        async def accept(transport: Transport) -> None:
            await attend(transport, play.hall, identity=key)

        def trust(found: VerifyKey | None) -> None:
            assert found is not None
            assert found.raw == key.public.raw
            raise UntrustedRoot("not the server I know")

        play = Play(trust=trust)
        play.net.listen("server", accept)
        port = EarPort()
        play.line.attach(port)
        await port.until("down")
        assert isinstance(play.line.error, UntrustedRoot)
        assert not play.hall.arrivals
        await play.line.close()

    run(main)


def test_a_judge_of_keys_that_fails_is_reported_and_lets_nobody_pass() -> None:
    async def main() -> list[str]:
        def trust(found: VerifyKey | None) -> None:
            raise KeyError("no such server")

        failures: list[str] = []
        sim_loop().set_exception_handler(lambda _, what: failures.append(what["message"]))
        play, port = Play(trust=trust), EarPort()
        play.line.attach(port)
        await port.until("down", 2)
        assert isinstance(play.line.error, TrustError)
        assert not play.hall.arrivals
        await play.line.close()
        return failures

    assert run(main) == ["the judge of a peer's key failed"] * 2


def test_a_port_that_fails_harms_no_other() -> None:
    class Bad(EarPort):
        def received(self, message: AnyMessage) -> None:
            raise ZeroDivisionError

    async def main() -> list[str]:
        failures: list[str] = []
        sim_loop().set_exception_handler(lambda _, what: failures.append(what["message"]))
        play = Play()
        bad, port = Bad(), EarPort()
        a, b = play.line.attach(bad), play.line.attach(port)
        await port.until("up")
        play.line.send(Submit(a, b"a"), Submit(b, b"b"))
        await port.until("message")
        await play.line.close()
        return failures

    assert ["a port of" in one for one in run(main)] == [True]


def test_a_server_that_does_not_read_is_left_when_too_much_waits() -> None:
    async def main() -> None:
        play = Play()
        play.hall.gate.clear()
        port, ch = await play.up()
        body = bytes(1 << 20)
        for _ in range(200):
            play.line.send(Submit(ch, body))
            await asyncio.sleep(0)
            if not play.line.is_up or port.errors:
                break
        await port.until("down")
        assert isinstance(port.errors[0], Throttled)
        play.hall.gate.set()
        await play.line.close()

    run(main)


def test_drain_waits_for_a_server_that_does_not_read_and_then_it_is_left() -> None:
    async def main() -> None:
        play = Play()
        play.hall.gate.clear()
        port, ch = await play.up()
        sent, error = 0, None
        try:
            while sent < 1000:
                play.line.send(Submit(ch, bytes(100_000)))
                sent += 1
                await play.line.drain()
        except AteError as caught:
            error = caught
        assert sent < 20
        assert isinstance(error, Disconnected)
        await port.until("down")
        assert sim_loop().time() < 3 * 15
        play.hall.gate.set()
        await play.line.close()

    run(main)


def test_a_slow_way_is_not_taken_for_silence() -> None:
    """A message that takes minutes to send keeps our ping waiting behind it."""

    async def main() -> None:
        play = Play()
        play.net.shape("alice", "server", both=False, bytes_per_s=100_000)
        port, ch = await play.up()
        play.line.send(Submit(ch, bytes(20 << 20)))
        await port.until("message")
        assert sim_loop().time() > 180
        assert port.events == ["up", "message"]
        await play.line.close()

    run(main)


def test_a_closed_line_takes_no_port_and_closes_again() -> None:
    async def main() -> None:
        play = Play()
        await play.line.close()
        with pytest.raises(Disconnected):
            play.line.attach(EarPort())
        await play.line.close()
        assert not play.dials

    run(main)


def test_closing_while_it_dials_leaves_nothing() -> None:
    async def main() -> None:
        play = Play()
        play.net.cut("alice", "server")
        port = EarPort()
        play.line.attach(port)
        await _after(1)
        await play.line.close()
        assert not play.net.connections("alice", "server")

    run(main)


async def _after(seconds: float) -> None:
    """Return when so much virtual time has gone by."""
    gone = asyncio.Event()
    sim_loop().call_later(seconds, gone.set)
    await gone.wait()


def test_a_line_goes_to_the_server_that_stands_by() -> None:
    async def main() -> None:
        play = Play()
        dialed: list[str] = []

        async def dial(url: Url) -> SimTransport:
            dialed.append(url.host)
            return await play.dial(url)

        both = Url.several("ws://other,ws://server")
        line = Line(both, dial, entropy=SeededEntropy(1))
        port = EarPort()
        play.net.host("other")
        line.attach(port)
        await port.until("up")
        assert dialed == ["other", "server"]
        play.net.crash("server")
        play.net.restart("server")
        play.net.listen("other", play.hall.accept)
        await port.until("up", 2)
        assert dialed[2:] == ["other"]
        await line.close()

    run(main)


def test_a_server_that_takes_a_connection_and_says_nothing_is_left() -> None:
    async def main() -> None:
        play = Play()
        stuck: list[Transport] = []

        async def silent(transport: Transport) -> None:
            stuck.append(transport)
            await asyncio.Event().wait()

        play.net.listen("hangs", silent)
        line = Line(Url.several("ws://hangs,ws://server"), play.dial, entropy=SeededEntropy(1))
        port, began = EarPort(), sim_loop().time()
        line.attach(port)
        await port.until("up")
        assert len(stuck) == 1
        assert ANSWER_S <= sim_loop().time() - began < ANSWER_S + 1
        assert line.error is None
        await line.close()

    run(main)
