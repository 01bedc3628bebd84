"""Where chains were moved to, durable on a server; it moves nothing and asks nobody.

It holds what differs from the topology's draw. Each move has an epoch, one more than the one
before; what is older never replaces what is newer, whoever says it and however late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from ate import limits
from ate.errors import Disconnected, ProtocolError, StorageError, UsageError
from ate.ids import ChainName
from ate.log.disk import Disk, RealDisk
from ate.mesh.topology import Place, Topology
from ate.mesh.url import Url

_FORMAT: Final = 1


class _File(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The file: chains with their URL and epoch, and those on their way here with their source."""

    format: int
    chains: dict[str, tuple[str, int]]
    coming: dict[str, tuple[str, int]] = {}


class Directory:
    """The places of all chains, as one server knows them.

    Args:
        topology: says where the rest is.
        path: a file of this server's own, or None to remember nothing.
        disk: handed in by tests.

    Raises:
        StorageError: the file is not what was written.
    """

    def __init__(
        self, topology: Topology, path: str | Path | None = None, *, disk: Disk | None = None
    ) -> None:
        self.topology = topology
        self._path = None if path is None else Path(path)
        self._disk = disk or RealDisk()
        kept = self._read()
        self._moved: dict[str, tuple[str, int]] = kept.chains
        self._coming: dict[str, tuple[str, int]] = kept.coming

    def __len__(self) -> int:
        return len(self._moved)

    def __iter__(self) -> Iterator[tuple[str, Place]]:
        """Yield the moves, for telling other servers."""
        for name in sorted(self._moved):
            yield name, self._moved_to(name)

    def where(self, name: str) -> Place:
        """Return where a chain is: what was said with the highest epoch, else the draw."""
        name = name.removeprefix("/")
        said = self.topology.where(name)
        return self._moved_to(name) if self._epoch(name) > said.epoch else said

    def seen_from(self, url: str) -> Callable[[str], Place]:
        """Return `where` as the server at `url` asks it: no URL means that it serves the chain.

        It raises Disconnected for a chain that is just being brought there.
        """
        here = str(Url.parse(url))

        def where(name: str) -> Place:
            place, role = self.where(name), self.topology.role_of(here)
            if name.removeprefix("/") in self._coming:
                raise Disconnected(
                    "the chain is just being moved to this server", hint="come back in a moment"
                )
            if place.url == here:
                return Place("", place.epoch)
            if role != "master":
                return Place("", place.epoch, role, place.url)
            return place

        return where

    def move(self, name: str, url: str) -> int:
        """Say that a chain is there from now on; return the epoch that this has.

        Raises:
            StorageError: it could not be written; nothing has changed.
        """
        epoch = self.where(name).epoch + 1
        self.learn(name, url, epoch)
        return epoch

    def learn(self, name: str, url: str, epoch: int) -> bool:
        """Take over a move that somebody else knows of; tell whether it was news.

        What is not newer is passed over: of two moves of one epoch the first that was heard stays.

        Raises:
            UsageError: the name or URL is none. StorageError: as `move`.
        """
        name, url = ChainName(name), str(Url.parse(url))
        if not 0 < epoch < 1 << 63:
            raise UsageError("an epoch is a number of 1 or more")
        if epoch <= self.where(name).epoch:
            return False
        self.settle(name, url, epoch)
        return True

    def settle(self, name: str, url: str, epoch: int) -> None:
        """Write down where a chain is, though the cluster's list may say so already.

        A list can be changed back; what servers have agreed on stays.

        Raises:
            UsageError: something newer is known. StorageError: as `move`.
        """
        name, url = ChainName(name), str(Url.parse(url))
        place = self.where(name)
        if epoch < place.epoch or (epoch == place.epoch and url != place.url):
            raise UsageError(f"the chain {name!r} has been moved further meanwhile")
        coming = {one: which for one, which in self._coming.items() if one != name}
        self._change({**self._moved, name: (url, epoch)}, coming)

    # --- chains on their way to this server -----------------------------------------------------

    @property
    def coming(self) -> dict[str, tuple[str, int]]:
        """The chains that are being brought here: from which URL, under which epoch."""
        return dict(self._coming)

    def expect(self, name: str, source: str, epoch: int) -> None:
        """Say that a chain is to be brought here; until `learn` says that it is, nobody gets it.

        Raises:
            UsageError, StorageError: as `learn`. Also if that epoch is over.
        """
        name, source = ChainName(name), str(Url.parse(source))
        known = self._coming.get(name)
        if epoch <= self._epoch(name) or (known is not None and known[1] > epoch):
            raise UsageError(f"the chain {name!r} has been moved further meanwhile")
        self._change(self._moved, {**self._coming, name: (source, epoch)})

    def give_up(self, name: str) -> None:
        """Say that a chain does not come after all."""
        coming = {one: which for one, which in self._coming.items() if one != name}
        self._change(self._moved, coming)

    def _change(
        self, moved: dict[str, tuple[str, int]], coming: dict[str, tuple[str, int]]
    ) -> None:
        limits.check("chains that were moved", len(moved) + len(coming), limits.MOVES_MAX)
        self._write(moved, coming)
        self._moved, self._coming = moved, coming

    def _epoch(self, name: str) -> int:
        return self._moved[name][1] if name in self._moved else -1

    def _moved_to(self, name: str) -> Place:
        url, epoch = self._moved[name]
        return Place(url, epoch, self.topology.role_of(url))

    # --- the file ---------------------------------------------------------------------------

    def _read(self) -> _File:
        if self._path is None or not self._disk.exists(str(self._path)):
            return _File(_FORMAT, {})
        file = self._disk.open(str(self._path), readonly=True)
        try:
            size = file.size()
            limits.check(f"bytes of {self._path}", size, limits.MOVES_BYTES_MAX)
            raw = file.pread(size, 0)
        finally:
            file.close()
        try:
            found = msgspec.json.decode(raw, type=_File)
            if found.format != _FORMAT:
                raise ProtocolError(f"its format is {found.format}")
        except (msgspec.MsgspecError, UnicodeDecodeError, ProtocolError) as error:
            raise StorageError(
                f"{self._path} is no directory of chains: {error}",
                hint="restore it, or remove it: chains that were moved are then found where the "
                "topology puts them",
            ) from None
        return found

    def _write(
        self, chains: dict[str, tuple[str, int]], coming: dict[str, tuple[str, int]]
    ) -> None:
        """Replace the file: after a power cut it is the old one or the new one."""
        if self._path is None:
            return
        disk, fresh = self._disk, str(self._path.with_name(self._path.name + ".new"))
        raw = msgspec.json.format(msgspec.json.encode(_File(_FORMAT, chains, coming)))
        file = disk.create(fresh)
        try:
            file.pwrite([raw], 0)
            file.datasync()
        finally:
            file.close()
        disk.rename(fresh, str(self._path))
        disk.sync_dir(str(self._path.parent))
