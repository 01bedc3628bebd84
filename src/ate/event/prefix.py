"""The first frames of a compacted log: where its thinned part ends, and what is left of the rest.

They say nothing that has to be believed: nodes and origins are proved by the checkpoint at the cut.

    prefix  0   u8 0x82 · u8 version (1) · six zeros
            8   a MessagePack map
    nodes   0   u8 0x83 · seven zeros
            8   hashes (32 each): roots of the full subtrees that cover each gap, in order
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from ate.errors import ProtocolError, UnsupportedFormat

MARK: Final = 0x82
NODES_MARK: Final = 0x83
VERSION: Final = 1
_FRONT_BYTES: Final = 8
_NODES_BYTES_MAX: Final = 1 << 20

_Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Wide = Annotated[int, msgspec.Meta(ge=0)]
_Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Prefix(msgspec.Struct, frozen=True):
    """What stands in place of the commits that were dropped.

    Args:
        cut: commits before this one may be missing or thinned, the others are whole.
        head: seq of the last row before the cut.
        time_us: time of the last commit before the cut.
        link: hash link behind it.
        origins: [device, session, last lsn, first seq of that commit], ascending.
    """

    cut: _Number
    head: _Number
    time_us: _Number
    link: _Hash
    origins: list[tuple[_Wide, _Wide, _Wide, _Number]]

    def encode(self) -> bytes:
        """Return the payload."""
        return bytes([MARK, VERSION]) + bytes(_FRONT_BYTES - 2) + _encoder.encode(self)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Prefix)


def is_commit(payload: bytes | memoryview) -> bool:
    """Tell whether a log payload is a commit, as far as its first byte says."""
    return len(payload) == 0 or payload[0] not in (MARK, NODES_MARK)


def encode_nodes(hashes: bytes) -> Iterator[bytes]:
    """Yield the payloads that carry these hashes."""
    for at in range(0, len(hashes), _NODES_BYTES_MAX):
        part = hashes[at : at + _NODES_BYTES_MAX]
        yield bytes([NODES_MARK]) + bytes(_FRONT_BYTES - 1) + part


def decode_nodes(payload: memoryview) -> bytes:
    """Return the hashes in a payload; raises ProtocolError when it holds none."""
    hashes = payload[_FRONT_BYTES:].tobytes()
    if payload[:1] != bytes([NODES_MARK]) or not hashes or len(hashes) % 32:
        raise ProtocolError("the nodes of a compacted log are not whole")
    return hashes


def decode_prefix(payload: memoryview) -> Prefix:
    """Read a prefix.

    Raises:
        ProtocolError: the bytes are none.
        UnsupportedFormat: one of a newer version.
    """
    if len(payload) < _FRONT_BYTES or payload[1] != VERSION:
        version = payload[1] if len(payload) > 1 else 0
        raise UnsupportedFormat(f"a compacted log of form {version}, this version reads {VERSION}")
    try:
        prefix = _decoder.decode(payload[_FRONT_BYTES:])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"the prefix of a compacted log does not decode: {error}") from None
    if not prefix.cut:
        raise ProtocolError("the prefix of a compacted log cuts nothing off")
    return prefix
