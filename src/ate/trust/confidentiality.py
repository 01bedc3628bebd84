"""Confidentiality: seals and opens bodies, one AEAD key per commit and read domain.

It picks no readers.

The key of a commit is BLAKE3, keyed with the domain's epoch key, over chain id, salt, domain and
epoch; the nonce is the row's index. The salt is fresh in each commit, so no key ever sees a nonce
twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from ate.crypto.aead import Sealer, open_many, seal_many
from ate.crypto.hash import keyed

Buffer = bytes | bytearray | memoryview


def commit_key(chain_id: bytes, salt: bytes, domain: bytes, epoch: int, key: bytes) -> bytes:
    """Return the key of all bodies of one domain in one commit.

    Args:
        salt: the commit's.
        key: the domain's, of this epoch. Nobody can come back to it from what is returned.
    """
    return keyed(key, chain_id + salt + domain + epoch.to_bytes(2, "little"))


class Confidentiality:
    """The sealing filter. Replace it by one of the same name and methods to seal otherwise."""

    name = "confidentiality"

    def sealer(self, chain_id: bytes, salt: bytes, domain: bytes, epoch: int, key: bytes) -> Sealer:
        """Return the handle that seals and opens the bodies of one domain in one commit."""
        return Sealer(commit_key(chain_id, salt, domain, epoch, key))

    async def seal(
        self, sealer: Sealer, plains: Sequence[Buffer], aads: Sequence[Buffer], first: int
    ) -> list[bytes]:
        """Seal consecutive rows starting with row `first`."""
        return await seal_many(sealer, plains, aads, first)

    async def open_one(self, sealer: Sealer, sealed: Buffer, aad: Buffer, index: int) -> bytes:
        """Undo `seal` for the body of one row."""
        return sealer.open(index.to_bytes(12, "little"), sealed, aad)

    async def open(
        self, sealer: Sealer, sealed: Sequence[Buffer], aads: Sequence[Buffer], first: int
    ) -> list[bytes]:
        """Undo `seal`; raises CannotOpen when a body, its row or the key is not the one it was."""
        return await open_many(sealer, sealed, aads, first)
