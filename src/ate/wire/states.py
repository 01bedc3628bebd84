"""The states of a connection's end as one table, and who may say what in each; it runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from ate.wire.message import EITHER, FROM_CLIENT, FROM_SERVER, Bye, Message
from ate.wire.terms import Role


class State(Enum):
    """Where an end is: what it waits for."""

    IDLE = "not started"
    HELLO = "waits for the peer's hello"
    PROOF = "waits for the peer's proof"
    READY = "both ends are known"
    CLOSED = "over"

    # Tables ask for it with each message: by default an enum hashes its name, in Python.
    __hash__ = object.__hash__


class Event(Enum):
    """What happens to an end."""

    START = "we start"
    HELLO = "a hello came"
    PROOF = "a proof came"
    BYE = "the peer said Bye"
    CLOSE = "we say Bye"
    FAIL = "something is wrong with the peer, or it is silent"
    LOST = "the transport ended"


_OVER: Final = (Event.BYE, Event.CLOSE, Event.FAIL, Event.LOST)
#: What is not in here must not happen.
TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    (State.IDLE, Event.START): State.HELLO,
    (State.HELLO, Event.HELLO): State.PROOF,
    (State.PROOF, Event.PROOF): State.READY,
    **{(state, event): State.CLOSED for state in State for event in _OVER},
}
#: Besides hello and proof, in the state of the end that sends or receives.
MAY_SEND: Final[Mapping[tuple[Role, State], frozenset[type[Message]]]] = {
    **{
        (role, state): frozenset({Bye})
        for role in ("client", "server")
        for state in (State.HELLO, State.PROOF)
    },
    ("client", State.READY): frozenset((*EITHER, *FROM_CLIENT)),
    ("server", State.READY): frozenset((*EITHER, *FROM_SERVER)),
}
NOTHING: Final[frozenset[type[Message]]] = frozenset()
