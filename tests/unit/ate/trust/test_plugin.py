from __future__ import annotations

import pytest

from ate.event.row import Kind, Row
from ate.testing.stage import Stage
from ate.trust.accept_all import AcceptAll
from ate.trust.compression import Zstd
from ate.trust.condense import KeepNewest
from ate.trust.plugin import (
    ABSTAIN,
    Change,
    Enricher,
    Filter,
    Projection,
    Proposal,
    Retention,
    Validator,
    Verdict,
    Worker,
    names,
)
from ate.trust.worker import OnChange

ZERO = bytes(16)
KINDS = (Enricher, Filter, Validator, Projection, Retention, Worker)


@pytest.mark.parametrize(
    "plugin, kind",
    [
        (AcceptAll(), Validator),
        (Zstd(), Filter),
        (KeepNewest(), Retention),
        (OnChange(frozenset(), lambda _: None), Worker),
    ],
)
def test_a_plug_in_is_of_the_kinds_whose_methods_it_has(plugin: object, kind: type) -> None:
    assert [one for one in KINDS if isinstance(plugin, one)] == [kind]


def test_later_plug_ins_replace_earlier_ones_of_their_name() -> None:
    first, second, other = AcceptAll(), AcceptAll(), Zstd()
    assert names([first, other, second]) == {"authority": second, "compression": other}


def test_a_change_knows_a_deletion() -> None:
    for kind, gone in ((Kind.DATA, False), (Kind.TOMBSTONE, True)):
        row = Row(kind, 0, 0, 0, 0, ZERO, ZERO, 0, 0, ZERO, 0, bytes(32), 0, 0, 0)
        change = Change(1, 0, row, None, b"secret")
        assert change.is_delete is gone
        assert "secret" not in repr(change)


class Curious:
    """Keeps what it was shown."""

    name = "curious"

    def __init__(self) -> None:
        self.shown: list[tuple[int, int, list[bytes]]] = []

    async def validate(self, proposal: Proposal) -> Verdict:
        count = len(proposal.table)
        self.shown.append(
            (proposal.author.row_count, count, list(map(proposal.row_id, range(count))))
        )
        return ABSTAIN


async def test_a_proposal_shows_its_rows() -> None:
    curious = Curious()
    stage = Stage(plugins=[curious])
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("note")
    rows, count, ids = curious.shown[-1]
    assert rows == count == len(ids)
    assert note in ids
