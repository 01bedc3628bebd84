from __future__ import annotations

import sys

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ate import limits
from ate.errors import CannotOpen, UsageError
from ate.event.row import CODEC_ZSTD
from ate.testing.stage import Stage
from ate.trust.compression import Zstd

TEXT = b"all work and no play " * 100


@given(st.binary(max_size=3000), st.integers(0, 15), st.integers(1, 9))
def test_what_is_encoded_is_decoded(body: bytes, codec: int, repeat: int) -> None:
    one = Zstd(least_bytes=64)
    chosen, stored = one.encode(codec, body * repeat)
    assert one.decode(chosen, stored) == (codec, body * repeat)
    assert len(stored) <= len(body * repeat)


def test_small_and_dense_bodies_stay_as_they_are() -> None:
    one = Zstd()
    assert one.encode(1, TEXT[:511]) == (1, TEXT[:511])
    dense = zstandard.ZstdCompressor().compress(bytes(range(256)) * 8) * 20
    noise = bytes((at * at * 7919 >> 5) & 255 for at in range(600))
    for body in (noise, dense[:40] * 0 + noise):
        codec, stored = one.encode(1, body)
        assert (codec, stored) == (1, body) or len(stored) < len(body) * 7 // 8 + 1
    assert one.encode(1, TEXT)[0] == 1 | CODEC_ZSTD


def test_bodies_without_the_bit_are_left_alone() -> None:
    assert Zstd().decode(1, TEXT) == (1, TEXT)


@given(st.binary(max_size=300))
def test_damage_is_told(raw: bytes) -> None:
    try:
        Zstd().decode(CODEC_ZSTD, raw)
    except CannotOpen:
        pass


@pytest.mark.parametrize("states_its_size", [True, False])
def test_a_body_that_grows_beyond_the_bound_is_refused(states_its_size: bool) -> None:
    """A kilobyte that unpacks to gigabytes must not be believed, whether it says so or not."""
    packer = zstandard.ZstdCompressor(write_content_size=states_its_size)
    with pytest.raises(CannotOpen, match="too large"):
        Zstd().decode(CODEC_ZSTD, packer.compress(bytes(limits.BODY_BYTES_MAX + 1)))
    whole = packer.compress(bytes(limits.BODY_BYTES_MAX))
    assert len(Zstd().decode(CODEC_ZSTD, whole)[1]) == limits.BODY_BYTES_MAX


async def test_a_chain_with_the_filter_stores_less_and_reads_the_same() -> None:
    text = TEXT.decode()
    plain, small = Stage(), Stage(plugins=[Zstd()])
    sizes = []
    for stage in (plain, small):
        (alice,) = await stage.cast("alice")
        note = await stage.as_(alice).store(text)
        assert await stage.as_(alice).load(note) == text
        ledger = await stage.ledger(alice)
        stored = ledger.view.stored(note)
        assert stored is not None
        sizes.append(stored.row.length)
    assert sizes[1] < sizes[0] // 10
    small.plugins = ()
    with pytest.raises(CannotOpen) as refused:
        await small.as_(alice).load(note)
    assert "plugins=[Zstd()]" in refused.value.hint


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UsageError) as missing:
        Zstd()
    assert "ate[compress]" in missing.value.hint
