"""What a root and its subscribers need of a connection; the driver's `Visitor` has it."""

from __future__ import annotations

from typing import Any, Protocol

from ate.wire.codec import Sendable


class Guest(Protocol):
    """One connection, seen from the hall. It is hashed by identity."""

    @property
    def peer(self) -> Any:
        """What it has proved: `key_id` and so on."""
        ...

    @property
    def address(self) -> str: ...

    def send(self, *messages: Sendable) -> None:
        """Queue messages; never blocks and never raises."""
        ...

    def close(self, code: str, text: str) -> None:
        """Say goodbye and end it."""
        ...
