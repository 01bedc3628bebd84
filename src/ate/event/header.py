"""Rare header fields of a row (access, author, reply, …) and their MessagePack.

Unknown fields are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ate import limits
from ate.errors import ProtocolError
from ate.event.access import Access

_decoder = msgspec.msgpack.Decoder()
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Header:
    """Optional facts about a row, readable without a read key.

    Args:
        access: the object's own rule; None inherits.
        author: who wrote it, for people.
        reply: id of the request this object answers.
        unknown: fields of newer versions, kept as they came.
        delta: seq of the row whose body this one's is a delta of; it speaks of one row only.
    """

    access: Access | None = None
    author: str | None = None
    reply: bytes | None = None
    unknown: dict[str, Any] = field(default_factory=dict)
    delta: int | None = None

    @property
    def lasting(self) -> Header | None:
        """What a later version of the object repeats: all but `delta`; None if nothing is left."""
        if self.delta is None:
            return self
        rest = replace(self, delta=None)
        return rest if rest.encode() else None

    def encode(self) -> dict[str, Any]:
        """Return the map form, without fields that are not set."""
        out = dict(self.unknown)
        if self.access is not None:
            out["access"] = self.access.encode()
        if self.author is not None:
            out["author"] = self.author
        if self.reply is not None:
            out["reply"] = bytes(self.reply)
        if self.delta is not None:
            out["delta"] = self.delta
        return out

    @classmethod
    def decode(cls, raw: object) -> Header:
        """Read the map form; raises ProtocolError when a known field has a wrong form."""
        if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
            raise ProtocolError("a row header is not a map of named fields")
        rest = dict(raw)
        access, author, reply, delta = (
            rest.pop(name, None) for name in ("access", "author", "reply", "delta")
        )
        if author is not None and not isinstance(author, str):
            raise ProtocolError("header field 'author' is not text")
        if reply is not None and not (isinstance(reply, bytes) and len(reply) == 16):
            raise ProtocolError("header field 'reply' is not an object id")
        if delta is not None and not (type(delta) is int and 0 < delta < limits.CHAIN_ROWS_MAX):
            raise ProtocolError("header field 'delta' is not the seq of a row")
        rule = None if access is None else Access.decode(access)
        return cls(rule, author, reply, rest, delta)


def encode_headers(headers: dict[int, Header]) -> bytes:
    """Return the rare section of a commit: row index → header; empty when there is none.

    Raises:
        LimitExceeded: the section is larger than `limits.RARE_BYTES_MAX`.
    """
    if not headers:
        return b""
    raw = _encoder.encode({index: header.encode() for index, header in headers.items()})
    limits.check("rare header bytes of a commit", len(raw), limits.RARE_BYTES_MAX)
    return raw


def decode_headers(raw: bytes | memoryview, rows: int) -> dict[int, Header]:
    """Read a rare section.

    Raises ProtocolError for anything that `encode_headers` does not write.
    """
    if not raw:
        return {}
    limits.check("rare header bytes of a commit", len(raw), limits.RARE_BYTES_MAX)
    try:
        found = _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise ProtocolError("the rare header section is not MessagePack") from None
    if not isinstance(found, dict) or not all(
        type(index) is int and 0 <= index < rows for index in found
    ):
        raise ProtocolError("the rare header section does not name rows of its commit")
    return {index: Header.decode(one) for index, one in found.items()}
