from __future__ import annotations

from ate.wire.message import EITHER, FROM_CLIENT, FROM_SERVER, Bye, Message
from ate.wire.states import MAY_SEND, TRANSITIONS, Event, State


def test_every_state_is_reached_and_none_is_left_behind() -> None:
    assert {following for _, following in TRANSITIONS.items()} == set(State) - {State.IDLE}
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert {event for _, event in TRANSITIONS} == set(Event)


def test_ready_has_one_door() -> None:
    doors = [at for at, following in TRANSITIONS.items() if following is State.READY]
    assert [at for at in doors if at[0] is not State.READY] == [(State.PROOF, Event.PROOF)]


def test_nothing_leaves_closed() -> None:
    left = {following for (state, _), following in TRANSITIONS.items() if state is State.CLOSED}
    assert left == {State.CLOSED}


def test_an_end_can_close_in_every_state() -> None:
    for state in State:
        for event in (Event.BYE, Event.CLOSE, Event.FAIL, Event.LOST):
            assert TRANSITIONS[state, event] is State.CLOSED


def test_every_message_has_a_speaker() -> None:
    said = MAY_SEND["client", State.READY] | MAY_SEND["server", State.READY]
    assert said == set(Message.__subclasses__()) == {*EITHER, *FROM_CLIENT, *FROM_SERVER}
    assert not set(FROM_CLIENT) & set(FROM_SERVER)


def test_strangers_may_only_say_bye() -> None:
    for role in ("client", "server"):
        for state in (State.HELLO, State.PROOF):
            assert MAY_SEND[role, state] == {Bye}  # type: ignore[index]
        assert (role, State.IDLE) not in MAY_SEND
        assert (role, State.CLOSED) not in MAY_SEND
