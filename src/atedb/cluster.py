"""The servers that this one is among: which has which chain, who follows whom, what is moved.

It holds the list and what was moved since; it serves nobody itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ate import limits
from ate.clock import Clock
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.sign import SigningKey, VerifyKey
from ate.errors import AteError, UntrustedRoot
from ate.ids import ChainName
from ate.log.recovery import CURRENT, EPOCH
from ate.mesh.directory import Directory
from ate.mesh.gate import Caller, Gate
from ate.mesh.hall import Hall
from ate.mesh.handover import Handover
from ate.mesh.line import Line
from ate.mesh.meter import Meter
from ate.mesh.mirror import Following
from ate.mesh.registry import Registry
from ate.mesh.roster import Shelf
from ate.mesh.topology import Place, Topology
from ate.mesh.uplink import KEEPALIVE_S
from ate.mesh.url import Url
from ate.wire.terms import Terms
from atedb.identity import Guests
from atedb.journal import Journal
from atedb.settings import OWN, Settings

_DIRECTORY: Final = "directory"


async def topology_of(settings: Settings) -> Topology | None:
    """Return the list of servers, from its file or from the DNS; None when there is one server.

    Raises:
        AteError: it cannot be read.
    """
    if settings.cluster:
        from ate.mesh.dns import Names

        host = Url.parse(settings.cluster).host
        found = await Names(settings.name_servers).addresses(host)
        return Topology.of_addresses(settings.cluster, sorted(found))
    return Topology.load(settings.topology) if settings.topology is not None else None


class Cluster:
    """See the module.

    Args:
        topology: the list.
        identity: the key that this server proves to the others.
    """

    def __init__(
        self, topology: Topology, settings: Settings, *, identity: SigningKey,
        journal: Journal, clock: Clock, entropy: Entropy = system_entropy,
    ) -> None:  # fmt: skip
        self.here = settings.address(0)
        self._settings, self._folder, self._identity = settings, settings.path, identity
        self._journal, self._clock, self._entropy = journal, clock, entropy
        self.directory = Directory(topology, settings.path / OWN / _DIRECTORY)
        self.where: Callable[[str], Place] = self.directory.seen_from(self.here)
        self._peers = Guests.load(settings.peers) if settings.peers is not None else None
        self._terms = Terms(keepalive_s=KEEPALIVE_S, encryption=settings.wire_encryption)
        self._lines = Registry(agent="atedb")
        self._hall: Hall | None = None
        self._handover: Handover | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def role(self) -> str:
        """What this server is for."""
        return self.directory.topology.role_of(self.here)

    # --- the others -------------------------------------------------------------------------

    def is_peer(self, visitor: Caller) -> bool:
        """Whether a visitor is a server of this cluster, or holds this server's own key."""
        key_id = visitor.peer.key_id
        if not key_id:
            return False
        known = self._peers.key_ids if self._peers is not None else frozenset[bytes]()
        return key_id in known or key_id == self._identity.public.key_id

    def _trust(self, key: VerifyKey | None) -> None:
        if self._peers is not None and (key is None or key.key_id not in self._peers.key_ids):
            raise UntrustedRoot("this server of the list is not among the peers")

    def _line(self, url: str) -> Line:
        return self._lines.line(url, identity=self._identity, trust=self._trust, terms=self._terms)

    def relief(self, name: str) -> str:
        """Return the URL of a relay for whom there is no room here, "" when there is none."""
        if self.role != "master":
            return ""
        # Another draw for each visitor and each try: one that is down is not met twice in a row.
        found = self.directory.topology.relief(name, self._entropy(8).hex(), {}, most=1)
        return found.url if found is not None else ""

    # --- life -------------------------------------------------------------------------------

    def follow(self, shelf: Shelf, gate: Gate, meter: Meter) -> Following:
        """Return what makes the copies that this server serves."""
        return Following(
            shelf, identity=self._identity, trust=lambda _: self._trust, gate=gate, meter=meter,
            lines=self._lines, clock=self._clock, entropy=self._entropy, terms=self._terms,
        )  # fmt: skip

    def serve(self, hall: Hall, shelf: Shelf) -> None:
        """Settle with the others for this hall."""
        self._hall = hall
        self._handover = hall.office = Handover(
            hall, shelf, self.directory, here=self.here, may=self.is_peer, line=self._line,
            release=self._lines.release, clock=self._clock, entropy=self._entropy,
        )  # fmt: skip

    def start(self) -> None:
        """Go on with what was begun, once this server can be reached."""
        assert self._handover is not None
        self._handover.resume()
        if self.role == "archive":
            self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        """Follow the chains that the archive has, whether or not somebody reads them."""
        assert self._hall is not None
        for name in chains_in(self._folder):
            try:
                self._hall.roster.enter(await self._hall.roster.root(name, place=self.where(name)))
            except AteError as error:
                self._journal.fault(f"the archive does not follow {name}", error)

    async def reread(self, topology: Topology | None) -> None:
        """Go by another list, and send away whose chains are elsewhere now.

        A chain that the list newly gives to this server is brought here first.
        """
        if topology is None or self._hall is None or self._handover is None:
            return
        for name, place in topology.chains.items():
            before = self.directory.where(name)
            if place.url == self.here != before.url and place.epoch > before.epoch:
                self.directory.expect(name, before.url, place.epoch)
        if self._settings.peers is not None and self._peers is not None:
            self._peers.key_ids = Guests.load(self._settings.peers).key_ids
        self.directory.topology = topology
        await self._hall.review()
        self._handover.resume()

    async def close(self) -> None:
        """Leave the others."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._handover is not None:
            await self._handover.close()

    async def hang_up(self) -> None:
        """Close the connections to them."""
        await self._lines.close()


def chains_in(folder: Path) -> Iterator[ChainName]:
    """Yield the names of the chains below a directory, not too many."""
    homes = {file.parent for file in folder.rglob(CURRENT)}
    chains = {home.parent if home.name.startswith(EPOCH) else home for home in homes}
    names = sorted(one.relative_to(folder).as_posix() for one in chains)
    shown = [name for name in names if not name.startswith(OWN)]
    yield from map(ChainName, shown[: limits.CHAINS_OPEN_MAX // 2])
