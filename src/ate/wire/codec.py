"""Messages as bytes: MessagePack or JSON, bounded in memory; it judges neither who speaks nor when.

A frame's plaintext is an array of messages. Each message is encoded by itself and the array is put
around them, so that a large part that goes to many peers is encoded once (`Shared`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, NamedTuple, TypeAlias

import msgspec

from ate import limits
from ate.errors import ProtocolError
from ate.wire.message import Accepted, AnyMessage, Lookup, Message, Open, Refused

Buffer: TypeAlias = bytes | bytearray | memoryview
_RECORDS: Final = 33
_WORD_END: Final = 1 << 64
#: The first byte of a short array in MessagePack.
_HEADS: Final = tuple(bytes((0x90 | count,)) for count in range(16))
_BATCH: Final = Annotated[
    list[AnyMessage], msgspec.Meta(min_length=1, max_length=limits.BATCH_MESSAGES_MAX)
]


class Shared:
    """Log frames that go to many channels as `Records`: encoded once for each wire format.

    Args:
        frames: as in `Records`.
    """

    __slots__ = ("_tails", "frames")

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames
        self._tails: dict[str, bytes] = {}

    def on(self, ch: int) -> Addressed:
        """Return the message for one channel; it is sent like any other."""
        return Addressed(ch, self)

    def tail(self, codec: Codec) -> bytes:
        """Return what comes behind the channel number."""
        tail = self._tails.get(codec.name)
        if tail is None:
            tail = self._tails[codec.name] = codec.tail(self.frames)
        return tail


class Addressed(NamedTuple):
    """`Records(ch, shared.frames)`, cheaper."""

    ch: int
    shared: Shared


#: What can be sent.
Sendable: TypeAlias = Message | Addressed


class Codec:
    """One of the two wire formats.

    Args:
        name: "msgpack" or "json" (bytes as base64).
    """

    NAMES: ClassVar[tuple[str, ...]] = ("msgpack", "json")

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_json = name == "json"
        format_: Any = msgspec.json if self._is_json else msgspec.msgpack
        self._one = format_.Encoder().encode
        self._decode = format_.Decoder(_BATCH).decode

    def encode_one(self, message: Sendable) -> tuple[bytes, bytes]:
        """Return a message in two parts, the second of which may be shared with other peers.

        Raises:
            ProtocolError: a value in it has no form in this format.
        """
        if type(message) is Addressed:
            ch = b"%d" % message.ch if self._is_json else self._one(message.ch)
            head = b"[%d,%b," % (_RECORDS, ch) if self._is_json else b"\x94\x21" + ch
            return head, message.shared.tail(self)
        try:
            return self._one(message), b""
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as err:
            raise ProtocolError(f"a message does not encode: {err}") from None

    def tail(self, frames: list[bytes]) -> bytes:
        """Return the end of a `Records` message, from behind its channel."""
        encoded: bytes = self._one(frames)
        return encoded + (b",{}]" if self._is_json else b"\x80")

    def join(self, parts: Sequence[bytes], count: int) -> bytes:
        """Return the plaintext of a frame.

        Args:
            parts: of `count` messages, in order, as `encode_one` gives them: two of each.
        """
        if not self._is_json:
            head = _HEADS[count] if count < 16 else b"\xdc" + count.to_bytes(2, "big")
            return b"".join((head, *parts))
        texts = (first + second for first, second in zip(parts[::2], parts[1::2]))
        return b"[%b]" % b",".join(texts)

    def encode(self, messages: Sequence[Sendable]) -> bytes:
        """Return the plaintext of a frame with these messages; raises as `encode_one` does."""
        parts: list[bytes] = []
        for message in messages:
            parts += self.encode_one(message)
        return self.join(parts, len(messages))

    def decode(self, plain: Buffer) -> list[AnyMessage]:
        """Return the messages of a frame.

        Raises:
            ProtocolError: the bytes are no such array.
        """
        if len(plain) > limits.UNCOUNTED_BYTES_MAX:
            self.check_items(plain)
        try:
            found: list[AnyMessage] = self._decode(plain)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise ProtocolError(f"a frame does not decode: {error}") from None
        if self._is_json and not all(map(_words_fit, found)):
            raise ProtocolError("a frame does not decode: a number has more than 64 bits")
        return found

    def check_items(self, plain: Buffer) -> None:
        """Raise ProtocolError when a long plaintext is made of more values than any message has."""
        if len(plain) <= limits.UNCOUNTED_BYTES_MAX:
            return
        if self._is_json:
            raw = bytes(plain)
            count = 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")
        else:
            count = _count_items(plain, limits.MESSAGE_ITEMS_MAX)
        if count > limits.MESSAGE_ITEMS_MAX:
            raise ProtocolError(
                f"a message of {len(plain)} bytes has over {limits.MESSAGE_ITEMS_MAX} values"
            )


def _words_fit(message: AnyMessage) -> bool:
    """Tell whether the numbers that may use all 64 bits do not use more, as JSON would let them."""
    if isinstance(message, Lookup | Accepted | Refused):
        return message.device < _WORD_END and message.session < _WORD_END
    if isinstance(message, Open):
        return all(one < _WORD_END for source in message.sources for one in source)
    return True


#: First byte → bytes of the number behind it, whether it counts bytes, and what else follows.
_SIZED: Final = {
    0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4,
}  # fmt: skip
_FIXED: Final = {
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
    0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip


def _count_items(plain: Buffer, bound: int) -> int:
    """Count the values in MessagePack up to a bound; truncated input counts as far as it goes."""
    at, left, seen, end = 0, 1, 0, len(plain)
    while left and at < end and seen + left <= bound:
        first = plain[at]
        at, left, seen = at + 1, left - 1, seen + 1
        if first < 0x80 or first >= 0xE0 or 0xC0 <= first <= 0xC3:
            continue
        if first < 0x90:
            left += 2 * (first & 15)
        elif first < 0xA0:
            left += first & 15
        elif first < 0xC0:
            at += first & 31
        elif first in _FIXED:
            at += _FIXED[first]
        elif first in _SIZED:
            width = _SIZED[first]
            at += width + int.from_bytes(plain[at : at + width], "big") + (0xC7 <= first <= 0xC9)
        else:
            width = 2 if first in {0xDC, 0xDE} else 4
            left += int.from_bytes(plain[at : at + width], "big") << (first >= 0xDE)
            at += width
    return seen + left
