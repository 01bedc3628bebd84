"""`Parcel`: one sealed and signed commit on its way to the root, and what carries it there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from ate.dio.transaction import Transaction
from ate.errors import AteError, Disconnected, Offline
from ate.event.commit import Commit, SequencerPart
from ate.event.draft import Draft
from ate.event.payload import encode_payload

_UNORDERED: Final = SequencerPart(0, 0, 0, bytes(32))


class Sent(Protocol):
    """What is on its way, as far as its author knows it."""

    #: Why what waits does not land although there is a connection.
    hindrance: AteError | None


class Carrier(Protocol):
    """What brings commits to the root: `ate.mesh.replica.Replica`, or a link to it."""

    #: Held while something is taken from the server's stream.
    taking: asyncio.Lock
    #: Why the server is not followed any more, for good.
    failure: AteError | None
    #: Why there is no connection now, or no chain on it.
    trouble: AteError | None
    #: All that the server had when it was asked is here.
    is_current: bool

    @property
    def flights(self) -> Sent: ...

    @property
    def refusal(self) -> AteError | None:
        """Why no commits are taken there, however long one waits; None when they are."""
        ...

    @property
    def is_online(self) -> bool:
        """Whether a commit would leave at once."""
        ...

    def recall(self, flight: Any) -> bool:
        """Look for a commit in the chain as it is here; if it is there its author is told."""
        ...

    def send(self, flight: Any) -> None:
        """Send a commit now or when there is a connection, until it is known what became of it."""
        ...


class Parcel:
    """One commit on its way."""

    __slots__ = (
        "abandoned", "adopted", "at", "entry", "group", "guards", "ids", "lsn", "offset",
        "payload", "rows", "session",
    )  # fmt: skip

    def __init__(
        self, group: list[Transaction], origin: tuple[int, int], payload: bytes,
        rows: Sequence[Draft], offset: int,
    ) -> None:  # fmt: skip
        self.group, self.payload, self.rows, self.offset = group, payload, rows, offset
        self.session, self.lsn = origin
        first = group[0] if group else None
        self.at: int | None = first.at if first is not None else None
        self.guards = list(dict.fromkeys(pair for one in group for pair in one.guards))
        self.entry = 0
        #: Its authors were told that nobody knows what becomes of it.
        self.abandoned = False
        #: It is kept and shown as work of its own, with nobody waiting for it.
        self.adopted = False
        self.ids: list[bytes] = []

    @property
    def device(self) -> int:
        """Of its origin; it is signed with the rest."""
        return int.from_bytes(self.payload[40:48], "little")

    @property
    def is_kept(self) -> bool:
        """Whether it was promised to wait here until it lands, or is of a process that is gone."""
        return self.group[0].first != 0

    @property
    def drafts(self) -> list[Draft]:
        """What its transactions change, in order."""
        if len(self.group) == 1:
            return self.group[0].drafts
        return [draft for one in self.group for draft in one.drafts]


def unordered(commit: Commit) -> bytes:
    """Return the payload of a commit that no server has seen, all bodies inline."""
    return b"".join(encode_payload(commit, _UNORDERED, [None] * len(commit.heads)))


def changed(transaction: Transaction) -> list[bytes]:
    """Return the objects that a transaction changes, or hangs something under."""
    found = [draft.id for draft in transaction.drafts]
    found += [draft.parent for draft in transaction.drafts if any(draft.parent)]
    return found


def offline(*, goes_on: bool) -> Offline:
    """Return the error for a commit that was not sent.

    Args:
        goes_on: other commits are taken without a connection.
    """
    if goes_on:
        return Offline(
            "there is no connection to the server, and this commit cannot wait for one: it grants "
            "or revokes rights, stands on a lease or a head, or is of another session",
            hint="try again when `chain.status.online` is true; the Dio keeps its changes",
        )
    return Offline(
        "there is no connection to the server, and this chain takes no commits without one",
        hint='open it with recovery="async" to go on offline; the Dio keeps its changes',
    )


def in_doubt() -> Disconnected:
    """Return the error for a commit of which nobody knows yet whether it has landed."""
    return Disconnected(
        "the connection was lost before the server answered: the commit may have landed",
        hint="commit again when the connection is back: it is applied once, whatever became of it",
    )
