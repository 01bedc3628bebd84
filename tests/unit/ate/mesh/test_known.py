from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ate
from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey
from ate.errors import TrustError, UntrustedRoot
from ate.mesh.known import Known
from ate.mesh.pins import Pins
from ate.mesh.url import Url
from ate.testing.stage import member

HERE, FAR = Url.parse("ws://127.0.0.1:9"), Url.parse("ws://example.com:8000")
KEYS = [SigningKey.generate(SeededEntropy(n)).public for n in range(2)]


class Published:
    """Names that a test publishes."""

    def __init__(self, roots: tuple[bytes, ...] = (), servers: tuple[bytes, ...] = ()) -> None:
        self._roots, self._servers, self.asked = roots, servers, list[Any]()

    async def roots(self, domain: str, name: str) -> frozenset[bytes]:
        self.asked.append((domain, name))
        return frozenset(self._roots)

    async def servers(self, host: str) -> frozenset[bytes]:
        self.asked.append(host)
        return frozenset(self._servers)


async def known(pins: Pins, url: Url = FAR, name: str = "notes", names: Any = None) -> Known:
    return await Known.of(pins, names, url, name)


async def test_servers_of_this_machine_are_not_remembered() -> None:
    assert (await known(Pins(None), HERE)).trust(HERE) is None


async def test_a_server_is_known_again(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    trust = (await known(pins)).trust(FAR)
    assert trust is not None
    trust(KEYS[0])
    again = (await known(pins, name="other")).trust(FAR)
    assert again is trust, "chains of one server share its line"
    trust(KEYS[0])
    for other in (KEYS[1], None):
        with pytest.raises(TrustError):
            trust(other)
    later = (await known(Pins(tmp_path))).trust(FAR)
    assert later is not None
    assert later is not trust
    with pytest.raises(TrustError):
        later(KEYS[1])


async def test_published_keys_are_asked_for_and_count(tmp_path: Path) -> None:
    names = Published(servers=(KEYS[1].key_id,))
    found = await known(Pins(tmp_path), names=names, name="example.com/notes")
    assert names.asked == [("example.com", "example.com/notes"), "example.com"]
    trust = found.trust(FAR)
    assert trust is not None
    trust(KEYS[1])
    with pytest.raises(TrustError):
        trust(KEYS[0])
    await known(Pins(tmp_path), HERE, names=names, name="notes")
    assert len(names.asked) == 2, "there is nothing to ask about"


async def test_a_chain_is_known_again(tmp_path: Path) -> None:
    alice, bob = member("alice"), member("bob")
    async with (
        ate.open("notes", memory=True, session=alice) as one,
        ate.open("notes", memory=True, session=bob) as two,
    ):
        views = one._ledger.view, two._ledger.view
        first = await known(Pins(tmp_path))
        first.check(views[0], [])
        first.check(views[0], [alice.public.key_id])
        for wrong in (bob.public.key_id,):
            with pytest.raises(UntrustedRoot):
                first.check(views[0], [wrong])
        with pytest.raises(UntrustedRoot):
            (await known(Pins(tmp_path))).check(views[1], [])
        here = await known(Pins(tmp_path), HERE)
        here.check(views[0], [])
        here.check(views[1], [])  # ports of this machine come and go
        with pytest.raises(UntrustedRoot):
            here.check(views[1], [alice.public.key_id])
        names = Published(roots=(alice.public.key_id,))
        told = await known(Pins(None), names=names, name="example.com/notes")
        with pytest.raises(UntrustedRoot):
            told.check(views[1], [])
