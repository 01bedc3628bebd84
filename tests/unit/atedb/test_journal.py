"""`atedb.journal`: one line for each event, whatever is in it."""

from __future__ import annotations

import io
import json

from ate.errors import OutOfSpace
from atedb.journal import Journal


class Noon:
    def now_us(self) -> int:
        return 1_795_262_400_123_456

    def monotonic_s(self) -> float:
        return 0.0


def test_lines_for_people() -> None:
    out = io.StringIO()
    Journal(out, Noon()).note(
        "made a key", file="a b", key=b"\x01\xff", count=3, empty="", none=None
    )
    assert out.getvalue() == '2026-11-21T12:00:00.123Z made a key file="a b" key=01ff count=3\n'


def test_json_for_machines() -> None:
    out = io.StringIO()
    Journal(out, Noon(), as_json=True).note("ready", url="ws://ä", busy=True, load=0.5)
    assert json.loads(out.getvalue()) == {
        "time": "2026-11-21T12:00:00.123Z", "event": "ready", "url": "ws://ä", "busy": True,
        "load": 0.5,
    }  # fmt: skip


def test_what_a_peer_says_makes_no_second_line_and_is_cut() -> None:
    for as_json in (False, True):
        out = io.StringIO()
        Journal(out, Noon(), as_json=as_json).note("x", path="/\n\x1b[31m" + "a" * 10_000)
        assert out.getvalue().count("\n") == 1
        assert len(out.getvalue()) < 400
        assert "\x1b" not in out.getvalue()


def test_details_are_told_when_asked_for() -> None:
    out = io.StringIO()
    Journal(out, Noon()).detail("connected")
    assert not out.getvalue()
    Journal(out, Noon(), verbose=True).detail("connected")
    assert "connected" in out.getvalue()


def test_faults_say_what_is_ours_to_say() -> None:
    out = io.StringIO()
    journal = Journal(out, Noon())
    journal.fault("no room", OutOfSpace("the disk is full"))
    try:
        raise ValueError("a secret")
    except ValueError as error:
        journal.fault("broken", error)
    first, second = out.getvalue().splitlines()
    assert 'code=out_of_space message="the disk is full"' in first
    assert "ValueError in test_journal.py" in second
    assert "secret" not in second


def test_a_closed_stream_ends_nothing() -> None:
    out = io.StringIO()
    out.close()
    Journal(out, Noon()).note("x")
