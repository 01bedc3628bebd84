"""`atedb.cluster`: who is a peer, where a visitor goes, what another list changes."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from tests.name_server import NameServer, Zone
from tests.ports import free_port

import ate
from ate.clock import SystemClock
from ate.crypto.sign import SigningKey
from ate.errors import AteError, UntrustedRoot, UsageError
from ate.ids import ChainName
from ate.mesh.registry import Registry
from ate.mesh.topology import Topology
from ate.session import Session
from atedb.cluster import Cluster, chains_in, topology_of
from atedb.house import own_folder
from atedb.journal import Journal
from atedb.settings import Settings
from atedb.solo import Solo


class Peer:
    def __init__(self, key_id: bytes) -> None:
        self.key_id = key_id


class Caller:
    address = "192.0.2.1"

    def __init__(self, key_id: bytes) -> None:
        self.peer = Peer(key_id)

    def close(self, code: str, text: str) -> None:
        raise AssertionError("nobody is sent away")


def cluster(folder: Path, text: str, url: str = "ws://a/", **given: Any) -> tuple[Cluster, bytes]:
    own_folder(folder)
    key = SigningKey.generate()
    settings = Settings(path=folder, url=url, **given)
    made = Cluster(
        Topology.parse(text), settings, identity=key, clock=SystemClock(),
        journal=Journal(io.StringIO(), SystemClock()),
    )  # fmt: skip
    return made, key.public.key_id


TWO = '[[node]]\nurl = "ws://a"\n[[node]]\nurl = "ws://r"\nrole = "relay"\n'


async def test_peers_are_those_of_the_list_and_who_holds_the_own_key(tmp_path: Path) -> None:
    (tmp_path / "peers").write_text("aa" * 16)
    one, own = cluster(tmp_path / "one", TWO, peers=tmp_path / "peers")
    assert [one.is_peer(Caller(key)) for key in (own, b"\xaa" * 16, b"\xbb" * 16, b"")] == [
        True, True, False, False,
    ]  # fmt: skip
    with pytest.raises(UntrustedRoot):
        one._trust(SigningKey.generate().public)
    with pytest.raises(UntrustedRoot):
        one._trust(None)
    other, own = cluster(tmp_path / "two", TWO)
    assert [other.is_peer(Caller(key)) for key in (own, b"\xaa" * 16)] == [True, False]
    other._trust(None)


async def test_a_master_sends_who_has_no_room_to_a_relay(tmp_path: Path) -> None:
    assert cluster(tmp_path / "a", TWO)[0].relief("notes") == "ws://r:5000/"
    assert cluster(tmp_path / "r", TWO, "ws://r/")[0].relief("notes") == ""
    alone, _ = cluster(tmp_path / "b", '[[node]]\nurl = "ws://a"\n')
    assert alone.relief("notes") == ""


async def test_where_the_list_comes_from(tmp_path: Path) -> None:
    assert await topology_of(Settings(path=tmp_path)) is None
    file = tmp_path / "cluster.toml"
    file.write_text(TWO)
    found = await topology_of(Settings(path=tmp_path, topology=file, url="ws://a"))
    assert found is not None
    assert len(found.nodes) == 2
    zone = Zone("test.")
    zone.add("db.test.", "A", "10.0.0.2", "10.0.0.1")
    async with NameServer(zone) as names:
        found = await topology_of(
            Settings(path=tmp_path, cluster="ws://db.test:7", name_servers=(names.address,))
        )
    assert found is not None
    assert [one.url for one in found.nodes] == ["ws://10.0.0.1:7/", "ws://10.0.0.2:7/"]


@pytest.mark.parametrize(
    "given",
    [
        {"cluster": "ws://db"},
        {"cluster": "ws://db", "url": "ws://a", "topology": Path("list")},
        {"peers": Path("peers")},
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(path=tmp_path, **given).check()


def test_the_chains_of_a_directory(tmp_path: Path) -> None:
    for name in ("b", "b/.epoch-2", "a/c", "d/.epoch-3", ".atedb/d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "CURRENT").write_text("000001\n")
    assert list(chains_in(tmp_path)) == [ChainName("a/c"), ChainName("b"), ChainName("d")]


async def test_another_list_brings_a_chain_along(tmp_path: Path) -> None:
    """Two servers of this process, and an archive that is there from its start."""
    ports = [free_port() for _ in range(3)]
    urls = [f"ws://127.0.0.1:{port}/" for port in ports]
    file, peers = tmp_path / "cluster.toml", tmp_path / "peers"
    nodes = "".join(f'[[node]]\nurl = "{url}"\n' for url in urls) + 'role = "archive"\n'
    file.write_text(nodes)
    peers.write_text("")
    solos = []
    for port, url in zip(ports, urls, strict=True):
        settings = Settings(
            path=tmp_path / str(port), port=port, url=url, topology=file, peers=peers
        )
        solos.append(Solo(settings, Journal(io.StringIO(), SystemClock()), SystemClock()))
    lines, alice = Registry(agent="test"), Session.new("alice")
    try:
        async with asyncio.timeout(60):
            for one in solos:
                await one.start()
            peers.write_text("\n".join(one.key_id.hex() for one in solos))
            for one in solos:
                assert one._cluster is not None
                await one._cluster.reread(await topology_of(one._settings))
            source = urls.index(Topology.parse(nodes).where("notes").url)
            target = 1 - source
            async with ate.open(
                "notes", url=urls[target], session=alice, connection={"lines": lines}
            ) as chain:
                dio = chain.dio()
                dio.store({"n": 1})
                await dio.commit()
                file.write_text(f'{nodes}[chains]\nnotes = {{ url = "{urls[target]}", epoch = 1 }}')
                for at in (target, source):
                    moving = solos[at]._cluster
                    assert moving is not None
                    await moving.reread(await topology_of(solos[at]._settings))
                remote = chain._remote
                assert remote is not None
                await remote.wait(
                    lambda: remote.link.is_online and remote.link.address == urls[target], 20
                )
                dio.store({"n": 2})
                await dio.commit()
            assert (tmp_path / str(ports[target]) / "notes" / "CURRENT").exists()
    finally:
        await lines.close()
        for one in solos:
            one.stop()
            await one.close()


async def test_a_list_that_is_none_changes_nothing(tmp_path: Path) -> None:
    one, _ = cluster(tmp_path, TWO)
    await one.reread(None)
    assert one.role == "master"
    await one.close()
    await one.hang_up()
    with pytest.raises(AteError):
        Topology.parse("rubbish")
