from __future__ import annotations

from pathlib import Path

import pytest

from ate.errors import UsageError
from ate.testing.history import (
    Answer,
    Append,
    Call,
    Entry,
    Head,
    History,
    Lookup,
    Operation,
    Read,
    Revoke,
    load,
    load_files,
)


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def some() -> tuple[History, list[bytes]]:
    lines: list[bytes] = []
    history = History(Ticks(), lines.append)
    append = Append("c", 1 << 63, 2, 3, "ab" * 32, at=0, lease="l", fence=4, rows=2)
    first = history.invoke("alice", append)
    second = history.invoke("bob", Read("c", 1))
    history.ok(first, Answer(seq=1, index=0))
    history.ok(second, Answer(head=2, entries=[(1, "ab" * 32)]))
    history.fail(history.invoke("bob", append), Answer(code="conflict", head=2))
    history.info(history.invoke("bob", Lookup("c", 1, 2, 3)))
    history.ok(history.invoke("bob", Head("c", fresh=False)), Answer(head=2))
    history.ok(history.invoke("bob", Revoke("c", 1)))
    history.invoke("carol", append)
    return history, lines


def test_lines_bring_the_operations_back() -> None:
    history, lines = some()
    assert load(lines) == history.operations
    assert [one.outcome for one in history.operations] == [
        "ok", "ok", "fail", "info", "ok", "ok", "info",
    ]  # fmt: skip
    assert history.operations[-1].done is None
    assert len({one.id for one in history.operations}) == 7
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)


def test_a_line_is_written_before_the_call_starts() -> None:
    lines: list[bytes] = []
    history = History(Ticks(), lines.append)
    operation = history.invoke("alice", Head("c"))
    assert load(lines) == [operation]
    assert operation.outcome == "info"
    history.ok(operation)
    assert load(lines)[0].done == 1.0


def test_files_of_killed_clients_are_read_together(tmp_path: Path) -> None:
    history, lines = some()
    (tmp_path / "a").write_bytes(b"".join(lines) + b'{"id":"torn')
    other = Operation("dave/0", "dave", Head("c"), 7.0)
    (tmp_path / "b").write_bytes(
        b'{"id":"dave/0","time":7.0,"event":"invoke","client":"dave",'
        b'"invoke":{"call":"head","chain":"c"}}\n'
    )
    found = load_files([tmp_path / "a", tmp_path / "b"])
    assert found == [*history.operations, other]


@pytest.mark.parametrize(
    "line",
    [
        b"nothing\n",
        b'{"id":"x","time":1,"event":"ok"}\n',
        b'{"id":"x","time":1,"event":"invoke"}\n',
        b'{"id":"x","time":1,"event":"perhaps"}\n',
        b'{"id":"alice/0","time":1,"event":"ok"}\n',
        b'{"id":"alice/0","time":1,"event":"invoke","invoke":{"call":"head","chain":"c"}}\n',
    ],
)
def test_lines_that_make_no_history_are_refused(line: bytes) -> None:
    _, lines = some()
    with pytest.raises(UsageError, match=r"line \d+"):
        load([*lines, line])


def test_an_operation_is_answered_once() -> None:
    history = History(Ticks())
    operation = history.invoke("alice", Head("c"))
    history.ok(operation)
    with pytest.raises(UsageError, match="alice/0"):
        history.fail(operation)


def test_an_operation_tells_what_it_was() -> None:
    history, _ = some()
    text = str(history.operations[0])
    assert text == (
        f"alice/0 (append chain=c device={1 << 63} session=2 lsn=3 digest=abababab at=0 lease=l"
        " fence=4 rows=2, 0.5 to 1.5)"
    )
    assert str(history.operations[-1]).endswith("to …)")
    assert "fresh=False" in str(history.operations[1])


def test_the_last_row_of_a_commit() -> None:
    assert Entry(5, 2, "ab").last == 5
    assert Entry(5, 2, "ab", rows=3).last == 7


def test_a_call_is_about_a_chain() -> None:
    for call in (Head("c"), Read("c", 1), Revoke("c", 1), Lookup("c", 1, 2, 3)):
        assert isinstance(call, Call)
        assert call.chain == "c"
    assert Lookup("c", 1, 2, 3).key == Append("c", 1, 2, 3, "ab").key == ("c", 1, 2, 3)
