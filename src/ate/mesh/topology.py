"""Which server has which chain, as a function of a list that all servers share; it asks nobody.

    [[node]]
    url = "ws://one.example.com:5000/"

    [[node]]
    url = "ws://two.example.com:5000/"
    role = "relay"
    region = "eu"

    [chains]
    "example.com/alice/notes" = { url = "ws://one.example.com:5000/", epoch = 1 }

A chain belongs to the master that wins a draw: each master's number is a hash of its URL and the
chain's partition key, and the highest wins (rendezvous hashing). All who know the same masters come
to the same answer, and a master that joins takes its share from all, and from nobody more.

The partition key is the first two parts of the chain's name: all chains of one user, or of one
group, live together.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ate import limits
from ate.crypto.hash import derive
from ate.errors import AteError, NotFound, StorageError, UsageError
from ate.ids import ChainName
from ate.mesh.url import Url

#: What a node is for: orders commits; hands on what masters order; keeps copies and follows them;
#: keeps what it had before its chains were moved, and lets it be read.
ROLES: Final = ("master", "relay", "archive", "legacy")


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """One server.

    Args:
        url: where it is; written in one way only, see `Url`.
        role: one of `ROLES`.
        region: any word; clients of one region are kept there where possible.
    """

    url: str
    role: str = "master"
    region: str = ""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UsageError(f"a node's role is {', '.join(ROLES)}; not {self.role!r:.40}")
        object.__setattr__(self, "url", str(Url.parse(self.url)))


class Place(NamedTuple):
    """Which server has a chain.

    Args:
        url: of the server.
            Empty: the one that is asked has it, or serves its copy.
        epoch: grows with each move; 0 is where the draw put it.
        role: of that server.
        owner: with an empty `url`, and unless that server is the chain's master itself: where the
            master is.
    """

    url: str = ""
    epoch: int = 0
    role: str = "master"
    owner: str = ""


class Topology:
    """The servers of a cluster.

    Args:
        nodes: in any order.
        chains: places that differ from the draw, by chain name.

    Raises:
        UsageError: no master, a server twice, or a chain whose epoch is below 1.
    """

    def __init__(
        self, nodes: Iterable[Node], chains: Mapping[str, Place] = MappingProxyType({})
    ) -> None:
        self.nodes = tuple(sorted(nodes))
        limits.check("nodes", len(self.nodes), limits.NODES_MAX)
        self._by_url = {one.url: one for one in self.nodes}
        if len(self._by_url) != len(self.nodes):
            raise UsageError("a server is in the list twice")
        self.masters = tuple(one for one in self.nodes if one.role == "master")
        if not self.masters:
            raise UsageError("a cluster has at least one master")
        self.chains: dict[str, Place] = {}
        for name, place in chains.items():
            url = str(Url.parse(place.url))
            if place.epoch < 1:
                raise UsageError(f"the epoch of {name!r} is 1 or more: 0 is where the draw puts it")
            self.chains[ChainName(name)] = Place(url, place.epoch, self.role_of(url))

    def __repr__(self) -> str:
        return f"Topology({len(self.masters)} masters, {len(self.nodes)} nodes)"

    # --- reading ----------------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str) -> Topology:
        """Read the TOML form; raises UsageError for anything that is not understood."""
        try:
            raw = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise UsageError(f"this is no TOML: {error}") from None
        _no_more(raw, {"node", "chains"}, "a topology")
        nodes, chains = raw.get("node", []), raw.get("chains", {})
        if not isinstance(nodes, list) or not isinstance(chains, dict):
            raise UsageError("a topology has tables [[node]], and one table [chains]")
        return cls(
            [Node(**_texts(one, {"url", "role", "region"})) for one in nodes],
            {name: _place(name, one) for name, one in chains.items()},
        )

    @classmethod
    def of_list(cls, text: str) -> Topology:
        """Read a plain list: one URL on a line, all masters; `#` begins a remark."""
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        return cls.of_urls(line for line in lines if line)

    @classmethod
    def of_urls(cls, urls: Iterable[str]) -> Topology:
        """Return the topology of these masters; one that is named twice counts once."""
        return cls({Node(url) for url in urls})

    @classmethod
    def of_addresses(cls, url: str, addresses: Sequence[str]) -> Topology:
        """Return the topology of a name with several addresses: each is a master.

        Args:
            url: as clients have it; its host is replaced by each address.
            addresses: see `ate.mesh.dns.Names.addresses`.
        """
        parts = Url.parse(url)
        return cls.of_urls(str(replace(parts, host=one)) for one in addresses)

    @classmethod
    def load(cls, path: str | Path) -> Topology:
        """Read a file: TOML if its name ends with `.toml`, else a plain list."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                raw = file.read(limits.TOPOLOGY_BYTES_MAX + 1)
        except FileNotFoundError:
            raise NotFound(f"there is no file {path}") from None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from None
        limits.check(f"bytes of {path}", len(raw), limits.TOPOLOGY_BYTES_MAX)
        try:
            text = raw.decode()
            return cls.parse(text) if path.suffix == ".toml" else cls.of_list(text)
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8 text") from None
        except AteError as error:
            raise UsageError(f"{path}: {error.message}", hint=error.hint) from None

    # --- asking -----------------------------------------------------------------------------

    def master_of(self, name: str) -> Node:
        """Return the master that the draw gives a chain to."""
        key = partition_of(name)
        return max(self.masters, key=lambda one: (_draw(one.url, key), one.url))

    def where(self, name: str) -> Place:
        """Return where a chain is: as the list says, else where the draw puts it."""
        known = self.chains.get(name.removeprefix("/"))
        return known if known is not None else Place(self.master_of(name).url)

    def role_of(self, url: str) -> str:
        """Return what a server is for; one that is not in the list is taken for a master."""
        node = self._by_url.get(url)
        return node.role if node is not None else "master"

    def relief(
        self, name: str, visitor: str, loads: Mapping[str, int], *, most: int, region: str = ""
    ) -> Node | None:
        """Return the relay that a visitor for whom there is no room goes to, None if all are full.

        The one with the fewest subscriptions takes it, in the visitor's own region if there is
        room; between equals a draw decides, so that many visitors spread.

        Args:
            name: the chain it wants.
            visitor: anything that is the visitor's own, as its address.
            loads: subscriptions by URL, as far as they are known.
            most: that one node takes.
        """
        free = [one for one in self.nodes if one.role == "relay" and loads.get(one.url, 0) < most]
        near = [one for one in free if one.region == region] if region else []
        key = f"{name}\n{visitor}"
        return min(
            near or free, key=lambda one: (loads.get(one.url, 0), _draw(one.url, key)), default=None
        )


