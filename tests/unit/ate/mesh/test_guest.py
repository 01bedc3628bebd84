"""`ate.mesh.guest`: what a root needs of a connection, which the driver's visitor has."""

from __future__ import annotations

from tests.unit.ate.mesh.served import Envoy

from ate.mesh.attend import Visitor
from ate.mesh.guest import Guest


def test_a_visitor_is_a_guest() -> None:
    """Its `address` and its `send` come with each of them: mypy knows these."""

    def takes(guest: Guest) -> str:
        return guest.address

    def check(visitor: Visitor) -> str:  # mypy holds this
        return takes(visitor)

    assert takes(Envoy()) == "in memory"
    needed = {name for name in vars(Guest) if not name.startswith("_")}
    assert needed == {"peer", "address", "send", "close"}
    assert needed - {"address", "send"} <= set(dir(Visitor))
    assert check.__annotations__
