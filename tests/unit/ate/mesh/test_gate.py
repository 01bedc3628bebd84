"""`ate.mesh.gate`: the gate that allows everything."""

from __future__ import annotations

from ate.mesh.gate import Gate, OpenGate, Rights


class Key:
    key_id = b"k" * 16


class Somebody:
    peer = Key()
    address = "127.0.0.1:9"

    def close(self, code: str, text: str) -> None:
        raise AssertionError("nobody is sent away")


def test_everything_is_allowed_to_everybody() -> None:
    gate: Gate = OpenGate()
    visitor = Somebody()
    gate.admitted(visitor)
    for exists in (False, True):
        assert gate.may_open(visitor, "notes", b"", exists=exists) == Rights(True, True, 0, 0, "")
    for _ in range(1000):
        assert gate.may_submit(visitor, "notes", 1 << 30) == 0.0
        gate.stored(visitor, "notes", 1 << 30)
    gate.closed(visitor, "notes")
    gate.left(visitor)
