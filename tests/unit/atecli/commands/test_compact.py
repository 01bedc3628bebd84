"""`ate compact` drops what was superseded and says what it did."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.unit.atecli.conftest import Ate

import ate as library

OLD = '{"title": "a value that is going to be superseded"}'
NEW = '{"title": "the value that is there to stay"}'


def changed(ate: Ate, chain: str = "notes", *words: str) -> str:
    """Store an object and give it another value; returns its id."""
    object_id = ate("put", chain, OLD, *words).out.strip()
    assert ate("put", chain, NEW, "--id", object_id, "--replace", *words).status == 0
    return object_id


def test_for_people(ate: Ate) -> None:
    object_id = changed(ate)
    said = ate("compact", "notes")
    assert (said.status, said.err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in said.out.splitlines() if "on disk" not in line)
    assert lines == {
        "chain": "notes", "generation": "2", "rows": "2, before 3", "commits": "2, before 3",
        "whole": "from row 4 on",
    }  # fmt: skip
    assert "\non disk     " in said.out
    assert "there to stay" in ate("get", "notes", object_id).out
    gone = ate("get", "notes", object_id, "--at", "2")
    assert gone.status == 3
    assert "not kept any more" in gone.err


def test_for_programs(ate: Ate) -> None:
    changed(ate)
    told = ate("compact", "notes", "--json").document
    assert (told["name"], told["generation"], told["cut"]) == ("notes", 2, 4)
    assert (told["rows_before"], told["rows_after"], told["erased"]) == (3, 2, None)
    assert told["bytes_after"] < told["bytes_before"]


@pytest.mark.parametrize(
    "words, status",
    [
        (("--keep-versions", "2"), 0),
        (("--keep-days", "1"), 0),
        (("--keep-days", "0"), 3),
        (("--keep-versions", "1"), 3),
    ],
)
def test_what_of_the_past_stays(ate: Ate, words: tuple[str, ...], status: int) -> None:
    object_id = changed(ate)
    assert ate("compact", "notes", *words).status == 0
    assert ate("get", "notes", object_id, "--at", "2").status == status


def test_tombstones_can_be_forgotten(ate: Ate) -> None:
    object_id = changed(ate)
    ate("rm", "notes", object_id)
    assert ate("compact", "notes", "--json").document["rows_after"] == 2
    assert "was deleted" in ate("get", "notes", object_id).err
    assert ate("compact", "notes", "--drop-tombstones", "1", "--json").document["rows_after"] == 2
    assert ate("compact", "notes", "--drop-tombstones", "0", "--json").document["rows_after"] == 1
    assert "no object" in ate("get", "notes", object_id).err


def test_erased_is_proved(ate: Ate, home: Path) -> None:
    changed(ate)
    said = ate("compact", "notes", "--erase")
    assert said.status == 0
    assert "\nerased      1 value, " in said.out
    assert ": 0 copies\n" in said.out
    assert "still there" not in said.out
    content = b"".join(path.read_bytes() for path in (home / "chains").rglob("*.0*"))
    assert b"going to be superseded" not in content
    assert b"there to stay" in content


def test_what_stays_of_the_past_is_told(ate: Ate) -> None:
    object_id = changed(ate)
    ate("put", "notes", "1", "--id", object_id, "--replace")
    ate("rm", "notes", object_id)
    said = ate("compact", "notes", "--erase", "--keep-versions", "3")
    assert "\nstill there  2 older values: kept by retention, or since the checkpoint\n" in said.out
    ate("compact", "notes")
    ate("put", "notes", "2", "--id", "00000000000000000000000000000001")
    ate("rm", "notes", "00000000000000000000000000000001")
    assert "\ntoo short   1 value of under 16 bytes" in ate("compact", "notes", "--erase").out


def test_a_copy_that_is_left_is_named(ate: Ate, home: Path) -> None:
    changed(ate)
    folder = home / "chains/notes"
    (folder / "copy").write_bytes((folder / "000001/head.000001").read_bytes())
    said = ate("compact", "notes", "--erase")
    assert said.status == 5
    assert "\nsearched    " in said.out
    assert "\ncopy left   copy at " in said.out
    assert said.err.startswith("ate: a value that was dropped is still in a file: copy at ")
    again = ate("compact", "notes", "--erase", "--json").document["erased"]
    assert again["is_proved"] is True  # of what it dropped itself


def test_a_reader_of_the_old_files_leaves_nothing_to_claim(ate: Ate) -> None:
    changed(ate)

    async def read() -> None:
        async with library.open("notes", readonly=True):
            said = await asyncio.to_thread(ate, "compact", "notes", "--erase")
            assert said.status == 6
            assert "erased      nothing: generation 000001 is still read\n" in said.out
            assert "reads generation 000001: nothing was erased yet\nate: hint: " in said.err
            plain = await asyncio.to_thread(ate, "compact", "notes")
            assert (plain.status, "reads generation 000001" in plain.err) == (0, True)

    asyncio.run(read())


def test_with_keys_a_root_compacts_and_others_only_up_to_a_checkpoint(ate: Ate, alice: str) -> None:
    changed(ate, "notes", "--as", alice)
    refused = ate("compact", "notes")
    assert refused.status == 2
    assert "no checkpoint vouches" in refused.err
    assert "ate: hint: compact as one of its roots" in refused.err
    told = ate("compact", "notes", "--as", alice, "--json").document
    assert told["rows_before"] - told["rows_after"] == 1
    again = changed(ate, "notes", "--as", alice)
    said = ate("compact", "notes", "--erase")
    assert "\nstill there  1 older value: " in said.out
    assert ate("get", "notes", again, "--as", alice).status == 0
    assert ate("verify", "notes", "--as", alice).status == 0


def test_all_chains_and_one_that_refuses(ate: Ate) -> None:
    for name in ("a", "b/c"):
        changed(ate, name)

    async def worm() -> None:
        async with library.open("archive", policy={"worm": True}):
            pass

    asyncio.run(worm())
    said = ate("compact", "--all", "--json")
    assert said.status == 7
    assert [one["name"] for one in said.documents] == ["a", "b/c"]
    assert '"message": "archive: a write-once chain keeps everything' in said.err
    changed(ate, "a")
    said = ate("compact", "--all", "--erase")
    assert said.status == 7
    assert said.err.count("ate: archive: ") == 1


def test_a_status_of_its_own_is_kept_with_all(ate: Ate, home: Path) -> None:
    changed(ate)
    folder = home / "chains/notes"
    (folder / "copy").write_bytes((folder / "000001/head.000001").read_bytes())
    assert ate("compact", "--all", "--erase").status == 5


@pytest.mark.parametrize(
    "words",
    [
        (), ("notes", "--all"), ("notes", "--keep-versions", "0"), ("notes", "--keep-days", "-1"),
        ("notes", "--keep-days", "inf"), ("notes", "--keep-days", "nan"),
        ("notes", "--drop-tombstones", "x"),
    ],
)  # fmt: skip
def test_wrong_words(ate: Ate, words: tuple[str, ...]) -> None:
    ate("put", "notes", "1")
    assert ate("compact", *words).status == 2


def test_a_chain_in_use_and_one_that_is_not_there(ate: Ate) -> None:
    changed(ate)

    async def write() -> None:
        async with library.open("notes"):
            said = await asyncio.to_thread(ate, "compact", "notes")
            assert said.status == 6
            assert "ate: hint: wait for the other program" in said.err

    asyncio.run(write())
    assert ate("compact", "nowhere").status == 3


def test_a_terminal_sees_how_far_it_is(ate: Ate, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(ate)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    said = ate("compact", "notes")
    assert said.status == 0
    assert "compacting notes" in said.err
