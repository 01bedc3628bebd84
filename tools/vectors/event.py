"""Vectors of rows, commits, header fields, rules and system bodies; it holds no chain."""

from __future__ import annotations

from typing import Any

from tools.vectors.fixed import BODY, HASH, fields_of, oid, plain

from ate.crypto.sign import FastKey
from ate.event.access import Access, Everyone, Inherit, Nobody, Only
from ate.event.access import Any as AnyOf
from ate.event.commit import Commit, Origin, Record, SequencerPart
from ate.event.header import Header, encode_headers
from ate.event.row import Kind, unpack
from ate.event.system import (
    CertificateBody,
    Checkpoint,
    Flip,
    Genesis,
    Grant,
    PublicKeys,
    Role,
    encode,
    system_id,
)
from ate.ids import ROOT
from ate.testing.forger import Forger, Line, pack, ruled
from ate.testing.stage import member
from ate.testing.tamper import ordered, spliced


def lines() -> dict[str, Line]:
    """Return rows of every kind of content."""
    return {
        "data": Line(oid(1), body=BODY, schema=0x11223344, codec=1),
        "update": Line(oid(6), oid(2), body=BODY, base=5, created=3, collection=1 << 63, codec=2),
        "sealed": Line(oid(3), oid(2), body=bytes(40), domain=oid(2), epoch=7, codec=1 | 16),
        "tombstone": Line(oid(4), kind=Kind.TOMBSTONE, base=9, created=2, flags=4),
        "with a rule": ruled(Line(oid(5), body=b"", codec=3), Access(Everyone, Nobody)),
    }


def rows() -> dict[str, Any]:
    """Rows of 128 bytes."""
    valid = []
    for name, line in lines().items():
        raw = (
            line.head()
            + HASH
            + len(line.body).to_bytes(4, "little")
            + bytes(4)
            + (272).to_bytes(8, "little")
        )
        row = unpack(raw, 0)
        fields = {
            key: value.hex() if isinstance(value, bytes) else value
            for key, value in row._asdict().items()
        }
        fields |= {"epoch": row.epoch, "created": row.created}
        valid.append({"name": name, "row": raw.hex(), "fields": fields})
    return {"about": "rows of 128 bytes and what they say", "valid": valid}


def sequencer(first: int = 1, index: int = 0) -> SequencerPart:
    """Return a place in an order."""
    return SequencerPart(first, 1_767_225_600_000_000, index, HASH)


def commits() -> dict[str, Any]:
    """Commits, sound ones and others."""
    forger = Forger(HASH, origin=Origin(1, 2, 3, 2), seen_seq=10)
    some = lines()
    made: dict[str, Commit] = {
        "one row": forger.commit(some["data"]),
        "several rows": forger.commit(*some.values()),
        "17 rows": forger.commit(
            *(Line(oid(number), body=bytes(number)) for number in range(1, 18))
        ),
        "70 rows": forger.commit(*(Line(oid(number), body=b"x") for number in range(1, 71))),
        "a signature of Ed25519": Forger(HASH, FastKey.from_seed(HASH)).commit(some["data"]),
    }
    valid = []
    for name, commit in made.items():
        payload = ordered(commit, sequencer(11, 4))
        record = Record(memoryview(payload))
        valid.append(
            {
                "name": name,
                "payload": payload.hex(),
                "author": fields_of(record.author),
                "sequencer": fields_of(record.sequencer),
                "root": record.root.hex(),
                "leaf": record.leaf.hex(),
                "signature": record.signature.hex(),
                "rare": bytes(record.rare).hex(),
                "bodies": [
                    bytes(record.inline(record.row(at))).hex() for at in range(record.row_count)
                ],
            }
        )
    return {
        "about": "commits as log payloads; invalid ones end with the error of this code",
        "valid": valid,
        "invalid": [
            {"name": name, "payload": payload.hex(), "error": error}
            for name, payload, error in _bad_commits(
                ordered(made["several rows"], sequencer()), forger
            )
        ],
    }


