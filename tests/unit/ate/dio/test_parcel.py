from __future__ import annotations

from tests.unit.ate.dio.test_moving import parcel, transaction

from ate.dio.parcel import in_doubt, offline
from ate.errors import Disconnected, Offline


async def test_a_parcel_knows_what_its_transactions_change() -> None:
    one, two = transaction(1, guard=5), transaction(2, 3)
    assert parcel(1, one).drafts is one.drafts
    both = parcel(4, one, two, session=3)
    assert both.drafts == [*one.drafts, *two.drafts]
    assert (both.session, both.lsn, both.guards) == (3, 4, list(one.guards))
    assert parcel(1).at is None


def test_authors_are_told_what_they_can_do() -> None:
    assert isinstance(in_doubt(), Disconnected)
    assert "may have landed" in in_doubt().message
    assert isinstance(offline(goes_on=False), Offline)
    assert 'recovery="async"' in offline(goes_on=False).hint
    assert "cannot wait" in offline(goes_on=True).message
