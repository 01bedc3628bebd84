"""`atedb.nodes`: a list of servers, and where a chain goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ate.errors import UsageError
from atedb.nodes import Nodes

URLS = [f"ws://{name}.example.org/" for name in "abc"]


def test_a_list_without_this_server(tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_text(
        "# ours\nws://A.example.org\n\n wss://b.example.org/db # second\nws://a.example.org:5000/\n"
    )
    assert Nodes.load(file).urls == ("ws://a.example.org:5000/", "wss://b.example.org:5000/db")
    assert Nodes.load(file, "ws://a.example.org").urls == ("wss://b.example.org:5000/db",)


@pytest.mark.parametrize("line", ["http://x", "ws://user:secret@x", "ws://", "a b", "\xff"])
def test_a_line_that_is_no_address(tmp_path: Path, line: str) -> None:
    file = tmp_path / "nodes"
    file.write_text(f"ws://a\n{line}\n", encoding="latin-1")
    with pytest.raises(UsageError, match="nodes line 2"):
        Nodes.load(file)


def test_files_that_are_too_large(tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_text("ws://a\n" * 200_000)
    with pytest.raises(UsageError, match="too large"):
        Nodes.load(file)
    file.write_text("".join(f"ws://a{number}\n" for number in range(5000)))
    with pytest.raises(UsageError, match="5000 servers"):
        Nodes.load(file)


def test_chains_are_spread_and_stay_when_others_leave() -> None:
    names = [f"c{number}" for number in range(300)]
    before = {name: Nodes(URLS).elsewhere(name) for name in names}
    assert all(list(before.values()).count(url) > 60 for url in URLS)
    assert before == {name: Nodes(URLS[::-1]).elsewhere(name) for name in names}
    after = {name: Nodes(URLS[1:]).elsewhere(name) for name in names}
    assert all(after[name] == url for name, url in before.items() if url != URLS[0])


def test_alone_there_is_no_elsewhere() -> None:
    assert Nodes().elsewhere("c") == ""
