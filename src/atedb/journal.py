"""What the server writes down as it runs: one line for each event; never a secret, never a value.

Lines are for people, JSON for machines. What comes from a peer is cut and escaped.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from ate.clock import Clock
from atedb.exits import described

_VALUE_MAX: Final = 200


class Journal:
    """Writes events to a stream.

    Args:
        out: usually stderr; when it is closed, events are dropped.
        as_json: one JSON object in each line.
        verbose: also what is normal, such as each connection.
    """

    def __init__(
        self, out: TextIO, clock: Clock, *, as_json: bool = False, verbose: bool = False
    ) -> None:
        self._out, self._clock = out, clock
        self._write: Callable[[str, dict[str, Any]], str] = _json if as_json else _line
        self.verbose = verbose

    def note(self, event: str, **facts: Any) -> None:
        """Write down something that an operator wants to know."""
        when = datetime.fromtimestamp(self._clock.now_us() / 1_000_000, UTC)
        shown = {name: _value(value) for name, value in facts.items() if value not in ("", None)}
        text = self._write(f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z", shown | {
            "event": event
        })  # fmt: skip
        with contextlib.suppress(OSError, ValueError):
            self._out.write(text + "\n")
            self._out.flush()

    def detail(self, event: str, **facts: Any) -> None:
        """Write down something that is normal, if anybody asked for it."""
        if self.verbose:
            self.note(event, **facts)

    def fault(self, event: str, error: BaseException, **facts: Any) -> None:
        """Write down an error: its code, its message if it is one of ours, and its place."""
        code, message, hint = described(error)
        self.note(event, **facts, code=code, message=message, hint=hint)


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    shown = "".join(one if one.isprintable() else "?" for one in text[:_VALUE_MAX])
    return shown + "…" if len(text) > _VALUE_MAX else shown


def _json(when: str, facts: dict[str, Any]) -> str:
    return json.dumps({"time": when, "event": facts.pop("event"), **facts}, ensure_ascii=False)


def _line(when: str, facts: dict[str, Any]) -> str:
    event = facts.pop("event")
    pairs = [
        f"{name}={json.dumps(value, ensure_ascii=False) if ' ' in str(value) else value}"
        for name, value in facts.items()
    ]
    return " ".join([when, event, *pairs])
