"""Plaintext bodies from arbitrary bytes: who may write decides what its readers decode."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ate.dio.collections import Child, Link, Map, Ref, Vec
from ate.dio.schema import decode_any, name_of, schema_of
from ate.errors import WrongType


@dataclass
class Everything:
    """A field of every kind."""

    text: str = ""
    number: int = 0
    real: float = 0.0
    money: Decimal = Decimal(0)
    when: dt.datetime | None = None
    day: dt.date | None = None
    key: uuid.UUID | None = None
    raw: bytes = b""
    items: list[int] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)
    anything: Any = None
    vec: Vec[int] = field(default_factory=Vec)
    map: Map[str, int] = field(default_factory=Map)
    ref: Ref[int] = field(default_factory=Ref)
    child: Child[int] = field(default_factory=Child)
    link: Link[int] | None = None


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(),
    st.text(max_size=12),
    st.binary(max_size=20), st.binary(min_size=16, max_size=16),
    st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=20)),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=6), st.integers(0, 5)), inner, max_size=4),
    ),
    max_leaves=15,
)
NAMES = sorted(Everything.__dataclass_fields__)
RECORDS = st.dictionaries(st.sampled_from([*NAMES, "unknown"]), TREES, max_size=6)
TYPES = (Everything, dict, list, str, bytes, int, float, Decimal, dt.datetime, dt.date, uuid.UUID)


def body(name: str, payload: bytes) -> bytes:
    return msgspec.msgpack.encode(name) + payload


@given(st.binary(max_size=200), st.integers(0, 15))
def test_any_bytes(raw: bytes, codec: int) -> None:
    for read in (lambda: name_of(raw), lambda: decode_any(raw, codec)):
        try:
            read()
        except WrongType:
            pass
    for cls in TYPES:
        schema = schema_of(cls)
        for one in (raw, body(schema.name, raw)):
            try:
                schema.decode(one, codec)
            except WrongType:
                pass


@given(st.one_of(RECORDS, TREES), st.sampled_from([1, 2]))
def test_trees_of_the_wrong_shape(tree: object, codec: int) -> None:
    try:
        payload = msgspec.msgpack.encode(tree) if codec == 1 else msgspec.json.encode(tree)
    except (TypeError, ValueError, msgspec.MsgspecError):
        return
    for cls in TYPES:
        schema = schema_of(cls)
        try:
            schema.decode(body(schema.name, payload), codec)
        except WrongType:
            pass


@given(RECORDS)
def test_what_decodes_encodes_again(tree: dict[str, object]) -> None:
    schema = schema_of(Everything)
    raw = body("Everything", msgspec.msgpack.encode(tree))
    try:
        value = schema.decode(raw)
    except WrongType:
        return
    again = schema.encode_keeping(value, raw)
    assert schema.encode(schema.decode(again)) == schema.encode(value)


@pytest.mark.parametrize("codec", [1, 2])
def test_bombs(codec: int) -> None:
    deep, wide = (
        (b"\x91" * 200_000, b"\xdd\xff\xff\xff\xff")
        if codec == 1
        else (b"[" * 200_000, b"1" * 5000)
    )
    exts = b"\xc7\x00\x07" + b"\xc8\xff\xff\x07" * 1000
    for payload in (deep, wide, exts, b"\x81\xa1x" * 100_000):
        for cls in (dict, list, Everything, Decimal):
            schema = schema_of(cls)
            with pytest.raises(WrongType):
                schema.decode(body(schema.name, payload), codec)
