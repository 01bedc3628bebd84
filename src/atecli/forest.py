"""The living objects of a chain in the order of a tree, one at a time; it keeps no value.

Every object comes once, also one that no key opens, one whose parent is gone, and one whose parents
lead in a circle. What it remembers of an object is one bit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from ate.chain.index import DEAD, SEQ_MASK
from ate.chain.reader import Reader
from ate.chain.view import View
from ate.client import Chain
from ate.dio.schema import decode_any, name_of
from ate.errors import AteError, NoReadKey
from ate.event.row import Kind, Row
from ate.ids import ROOT
from atecli.history import ledger_of
from atecli.text import brief, visible

_VALUE_MAX: Final = 60


@dataclass(slots=True)
class Node:
    """One object at its place.

    Args:
        lines: for each level above, whether more comes there: what a drawing needs.
        type: its name, or `#` and the number in the row where no key opens it.
        value: None when it is closed.
        state: open, sealed or damaged.
        below: why it hangs where it does not belong, or "".
    """

    row: Row
    seq: int
    lines: list[bool]
    type: str
    value: Any = None
    state: str = "open"
    below: str = ""

    @property
    def is_damaged(self) -> bool:
        return self.state == "damaged"

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        row = self.row
        told: dict[str, Any] = {
            "id": row.id.hex(),
            "parent": row.parent.hex() if any(row.parent) else None,
            "depth": len(self.lines) - 1,
            "seq": self.seq,
            "type": self.type,
            "state": self.state,
            "bytes": row.length,
        }
        if self.state == "open":
            told["value"] = self.value
        if self.below:
            told["below"] = self.below
        return told


def drawn(node: Node) -> str:
    """Return a node as one line of a tree."""
    stem = "".join("│   " if more else "    " for more in node.lines[1:-1])
    branch = ("├── " if node.lines[-1] else "└── ") if len(node.lines) > 1 else ""
    value = f"({node.state}, {node.row.length} bytes)"
    if node.state == "open":
        value = brief(node.value, _VALUE_MAX)
    where = f"  (below {node.below})" if node.below else ""
    head = f"{stem}{branch}{node.row.id.hex()}  {node.seq}  {visible(node.type)}"
    return f"{head}  {value}{where}"


async def nodes(chain: Chain) -> AsyncIterator[Node]:
    """Yield all living objects, each behind its parent."""
    reader = Reader(ledger_of(chain), chain.session)
    view = reader.view
    seen = bytearray(view.head // 8 + 1)
    async for node in _below(reader, ROOT, seen):
        yield node
    circular: list[int] = []
    for flagged in view.index.all():
        seq = flagged & SEQ_MASK
        if _has(seen, seq):
            continue
        row = _row(view, seq)
        above = view.index.locate(row.parent)
        if above and not above & DEAD:
            circular.append(seq)  # hangs below another, which comes later, or in a circle
            continue
        why = "a deleted object" if above else "an object that was never stored"
        async for node in _tree(reader, seq, seen, why):
            yield node
    for seq in circular:
        if not _has(seen, seq):
            async for node in _tree(reader, seq, seen, "itself, in a circle"):
                yield node


async def _tree(reader: Reader, seq: int, seen: bytearray, why: str) -> AsyncIterator[Node]:
    """Yield an object that has no place, and what is below it."""
    _mark(seen, seq)
    top = await _node(reader, seq, [False])
    top.below = why
    yield top
    async for node in _below(reader, top.row.id, seen, [False]):
        yield node


async def _below(
    reader: Reader, parent: bytes, seen: bytearray, lines: list[bool] | None = None
) -> AsyncIterator[Node]:
    """Yield what is below an object. It keeps its own stack: a tree may be deep."""
    stack = [(list(lines or []), _children(reader.view, parent, seen), 0)]
    while stack:
        above, children, at = stack.pop()
        if at == len(children):
            continue
        stack.append((above, children, at + 1))
        seq = children[at]
        if _has(seen, seq):
            continue
        _mark(seen, seq)
        node = await _node(reader, seq, [*above, at + 1 < len(children)])
        yield node
        stack.append((node.lines, _children(reader.view, node.row.id, seen), 0))


def _children(view: View, parent: bytes, seen: bytearray) -> list[int]:
    found = []
    for flagged in view.index.below(parent):
        seq = flagged & SEQ_MASK
        record, at = view.find(seq)
        # Different parents may be filed under one key.
        if record.brief(at)[0] == Kind.DATA and record.parent(at) == parent:
            found.append(seq)
    return [seq for seq in found if not _has(seen, seq)]


async def _node(reader: Reader, seq: int, lines: list[bool]) -> Node:
    row = _row(reader.view, seq)
    try:
        opened = await reader.open(seq)
        name = name_of(opened.plain)
        return Node(row, seq, lines, name, decode_any(opened.plain, opened.codec))
    except NoReadKey:
        return Node(row, seq, lines, f"#{row.schema:08x}", state="sealed")
    except AteError:
        return Node(row, seq, lines, f"#{row.schema:08x}", state="damaged")


def _row(view: View, seq: int) -> Row:
    record, at = view.find(seq)
    return record.row(at)


def _has(seen: bytearray, seq: int) -> bool:
    return bool(seen[seq >> 3] & 1 << (seq & 7))


def _mark(seen: bytearray, seq: int) -> None:
    seen[seq >> 3] |= 1 << (seq & 7)
