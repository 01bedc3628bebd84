"""`ate chains` finds chains by their files."""

from __future__ import annotations

from pathlib import Path

from tests.unit.atecli.conftest import Ate

from ate.log import takeover
from ate.log.disk import RealDisk


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


def test_a_chain_that_a_server_took_over_is_one_chain(ate: Ate, home: Path) -> None:
    ate("put", "a", "1")
    folder = home / "chains/a"
    takeover.branch(RealDisk(), str(folder), str(folder / ".epoch-2"))
    (found,) = ate("chains", "--json").documents
    assert found["name"] == "a"
    assert found["bytes"] == sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    ate("put", "a", "2")
    assert len(ate("ls", "a", "--json").documents) == 2
    assert ate("verify", "a", "--deep").status == 0
    (folder / "CURRENT").unlink()
    assert len(ate("ls", "a", "--json").documents) == 2
    assert ate("chains", "--json").document["name"] == "a"
