"""`atedb.owners`: the file of owners, and how large a chain is."""

from __future__ import annotations

import stat
from pathlib import Path

from atedb.owners import Owners, size_of


def test_owners_are_found_again(tmp_path: Path) -> None:
    owners = Owners(tmp_path / "owners")
    assert list(owners) == []
    owners.add("notes", b"a" * 16)
    owners.add("example.com/alice/notes", b"")
    assert list(owners) == [("notes", b"a" * 16), ("example.com/alice/notes", b"")]
    assert stat.S_IMODE((tmp_path / "owners").stat().st_mode) == 0o600


def test_lines_that_are_damaged_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "owners"
    file.write_bytes(b"zz notes\n\xff\xff\n00ff ../evil\n" + b"x" * 5000 + b"\n00ff good\n00f")
    assert list(Owners(file)) == [("good", b"\x00\xff")]


def test_the_size_of_a_chain_is_that_of_its_own_files(tmp_path: Path) -> None:
    assert size_of(tmp_path / "none") is None
    chain = tmp_path / "chain"
    (chain / "000001").mkdir(parents=True)
    (chain / "below" / "000001").mkdir(parents=True)
    assert size_of(chain) is None
    (chain / "CURRENT").write_bytes(b"12345")
    (chain / "000001" / "log").write_bytes(b"x" * 100)
    (chain / "below" / "000001" / "log").write_bytes(b"x" * 1000)
    assert size_of(chain) == 105


def test_the_size_of_a_chain_that_was_taken_over(tmp_path: Path) -> None:
    inside = tmp_path / "notes" / ".epoch-2" / "000001"
    inside.mkdir(parents=True)
    (inside / "head.000001").write_bytes(b"12345")
    assert size_of(tmp_path / "notes") == 5