def _bad_commits(good: bytes, forger: Forger) -> list[tuple[str, bytes, str]]:
    def word(at: int, value: int, size: int = 4) -> bytes:
        return spliced(good, at, value.to_bytes(size, "little"))

    def made(*some: Line, **fields: Any) -> bytes:
        return ordered(forger.commit(*some, **fields), sequencer())

    data = lines()["data"]
    return [
        ("nothing", b"", "protocol"),
        ("shorter than its header", good[:271], "protocol"),
        ("cut by eight bytes", good[:-8], "protocol"),
        ("longer by eight bytes", good + bytes(8), "protocol"),
        ("another version", word(0, 2, 1), "unsupported_format"),
        ("no rows", word(4, 0), "protocol"),
        ("more rows than a commit may have", word(4, 65_537), "limit_exceeded"),
        ("more rows than it has bytes for", word(4, 65_536), "protocol"),
        ("a signature that is too long", word(256, 8193), "limit_exceeded"),
        ("a rare section beyond the end", word(260, 1 << 31), "protocol"),
        ("bodies beyond the end", word(264, 1 << 40, 8), "protocol"),
        ("unknown flags of the commit", made(data, flags=1), "protocol"),
        ("an unknown kind of row", made(Line(oid(1), kind=9)), "protocol"),
        ("row kind zero", made(Line(oid(1), kind=0)), "protocol"),
        ("unknown flags of a row", made(Line(oid(1), flags=8)), "protocol"),
        ("a flag without a header", made(Line(oid(1), flags=1)), "protocol"),
        (
            "a header without a flag",
            made(Line(oid(1), flags=0, header=Header(author="x"))),
            "protocol",
        ),
        (
            "a rule without its flag",
            made(Line(oid(1), flags=1, header=Header(Access()))),
            "protocol",
        ),
        ("a rule's flag without a rule", made(Line(oid(1), flags=3, header=Header())), "protocol"),
        ("one object twice", made(data, Line(oid(2)), data), "protocol"),
        ("the reserved id", made(Line(ROOT, body=b"x")), "protocol"),
        ("header fields that are no MessagePack", made(data, rare=b"\xc1"), "protocol"),
        ("header fields of a row that is not there", made(data, rare=pack({1: {}})), "protocol"),
        ("the reserved byte of a row", word(272 + 3, 1, 1), "protocol"),
        ("the reserved word of a row", word(272 + 116, 1), "protocol"),
        ("a body outside of the bodies", word(272 + 120, 0, 8), "protocol"),
        ("a body beyond the end", word(272 + 112, 1 << 20), "protocol"),
        ("an altered row", word(272 + 40, 99, 8), "corrupt_log"),
        ("an altered rows root", word(128, 7, 8), "corrupt_log"),
        ("altered header fields", good.replace(b"nobody", b"nobodY"), "protocol"),
        ("an altered hash of the header fields", word(160, 7, 8), "corrupt_log"),
        ("an altered body", good.replace(b"hello", b"hullo"), "corrupt_log"),
    ]


RULES = {
    "inherit": Access(),
    "everyone reads": Access(read=Everyone),
    "everyone does all": Access(Everyone, Everyone),
    "nobody writes": Access(Inherit, Nobody),
    "keys and roles": Access(Only(b"k" * 16, "Observer"), AnyOf("Contributor", b"w" * 16)),
}


def access() -> dict[str, Any]:
    """Access rules."""
    invalid: dict[str, Any] = {
        "nil": None,
        "one rule": ["everyone"],
        "three rules": ["everyone"] * 3,
        "a map": {"read": "everyone"},
        "an unknown word": ["everyone", "somebody"],
        "nobody reads": ["nobody", "inherit"],
        "an empty list": [[], "inherit"],
        "a short key id": [[b"k" * 15], "inherit"],
        "a number": [[5], "inherit"],
        "an empty role": [["everyone"], [""]],
        "a role name that is too long": ["inherit", ["x" * 257]],
        "too many names": ["inherit", ["x"] * 1025],
        "words in a list of lists": [[["everyone"]], "inherit"],
    }
    return {
        "about": "access rules as MessagePack",
        "valid": [
            {"name": name, "rule": pack(rule.encode()).hex(), "fields": plain(rule.encode())}
            for name, rule in RULES.items()
        ],
        "invalid": [
            {"name": name, "rule": pack(tree).hex(), "error": "protocol"}
            for name, tree in invalid.items()
        ],
    }


