"""How far a walk along the order of commits has come, and which commit may come next.

It judges nobody's rights, and it reads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ate.event.commit import Record, link_after
from ate.event.prefix import MARK, Prefix, decode_prefix


@dataclass(slots=True)
class Course:
    """The place behind the last commit.

    Args:
        size, head, link: commits, rows and the hash link so far.
        prefix: what a compacted log says about its thinned part.
    """

    size: int = 0
    head: int = 0
    link: bytes = bytes(32)
    prefix: Prefix | None = None

    @property
    def is_thinned(self) -> bool:
        """Whether commits may be missing here."""
        return self.prefix is not None and self.size < self.prefix.cut

    def is_next(self, record: Record) -> bool:
        """Tell whether a commit is the one that comes next."""
        part = record.sequencer
        return (
            part.index == self.size
            and part.link == self.link
            and part.first_seq == self.head + 1
            and not record.is_thinned
        )

    def is_left(self, record: Record) -> bool:
        """Tell whether a commit may come next where compaction has dropped others."""
        prefix, index = self.prefix, record.sequencer.index
        if prefix is None or not self.size <= index < prefix.cut:
            return False
        return self.head < record.first_seq <= record.last_seq <= prefix.head

    def fits(self, record: Record) -> bool:
        """Tell whether a commit may come next, and go past the cut when that is where it is."""
        if self.prefix is not None and record.sequencer.index >= self.prefix.cut:
            self.pass_cut()
        return self.is_next(record) or self.is_left(record)

    def pass_cut(self) -> None:
        """Go on where all commits are there again: a compacted log says where that is."""
        if self.prefix is not None and self.size < self.prefix.cut:
            self.size, self.head, self.link = (
                self.prefix.cut,
                self.prefix.head,
                self.prefix.link,
            )

    def follow(self, record: Record) -> None:
        """Go behind a commit."""
        self.link = link_after(record.sequencer.link, record.leaf)
        self.size, self.head = record.sequencer.index + 1, record.last_seq

    def take(self, payload: memoryview) -> None:
        """Go behind a frame that holds no commit."""
        if payload[0] == MARK:
            self.prefix = decode_prefix(payload)
