"""`ate.mesh.overview`: one question, one answer, over lines that break."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.ate.mesh.actors import SERVER

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import VerifyKey
from ate.errors import Offline, Throttled, UntrustedRoot
from ate.mesh.attend import attend
from ate.mesh.line import Line
from ate.mesh.overview import Overview
from ate.mesh.transport import Transport
from ate.testing.simloop import run, sim_loop
from ate.testing.simnet import SimNetwork
from ate.wire.message import Changed, Sync
from ate.wire.terms import Terms


class OracleHall:
    """Answers each question with its names; some it leaves, or refuses."""

    def __init__(self) -> None:
        self.heard: list[Sync] = []
        self.leaves = 0
        self.error: Exception | None = None

    async def arrived(self, visitor: Any) -> None:
        return

    async def left(self, visitor: Any) -> None:
        return

    async def handle(self, visitor: Any, message: Any) -> None:
        self.heard.append(message)
        if self.error is not None:
            raise self.error
        if self.leaves:
            self.leaves -= 1
            visitor.close("", "the server restarts")
            return
        visitor.send(Changed(message.ref + 1, {}, [("not", 1), ("yours", 2)]))
        visitor.send(Changed(message.ref, {b"s" * 16: 7}, [(name, 3) for name in message.names]))

    def accept(self, transport: Transport) -> Any:
        return attend(
            transport, self, identity=None, trust=None, terms=Terms(), server_id=b"s" * 16
        )


class Play:
    def __init__(self, **options: Any) -> None:
        self.net, self.hall = SimNetwork(sim_loop()), OracleHall()
        self.net.listen("server", self.hall.accept)
        dial = self.net.dial("alice")
        self.line = Line(SERVER, dial, entropy=SeededEntropy(1), **options)
        self.overview = Overview(self.line, SeededEntropy(2))


def test_an_answer_is_told_to_who_asked() -> None:
    async def main() -> None:
        play = Play()
        answer = await play.overview.ask(["a", "b"], {b"x": 1})
        assert answer.heads == [("a", 3), ("b", 3)]
        assert play.hall.heard[0].cursor == {b"x": 1}
        assert play.hall.heard[0].more == {}
        other = Overview(play.line, SeededEntropy(3))
        one, two = await asyncio.gather(play.overview.ask(["c"], {}), other.ask(["d"], {}))
        assert (one.heads, two.heads) == ([("c", 3)], [("d", 3)])
        await play.overview.ask(["c"], {}, token=b"text")
        assert play.hall.heard[-1].more == {"token": "text"}
        await play.line.close()

    run(main)


def test_a_question_is_asked_again_when_the_line_broke() -> None:
    async def main() -> None:
        play = Play()
        play.hall.leaves = 2
        assert (await play.overview.ask(["a"], {})).heads == [("a", 3)]
        assert len(play.hall.heard) == 3
        await play.line.close()

    run(main)


def test_what_the_server_has_against_it_is_raised() -> None:
    async def main() -> None:
        play = Play()
        play.hall.error = Throttled("later")
        with pytest.raises(Throttled):
            await play.overview.ask(["a"], {})
        await play.line.close()

    run(main)


def test_no_answer_is_told_in_time() -> None:
    async def main() -> None:
        play = Play()
        play.hall.leaves = 1_000_000
        with pytest.raises(Offline, match="no answer from"):
            await play.overview.ask(["a"], {}, timeout_s=3.0)
        await play.line.close()

    run(main)


def test_a_server_that_is_not_trusted_is_not_asked() -> None:
    def judge(key: VerifyKey | None) -> None:
        raise UntrustedRoot("another server")

    async def main() -> None:
        play = Play(trust=judge)
        with pytest.raises(UntrustedRoot):
            await play.overview.ask(["a"], {})
        assert not play.hall.heard
        await play.line.close()

    run(main)
