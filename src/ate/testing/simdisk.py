"""`SimDisk`: a disk in memory that fails and loses power on demand; it never touches a real file.

Every change is recorded. `cuts` replays the record and yields, for each moment and each style of
loss, the disk that a machine would find after losing power then. One seed, one outcome.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ate.errors import LogLocked, StorageError
from ate.log.disk import Buffer
from ate.testing.chance import Chance
from ate.testing.platter import STYLES, DirNode, FileNode, Op, Platter, Style


@dataclass(slots=True)
class _Fault:
    verb: str
    name: str
    error: StorageError
    skip: int
    times: int


class SimDisk:
    """A `Disk` in memory.

    Args:
        seed: decides how much of a failed write lands, and what a power cut keeps.
        platter: what is on it; nothing when not given.
    """

    def __init__(self, seed: int = 0, *, platter: Platter | None = None) -> None:
        self.seed = seed
        self.journal: list[Op] = []
        self.locks: set[str] = set()
        self.shares: dict[str, int] = {}
        self._chance = Chance(seed)
        self._platter = platter or Platter()
        self._origin = copy.deepcopy(self._platter)
        self._faults: list[_Fault] = []

    # Faults and power cuts

    def fail(
        self, verb: str, error: StorageError, *, name: str = "", skip: int = 0, times: int = 1
    ) -> None:
        """Let calls fail: a failed write lands in part, a failed sync loses what was pending.

        Args:
            verb: "write", "sync", "truncate", "create", "rename", "remove", "mkdir", "syncdir",
                "read" or "open".
            error: what is raised.
            name: only for paths that contain this.
            skip: how many such calls succeed before.
            times: how many fail then; negative means all, until `heal`.
        """
        self._faults.append(_Fault(verb, name, error, skip, times))

    def heal(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    @property
    def pending_faults(self) -> int:
        """How many faults have not happened yet."""
        return sum(fault.times > 0 for fault in self._faults)

    def find_fault(self, verb: str, path: str) -> StorageError | None:
        """Return the error that this call must raise, counting it."""
        for fault in self._faults:
            if fault.verb != verb or fault.name not in path or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            return fault.error
        return None

    def _check(self, verb: str, path: str) -> None:
        error = self.find_fault(verb, path)
        if error is not None:
            raise error

    def cuts(self, styles: Sequence[Style] = STYLES) -> Iterator[tuple[int, Style, SimDisk]]:
        """Yield (operations done, style, disk after the cut) for every moment of the record."""
        platter = copy.deepcopy(self._origin)
        for done in range(len(self.journal) + 1):
            if done:
                platter.apply(self.journal[done - 1])
            for index, style in enumerate(styles):
                chance = Chance(f"{self.seed}/{done}/{index}")
                survivor = platter.after_cut(style, chance)
                yield done, style, SimDisk(self.seed + 1, platter=survivor)

    def cut(self, style: Style) -> SimDisk:
        """Return the disk that a power cut leaves now."""
        return SimDisk(self.seed + 1, platter=self._platter.after_cut(style, self._chance))

    def snapshot(self) -> dict[str, bytes]:
        """Return the content of every file by its path."""
        found: dict[str, bytes] = {}
        self._collect(0, "", found)
        return found

    def _collect(self, number: int, path: str, found: dict[str, bytes]) -> None:
        for name, child in self._platter.directory(number).live.items():
            node = self._platter.nodes[child]
            if isinstance(node, DirNode):
                self._collect(child, f"{path}/{name}", found)
            else:
                found[f"{path}/{name}"] = node.content()

    def put(self, path: str, content: bytes) -> None:
        """Replace a file's bytes behind everybody's back, durably: bit rot, garbage, a backup."""
        node = self._platter.file(self.create(path).number)
        node.write(0, content)
        node.sync()
        self._platter.directory(self._find(path.rpartition("/")[0])).sync()
        self.journal.clear()
        self._origin = copy.deepcopy(self._platter)

    # The Disk protocol

    def _find(self, path: str) -> int:
        number = 0
        for name in path.split("/"):
            if name:
                node = self._platter.nodes[number]
                if not isinstance(node, DirNode) or name not in node.live:
                    raise StorageError(f"there is no {path}")
                number = node.live[name]
        return number

    def _record(self, op: Op) -> None:
        self.journal.append(op)
        self._platter.apply(op)

    def _parent(self, path: str) -> tuple[int, str]:
        above, _, name = path.rpartition("/")
        return self._find(above), name

    def record_on(self, file: int, verb: str, at: int = 0, data: bytes = b"") -> None:
        """Carry out and record an operation on a file."""
        self._record((verb, file, at, data))

    def node(self, file: int) -> FileNode:
        """Return a file's node."""
        return self._platter.file(file)

    def chance(self, bound: int) -> int:
        """Return a number from 0 to `bound` by the seed."""
        return self._chance.below(bound + 1)

    def open(self, path: str, *, readonly: bool = False) -> SimFile:
        self._check("open", path)
        return SimFile(self, self._find(path), path, readonly=readonly)

    def create(self, path: str) -> SimFile:
        self._check("create", path)
        parent, name = self._parent(path)
        if name in self._platter.directory(parent).live:
            self.record_on(self._find(path), "truncate")
        else:
            self._record(("create", parent, name, ""))
        return SimFile(self, self._find(path), path, readonly=False)

    def mkdir(self, path: str) -> None:
        self._check("mkdir", path)
        parent, name = self._parent(path)
        if name not in self._platter.directory(parent).live:
            self._record(("mkdir", parent, name, ""))

    def rename(self, source: str, target: str) -> None:
        self._check("rename", source)
        parent, name = self._parent(source)
        other, new_name = self._parent(target)
        self._find(source)
        if parent != other:
            raise StorageError("a rename stays within its directory here")
        self._record(("rename", parent, name, new_name))

    def rename_new(self, source: str, target: str) -> bool:
        if self.exists(target):
            return False
        self.rename(source, target)
        return True

    def link(self, source: str, target: str) -> bool:
        self._check("link", source)
        parent, name = self._parent(target)
        if name in self._platter.directory(parent).live:
            raise StorageError(f"there is a {target} already")
        self._record(("link", parent, name, str(self._find(source))))
        return True

    def remove(self, path: str) -> None:
        self._check("remove", path)
        parent, name = self._parent(path)
        if name in self._platter.directory(parent).live:
            self._record(("remove", parent, name, ""))

    def rmdir(self, path: str) -> bool:
        if self.listdir(path):
            return False
        if self.exists(path):
            self.remove(path)
        return True

    def rmtree(self, path: str) -> None:
        if not self.exists(path):
            return
        if isinstance(self._platter.nodes[self._find(path)], DirNode):
            for name in self.listdir(path):
                self.rmtree(f"{path}/{name}")
        self.remove(path)

    def listdir(self, path: str) -> list[str]:
        if not self.exists(path):
            return []
        return sorted(self._platter.directory(self._find(path)).live)

    def exists(self, path: str) -> bool:
        try:
            self._find(path)
        except StorageError:
            return False
        return True

    def is_directory(self, path: str) -> bool:
        return self.exists(path) and isinstance(self._platter.nodes[self._find(path)], DirNode)

    def sync_dir(self, path: str) -> None:
        self._check("syncdir", path)
        self._record(("syncdir", self._find(path), "", ""))

    def lock(self, path: str, *, shared: bool = False) -> SimLock | SimShare:
        if path in self.locks or (self.shares.get(path) and not shared):
            raise LogLocked("another program writes to this chain")
        if not self.exists(path):
            self.create(path)
        if shared:
            return self.share(path)
        self.locks.add(path)
        return SimLock(self.locks, path)

    def share(self, path: str) -> SimShare:
        self._find(path)
        if path in self.locks:
            raise LogLocked("another program replaces this chain")
        self.shares[path] = self.shares.get(path, 0) + 1
        return SimShare(self.shares, path)


