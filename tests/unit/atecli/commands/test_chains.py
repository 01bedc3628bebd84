"""`ate chains` finds chains by their files."""

from __future__ import annotations

from pathlib import Path

from tests.unit.atecli.conftest import Ate


def test_nothing_is_nothing(ate: Ate, tmp_path: Path) -> None:
    assert ate("chains").out == ""
    assert ate("chains", "--path", str(tmp_path / "nowhere"), "--json").out == ""


def test_names_sizes_and_nesting(ate: Ate, home: Path) -> None:
    ate("put", "a", "1")
    ate("put", "a/b", "1")
    (home / "chains/other").mkdir()
    head, one, two = ate("chains").out.splitlines()
    assert head.split() == ["name", "size", "changed"]
    assert one.split()[0] == "a"
    assert two.split()[0] == "a/b"
    documents = ate("chains", "--json").documents
    assert [one["name"] for one in documents] == ["a", "a/b"]
    size = sum(path.stat().st_size for path in (home / "chains/a/b").rglob("*") if path.is_file())
    assert documents[1]["bytes"] == size
    assert documents[1]["changed"].endswith("Z")


def test_a_broken_chain_is_listed_too(ate: Ate, home: Path) -> None:
    ate("put", "a", "1")
    (home / "chains/a/CURRENT").unlink()
    assert ate("chains", "--json").document["name"] == "a"
