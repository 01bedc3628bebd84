"""What is newer stays, whoever says what else and whenever the power fails."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ate.errors import LimitExceeded, OutOfSpace, StorageError, UsageError
from ate.mesh.directory import Directory
from ate.mesh.topology import Place, Topology
from ate.testing.simdisk import SimDisk

TOPOLOGY = Topology.parse("""
[[node]]
url = "ws://a"
[[node]]
url = "ws://b"
role = "relay"
[chains]
fixed = { url = "ws://c", epoch = 5 }
""")
A, B, C = "ws://a:5000/", "ws://b:5000/", "ws://c:5000/"


def test_a_chain_is_where_it_was_moved_last() -> None:
    directory = Directory(TOPOLOGY)
    assert directory.where("x") == Place(A)
    assert directory.move("x", "WS://B") == 1
    assert directory.where("x") == directory.where("/x") == Place(B, 1, "relay")
    assert directory.move("x", C) == 2
    assert directory.where("x") == Place(C, 2, "master")
    assert directory.where("y") == Place(A)
    assert list(directory) == [("x", Place(C, 2, "master"))]
    assert len(directory) == 1


def test_a_server_sees_which_chains_are_its_own() -> None:
    directory = Directory(TOPOLOGY)
    directory.move("x", C)
    where = directory.seen_from("WS://A")
    assert where("y") == Place("", 0, "master")
    assert where("x") == Place(C, 1, "master")
    assert directory.seen_from(C)("x") == Place("", 1, "master")


def test_what_is_older_never_replaces_what_is_newer() -> None:
    says = [(A, 1), (B, 2), (C, 3), (A, 3)]
    for order in itertools.permutations(says):
        directory = Directory(TOPOLOGY)
        newest = 0
        for url, epoch in order:
            assert directory.learn("x", url, epoch) == (epoch > newest)
            newest = max(newest, epoch)
            assert directory.where("x").epoch == newest
        first = next(url for url, epoch in order if epoch == 3)
        assert directory.where("x").url == first, "of equals the first that was heard"


def test_the_list_of_the_cluster_counts_until_something_newer_is_known() -> None:
    directory = Directory(TOPOLOGY)
    assert not directory.learn("fixed", A, 5)
    assert directory.where("fixed") == Place(C, 5, "master")
    assert directory.move("fixed", A) == 6
    assert directory.where("fixed") == Place(A, 6, "master")


def test_it_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    Directory(TOPOLOGY, path).move("x", B)
    again = Directory(TOPOLOGY, str(path))
    assert again.where("x") == Place(B, 1, "relay")
    assert not again.learn("x", C, 1)
    assert [one.name for one in tmp_path.iterdir()] == ["directory"]


def test_after_any_cut_it_is_as_before_or_after_the_move() -> None:
    disk = SimDisk()
    directory = Directory(TOPOLOGY, "/directory", disk=disk)
    marks = []
    for url in (B, C, A):
        directory.move("x", url)
        marks.append(len(disk.journal))
    for done, _, survivor in disk.cuts():
        epoch = Directory(TOPOLOGY, "/directory", disk=survivor).where("x").epoch
        finished = sum(mark <= done for mark in marks)
        assert finished <= epoch <= finished + 1


def test_a_disk_that_is_full_changes_nothing() -> None:
    disk = SimDisk()
    directory = Directory(TOPOLOGY, "/directory", disk=disk)
    directory.move("x", B)
    disk.fail("write", OutOfSpace("full"), name="directory.new")
    with pytest.raises(OutOfSpace):
        directory.move("x", C)
    assert directory.where("x") == Place(B, 1, "relay")
    disk.heal()
    assert directory.move("x", C) == 2
    assert Directory(TOPOLOGY, "/directory", disk=disk).where("x").epoch == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"format": 2, "chains": {}}',
        b'{"format": 1, "chains": {"x": ["ws://a"]}}',
        b'{"format": 1, "chains": {}, "more": 1}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "directory"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"directory is no directory of chains") as caught:
        Directory(TOPOLOGY, path)
    assert "remove it" in caught.value.hint
    assert path.read_bytes() == content


def test_what_makes_no_sense_is_refused() -> None:
    directory = Directory(TOPOLOGY)
    for name, url, epoch in (("", A, 1), ("x", "http://a", 1), ("x", A, 0), ("x", A, 1 << 63)):
        with pytest.raises(UsageError):
            directory.learn(name, url, epoch)
    directory._moved = {f"chain{n}": (A, 1) for n in range(10_000)}
    with pytest.raises(LimitExceeded):
        directory.move("x", A)
    assert directory.move("chain1", B) == 2
