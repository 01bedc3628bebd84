"""Vectors of plaintext bodies; it knows no key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from tools.vectors.fixed import HASH, oid

from ate.crypto.hash import digest, keyed
from ate.dio.collections import collection_number
from ate.dio.schema import schema_of
from ate.dio.values import encode as encode_key
from ate.testing.forger import pack
from ate.testing.stage import Note


class Colour(Enum):
    """An enum, for one vector."""

    RED = "red"


@dataclass
class Sample:
    """A record with typed places, for one vector."""

    text: str
    money: Decimal
    day: date
    at: datetime
    key: UUID
    colour: Colour
    raw: bytes
    inner: dict[str, Any]


TREE = {
    "nil": None,
    "yes": True,
    "n": -7,
    "big": 1 << 70,
    "f": 1.5,
    "t": "ü",
    "b": b"\0\1",
    "decimal": Decimal("1.10"),
    "naive": datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 — it is the case
    "aware": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    "date": date(2026, 1, 2),
    "time": time(3, 4, 5),
    "span": timedelta(hours=36),
    "uuid": UUID(int=5),
    "tuple": (1, ("x",)),
    "set": {1},
    "frozen": frozenset({"a"}),
    "id": oid(7),
}


SAMPLE = Sample(
    "x",
    Decimal("9.90"),
    date(2026, 1, 2),
    datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    UUID(int=5),
    Colour.RED,
    b"\0",
    {"inside": Decimal(1)},
)

VALID: list[tuple[str, Any, int]] = [
    ("text", "hello", 1),
    ("bytes", b"\0\1", 1),
    ("raw bytes", b"\0\1", 3),
    ("an int", 5, 1),
    ("a list", [1, "two", None], 1),
    ("a list in JSON", [1, "two", None], 2),
    ("every kind of value in an untyped place", TREE, 1),
    ("a record", SAMPLE, 1),
    ("a note", Note("hello"), 1),
    ("a note in JSON", Note("hello"), 2),
    ("an enum", Colour.RED, 1),
]

INVALID: list[tuple[str, str, int, bytes]] = [
    ("no name", "str", 1, b""),
    ("a name that is no text", "str", 1, b"\x05\x05"),
    ("another name", "str", 1, pack("text") + pack("x")),
    ("a name in a long form", "str", 1, b"\xd9\x03str\xa1x"),
    ("no value", "str", 1, pack("str")),
    ("a tail", "str", 1, pack("str") + pack("x") + b"\0"),
    ("another type of value", "str", 1, pack("str") + pack(5)),
    ("a field that is missing", "Note", 1, pack("Note") + pack({})),
    ("a field of another type", "Note", 1, pack("Note") + pack({"text": 5})),
    ("too deep", "list", 1, pack("list") + b"\x91" * 200 + b"\xc0"),
    ("JSON where MessagePack is said", "Note", 1, pack("Note") + b'{"text":"x"}'),
    ("an unknown codec", "Note", 4, pack("Note") + pack({"text": "x"})),
    ("a tuple that is no array", "list", 1, pack("list") + b"\x91\xc7\x01\x07\x05"),
    ("a UUID of three bytes", "list", 1, pack("list") + b"\x91\xc7\x03\x06abc"),
]


def values() -> dict[str, Any]:
    """Plaintext bodies in all codecs, the numbers of types, the ids of elements."""
    valid = []
    for name, value, codec in VALID:
        schema = schema_of(type(value))
        valid.append(
            {
                "name": name,
                "type": schema.name,
                "schema": schema.schema_id,
                "codec": codec,
                "body": schema.encode(value, codec).hex(),
            }
        )
    salt, owner = HASH[:16], bytes(oid(1))
    keys: list[Any] = ["name", b"raw", 5, (1, "x"), Decimal(1)]
    return {
        "about": "plaintext bodies; invalid ones are refused with wrong_type",
        "valid": valid,
        "invalid": [
            {"name": name, "type": kind, "codec": codec, "body": raw.hex(), "error": "wrong_type"}
            for name, kind, codec, raw in INVALID
        ],
        "collections": [
            {"path": path, "number": collection_number(path)} for path in ("tasks", "outer.inner")
        ],
        "elements": [
            *(
                {
                    "salt": salt.hex(),
                    "owner": owner.hex(),
                    "key": encode_key(key).hex(),
                    "id": keyed(salt + owner, encode_key(key))[:16].hex(),
                }
                for key in keys
            ),
            {
                "salt": salt.hex(),
                "owner": owner.hex(),
                "key": "c1",
                "id": keyed(salt + owner, b"\xc1")[:16].hex(),
            },
        ],
        "missing_salt": {
            "owner": owner.hex(),
            "path": "tasks",
            "salt": digest(owner + b"tasks")[:16].hex(),
        },
    }
