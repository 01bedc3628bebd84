"""What a disk holds and what it would still hold after a power cut; it never injects a fault.

A file's bytes are durable after a sync of the file, a name after a sync of its directory. What is
pending in between may survive a cut in any part: each `Style` takes another choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ate.testing.chance import Chance

#: A disk writes a sector whole; `shredded` assumes not even that.
SECTOR_BYTES: Final = 512

#: verb, number of the node, and what the verb needs.
Op: TypeAlias = tuple[str, int, str, str] | tuple[str, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Style:
    """Which of the pending changes a power cut keeps.

    Attributes:
        name: for messages.
        data: of writes and truncations: "none", "all", "torn" (a prefix of them, its last one torn
            at any byte), "sectors" (any, sector by sector) or "shreds" (any, torn at any byte).
        names: of directory entries: "none", "all" or "some".
    """

    name: str
    data: str
    names: str


STYLES: Final = (
    Style("dropped", "none", "none"),
    Style("kept", "all", "all"),
    Style("names lost", "all", "none"),
    Style("data lost", "none", "all"),
    Style("torn", "torn", "all"),
    Style("torn, names mixed", "torn", "some"),
    Style("reordered", "sectors", "all"),
    Style("shredded", "shreds", "some"),
)


@dataclass(slots=True)
class FileNode:
    """A file: what programs see, what is durable, and the changes between."""

    live: bytearray = field(default_factory=bytearray)
    size: int = 0
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        """Change the live bytes; (offset, None) in `pending` stands for a truncation."""
        stop = offset + len(data)
        if stop > len(self.live):
            # A new buffer rather than a resized one: views of the old one are still in use.
            grown = bytearray(max(stop, 2 * len(self.live), 4096))
            grown[: self.size] = self.live[: self.size]
            self.live = grown
        self.live[offset:stop] = data
        self.size = max(self.size, stop)
        self.pending.append((offset, data))

    def truncate(self, size: int) -> None:
        if size > self.size:
            zeros = bytes(size - self.size)
            self.write(self.size, zeros)
            return
        self.live[size : self.size] = bytes(self.size - size)
        self.size = size
        self.pending.append((size, None))

    def sync(self) -> None:
        _apply(self.durable, self.pending)
        self.pending.clear()

    def content(self) -> bytes:
        return bytes(self.live[: self.size])


@dataclass(slots=True)
class DirNode:
    """A directory: names that programs see, durable names, and the changes between."""

    live: dict[str, int] = field(default_factory=dict)
    durable: dict[str, int] = field(default_factory=dict)
    pending: list[tuple[str, str, int]] = field(default_factory=list)

    def change(self, gone: str, name: str, node: int) -> None:
        """Take one name away and give another to a node, as one step; either may be empty."""
        _rename(self.live, gone, name, node)
        self.pending.append((gone, name, node))

    def sync(self) -> None:
        for gone, name, node in self.pending:
            _rename(self.durable, gone, name, node)
        self.pending.clear()


def _rename(names: dict[str, int], gone: str, name: str, node: int) -> None:
    names.pop(gone, None)
    if name:
        names[name] = node


def _apply(content: bytearray, changes: Sequence[tuple[int, bytes | None]]) -> None:
    for offset, data in changes:
        if data is None:
            del content[offset:]
            continue
        if offset > len(content):
            content.extend(bytes(offset - len(content)))
        content[offset : offset + len(data)] = data


@dataclass(slots=True)
class _Loss:
    """One power cut: what it takes, and the number that each file has afterwards."""

    style: Style
    chance: Chance
    copies: dict[int, int] = field(default_factory=dict)


class Platter:
    """Files and directories by number; 0 is the root directory.

    The same operations give the same numbers, so a recorded run can be applied again.
    """

    def __init__(self) -> None:
        self.nodes: list[FileNode | DirNode] = [DirNode()]

    def file(self, number: int) -> FileNode:
        node = self.nodes[number]
        assert isinstance(node, FileNode)
        return node

    def directory(self, number: int) -> DirNode:
        node = self.nodes[number]
        assert isinstance(node, DirNode)
        return node

    def apply(self, op: Op) -> None:
        """Carry out one recorded operation."""
        verb, number, first, second = op
        if isinstance(second, bytes):
            assert isinstance(first, int)
            self._apply_to_file(verb, self.file(number), first, second)
            return
        assert isinstance(first, str)
        entries = self.directory(number)
        if verb in {"create", "mkdir"}:
            self.nodes.append(FileNode() if verb == "create" else DirNode())
            entries.change("", first, len(self.nodes) - 1)
        elif verb == "rename":
            entries.change(first, second, entries.live[first])
        elif verb == "link":
            entries.change("", first, int(second))
        elif verb == "remove":
            entries.change(first, "", 0)
        else:
            entries.sync()

    @staticmethod
    def _apply_to_file(verb: str, node: FileNode, at: int, data: bytes) -> None:
        if verb == "write":
            node.write(at, data)
        elif verb == "truncate":
            node.truncate(at)
        elif verb == "sync":
            node.sync()
        else:
            # A failed sync: the system forgets that the pages were dirty and goes on showing them.
            node.pending.clear()

    def after_cut(self, style: Style, chance: Chance) -> Platter:
        """Return what is there after a power cut."""
        survivor = Platter()
        self._keep(0, survivor, 0, _Loss(style, chance))
        return survivor

    def _keep(self, number: int, survivor: Platter, copy: int, loss: _Loss) -> None:
        style, chance = loss.style, loss.chance
        entries = self.directory(number)
        names = dict(entries.durable)
        for change in entries.pending:
            if style.names == "all" or (style.names == "some" and chance.happens(50)):
                _rename(names, *change)
        kept = survivor.directory(copy)
        for name, child in names.items():
            node = self.nodes[child]
            if child in loss.copies:  # it has another name, which survived as well
                kept.durable[name] = kept.live[name] = loss.copies[child]
                continue
            kept.durable[name] = kept.live[name] = len(survivor.nodes)
            if isinstance(node, FileNode):
                loss.copies[child] = len(survivor.nodes)
                content = _surviving(node, style.data, chance)
                survivor.nodes.append(
                    FileNode(live=bytearray(content), size=len(content), durable=content)
                )
            else:
                survivor.nodes.append(DirNode())
                self._keep(child, survivor, len(survivor.nodes) - 1, loss)


def _surviving(node: FileNode, style: str, chance: Chance) -> bytearray:
    content = bytearray(node.durable)
    changes = list(node.pending)
    if style == "none":
        changes = []
    elif style == "torn" and changes:
        last = chance.below(len(changes))
        offset, data = changes[last]
        changes = changes[:last]
        if data:
            changes.append((offset, data[: chance.below(len(data) + 1)]))
    elif style in ("sectors", "shreds"):
        changes = _scattered(changes, chance, shred=style == "shreds")
    _apply(content, changes)
    return content


def _scattered(
    changes: list[tuple[int, bytes | None]], chance: Chance, *, shred: bool
) -> list[tuple[int, bytes | None]]:
    kept: list[tuple[int, bytes | None]] = []
    for offset, data in changes:
        if data is None:
            if chance.happens(50):
                kept.append((offset, None))
            continue
        start = 0
        while start < len(data):
            stop = min(len(data), start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES)
            first, last = start, stop
            if shred:
                first = start + chance.below(stop - start)
                last = first + chance.below(stop - first + 1)
            if chance.happens(50) and first < last:
                kept.append((offset + first, data[first:last]))
            start = stop
    return kept