def headers() -> dict[str, Any]:
    """Rare sections."""
    valid = {
        "none": {},
        "an empty header": {0: Header()},
        "a rule": {1: Header(RULES["keys and roles"])},
        "all fields": {0: Header(Access(), "alice", bytes(16)), 2: Header(reply=HASH[:16])},
        "what a delta is of": {0: Header(delta=1), 1: Header(author="a", delta=(1 << 40) - 1)},
        "fields of a later version": {0: Header(unknown={"later": [1, {"x": b"y"}], "more": None})},
    }
    invalid: dict[str, Any] = {
        "a list": [],
        "row 3 of 3": {3: {}},
        "row -1": {-1: {}},
        "a row by name": {"0": {}},
        "true as a row": {True: {}},
        "a header that is a list": {0: []},
        "a field without a name": {0: {1: 2}},
        "an author that is bytes": {0: {"author": b"a"}},
        "a reply of 15 bytes": {0: {"reply": bytes(15)}},
        "a rule that is none": {0: {"access": "everyone"}},
        "a delta of row 0": {0: {"delta": 0}},
        "a delta of a row beyond the limit": {0: {"delta": 1 << 40}},
        "a delta of true": {0: {"delta": True}},
    }
    return {
        "about": "the rare section of a commit with three rows",
        "valid": [
            {
                "name": name,
                "rare": encode_headers(some).hex(),
                "fields": {str(at): plain(one.encode()) for at, one in some.items()},
            }
            for name, some in valid.items()
        ],
        "invalid": [
            *(
                {"name": name, "rare": pack(tree).hex(), "error": "protocol"}
                for name, tree in invalid.items()
            ),
            {"name": "no MessagePack", "rare": "c1", "error": "protocol"},
            {
                "name": "cut short",
                "rare": pack({0: {"author": "x"}})[:-1].hex(),
                "error": "protocol",
            },
            {"name": "a tail", "rare": (pack({0: {}}) + b"\0").hex(), "error": "protocol"},
        ],
    }


def system() -> dict[str, Any]:
    """System bodies and the ids of their rows."""
    keys = PublicKeys.of(member("alice").public)
    genesis = Genesis("example.com/notes", 2, "distributed", HASH[:16], (keys,), {"worm": True})
    valid = {
        "genesis": genesis,
        "genesis without keys": Genesis("scratch", 0, "distributed", HASH[:16]),
        "key": keys,
        "role": Role("Contributor", 2, (keys,), {b"m" * 16: bytes(1280)}),
        "certificate": CertificateBody(HASH, b"i" * 16, HASH, 1 << 50, bytes(3373)),
        "grant": Grant(bytes(oid(1)), 1, {b"r" * 16: bytes(1168)}),
        "grant of a later epoch": Grant(bytes(oid(1)), 3, {b"r" * 16: bytes(1168)}, bytes(80)),
        "checkpoint": Checkpoint(5, HASH, 1 << 50, b"r" * 16, bytes(3373), HASH),
        "checkpoint where all compact": Checkpoint(
            5, HASH, 1 << 50, b"r" * 16, bytes(3373), HASH + Flip(5, 3, 86_400_000_000).encode()
        ),
    }
    invalid: list[tuple[str, str, Any]] = [
        ("Genesis", "a list", []),
        ("Genesis", "no name", {"suite": 2, "mode": "distributed", "salt": b""}),
        (
            "Genesis",
            "a suite that is text",
            {"name": "x", "suite": "2", "mode": "distributed", "salt": b""},
        ),
        ("PublicKeys", "a map", {"identity": "x", "sign": b"", "seal": b""}),
        ("PublicKeys", "two parts", ["x", b""]),
        ("PublicKeys", "a key that is text", ["x", "key", b""]),
        ("Role", "generation 0", {"name": "x", "generation": 0, "keys": []}),
        ("Role", "keys that are a map", {"name": "x", "generation": 1, "keys": {}}),
        ("CertificateBody", "until before 1970", [b"", b"", b"", -1, b""]),
        ("CertificateBody", "four parts", [b"", b"", b"", 1]),
        ("Grant", "epoch 0", {"domain": b"", "epoch": 0, "wraps": {}}),
        ("Grant", "no wraps", {"domain": b"", "epoch": 1}),
        ("Checkpoint", "a negative size", [-1, b"", 0, b"", b""]),
    ]
    return {
        "about": "bodies of system rows as MessagePack; ids of system rows",
        "valid": [
            {"name": name, "type": type(one).__name__, "body": encode(one).hex()}
            for name, one in valid.items()
        ],
        "invalid": [
            {"name": f"{kind}: {name}", "type": kind, "body": pack(tree).hex(), "error": "protocol"}
            for kind, name, tree in invalid
        ],
        "ids": [
            {"what": what, "of": name.hex(), "id": system_id(what, name).hex()}
            for what, name in (
                ("key", b"k" * 16),
                ("certificate", HASH + b"i" * 16),
                ("grant", bytes(16)),
                ("role", b"root"),
                ("checkpoint", b""),
            )
        ],
    }
