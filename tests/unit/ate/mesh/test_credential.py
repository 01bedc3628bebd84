"""What a gate is shown, and what a client does when it is not let in."""

from __future__ import annotations

from typing import Any

import pytest
from tests.shared import World, play, put, texts

import ate
from ate.errors import BadToken, NetworkError, Offline, TokenExpired, UsageError
from ate.mesh.credential import Credential
from ate.mesh.gate import Caller, OpenGate, Rights


def test_a_token_is_text_or_bytes_or_a_function() -> None:
    for token in ("secret", b"secret", lambda: "secret\n", lambda: b" secret"):
        assert Credential(token).show() == b"secret"
    assert Credential().show() == b""


def test_what_is_neither_is_told() -> None:
    with pytest.raises(UsageError, match="not int"):
        Credential(lambda: 7).show()  # type: ignore[arg-type,return-value]


def test_a_function_that_fails_is_named_and_its_words_are_not_repeated() -> None:
    def away() -> bytes:
        raise OSError("the password is tomato")

    with pytest.raises(NetworkError, match="OSError") as caught:
        Credential(away).show()
    assert "tomato" not in f"{caught.value} {caught.value.hint}"

    def offline() -> bytes:
        raise Offline("no way to the issuer")

    with pytest.raises(Offline, match="issuer"):
        Credential(offline).show()


def test_a_token_is_spent_on_the_connection_where_it_was_refused() -> None:
    answers = iter([b"old", b"old", b"new"])
    one, other, credential = object(), object(), Credential(lambda: next(answers))
    assert credential.show() == b"old"
    assert not credential.is_spent(one)
    credential.refuse(one)
    assert not credential.is_spent(other), "the function is not even asked"
    assert credential.is_spent(one)
    assert not credential.is_spent(one)
    assert credential.show() == b"new", "it was asked for once"
    assert credential.is_spent(one), "no token is none that could be shown"


class Picky(OpenGate):
    """Lets those in who show the token of the day."""

    def __init__(self) -> None:
        self.today = b"monday"
        self.shown: list[bytes] = []
        self.here: dict[Caller, None] = {}

    def may_open(self, visitor: Caller, name: str, token: bytes, *, exists: bool) -> Rights:
        self.shown.append(token)
        if not token:
            raise BadToken("this server wants a token", hint="get one")
        if token != self.today:
            raise TokenExpired("it is of another day")
        self.here[visitor] = None
        return Rights()

    def turn(self, day: bytes) -> None:
        """Begin another day: who is here must show another token."""
        self.today = day
        self.shown.clear()
        for visitor in self.here:
            visitor.close("", "another day")
        self.here.clear()


def test_an_opening_without_a_good_token_fails_at_once_with_the_reason() -> None:
    async def main(world: World) -> None:
        world.hall.gate = Picky()
        began = world.loop.time()
        with pytest.raises(BadToken, match="wants a token") as caught:
            await world.device("one").open()
        assert caught.value.hint == "get one"
        with pytest.raises(TokenExpired):
            await world.device("two").open(connection={"token": "sunday"})
        assert world.loop.time() - began < 1
        chain = await world.device("three").open(connection={"token": "monday"})
        await chain.close()

    play(main)


@pytest.mark.parametrize("recovery", ["readonly-async", "async"])
def test_a_token_that_was_refused_is_not_shown_again_and_a_new_one_is(recovery: str) -> None:
    async def main(world: World) -> None:
        gate = world.hall.gate = Picky()
        token = b"monday"
        chain = await world.device().open(connection={"token": lambda: token}, recovery=recovery)
        await put(chain, "with monday's")
        gate.turn(b"tuesday")
        await _refused(chain)
        await world.loop.pause(600)
        assert gate.shown == [b"monday"], "ten minutes, one question"
        assert chain.status.trouble == "it is of another day"
        if recovery == "async":
            await put(chain, "kept here")
        else:
            with pytest.raises(TokenExpired):
                await put(chain, "kept nowhere")
        token = b"tuesday"
        await world.loop.pause(31)
        assert gate.shown == [b"monday", b"tuesday"]
        await chain.sync()
        await put(chain, "with tuesday's")
        kept = ["kept here"] if recovery == "async" else []
        assert await texts(chain) == [*kept, "with monday's", "with tuesday's"]
        await chain.close()

    play(main)


def test_a_new_connection_is_a_new_question() -> None:
    """The server may have been restarted with the key that it had lost."""

    async def main(world: World) -> None:
        gate = world.hall.gate = Picky()
        chain = await world.device().open(connection={"token": "monday"})
        gate.turn(b"tuesday")
        await _refused(chain)
        gate.today = b"monday"
        world.net.reset("one", "server")
        await world.loop.pause(60)
        await chain.sync()
        await put(chain, "x")
        await chain.close()

    play(main)


async def _refused(chain: ate.Chain) -> None:
    remote: Any = chain._remote
    with pytest.raises(TokenExpired):
        await remote.wait(lambda: False, 60)
    with pytest.raises(TokenExpired):
        await chain.sync()
