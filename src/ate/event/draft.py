"""`Draft`: a change as the user made it, in plain bytes, before it is sealed.

It never leaves the process.
"""

from __future__ import annotations

import msgspec

from ate.event.header import Header


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
