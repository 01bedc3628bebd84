"""`history`: the versions of one object, from its newest row back along its base links.

It reads what is committed, changes nothing, and never scans the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ate.chain.index import SYSTEM
from ate.chain.past import is_kept, lineage
from ate.chain.reader import Opened, Reader
from ate.dio.receipt import moment
from ate.dio.schema import Schema, schema_of
from ate.dio.typed import ANY, not_of
from ate.errors import (
    AteError,
    BodyNotHeld,
    CannotOpen,
    Compacted,
    NoReadKey,
    UsageError,
    WrongType,
)
from ate.event.header import Header
from ate.event.row import FLAG_HEADER, Kind
from ate.ids import ObjectId

if TYPE_CHECKING:
    from ate.event.access import Principal
    from ate.event.commit import Record

T = TypeVar("T")

_UNSET: Final[Any] = object()
#: What keeps a version from being shown, and says nothing against the others.
_CLOSED: Final = (NoReadKey, CannotOpen, BodyNotHeld)


class Version(Generic[T]):
    """One version of an object as it was committed; `Dio.history` makes them.

    Its value is decoded when it is asked for.
    """

    __slots__ = ("_at", "_opened", "_reader", "_record", "_row", "_type", "_value", "error", "seq")

    def __init__(
        self, reader: Reader, seq: int, found: tuple[Record, int], type: type[T],
        opened: Opened | AteError,
    ) -> None:  # fmt: skip
        self.seq = seq
        #: Why the value cannot be shown: no key, no filter, not held; None when it can.
        self.error: AteError | None = opened if isinstance(opened, AteError) else None
        self._reader, self._type = reader, type
        self._record, self._at = found
        self._row = self._record.row(self._at)
        self._opened = None if isinstance(opened, AteError) else opened
        self._value: Any = _UNSET

    def __repr__(self) -> str:
        what = "deletion" if self.is_delete else "sealed" if self.error else "value"
        return f"Version({self.id.hex()[:8]}, seq {self.seq}, {what})"

    @property
    def id(self) -> ObjectId:
        return ObjectId(self._row.id)

    @property
    def time(self) -> datetime:
        """When it was committed, by the sequencer's clock."""
        return moment(self._record.sequencer.time_us)

    @property
    def author(self) -> str | None:
        """Who signed it, as named by their published key; None if unsigned."""
        principal = self._signer()
        return principal.identity if principal else None

    @property
    def key_id(self) -> bytes | None:
        """Id of the long-term key that stands behind the signature; None if unsigned."""
        principal = self._signer()
        if principal is not None:
            return principal.key_id
        signer = self._record.author.key_id
        return signer if any(signer) else None

    @property
    def is_delete(self) -> bool:
        """Whether the object ended here; it may have begun again later."""
        return self._row.kind == Kind.TOMBSTONE

    @property
    def is_new(self) -> bool:
        """Whether the object began here: its first version, or the first after a deletion."""
        return not self.is_delete and self._row.created == 0

    @property
    def parent(self) -> ObjectId:
        """Id of the parent it had; all zeros at the top."""
        return ObjectId(self._row.parent)

    @property
    def collection(self) -> int:
        """Number of the parent's collection, 0 for a plain child."""
        return self._row.collection

    @property
    def header(self) -> Header | None:
        """Rare fields: access, author text, reply."""
        return self._record.header(self._at) if self._row.flags & FLAG_HEADER else None

    @property
    def stored_bytes(self) -> int:
        """Length of the body as it is stored: packed and sealed."""
        return self._row.length

    @property
    def base(self) -> int:
        """Seq of the version that this one replaced, 0 when there was none."""
        return self._row.base

    @property
    def older_dropped(self) -> bool:
        """Whether the version before this one existed and was dropped by compaction."""
        return self._row.base > 0 and not is_kept(self._reader.view, self._row.base)

    @property
    def type_name(self) -> str | None:
        """Name of the type it was stored as; None for deletions and what cannot be opened."""
        if self._opened is None or self.is_delete:
            return None
        return Schema.name_in(self._opened.plain)

    @property
    def value(self) -> T | None:
        """The value it had; None for a deletion.

        Raises:
            NoReadKey, CannotOpen, BodyNotHeld: it cannot be read; `error` is the same.
            WrongType: it is of another type than was asked for.
        """
        if self.error is not None:
            raise self.error
        if self.is_delete:
            return None
        if self._value is _UNSET:
            assert self._opened is not None
            self._value = _decoded(self._opened, self._type)
        return self._value  # type: ignore[no-any-return]

    def _signer(self) -> Principal | None:
        return self._reader.view.trust.principal_of(self._record.author.key_id)


async def history(
    reader: Reader, object_id: bytes, type: type[T], *, oldest_first: bool, limit: int | None
) -> AsyncIterator[Version[T]]:
    """Yield the versions of an object; see `Dio.history`."""
    if limit is not None and limit < 0:
        raise UsageError("limit counts versions, so it is not negative")
    view = reader.view
    if view.index.locate(object_id) & SYSTEM:
        raise WrongType(f"object {object_id.hex()} belongs to the chain itself")
    if type not in ANY:
        schema_of(type)
    seqs: Iterable[int] = _seqs(reader, object_id)
    if oldest_first:
        seqs = reversed(list(seqs))
    for number, seq in enumerate(seqs):
        if limit is not None and number >= limit:
            return
        record, at = view.find(seq)
        opened: Opened | AteError
        try:
            opened = await reader.open(seq)
        except _CLOSED as error:
            opened = error
        yield Version(reader, seq, (record, at), type, opened)


def _seqs(reader: Reader, object_id: bytes) -> Iterator[int]:
    try:
        for seq, _, _ in lineage(reader.view, object_id):
            yield seq
    except Compacted:
        return  # the version before says so: `older_dropped`


def _decoded(opened: Opened, type: type[T]) -> T:
    schema: Schema[T] = Schema.any(opened.plain) if type in ANY else schema_of(type)
    if opened.schema_id != schema.schema_id or not opened.plain:
        raise not_of(opened, schema)
    return schema.decode(opened.plain, opened.codec)
