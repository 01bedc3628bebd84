"""Which rule holds for an object: walks stored parents, remembers what it found; it judges nobody.

Existing objects are resolved by their own *stored* parent, new ones by the stored state of the
parent they declare, so that nobody can bring a friendlier parent along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ate import limits
from ate.errors import ProtocolError
from ate.event.access import Access, Inherit, ReadRule, WriteRule
from ate.ids import ROOT
from ate.trust.plugin import Stored

#: Rows of a chain that never had a rule: everyone may do everything.
OPEN_CHAIN: Final = Access()


class Rules:
    """Resolved rules as of one head; make a new one when the chain has moved on.

    Args:
        stored: looks an object up in the chain.
        pending: parent and own rule of the objects in the commit at hand, by id.
        declared: returns them, when they are only wanted if a parent is not in the chain.
    """

    def __init__(
        self,
        stored: Callable[[bytes], Stored | None],
        pending: dict[bytes, tuple[bytes, Access | None]] | None = None,
        *,
        declared: Callable[[], Mapping[bytes, tuple[bytes, Access | None]]] = dict,
    ) -> None:
        self._stored = stored
        self._pending: Mapping[bytes, tuple[bytes, Access | None]] | None = pending
        self._declared = declared
        self._write: dict[bytes, WriteRule] = {}
        self._read: dict[bytes, tuple[bytes, ReadRule]] = {}

    def write_rule(self, object_id: bytes) -> WriteRule:
        """Return the write rule of a stored object, or of a new one's nearest stored ancestor."""
        return self._walk_write(object_id, set())

    def read_domain(self, object_id: bytes) -> tuple[bytes, ReadRule]:
        """Return (the object that starts the read domain, its rule) for an object.

        Pending ones included.
        """
        return self._walk_read(object_id, set())

    def _walk_write(self, object_id: bytes, seen: set[bytes]) -> WriteRule:
        known = self._write.get(object_id)
        if known is not None:
            return known
        stored = self._stored(object_id)
        rule: WriteRule
        if stored is not None and stored.access is not None and stored.access.write is not Inherit:
            rule = stored.access.write
        elif object_id == ROOT:
            rule = Inherit
        elif stored is not None:
            rule = self._walk_write(stored.row.parent, _step(seen, object_id))
        else:
            pending = self._commit().get(object_id)
            rule = self._walk_write(pending[0] if pending else ROOT, _step(seen, object_id))
        self._write[object_id] = rule
        return rule

    def _walk_read(self, object_id: bytes, seen: set[bytes]) -> tuple[bytes, ReadRule]:
        known = self._read.get(object_id)
        if known is not None:
            return known
        pending = self._commit().get(object_id)
        # What is in the commit repeats the rule it has in the chain, so the chain need not be
        # asked.
        stored = None if pending else self._stored(object_id)
        access = pending[1] if pending else stored.access if stored else None
        found: tuple[bytes, ReadRule]
        if access is not None and access.read is not Inherit:
            found = (object_id, access.read)
        elif object_id == ROOT:
            found = (bytes(ROOT), Inherit)
        else:
            parent = pending[0] if pending else stored.row.parent if stored else ROOT
            found = self._walk_read(parent, _step(seen, object_id))
        self._read[object_id] = found
        return found

    def _commit(self) -> Mapping[bytes, tuple[bytes, Access | None]]:
        if self._pending is None:
            self._pending = self._declared()
        return self._pending


def _step(seen: set[bytes], object_id: bytes) -> set[bytes]:
    if object_id in seen or len(seen) >= limits.TREE_DEPTH_MAX:
        raise ProtocolError(
            f"the parents of object {object_id.hex()} form a cycle or are more than "
            f"{limits.TREE_DEPTH_MAX} deep"
        )
    seen.add(object_id)
    return seen
