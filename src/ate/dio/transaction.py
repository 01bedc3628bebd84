"""`Transaction`: the drafts of one `dio.commit()` on their way, and what can become of them.

It does nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

from ate.chain.standing import Guards
from ate.dio.receipt import Receipt
from ate.event.commit import Record
from ate.event.draft import Draft
from ate.merkle import Frontier
from ate.session import Session

if TYPE_CHECKING:
    from ate.dio.parcel import Parcel


class Durability(IntEnum):
    """When `commit()` returns."""

    #: Accepted and visible here; a power cut may lose it.
    NONE = 0
    #: On this machine's disk.
    LOCAL = 1
    #: Where the chain's sequencer keeps it; on a local chain the same as LOCAL.
    FULL = 2


@dataclass(slots=True, eq=False)
class Transaction:
    """The drafts of one `dio.commit()` on their way."""

    drafts: list[Draft]
    session: Session | None
    durability: Durability
    at: int | None
    done: asyncio.Future[Outcome] = field(repr=False)
    #: Makes the drafts when it is their turn, of what the chain is then; goes alone.
    make: Callable[[], list[Draft]] | None = None
    #: Versions that must still be the newest ones.
    guards: Guards = ()
    current: list[int] = field(default_factory=list, repr=False)
    tries: int = 0
    #: Where it is kept while it waits for the server, and its first provisional seq; 0 = it is not.
    entry: int = 0
    first: int = 0
    #: It is known what became of it, here and for good.
    over: bool = False
    #: Where it landed; also when its author was told before that nobody knows.
    outcome: Outcome | None = None
    #: What was sent of it, when nobody knows whether that has landed.
    parcel: Parcel | None = field(default=None, repr=False)

    @property
    def is_blind(self) -> bool:
        """Whether only sealed bytes are left of it, from a process that is gone.

        Nobody was told that it is safe, and it cannot be made anew.
        """
        return self.first < 0


@dataclass(slots=True)
class Committed:
    """Where a transaction landed: its commit, and the index of its first row in it."""

    record: Record
    offset: int
    frontier: Frontier
    lsn: int

    @property
    def seq(self) -> int:
        """Of the first row."""
        return self.record.first_seq + self.offset

    @property
    def time_us(self) -> int:
        return self.record.sequencer.time_us

    @property
    def signer(self) -> bytes:
        """Key id that signed the commit."""
        return self.record.author.key_id

    def receipt(self) -> Receipt:
        """Return what the author gets."""
        record = self.record
        return Receipt(
            self.seq, record.root, self.lsn, record.sequencer.time_us, record.first_seq,
            self.frontier,
        )  # fmt: skip


@dataclass(slots=True)
class Waiting:
    """A transaction that is kept here and waits for the server; its seqs are provisional."""

    seq: int
    time_us: int
    signer: bytes = b""

    def receipt(self) -> Receipt:
        """Return what the author gets."""
        return Receipt(0, b"", 0, self.time_us, 0, Frontier())


#: What became of a transaction.
Outcome: TypeAlias = Committed | Waiting
