"""`atedb.house`: a directory, its lock, its owners, and where chains are."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ate.clock import SystemClock
from ate.crypto.sign import SigningKey
from ate.errors import LimitExceeded, LogLocked, StorageError
from atedb.house import House, own_folder, take
from atedb.journal import Journal
from atedb.metrics import Metrics
from atedb.nodes import Nodes
from atedb.owners import Owners
from atedb.quota import Allowance
from atedb.settings import Service, Settings


class Key:
    key_id = b"a" * 16


class Alice:
    peer = Key()
    address = "192.0.2.1"

    def close(self, code: str, text: str) -> None:
        raise AssertionError("nobody is sent away")


def house(folder: Path, out: io.StringIO, allowance: Allowance) -> House:
    return House(
        Service("/", folder), Settings(path=folder, quota=allowance), key=None, nodes=Nodes(),
        identity=SigningKey.generate(), cluster=None, metrics=Metrics(),
        journal=Journal(out, SystemClock()), clock=SystemClock(),
    )  # fmt: skip


def test_a_directory_is_taken_once(tmp_path: Path) -> None:
    lock = take(tmp_path / "a" / "b")
    with pytest.raises(LogLocked, match="another server uses"):
        take(tmp_path / "a" / "b")
    lock.close()
    take(tmp_path / "a" / "b").close()


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot keep chains"):
        take(tmp_path / "file")


def test_owners_are_remembered_across_starts(tmp_path: Path) -> None:
    own_folder(tmp_path)
    out = io.StringIO()
    first = house(tmp_path, out, Allowance(bytes=100, chains=1))
    first.gate.stored(Alice(), "notes", 60)
    assert (first.free_bytes() or 0) > 0
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "CURRENT").write_bytes(b"x" * 90)
    again = house(tmp_path, out, Allowance(bytes=100, chains=1))
    with pytest.raises(LimitExceeded):
        again.gate.may_submit(Alice(), "notes", 11)
    with pytest.raises(LimitExceeded):
        again.gate.may_open(Alice(), "other", b"", exists=False)
    assert out.getvalue() == ""


def test_a_chain_that_is_gone_counts_no_more(tmp_path: Path) -> None:
    Owners(own_folder(tmp_path) / "owners").add("gone", b"a" * 16)
    house(tmp_path, io.StringIO(), Allowance(chains=1)).gate.may_open(
        Alice(), "new", b"", exists=False
    )


def test_an_owner_that_cannot_be_written_down_is_told(tmp_path: Path) -> None:
    out = io.StringIO()
    one = house(tmp_path / "none", out, Allowance())
    one.gate.stored(Alice(), "notes", 1)
    assert "the owner of a chain was not written down" in out.getvalue()
    assert one.free_bytes() is None
