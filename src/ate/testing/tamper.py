"""`Tamperer`: edits the files of a closed chain as somebody with the disk and no key can.

It is careful where care costs nothing: frame checks, hash links and numbers are made right again,
so that what finds it out is the product's cryptography and not a checksum.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ate.event.commit import (
    AUTHOR_BYTES,
    ROWS_AT,
    SEQUENCER_BYTES,
    Commit,
    Record,
    SequencerPart,
    link_after,
)
from ate.event.payload import encode_payload
from ate.event.row import ROW_BYTES
from ate.log import segment
from ate.testing.simdisk import SimDisk

GENERATION: Final = "000001"


class Tamperer:
    """Whoever has the files of one chain.

    Args:
        disk: where they are.
        directory: the chain's own directory.
        generation: the one that lives.
    """

    def __init__(self, disk: SimDisk, directory: str, generation: str = GENERATION) -> None:
        self.disk, self.directory, self.generation = disk, directory, generation

    def path(self, name: str) -> str:
        """Return the path of a file of the live generation."""
        return f"{self.directory}/{self.generation}/{name}"

    def files(self) -> dict[str, bytes]:
        """Return every file of the chain by its path."""
        return {
            path: content
            for path, content in self.disk.snapshot().items()
            if path.startswith(self.directory + "/")
        }

    def edit(self, name: str, change: Callable[[bytearray], None]) -> None:
        """Change the bytes of one file in place."""
        content = bytearray(self.disk.snapshot()[self.path(name)])
        change(content)
        self.disk.put(self.path(name), bytes(content))

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.disk.remove(self.path(name))
        self.disk.sync_dir(f"{self.directory}/{self.generation}")

    def has(self, name: str) -> bool:
        """Tell whether a file of that name is there."""
        return self.disk.exists(self.path(name))

    # --- commits --------------------------------------------------------------------------------

    def payloads(self) -> list[bytes]:
        """Return the payload of every frame, in order, over all segments."""
        found: list[bytes] = []
        files = self.disk.snapshot()
        number = 1
        while (raw := files.get(self.path(segment.file_name(segment.HEAD, number)))) is not None:
            view = memoryview(raw)
            found += [
                bytes(one) for _, one in segment.frames(view, segment.HEADER_BYTES, len(view))
            ]
            number += 1
        return found

    def write(self, payloads: Sequence[bytes], *, segment_bytes: int = 0) -> None:
        """Replace the log by these payloads, in frames that are perfectly in order.

        Args:
            segment_bytes: begin another segment before one passes this size; 0 never does.
        """
        number = 1
        raw = segment.encode_header(segment.HEAD, number, int(self.generation))
        for payload in payloads:
            size = segment.frame_size(len(payload))
            if (
                segment_bytes
                and len(raw) > segment.HEADER_BYTES
                and len(raw) + size > segment_bytes
            ):
                self.disk.put(self.path(segment.file_name(segment.HEAD, number)), raw)
                number += 1
                raw = segment.encode_header(segment.HEAD, number, int(self.generation))
            durable = segment.place_of(number, len(raw))
            raw += b"".join(segment.flatten(payload, durable))
        self.disk.put(self.path(segment.file_name(segment.HEAD, number)), raw)

    def append(self, commit: Commit, *, time_us: int | None = None) -> None:
        """Put a commit behind the others as an honest sequencer would, without asking anybody."""
        payloads = self.payloads()
        last = Record(memoryview(payloads[-1]))
        self.write(
            [*payloads, ordered(commit, following(payloads, time_us or last.sequencer.time_us))]
        )


def following(payloads: Sequence[bytes], time_us: int) -> SequencerPart:
    """Return the sequencer's part for a commit behind these."""
    link, head = bytes(32), 0
    for payload in payloads:
        record = Record(memoryview(payload))
        link = link_after(link, record.leaf)
        head = record.first_seq + record.row_count - 1
    return SequencerPart(head + 1, time_us, len(payloads), link)


def ordered(commit: Commit, sequencer: SequencerPart) -> bytes:
    """Return a commit as a log payload, all bodies inline."""
    return b"".join(encode_payload(commit, sequencer, [None] * len(commit.heads)))


def relinked(payloads: Iterable[bytes]) -> list[bytes]:
    """Return the commits numbered and linked anew: nobody's key is needed for that."""
    out: list[bytes] = []
    link, head, time_us = bytes(32), 0, 0
    for index, payload in enumerate(payloads):
        record = Record(memoryview(payload))
        time_us = max(time_us, record.sequencer.time_us)
        part = SequencerPart(head + 1, time_us, index, link)
        raw = payload[:AUTHOR_BYTES] + part.encode() + payload[AUTHOR_BYTES + SEQUENCER_BYTES :]
        record = Record(memoryview(raw))
        link, head = link_after(link, record.leaf), head + record.row_count
        out.append(raw)
    return out


def row_span(index: int) -> slice:
    """Return where row `index` stands in a payload."""
    return slice(ROWS_AT + ROW_BYTES * index, ROWS_AT + ROW_BYTES * (index + 1))


def spliced(payload: bytes, at: int, data: bytes) -> bytes:
    """Return the payload with some bytes overwritten."""
    return payload[:at] + data + payload[at + len(data) :]


def copy_of(disk: SimDisk) -> SimDisk:
    """Return the disk as a backup would keep it."""
    return SimDisk(disk.seed, platter=copy.deepcopy(disk._platter))


def with_body(payload: bytes, index: int, body: bytes) -> bytes:
    """Return the payload with another inline body for one row; what is signed stays as it was."""
    record = Record(memoryview(payload))
    rows = [record.row(at) for at in range(record.row_count)]
    bodies = [bytes(record.inline(row)) for row in rows]
    bodies[index] = body
    heads = [bytes(one) for one in record.signed_rows()]
    commit = Commit(
        record.author, payload[:AUTHOR_BYTES], record.root, heads, bodies,
        record.signature, bytes(record.rare), record.headers,
    )  # fmt: skip
    return ordered(commit, record.sequencer)
