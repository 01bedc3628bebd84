"""What is known of one chain and its server before they are met; it asks nobody but DNS, once.

Servers on this machine are not remembered: their ports come and go.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from ate.chain.view import View
from ate.crypto.sign import VerifyKey
from ate.mesh.pins import Identity, Pins
from ate.mesh.url import Url
from ate.wire.terms import Trust

if TYPE_CHECKING:
    from ate.mesh.dns import Names

_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Known:
    """See the module.

    Args:
        pins: this machine's memory.
        url: of the server that was asked for.
        name: of the chain.
        roots, servers: ids of keys that are published.
    """

    def __init__(
        self, pins: Pins, url: Url, name: str, roots: Collection[bytes], servers: Collection[bytes]
    ) -> None:
        self._pins, self._url, self._name = pins, url, name
        self._roots, self._servers = frozenset(roots), frozenset(servers)

    @classmethod
    async def of(cls, pins: Pins, names: Names | None, url: Url, name: str) -> Known:
        """Ask what is published.

        Raises:
            TimedOut, Disconnected, RemoteProtocolError, UntrustedRoot: see `Names.roots`.
        """
        if names is None:
            return cls(pins, url, name, (), ())
        domain = name.split("/", 1)[0]
        roots = await names.roots(domain, name) if "." in domain else frozenset[bytes]()
        servers = await names.servers(url.host) if url.host not in _HERE else frozenset[bytes]()
        return cls(pins, url, name, roots, servers)

    def trust(self, url: Url) -> Trust | None:
        """Return what judges the key of a server; None for one on this machine."""
        if url.host in _HERE and not self._servers:
            return None
        key = (id(self._pins), _place(url), self._servers)
        found = _judges.get(key)
        if found is None:
            found = _judges[key] = _Judge(self._pins, _place(url), self._servers)
        return found

    def check(self, view: View, given: Collection[bytes]) -> None:
        """Raise UntrustedRoot when the chain is not the one that is known."""
        if self._url.host in _HERE and not self._roots and not given:
            return
        self._pins.check_chain(
            _place(self._url), self._name, Identity.of(view), given=given, published=self._roots
        )


class _Judge:
    """Judges one server; lines are shared by those who judge alike."""

    def __init__(self, pins: Pins, place: str, servers: frozenset[bytes]) -> None:
        self._pins, self._place, self._servers = pins, place, servers

    def __call__(self, key: VerifyKey | None) -> None:
        key_id = None if key is None else key.key_id
        self._pins.check_server(self._place, key_id, published=self._servers)


_judges: WeakValueDictionary[tuple[int, str, frozenset[bytes]], _Judge] = WeakValueDictionary()


def _place(url: Url) -> str:
    return f"{url.host}:{url.port}"
