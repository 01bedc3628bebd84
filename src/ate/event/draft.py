"""`Draft`: a change as the user made it, in plain bytes, before it is sealed.

It never leaves the process.
"""

from __future__ import annotations

import msgspec

from ate.event.header import Header


class Against(msgspec.Struct, gc=False, frozen=True):
    """An older version that the body of a draft may become a delta of.

    Args:
        seq: of its row.
        domain, epoch: under which it is sealed; a delta must be sealed under the same.
        number: of the new delta in its run.
        plain: its plaintext.
    """

    seq: int
    domain: bytes
    epoch: int
    number: int
    plain: bytes


class Draft(msgspec.Struct, gc=False):
    """One object's new version on its way into a commit.

    Args:
        kind: see `ate.event.row.Kind`.
        id, parent: 16 bytes each.
        collection: number of the parent's collection, 0 = plain child.
        base: seq of the version it replaces, 0 = new object.
        created: seq of the object's first version, 0 = this one.
        schema: first four bytes of BLAKE3 of the type name, as u32.
        codec: format of the body.
        body: plaintext; empty for tombstones.
        header: rare fields, or None.
        overwrite: last writer wins, `base` is not compared.
        against: set by the writer, when the new version may become a delta.
    """

    kind: int
    id: bytes
    parent: bytes
    collection: int
    base: int
    created: int
    schema: int
    codec: int
    body: bytes
    header: Header | None = None
    overwrite: bool = False
    against: Against | None = None