class SimLock:
    """A writer's lock on a simulated disk."""

    def __init__(self, locks: set[str], path: str) -> None:
        self._locks, self._path = locks, path

    def close(self) -> None:
        self._locks.discard(self._path)
        self._locks = set()


class SimShare:
    """A reader's share in a file of a simulated disk."""

    def __init__(self, shares: dict[str, int], path: str) -> None:
        self._shares, self._path = shares, path

    def close(self) -> None:
        if self._shares.get(self._path):
            self._shares[self._path] -= 1
        self._shares = {}


class SimFile:
    """An open file of a simulated disk."""

    def __init__(self, disk: SimDisk, number: int, path: str, *, readonly: bool) -> None:
        self.number = number
        self._disk = disk
        self._path = path
        self._readonly = readonly
        self._is_open = True

    def _node(self) -> FileNode:
        if not self._is_open:
            raise StorageError("the file is closed")
        return self._disk.node(self.number)

    def _change(self, verb: str, at: int = 0, data: bytes = b"") -> None:
        self._node()
        if self._readonly and verb != "sync":  # whoever may read a file may also flush it
            raise StorageError("the file is open for reading")
        error = self._disk.find_fault(verb, self._path)
        if error is None:
            self._disk.record_on(self.number, verb, at, data)
            return
        if verb == "write":
            self._disk.record_on(self.number, verb, at, data[: self._disk.chance(len(data))])
        elif verb == "sync":
            self._disk.record_on(self.number, "lose")
        raise error

    def pread(self, length: int, offset: int) -> bytes:
        error = self._disk.find_fault("read", self._path)
        if error is not None:
            raise error
        return bytes(self._node().live[offset : min(offset + length, self.size())])

    def pwrite(self, parts: Sequence[Buffer], offset: int) -> None:
        self._change("write", offset, b"".join(parts))

    def size(self) -> int:
        return self._node().size

    def truncate(self, size: int) -> None:
        self._change("truncate", size)

    def datasync(self) -> None:
        self._change("sync")

    def map(self, length: int) -> memoryview:
        node = self._node()
        if length > node.size:
            raise StorageError("the file shrank while open")
        return memoryview(node.live)[:length].toreadonly()

    def close(self) -> None:
        self._is_open = False
