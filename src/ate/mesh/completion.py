"""`Completions`: which answer a commit got that was sent before. The log itself is the record.

A retry gets its first answer, however late it comes; nothing is kept beside the chain.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, NamedTuple

from ate.chain.ledger import Ledger
from ate.crypto.hash import digest
from ate.event.commit import AUTHOR_BYTES, AuthorPart, Record
from ate.wire.message import Accepted, Refused

#: Answers at hand for each session, and sessions they are at hand for; older ones take a search.
_AT_HAND: Final = 64
_SESSIONS: Final = 4096
#: Commits looked through for an older answer: some 50 ms.
_SEARCH_MAX: Final = 32_768
_ORIGIN_AT: Final = 40


class Known(NamedTuple):
    """An answer given before; `root` is empty when nothing of the commit is known any more."""

    lsn: int
    root: bytes
    first_seq: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    last: int
    same: bool = True

    def answer(self, ch: int, author: AuthorPart) -> Accepted | Refused:
        """Return it as a message."""
        source = author.device, author.session, author.lsn
        if self.root and self.same:
            return Accepted(ch, *source, self.first_seq, self.index, again=True)
        if self.root:
            text = f"commit {author.lsn} of this session is here already, with other bytes"
            return Refused(ch, *source, self.last, "replayed", text)
        text = (
            f"commit {author.lsn} of this session can not be applied any more: "
            f"{self.last} is here, and what it was is not known"
        )
        return Refused(ch, *source, self.last, "replayed", text)


class Completions:
    """Finds the answers to commits that are in the chain."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._recent: OrderedDict[tuple[int, int], deque[Known]] = OrderedDict()

    def add(self, author: AuthorPart, record: Record) -> None:
        """Remember a commit that was just appended."""
        source = author.device, author.session
        ring = self._recent.get(source)
        if ring is None:
            ring = self._recent[source] = deque(maxlen=_AT_HAND)
            if len(self._recent) > _SESSIONS:
                self._recent.popitem(last=False)
        else:
            self._recent.move_to_end(source)
        index = record.sequencer.index
        ring.append(Known(author.lsn, record.root, record.first_seq, index, author.lsn))

    def find(self, device: int, session: int, lsn: int, payload: memoryview) -> Known | None:
        """Return what became of a commit that may have been sent before; None if it is new."""
        last = self._ledger.view.origins.last(device, session)
        if lsn > last:
            return None
        known = self.lookup(device, session, lsn)
        if known is None:
            return Known(lsn, b"", 0, 0, last)
        return known._replace(same=known.root == digest(payload[:AUTHOR_BYTES]), last=last)

    def lookup(self, device: int, session: int, lsn: int) -> Known | None:
        """Return where a commit is; None when it is not in the chain, or not known any more."""
        view = self._ledger.view
        last = view.origins.last(device, session)
        if not 0 < lsn <= last:
            return None
        for known in reversed(self._recent.get((device, session), ())):
            if known.lsn == lsn:
                return known._replace(last=last)
        return self._search(device, session, lsn)

    def _search(self, device: int, session: int, lsn: int) -> Known | None:
        """Go back through the log, from the session's newest commit on."""
        view = self._ledger.view
        newest = view.origins.table[device, session][1]
        place = view.commits.find(newest)[1]
        wanted = b"".join(word.to_bytes(8, "little") for word in (device, session))
        number = view.commits.number_of(place)
        for at in range(number, max(number - _SEARCH_MAX, -1), -1):
            place = view.commits.place_at(at)
            raw = view.store.read(place)
            if raw[_ORIGIN_AT : _ORIGIN_AT + 16] != wanted:
                continue
            found = int.from_bytes(raw[_ORIGIN_AT + 16 : _ORIGIN_AT + 24], "little")
            if found == lsn:
                record = view.record(place)
                index = record.sequencer.index
                return Known(lsn, record.root, record.first_seq, index, lsn)
            if found < lsn:
                return None
        return None
