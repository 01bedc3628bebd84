"""Everybody who reads the same list finds a chain on the same server."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ate.errors import AteError, LimitExceeded, NotFound, StorageError, UsageError
from ate.mesh.topology import Node, Place, Topology, partition_of

FILE = """
[[node]]
url = "WS://One.example.com"

[[node]]
url = "ws://two.example.com:5000/x"
role = "master"
region = "eu"

[[node]]
url = "ws://relay.example.com"
role = "relay"

[chains]
"example.com/alice/notes" = { url = "ws://relay.example.com:5000/", epoch = 3 }
elsewhere = { url = "wss://another.example.com" }
"""
ONE, TWO = "ws://one.example.com:5000/", "ws://two.example.com:5000/x"
NAMES = [f"example.com/user{n}/chain" for n in range(1000)]


def test_a_file_says_who_there_is_and_what_is_elsewhere() -> None:
    topology = Topology.parse(FILE)
    assert topology.masters == (Node(ONE), Node(TWO, "master", "eu"))
    assert len(topology.nodes) == 3
    relay = "ws://relay.example.com:5000/"
    assert topology.where("example.com/alice/notes") == Place(relay, 3, "relay")
    assert topology.where("/example.com/alice/notes").epoch == 3
    assert topology.where("elsewhere") == Place("wss://another.example.com:5000/", 1, "master")
    assert topology.where("example.com/alice/other").epoch == 0
    assert topology.role_of(relay) == "relay"
    assert repr(topology) == "Topology(2 masters, 3 nodes)"


def test_the_draw_does_not_depend_on_the_order_or_the_spelling() -> None:
    urls = [f"ws://n{n}.example.com" for n in range(7)]
    first = Topology.of_urls(urls)
    shuffled = random.Random(1).sample(urls, 7)
    other = Topology.of_list(
        "\n".join(f"{url.upper()}:5000/  # {n}" for n, url in enumerate(shuffled))
    )
    assert [first.master_of(name) for name in NAMES] == [other.master_of(name) for name in NAMES]


def test_the_draw_is_the_same_in_every_version() -> None:
    """Servers of two versions must agree: this is a format."""
    topology = Topology.of_urls([f"ws://n{n}.example.com:5000" for n in range(5)])
    hosts = [topology.master_of(name).url[6] for name in NAMES[:24]]
    assert "".join(hosts) == "344003140144043441102214"


def test_each_master_gets_its_share() -> None:
    topology = Topology.of_urls(f"ws://n{n}.example.com" for n in range(4))
    shares = [0] * 4
    for name in NAMES:
        shares[topology.masters.index(topology.master_of(name))] += 1
    assert all(200 < share < 300 for share in shares)


def test_what_belongs_to_one_user_or_group_lives_together() -> None:
    for name, partition in (
        ("example.com/alice/notes", "example.com/alice"),
        ("example.com/alice/a/b/c", "example.com/alice"),
        ("group/name", "group/name"),
        ("/group/name", "group/name"),
        ("alone", "alone"),
    ):
        assert partition_of(name) == partition
    topology = Topology.of_urls(f"ws://n{n}.example.com" for n in range(9))
    homes = {topology.master_of(f"example.com/alice/chain{n}") for n in range(50)}
    assert len(homes) == 1


def test_several_addresses_of_a_name_are_a_cluster() -> None:
    topology = Topology.of_addresses("ws://db.example.com:5000/ate", ["10.0.0.1", "2001:db8::1"])
    assert [one.url for one in topology.masters] == [
        "ws://10.0.0.1:5000/ate",
        "ws://[2001:db8::1]:5000/ate",
    ]
    homes = {topology.master_of(name).url for name in NAMES}
    assert len(homes) == 2


def test_who_finds_no_room_is_sent_to_the_relay_with_most_of_it() -> None:
    relays = [Node(f"ws://r{n}", "relay", "eu" if n < 2 else "us") for n in range(4)]
    topology = Topology([Node("ws://m"), Node("ws://a", "archive"), *relays])
    urls = [one.url for one in relays]
    loads = dict(zip(urls, (5, 3, 1, 2), strict=True))
    assert topology.relief("c", "v", loads, most=10) == relays[2]
    assert topology.relief("c", "v", loads, most=10, region="eu") == relays[1]
    assert topology.relief("c", "v", loads, most=3, region="eu") == relays[2], "eu has no room"
    assert topology.relief("c", "v", loads, most=10, region="mars") == relays[2]
    assert topology.relief("c", "v", loads, most=1) is None
    assert topology.relief("c", "v", {}, most=0) is None
    assert Topology([Node("ws://m")]).relief("c", "v", {}, most=9) is None
    spread = {topology.relief("c", f"visitor {n}", {}, most=9) for n in range(100)}
    assert spread == set(relays), "of equals not always the same"
    again = Topology(reversed(topology.nodes))
    assert again.relief("c", "v", {}, most=9) == topology.relief("c", "v", {}, most=9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node = 1",
        "node = [1]",
        "chains = 1",
        "[[node",
        "x = " + "[" * 100_000,
        "[[nodes]]",
        "[[node]]\nrole = 'master'",
        "[[node]]\nurl = 1",
        "[[node]]\nurl = 'ws://a'\nrole = 'boss'",
        "[[node]]\nurl = 'ws://a'\nweight = '3'",
        "[[node]]\nurl = 'http://a'",
        "[[node]]\nurl = 'ws://a'\nrole = 'relay'",
        "[[node]]\nurl = 'ws://a'\n[[node]]\nurl = 'ws://A:5000/'\nregion = 'x'",
        "[[node]]\nurl = 'ws://a'\n[chains]\nx = 'ws://a'",
        "[[node]]\nurl = 'ws://a'\n[chains]\nx = { epoch = 2 }",
        "[[node]]\nurl = 'ws://a'\n[chains]\nx = { url = 'ws://a', epoch = 0 }",
        "[[node]]\nurl = 'ws://a'\n[chains]\nx = { url = 'ws://a', epoch = true }",
        "[[node]]\nurl = 'ws://a'\n[chains]\nx = { url = 'ws://a', epoch = 9223372036854775808 }",
        "[[node]]\nurl = 'ws://a'\n[chains]\n'a//b' = { url = 'ws://a' }",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Topology.parse(text)


def test_lists_and_files_are_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "nodes.toml"
    path.write_text(FILE)
    assert len(Topology.load(path).nodes) == 3
    plain = tmp_path / "nodes"
    plain.write_text("# the cluster\nws://a\n\n  ws://b:5000 # the new one\nws://a:5000/\n")
    assert [one.url for one in Topology.load(str(plain)).masters] == [
        "ws://a:5000/",
        "ws://b:5000/",
    ]
    plain.write_text("ws://a\nws://b:x\n")
    with pytest.raises(UsageError, match=r"nodes: .*ws://b:x") as caught:
        Topology.load(plain)
    assert caught.value.hint
    plain.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        Topology.load(plain)
    plain.write_bytes(b"#" * ((4 << 20) + 1))
    with pytest.raises(LimitExceeded):
        Topology.load(plain)
    with pytest.raises(StorageError, match="cannot read"):
        Topology.load(tmp_path)
    with pytest.raises(NotFound, match="there is no file"):
        Topology.load(tmp_path / "none")


def test_a_cluster_has_masters_and_an_end() -> None:
    with pytest.raises(UsageError, match="at least one master"):
        Topology([])
    with pytest.raises(AteError):
        Topology.of_urls(f"ws://n{n}" for n in range(1025))
