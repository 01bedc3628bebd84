"""The plug points of a chain and the values they see.

It holds no built-in (one file each beside it).

A plug-in is any object with a `name` that has the methods of one or more of these Protocols. Given
to `ate.open(plugins=[…])` it joins the built-ins; one with the name of a built-in replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ate.event.access import Access
from ate.event.commit import AuthorPart, Record
from ate.event.draft import Draft
from ate.event.header import Header
from ate.event.row import Row
from ate.session import Session
from ate.trust.state import Trust


class Deny(NamedTuple):
    """A refusal: which row (-1 = the commit as a whole) and why, naming rule and missing key."""

    row: int
    reason: str


class Allow:
    """A validator is in favour."""


class Abstain:
    """A validator has no opinion."""


Verdict = Allow | Abstain | Sequence[Deny]
ALLOW = Allow()
ABSTAIN = Abstain()


class Stored(NamedTuple):
    """What the chain holds about an object right now."""

    seq: int
    dead: bool
    row: Row
    access: Access | None


@dataclass(slots=True)
class Proposal:
    """A commit before judgement.

    Args:
        author: the signed part.
        root: its hash.
        signature: as it came.
        record: the commit itself; its place in the order means nothing yet.
        bodies: stored bodies (sealed where the row says so), by row index.
        headers: rare fields by row index.
        current: seq of each object's version in the chain (0 = none; DEAD flag on tombstones).
        trust: keys, roles, certificates and policies as of now.
        stored: looks an object up in the chain.
        time_us: the sequencer's time for it.
        prepared_here: sealed and signed by this process a moment ago.
        drafts: the plain changes, when the author is here and the session may see them; else None.
        root_access: the chain's own rule.
        rules: True when any object but the chain itself carries an access rule.
        authorities: key ids that it speaks for, if it is what it claims to be.
        proved: the signing key that the connection has proved over which it came to be ordered
            here; empty when it has been ordered already, or is signed anyway.
    """

    author: AuthorPart
    root: bytes
    signature: bytes
    record: Record
    body: Callable[[int], bytes | memoryview]
    headers: dict[int, Header]
    current: Sequence[int]
    trust: Trust
    stored: Callable[[bytes], Stored | None]
    time_us: int
    prepared_here: bool = False
    drafts: Sequence[Draft] | None = None
    root_access: Access = field(default_factory=Access)
    rules: bool = True
    authorities: frozenset[bytes] = frozenset()
    proved: bytes = b""

    @property
    def table(self) -> npt.NDArray[np.void]:
        """The rows as an array of `ate.event.row.ROW`."""
        return self.record.table

    def row_id(self, index: int) -> bytes:
        return self.record.row(index).id


class Plugin(Protocol):
    """What every plug-in has."""

    name: str


@runtime_checkable
class Enricher(Protocol):
    """Adds header fields to a draft before it is sealed."""

    def enrich(self, draft: Draft, session: Session | None) -> Draft: ...


@runtime_checkable
class Filter(Protocol):
    """Encodes bodies on the way in and decodes them on the way out (compression).

    `encode` returns the body unchanged and the same codec when it does not apply; otherwise it sets
    its own bit in the codec. `decode` looks at that bit.
    """

    def encode(self, codec: int, body: bytes) -> tuple[int, bytes]: ...
    def decode(self, codec: int, body: bytes) -> tuple[int, bytes]: ...


@runtime_checkable
class Validator(Protocol):
    """Judges a whole commit. Any deny refuses it; so does silence from all."""

    async def validate(self, proposal: Proposal) -> Verdict: ...


@runtime_checkable
class Projection(Protocol):
    """Folds changes into a view of its own; fed in order, from the start at each opening."""

    def apply(self, change: Change) -> None: ...


@runtime_checkable
class Retention(Protocol):
    """Votes on rows in compaction, newest first; None abstains."""

    def vote(self, row: Row, header: Header | None) -> Vote | None: ...


@runtime_checkable
class Worker(Protocol):
    """Runs once for each new change of the schemas it names, behind the commit; it may be async."""

    schemas: frozenset[int]

    def run(self, change: Change) -> Any: ...


class Vote(NamedTuple):
    """A retention vote: `keep` or drop; `force` wins over votes that are not forced."""

    keep: bool
    force: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One row as watchers, projections and workers see it.

    Args:
        seq, time_us: its place and the sequencer's time.
        row: the row.
        header: rare fields, or None.
        plain: the opened body; None for tombstones and where no key opens it or it makes no sense.
        author: key id that signed the commit.
    """

    seq: int
    time_us: int
    row: Row
    header: Header | None
    plain: bytes | None = field(repr=False)
    author: bytes = b""
    codec: int = 0

    @property
    def is_delete(self) -> bool:
        return self.row.kind == 2


def names(plugins: Sequence[Any]) -> dict[str, Any]:
    """Return plug-ins by name; later ones replace earlier ones of the same name."""
    return {plugin.name: plugin for plugin in plugins}
