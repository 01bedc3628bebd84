"""A damaged log takes no writes; what is before the damage can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

import ate
from ate.errors import CorruptLog


async def test_what_is_before_the_damage_is_readable(tmp_path: Path) -> None:
    session = ate.Session.new("alice@example.com")
    ids = []
    async with ate.open("notes", path=tmp_path, session=session) as chain:
        for number in range(9):
            async with chain.dio() as dio:
                ids.append(dio.store({"n": number}).id)
    files = tmp_path / "notes" / "000001"
    (files / "index").unlink()
    head = files / "head.000001"
    raw = bytearray(head.read_bytes())
    raw[-2000] ^= 1
    head.write_bytes(raw)
    for readonly in (False, True):
        with pytest.raises(CorruptLog):
            await ate.open("notes", path=tmp_path, session=session, readonly=readonly)
    async with ate.open(
        "notes", path=tmp_path, session=session, readonly=True, salvage=True
    ) as chain:
        assert chain.damage is not None
        assert 0 < len(chain) < len(ids)
        for number, id in enumerate(ids[: len(chain)]):
            assert (await chain.dio().load(dict, id)).value == {"n": number}
    assert head.read_bytes() == bytes(raw), "nothing was changed"


async def test_a_sound_chain_has_no_damage() -> None:
    async with ate.open("notes", memory=True) as chain:
        assert chain.damage is None
