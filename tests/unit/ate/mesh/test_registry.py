from __future__ import annotations

import asyncio

import pytest
from tests.unit.ate.mesh.actors import SERVER, EarPort, EchoHall

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey, VerifyKey
from ate.errors import Disconnected, UsageError
from ate.mesh.registry import KEEP_S, Registry
from ate.testing.simloop import run, sim_loop
from ate.testing.simnet import SimNetwork
from ate.wire.message import Submit
from ate.wire.terms import Terms


class Play:
    def __init__(self) -> None:
        self.net, self.hall = SimNetwork(sim_loop()), EchoHall()
        self.net.listen("server", self.hall.accept)
        self.registry = Registry(self.net.dial("alice"), entropy=SeededEntropy(1), agent="test")

    async def command(self, number: int) -> None:
        """Do what a short program does: come, say something, go."""
        line, port = self.registry.line("ws://server"), EarPort()
        ch = line.attach(port)
        await port.until("up")
        line.send(Submit(ch, b"%d" % number))
        await port.until("message")
        line.detach(ch)
        self.registry.release(line)


def test_a_hundred_commands_use_one_connection() -> None:
    async def main() -> None:
        play = Play()
        for number in range(50):
            await play.command(number)
        await asyncio.gather(*(play.command(number) for number in range(50)))
        assert play.hall.arrivals == 1
        assert len(play.hall.heard) == 100
        await play.registry.close()

    run(main)


def test_a_line_outlives_its_last_user_by_a_minute() -> None:
    async def main() -> None:
        play = Play()
        for number in range(5):
            await play.command(number)
            await _after(KEEP_S - 1)
        assert play.hall.arrivals == 1
        await _after(2)
        assert len(play.registry) == 0
        await play.hall.until(lambda hall: not hall.here)
        await play.command(9)
        assert play.hall.arrivals == 2
        await play.registry.close()

    run(main)


def test_a_line_stays_while_one_of_two_uses_it() -> None:
    async def main() -> None:
        play = Play()
        first, second = play.registry.line(SERVER), play.registry.line("ws://server:5000/")
        assert first is second
        first.attach(EarPort())
        play.registry.release(first)
        await _after(3 * KEEP_S)
        assert second.is_up
        play.registry.release(second)
        with pytest.raises(UsageError):
            play.registry.release(second)
        await play.registry.close()
        await play.registry.close()

    run(main)


def test_only_equals_share_a_line() -> None:
    def trust(key: VerifyKey | None) -> None: ...

    async def main() -> None:
        play = Play()
        key = SigningKey.generate(SeededEntropy(2))
        again = SigningKey.from_seed(key.seed)
        line = play.registry.line
        lines = [
            line("ws://server"),
            line("ws://server/db"),
            line("ws://server", identity=key),
            line("ws://server", trust=trust),
            line("ws://server", terms=Terms(encryption=True)),
        ]
        assert len(set(map(id, lines))) == len(play.registry) == 5
        assert line("ws://server", identity=again) is lines[2]
        assert line("ws://server", trust=trust) is lines[3]
        await play.registry.close()
        for one in lines:
            with pytest.raises(Disconnected):
                one.attach(EarPort())

    run(main)


def test_a_bad_address_is_told_at_once() -> None:
    with pytest.raises(UsageError):
        Registry().line("http://server")


async def _after(seconds: float) -> None:
    gone = asyncio.Event()
    sim_loop().call_later(seconds, gone.set)
    await gone.wait()
