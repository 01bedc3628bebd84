"""What was committed offline, as sealed bytes for the outbox; it keeps and sends nothing.

plain    MessagePack: [version, key id, provisional seq, time µs, merge, rare fields, rows]
sealed   u8 1 · nonce (12) · AES-256-GCM under the session's local key; chains without a session
keep it as u8 0 · plain
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ate.crypto.aead import NONCE_BYTES, Sealer
from ate.crypto.entropy import Entropy
from ate.errors import CannotOpen, ProtocolError
from ate.event.draft import Draft
from ate.event.header import decode_headers, encode_headers
from ate.session import Session

_VERSION: Final = 1
_AAD: Final = b"ate outbox 1"


class _Plain(msgspec.Struct, array_like=True):
    """The plaintext."""

    version: int
    key_id: bytes
    first: int
    time_us: int
    rare: bytes
    rows: list[tuple[int, bytes, bytes, int, int, int, int, int, bytes, bool]]


@dataclass(frozen=True, slots=True)
class Work:
    """Changes that wait for the server.

    Args:
        first: provisional seq of the first one.
        drafts: the changes.
        time_us: when they were accepted here.
    """

    first: int
    drafts: Sequence[Draft]
    time_us: int

    def seal(self, session: Session | None, entropy: Entropy) -> bytes:
        """Return the bytes to keep: only this session reads them again."""
        rows: list[Any] = [
            (d.kind, bytes(d.id), bytes(d.parent), d.collection, d.base, d.created, d.schema,
             d.codec, d.body, d.overwrite)
            for d in self.drafts
        ]  # fmt: skip
        headers = {at: d.header for at, d in enumerate(self.drafts) if d.header is not None}
        key_id = session.public.key_id if session is not None else b""
        plain = msgspec.msgpack.encode(
            _Plain(_VERSION, key_id, self.first, self.time_us, encode_headers(headers), rows)
        )
        if session is None:
            return b"\0" + plain
        nonce = entropy(NONCE_BYTES)
        return b"\1" + nonce + Sealer(session.local_key(_AAD)).seal(nonce, plain, _AAD)

    @classmethod
    def open(cls, sealed: bytes, session: Session | None) -> Work:
        """Read what `seal` returned.

        Raises:
            CannotOpen: another session has made it.
            ProtocolError: it is something else.
        """
        if sealed[:1] == b"\1":
            if session is None:
                raise CannotOpen("what was committed offline needs the session that made it")
            nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
            plain = Sealer(session.local_key(_AAD)).open(nonce, rest, _AAD)
        else:
            plain = sealed[1:]
        try:
            found = msgspec.msgpack.decode(plain, type=_Plain)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ProtocolError(f"an entry of the outbox does not decode: {error}") from None
        if found.version != _VERSION:
            raise ProtocolError(f"an entry of the outbox is of version {found.version}")
        headers = decode_headers(found.rare, len(found.rows))
        drafts = [Draft(*row[:9], headers.get(at), row[9]) for at, row in enumerate(found.rows)]
        return cls(found.first, drafts, found.time_us)
