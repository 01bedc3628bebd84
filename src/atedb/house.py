"""A service's directory and the hall above it: locked, with its gate; it opens no port.

The server's own files are in `.atedb` there, where no chain can be: the lock that keeps a second
server out, and the file of owners.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

from ate.clock import Clock
from ate.crypto.hash import derive
from ate.crypto.sign import SigningKey
from ate.errors import LogLocked, StorageError
from ate.ids import ChainName
from ate.limits import CHAINS_OPEN_MAX
from ate.log.disk import DiskLock, RealDisk
from ate.log.ownership import Ownership
from ate.mesh.hall import Hall
from ate.mesh.sequencing import Sequencing
from ate.mesh.shelf import DiskShelf
from ate.mesh.stating import stating
from ate.mesh.topology import Place
from ate.trust.sequence import Sequencer
from atedb.cluster import Cluster
from atedb.gate import SoloGate
from atedb.journal import Journal
from atedb.metrics import HallMeter, Metrics
from atedb.nodes import Nodes
from atedb.owners import Owners, size_of
from atedb.quota import Quota
from atedb.settings import OWN, Service, Settings
from atedb.tokens import Checker, TokenKey

_LOCK: Final = "LOCK"

#: Chains open at once where the system gives files enough, and what each takes.
CHAINS_MAX: Final = 2000
FILES_OF_A_CHAIN: Final = 4


class House:
    """One service, ready to be served.

    Args:
        service: its path and directory.
        settings: of the whole server.
        key: of the tokens; None wants none.
        nodes: where chains are sent that have no room.
        identity: signs what is stated about chains.
        cluster: the other servers; None = this one has all chains.
        ownership: of the directory, where others stand by.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        *,
        key: TokenKey | None,
        nodes: Nodes,
        identity: SigningKey,
        cluster: Cluster | None,
        metrics: Metrics,
        journal: Journal,
        clock: Clock,
        ownership: Ownership | None = None,
    ) -> None:
        self.path, self.folder = service
        self._journal = journal
        self._owners = Owners(self.folder / OWN / "owners")
        quota = Quota(settings.quota)
        for name, owner in self._owners:
            size = size_of(self.folder / name)
            if size is not None:
                quota.own(name, owner, size)
        self.gate = SoloGate(
            settings.bounds,
            clock,
            quota,
            checker=Checker(key, self.path) if key is not None else None,
            create=settings.create,
            elsewhere=nodes.elsewhere
            if cluster is None
            else lambda name: nodes.elsewhere(name) or cluster.relief(name),
            remember=self._remember,
            is_peer=cluster.is_peer if cluster is not None else None,
        )
        shelf = self.shelf = DiskShelf(self.folder, ownership=ownership)
        meter = HallMeter(metrics)
        following = cluster.follow(shelf, self.gate, meter) if cluster is not None else None
        self.hall = Hall(
            shelf,
            gate=self.gate,
            meter=meter,
            where=cluster.where if cluster is not None else _here,
            state=stating(identity),
            guard=derive("atedb snapshot guard", identity.seed),
            sequencing=_sequencing(settings, identity),
            max_open=settings.bounds.chains or _chains_max(settings.max_connections),
            idle_close_s=settings.idle_close_s,
            follow=following,
            compacts=settings.compact == "heartbeat",
            clock=clock,
        )
        if cluster is not None and following is not None:
            following.serve(self.hall)
            cluster.serve(self.hall, shelf)

    def free_bytes(self) -> float | None:
        """Return how much room is left on the medium, None when that cannot be told."""
        try:
            found = os.statvfs(self.folder)
        except OSError:
            return None
        return float(found.f_bavail * found.f_frsize)

    def _remember(self, name: str, owner: bytes) -> None:
        try:
            self._owners.add(ChainName(name), owner)
        except OSError as error:
            self._journal.fault("the owner of a chain was not written down", error)


def _here(_: str) -> Place:
    return Place()


def _sequencing(settings: Settings, identity: SigningKey) -> Sequencing | None:
    if settings.trust != "centralized":
        return None
    return Sequencing(Sequencer.of(identity))


def own_folder(folder: Path) -> Path:
    """Return the directory of the server's own files, made if need be.

    Raises:
        StorageError: it cannot be made, or nothing can be written to it.
    """
    own = folder / OWN
    try:
        own.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(own, os.W_OK | os.X_OK) or not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied")
    except OSError as error:
        reason = (error.strerror or "it cannot be made").lower()
        raise StorageError(
            f"cannot keep chains in {folder}: {reason}",
            hint="name a directory that this user may write to",
        ) from None
    return own


def take(folder: Path) -> DiskLock:
    """Return the right to serve a directory.

    Raises:
        LogLocked: another server has it.
        StorageError: the directory cannot be used.
    """
    try:
        return RealDisk().lock(str(own_folder(folder) / _LOCK))
    except LogLocked:
        raise LogLocked(
            f"another server uses {folder}", hint="stop it, or give this one another directory"
        ) from None


def _chains_max(connections: int) -> int:
    """Return how many chains may be open beside so many connections, as far as files go."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(CHAINS_OPEN_MAX, min(CHAINS_MAX, (soft - connections) // FILES_OF_A_CHAIN))
