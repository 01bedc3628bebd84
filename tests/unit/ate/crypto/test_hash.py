"""BLAKE3 against a reference written from its paper, and against frozen vectors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from ate import errors
from ate.crypto import hash as hashing
from ate.errors import UsageError

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "crypto" / "blake3.json").read_text())
EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"

# --- the reference ---------------------------------------------------------------------------

IV = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
    0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIXES = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
START, END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = 1, 2, 4, 8, 16, 32, 64
MASK = 0xFFFFFFFF


def words(raw: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(raw) // 4}I", raw)


def compress(
    chain: tuple[int, ...], block: bytes, counter: int, flags: int, size: int = 64
) -> tuple[int, ...]:
    m = words(block.ljust(64, b"\0"))
    v = [*chain, *IV[:4], counter & MASK, counter >> 32, size, flags]
    for _ in range(7):
        for number, (a, b, c, d) in enumerate(MIXES):
            for extra, first, second in ((m[2 * number], 16, 12), (m[2 * number + 1], 8, 7)):
                v[a] = (v[a] + v[b] + extra) & MASK
                v[d] = turned(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & MASK
                v[b] = turned(v[b] ^ v[c], second)
        m = tuple(m[place] for place in ORDER)
    return tuple(v[at] ^ v[at + 8] for at in range(8))


def turned(word: int, bits: int) -> int:
    return (word >> bits | word << (32 - bits)) & MASK


def chunk(data: bytes, key: tuple[int, ...], counter: int, flags: int) -> tuple[int, ...]:
    chain = key
    blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
    for number, block in enumerate(blocks):
        own = START if number == 0 else 0
        if number == len(blocks) - 1:
            own |= END | (flags & ROOT)
        chain = compress(chain, block, counter, (flags & ~ROOT) | own, len(block))
    return chain


def subtree(data: bytes, key: tuple[int, ...], counter: int, flags: int) -> tuple[int, ...]:
    if len(data) <= 1024:
        return chunk(data, key, counter, flags)
    left = 1024 << ((len(data) - 1) // 1024).bit_length() - 1
    below = flags & ~ROOT
    both = subtree(data[:left], key, counter, below)
    both += subtree(data[left:], key, counter + left // 1024, below)
    return compress(key, struct.pack("<16I", *both), 0, flags | PARENT)


def reference(data: bytes, key: tuple[int, ...] = IV, flags: int = 0) -> bytes:
    return struct.pack("<8I", *subtree(data, key, 0, flags | ROOT))


# --- the claims ------------------------------------------------------------------------------


def material(length: int) -> bytes:
    return bytes(at % 251 for at in range(length))


def test_nothing_has_the_published_hash() -> None:
    assert hashing.digest(b"").hex() == EMPTY == reference(b"").hex()


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda one: str(one["length"]))
def test_vectors_hold_and_agree_with_the_reference(vector: dict[str, Any]) -> None:
    data, key, context = material(vector["length"]), VECTORS["key"], VECTORS["context"]
    raw_key = bytes.fromhex(key)
    context_key = words(reference(context.encode(), flags=CONTEXT))
    assert hashing.digest(data).hex() == vector["digest"] == reference(data).hex()
    expected = reference(data, words(raw_key), KEYED).hex()
    assert hashing.keyed(raw_key, data).hex() == vector["keyed"] == expected
    expected = reference(data, context_key, MATERIAL).hex()
    assert hashing.derive(context, data).hex() == vector["derive"] == expected
    first = int.from_bytes(reference(data)[:8], "little")
    assert hashing.check64([data]) == vector["check64"] == first


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda one: one["case"])
def test_invalid_vectors_fail_as_they_say(vector: dict[str, Any]) -> None:
    with pytest.raises(errors.codes()[vector["failure"]]):
        hashing.keyed(bytes.fromhex(vector["key"]), b"")


def test_a_batch_hashes_as_one_by_one() -> None:
    items = [material(length) for length in (0, 112, 200, 2000, 1)]
    assert hashing.digest_many(items) == [hashing.digest(item) for item in items]
    assert hashing.digest_many([]) == []
    assert hashing.digest_many([memoryview(b"a"), bytearray(b"a")]) == [hashing.digest(b"a")] * 2


def test_a_hasher_takes_its_input_in_pieces() -> None:
    one = hashing.hasher()
    one.update(b"ab").update(b"c")
    assert one.digest() == hashing.digest(b"abc")


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1])
def test_the_check_covers_all_parts_as_if_joined(size: int) -> None:
    data = material(size)
    whole = int.from_bytes(hashing.digest(b"head" + data)[:8], "little")
    assert hashing.check64((b"head", memoryview(data))) == whole
    assert hashing.check64(()) == int.from_bytes(bytes.fromhex(EMPTY)[:8], "little")


def test_a_wrong_key_is_not_repeated_in_the_error() -> None:
    with pytest.raises(UsageError) as caught:
        hashing.keyed(b"hunter2", b"")
    assert "hunter2" not in repr(caught.value)
