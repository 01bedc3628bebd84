"""`ate restore` says what it verified; what it refuses is proved in tests/unit/ate/archive."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate


def test_a_signed_chain(ate: Ate, alice: str) -> None:
    ate("put", "c", "1", "--as", alice)
    ate("backup", "c", "disk")
    done = ate("restore", "c", "disk", "--path", "new")
    assert done.status == 0
    assert "signed by  alice@example.org (" in done.out
    assert done.out.endswith("verdict    sound\n")
    assert "ate verify --root" in done.err
    assert ate("ls", "c", "--path", "new", "--as", alice).status == 0
    again = ate("restore", "c", "disk", "--path", "new")
    assert (again.status, again.out) == (2, "")


def test_moments(ate: Ate) -> None:
    for number in range(3):
        ate("put", "c", str(number))
        ate("backup", "c", "disk")
    for at, head in [("p2", 3), ("3", 3), ("2999-01-01", 4), ("2", 2)]:
        done = ate("restore", "c", "disk", "--path", f"at-{at}", "--at", at, "--json")
        assert done.document["head"] == head, at
    for at, status in [("p0", 2), ("0", 2), ("then", 2), ("p4", 3), ("5", 3), ("1999-01-01", 3)]:
        assert ate("restore", "c", "disk", "--path", "none", "--at", at).status == status


def test_all_chains(ate: Ate) -> None:
    for name in ("a", "b", "d/e"):
        ate("put", name, "1")
    ate("backup", "--all", "disk")
    ate("restore", "b", "disk", "--path", "new")
    done = ate("restore", "--all", "disk", "--path", "new", "--json")
    assert done.status == 2
    assert [one["chain"] for one in done.documents] == ["a", "d/e"]
    assert "ate: b: there is a chain in b already" in done.err
    assert ate("restore", "--all", "disk", "--path", "x", "--at", "2999-01-01").status == 0


@pytest.mark.parametrize("words", [("disk",), ("--all", "disk", "--at", "p1"), ("x", "nowhere")])
def test_what_cannot_be(ate: Ate, home: Path, words: tuple[str, ...]) -> None:
    assert ate("restore", *words).status in (2, 3)


def test_two_chains_of_one_name(ate: Ate) -> None:
    ids = []
    for folder in ("one", "two"):
        ate("put", "c", "1", "--path", folder)
        ate("backup", "c", "disk", "--path", folder)
        ids = [one["id"] for one in ate("backups", "disk", "--json").documents]
    assert ate("restore", "c", "disk", "--path", "new").status == 2
    done = ate("restore", "c", "disk", "--path", "new", "--id", ids[1], "--json")
    assert done.document["id"] == ids[1]
