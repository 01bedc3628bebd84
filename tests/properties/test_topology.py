"""Of all lists of servers: the draw does not depend on order, and a newcomer takes its share."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ate.mesh.topology import Topology

HOSTS = st.lists(st.from_regex(r"[a-z]{1,8}\.[a-z]{2,4}", fullmatch=True), unique=True, min_size=2)
CHAINS = [f"example.com/user{n}/x" for n in range(400)]


def homes(hosts: list[str]) -> list[str]:
    topology = Topology.of_urls(f"ws://{host}" for host in hosts)
    return [topology.master_of(name).url for name in CHAINS]


@given(HOSTS.filter(lambda hosts: len(hosts) <= 12), st.randoms())
@settings(max_examples=40, deadline=None)
def test_a_newcomer_takes_its_share_and_nobody_else_gains(hosts: list[str], chance: object) -> None:
    *old, new = hosts
    before, after = homes(old), homes(hosts)
    shuffled = sorted(hosts, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert homes(shuffled) == after
    moved = [there for here, there in zip(before, after, strict=True) if here != there]
    assert set(moved) <= {f"ws://{new}:5000/"}
    share = 1 / len(hosts)
    spread = (len(CHAINS) * share * (1 - share)) ** 0.5
    assert len(moved) <= len(CHAINS) * share + 6 * spread