def partition_of(name: str) -> str:
    """Return what decides where a chain lives: the first two parts of its name."""
    return "/".join(name.removeprefix("/").split("/", 2)[:2])


def _draw(url: str, key: str) -> bytes:
    # The length keeps apart what a URL and a key could say together.
    text = url.encode()
    return derive("ate rendezvous", len(text).to_bytes(4, "little") + text + key.encode())


def _place(name: str, raw: object) -> Place:
    if not isinstance(raw, dict):
        raise UsageError(f"the place of {name!r} is a table: {{ url = …, epoch = … }}")
    rest = dict(raw)
    epoch = rest.pop("epoch", 1)
    if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch >> 63:
        raise UsageError(f"the epoch of {name!r} is a number")
    return Place(_texts(rest, {"url"})["url"], epoch)


def _texts(raw: object, names: set[str]) -> dict[str, str]:
    """Return a table that may have these entries, all of them texts, the URL always."""
    if not isinstance(raw, dict):
        raise UsageError("a node is a table")
    _no_more(raw, names, "a node")
    if "url" not in raw or not all(isinstance(one, str) for one in raw.values()):
        raise UsageError("a node has a url; url, role and region are texts")
    return raw


def _no_more(raw: Mapping[str, Any], names: set[str], what: str) -> None:
    if unknown := sorted(set(raw) - names):
        raise UsageError(
            f"{what} has no entry {unknown[0]!r:.40}", hint=f"it has {', '.join(sorted(names))}"
        )
