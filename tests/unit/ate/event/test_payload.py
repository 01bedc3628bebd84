from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ate.crypto.entropy import SeededEntropy
from ate.event.commit import Record, SequencerPart
from ate.event.payload import encode_payload
from ate.event.row import PLACE_BODY_FILE
from ate.testing.forger import Forger, Line

SEQUENCER = SequencerPart(5, 1_000, 2, b"l" * 32)


@given(st.one_of(st.integers(1, 20), st.integers(150, 330)), st.integers(0, 99))
def test_many_rows_are_encoded_like_few(count: int, seed: int) -> None:
    """From 160 rows on the table is built as an array; the bytes are those of the plain way."""
    draw = SeededEntropy(seed)
    bodies = [draw(draw(1)[0] % 50) for _ in range(count)]
    outside: list[int | None] = [
        PLACE_BODY_FILE | 64 * at if draw(1)[0] < 60 else None for at in range(count)
    ]
    commit = Forger(bytes(32)).commit(*(Line(draw(16), draw(16), body=one) for one in bodies))
    inside: list[int | None] = [None] * count
    for places in (inside, outside):
        raw = memoryview(b"".join(encode_payload(commit, SEQUENCER, places)))
        record = Record(raw)
        inline = b""
        for at, (body, place) in enumerate(zip(bodies, places, strict=True)):
            row = record.row(at)
            assert row.length == len(body)
            if place is None:
                assert bytes(record.inline(row)) == body
                inline += body
            else:
                assert row.place == place
        assert bytes(raw).rstrip(b"\0").endswith(inline.rstrip(b"\0"))
        table = record.table
        kept = table["place"] < PLACE_BODY_FILE
        assert record.holds(table["place"][kept], table["length"][kept])
        assert not any(record.padding)
