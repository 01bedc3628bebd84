from __future__ import annotations

from pathlib import Path

import pytest

import ate
from ate.chain.checker import check_proof
from ate.errors import LimitExceeded
from ate.testing.stage import Stage
from atecli import proofs


async def test_what_is_shown_of_a_proof(tmp_path: Path) -> None:
    stage = Stage()
    alice, bob = await stage.cast("alice", "bob")
    note = await stage.as_(alice).store("one")
    await stage.as_(alice).delete(note)
    async with stage.open(alice) as chain, chain.dio() as dio:
        raw = dio.store(b"\x01").id
    async with stage.open(alice) as chain:
        await chain.set_role("root", [bob.public])
    async with stage.open(bob) as chain:
        deleted = check_proof(await chain.prove(note, continues=2))
        lines = dict(proofs.shown(tmp_path / "p", deleted))
        assert str(lines["row"]).startswith("5, delete, ")
        assert "value" not in lines
        assert "hash" not in lines
        assert str(lines["founded by"]).startswith("alice  ")
        assert str(lines["signed by"]).startswith("bob  ")
        assert str(lines["continues"]).startswith("2 commits, root ")
        told = proofs.document(tmp_path / "p", deleted)
        assert told["row"]["kind"] == "delete"
        assert [one["identity"] for one in told["roots"]] == ["bob"]
        hashed = check_proof(await chain.prove(raw))
        assert "hash" in dict(proofs.shown(tmp_path / "p", hashed))
        assert "value" not in proofs.document(tmp_path / "p", hashed)["row"]
        alone = check_proof(await chain.prove(continues=1))
        assert proofs.document(tmp_path / "p", alone)["row"] is None


async def test_a_value_that_nobody_can_read_is_told_so(tmp_path: Path) -> None:
    stage = Stage()
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("one")
    async with stage.open(alice) as chain:
        found = check_proof(await chain.prove(note, value=True))
    from dataclasses import replace

    assert found.proven is not None
    odd = replace(found, proven=replace(found.proven, body=b"\xc1"))
    lines = dict(proofs.shown(tmp_path / "p", odd))
    assert str(lines["value"]).startswith("cannot be read: ")


def test_a_file_is_read_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").write_bytes(b"ATEPRF1\n" + bytes(5000))
    monkeypatch.setattr("ate.limits.PROOF_BYTES_MAX", 1000)
    with pytest.raises(LimitExceeded):
        proofs.read(tmp_path / "p")
    found = proofs.Findings([tmp_path / "p"], [])
    assert isinstance(found.problems[0], ate.LimitExceeded)
