"""Two ends of a connection in one process, for the tests of `ate.wire`: frames go by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey
from ate.wire.connection import Connection, Terms
from ate.wire.message import AnyMessage, Message

SERVER_ID = bytes(range(16))
PLAIN, SECRET = Terms(), Terms(encryption=True)


@cache
def key(seed: int) -> SigningKey:
    return SigningKey.generate(SeededEntropy(seed))


def client(seed: int = 1, *, terms: Terms = PLAIN, **more: Any) -> Connection:
    made = Connection("client", terms=terms, entropy=SeededEntropy(seed), path="/db", **more)
    made.start(0.0)
    return made


def server(seed: int = 2, *, terms: Terms = PLAIN, **more: Any) -> Connection:
    made = Connection(
        "server", terms=terms, entropy=SeededEntropy(seed), server_id=SERVER_ID, **more
    )
    made.start(0.0)
    return made


def carry(source: Connection, target: Connection, now_s: float = 0.0) -> list[AnyMessage]:
    """Hand over what one end has to send; return what the other makes of it."""
    return [heard for frame in source.outgoing() for heard in target.receive(frame, now_s)]


def meet(one: Connection, other: Connection, now_s: float = 0.0) -> None:
    """Carry frames until nobody has any."""
    while frames := one.outgoing():
        for frame in frames:
            other.receive(frame, now_s)
        carry(other, one, now_s)


def pair(*, terms: Terms = PLAIN, server_terms: Terms = PLAIN) -> tuple[Connection, Connection]:
    """Return a client and a server that know each other."""
    left = client(terms=terms, identity=key(1))
    right = server(terms=server_terms, identity=key(2))
    meet(left, right)
    assert left.is_ready
    assert right.is_ready
    return left, right


def sent(source: Connection, *messages: Message) -> list[bytes]:
    """Return the frames of messages."""
    source.send(*messages)
    return source.outgoing()


def kinds(messages: Sequence[Message]) -> list[str]:
    return [type(one).__name__ for one in messages]
