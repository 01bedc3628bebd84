"""`Moving`: the commits that are on their way, and what they change; it sends nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ate.dio.parcel import Parcel
from ate.dio.transaction import Transaction


class Moving:
    """See the module."""

    def __init__(self) -> None:
        self._parcels: dict[tuple[int, int], Parcel] = {}
        #: Objects that they change or hang something under, and how many of them do.
        self._ids: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._parcels)

    def __iter__(self) -> Iterator[Parcel]:
        """In the order in which they were sent."""
        return iter(list(self._parcels.values()))

    def add(self, parcel: Parcel) -> None:
        """Count one in."""
        self._parcels[parcel.session, parcel.lsn] = parcel
        ids = self._ids
        for one in parcel.ids:
            ids[one] = ids.get(one, 0) + 1

    def settle(self, parcel: Parcel) -> None:
        """One is on its way no more."""
        if self._parcels.pop((parcel.session, parcel.lsn), None) is None:
            return
        ids = self._ids
        for one in parcel.ids:
            left = ids[one] - 1
            if left:
                ids[one] = left
            else:
                del ids[one]

    def last_lsn(self, device: int, session: int) -> int:
        """Return the number of the last one of a device and session; 0 = there is none."""
        source = device, session
        return max((p.lsn for p in self if (p.device, p.session) == source), default=0)

    def holds_up(self, one: Transaction) -> bool:
        """Whether what is on its way changes something that this commit changes or needs."""
        ids = self._ids
        return bool(ids) and (
            any(draft.id in ids or draft.parent in ids for draft in one.drafts)
            or any(guard in ids for guard, _ in one.guards)
        )
