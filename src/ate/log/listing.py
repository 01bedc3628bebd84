"""`Listing`: what an outbox holds, as its payloads tell it one after another; it knows no file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ate.log import entries
from ate.log.disk import Buffer
from ate.log.entries import Entry


class Listing:
    """See the module.

    Attributes:
        known: the entries, in the order of their numbers.
        size: how many bytes they take.
    """

    def __init__(self) -> None:
        self.known: dict[int, Entry] = {}
        self.size = 0

    def replay(self, payload: Buffer) -> int:
        """Do what a payload tells, and return the number that it is about; raises as `apply`.

        Raises:
            UnsupportedFormat: a newer version has written it.
        """
        kind, told = entries.decode(payload)
        self.apply(kind, told)
        return told.number

    def apply(self, kind: int, told: Entry) -> None:
        """Do what a payload tells; nothing is done when it raises.

        Raises:
            ValueError: that cannot have happened.
        """
        number = told.number
        if kind == entries.ENTRY:
            if self.known and number <= next(reversed(self.known)):
                raise ValueError("numbers that do not grow")
            self._put(told)
            return
        entry = self.known.get(number)
        if entry is None:
            raise ValueError(f"there is no entry {number}")
        if kind in (entries.PREPARED, entries.SHARED):
            self._prepare([number, *entries.others(told)], told)
        elif kind == entries.MARKED:
            if told.state == "sent" and (entry.shares or not entry.commit):
                raise ValueError("sent without a commit")
            self._part(number)
            self._put(entries.marked(self.known[number], told.state, told.note))
        elif kind == entries.REMOVED:
            self._part(number)
            self._drop(number)
        else:
            for one in entry.shares or (number,):
                self._drop(one)

    def _prepare(self, numbers: Sequence[int], told: Entry) -> None:
        if len(set(numbers)) < len(numbers) or not all(one in self.known for one in numbers):
            raise ValueError("a commit of entries that are not there")
        shares = tuple(numbers) if len(numbers) > 1 else ()
        if not all(self.known[one].work for one in shares):
            raise ValueError("a commit of entries without work")
        for one in numbers:
            self._part(one)
        for one in numbers:
            commit = told.commit if one == told.number else b""
            entry = entries.prepared(self.known[one], told.session, told.lsn, commit)
            self._put(replace(entry, shares=shares))

    def _part(self, number: int) -> None:
        """End what an entry shares: all of them wait again."""
        for one in self.known[number].shares:
            self._put(entries.marked(self.known[one], "waiting", b""))

    def _put(self, entry: Entry) -> None:
        before = self.known.get(entry.number)
        self.size += entry.size - (before.size if before else 0)
        self.known[entry.number] = entry

    def _drop(self, number: int) -> None:
        self.size -= self.known.pop(number).size


def told_anew(live: Sequence[Entry]) -> Iterator[bytes]:
    """Yield payloads that tell these entries and nothing else."""
    for entry in live:
        alone = entries.marked(entry, "waiting", entry.note) if entry.shares else entry
        yield entries.encode(entries.ENTRY, alone)
    for entry in live:
        if entry.shares and entry.commit:
            kind, told = entries.shared(entry.shares, entry.session, entry.lsn, entry.commit)
            yield entries.encode(kind, told)
