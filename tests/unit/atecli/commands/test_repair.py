"""`ate repair` takes what is missing from a copy, and says what it did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate

CHAIN = "chains/c"


@pytest.fixture
def copy(ate: Ate, home: Path, tmp_path: Path) -> Path:
    """A chain `c` of six commits and a copy of its directory."""
    for number in range(5):
        ate("put", "c", str(number))
    shutil.copytree(home / CHAIN, tmp_path / "copies/c")
    return tmp_path / "copies/c"


def damage(home: Path, ate: Ate, number: int) -> bytes:
    head = home / CHAIN / "000001/head.000001"
    whole = head.read_bytes()
    place = ate("dump", "c", "--json").documents[number]["place"] & ((1 << 40) - 1)
    content = bytearray(whole)
    content[place + 50] ^= 1
    head.write_bytes(content)
    return whole


def test_a_damaged_commit(ate: Ate, home: Path, copy: Path) -> None:
    whole = damage(home, ate, 2)
    assert ate("ls", "c", "--path", "chains").status == 3
    assert ate("verify", "c").status == 5
    head = home / CHAIN / "000001/head.000001"
    damaged = head.read_bytes()
    told = ate("repair", "c", "--from", str(copy), "--dry-run")
    assert told.status == 0
    assert "would replace  head.000001, " in told.out
    assert ": commit 2, from " in told.out
    assert head.read_bytes() == damaged
    done = ate("repair", "c", "--from", str(copy))
    assert done.status == 0
    assert "replaced  head.000001, " in done.out
    assert "kept      head.000001.damaged-1\n" in done.out
    assert done.out.endswith("verdict   sound\n")
    assert (home / CHAIN / "000001/head.000001.damaged-1").read_bytes() == damaged
    assert len(head.read_bytes()) == len(whole)
    assert ate("verify", "c").status == 0
    again = ate("repair", "c", "--from", str(copy))
    assert "replaced  nothing" in again.out


def test_the_directory_above_the_copy_will_do(ate: Ate, home: Path, copy: Path) -> None:
    damage(home, ate, 1)
    told = ate("repair", "c", "--from", str(copy.parent), "--json").document
    assert told["written"]
    assert told["ok"]
    assert [(one["what"], one["first"], one["last"]) for one in told["replaced"]] == [
        ("commits", 1, 1)
    ]
    assert told["bytes"] == told["replaced"][0]["length"]
    assert told["kept"] == ["head.000001.damaged-1"]


def test_more_in_the_copy(ate: Ate, home: Path, copy: Path) -> None:
    shutil.copytree(home / CHAIN, copy.parent / "old")
    ate("put", "c", "6")
    shutil.rmtree(copy)
    shutil.move(home / CHAIN, copy)
    shutil.move(copy.parent / "old", home / CHAIN)
    found = ate("repair", "c", "--from", str(copy))
    assert "the copy has 1 commit more" in found.err
    assert "--tail" in found.err
    rehearsal = ate("repair", "c", "--from", str(copy), "--tail", "--dry-run")
    assert "would append   1 commit\n" in rehearsal.out
    found = ate("repair", "c", "--from", str(copy), "--tail")
    assert "appended  1 commit\n" in found.out
    assert len(ate("ls", "c", "--json").documents) == 6


def test_a_header_and_a_torn_end(ate: Ate, home: Path, copy: Path) -> None:
    head = home / CHAIN / "000001/head.000001"
    content = bytearray(head.read_bytes())
    content[20] ^= 1
    head.write_bytes(bytes(content) + b"torn")
    found = ate("repair", "c", "--from", str(copy))
    assert found.status == 0
    assert "head.000001, 64 bytes at 0: header\n" in found.out
    assert "4 bytes of an unfinished write" in found.err


def test_a_large_body(ate: Ate, home: Path, copy: Path) -> None:
    ate("put", "c", '"' + "large " * 12_000 + '"')
    shutil.rmtree(copy)
    shutil.copytree(home / CHAIN, copy)
    body = home / CHAIN / "000001/body.000001"
    body.unlink()
    found = ate("repair", "c", "--from", str(copy))
    assert "body.000001, 72 009 bytes at 64: body of commit 6, from " in found.out
    assert body.read_bytes() == (copy / "000001/body.000001").read_bytes()


def test_what_is_refused_changes_nothing(ate: Ate, home: Path, copy: Path) -> None:
    damage(home, ate, 2)
    head = home / CHAIN / "000001/head.000001"
    damaged = head.read_bytes()
    ate("put", "d", "1")
    for source, status in ((home / "chains/d", 4), (home / CHAIN, 3), (home, 3)):
        found = ate("repair", "c", "--from", str(source))
        assert (found.status, found.out) == (status, "")
        assert "hint: " in found.err
    assert ate("repair", "c").status == 2
    assert ate("repair", "nothing", "--from", str(copy)).status == 3
    assert head.read_bytes() == damaged
    assert sorted(one.name for one in head.parent.iterdir()) == ["head.000001", "index"]


def test_a_missing_current(ate: Ate, home: Path, copy: Path) -> None:
    (home / CHAIN / "CURRENT").unlink()
    assert ate("verify", "c").status == 5
    assert "CURRENT, 7 bytes at 0: current" in ate("repair", "c", "--from", str(copy)).out
    assert ate("verify", "c").status == 0
