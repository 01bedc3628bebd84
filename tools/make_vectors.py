"""Make the frozen vectors of events, trust and logs; it never replaces a file that is there.

    python tools/make_vectors.py            make what is missing
    python tools/make_vectors.py --again    make everything anew, after a change of the format

Seeds, ids and times are fixed. Signatures of ML-DSA and wrapped keys are random by nature, so two runs
differ in those bytes: that is why the files are frozen and not made by the tests.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import ate
from ate.crypto.entropy import SeededEntropy
from ate.crypto.hash import digest, keyed
from ate.crypto.sign import FastKey
from ate.dio.collections import collection_number
from ate.dio.schema import schema_of
from ate.dio.values import encode as encode_key
from ate.errors import AteError
from ate.event.access import Access, Everyone, Inherit, Nobody, Only
from ate.event.access import Any as AnyOf
from ate.event.commit import Commit, Origin, Record, SequencerPart
from ate.event.header import Header, encode_headers
from ate.event.row import Kind, unpack
from ate.event.system import (
    CertificateBody,
    Checkpoint,
    Genesis,
    Grant,
    PublicKeys,
    Role,
    encode,
    system_id,
)
from ate.ids import ROOT, ObjectId
from ate.session import Certificate, FastIdentity, Session
from ate.testing.forger import Forger, Line, certificate_lines, key_line, pack, ruled
from ate.testing.simclock import SimClock
from ate.testing.stage import Note, Stage, member
from ate.testing.tamper import following, ordered, spliced
from ate.trust.confidentiality import Confidentiality

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "vectors"
DAY_US = 86_400_000_000


def oid(number: int) -> ObjectId:
    """Return an object id that is easy to recognise."""
    return ObjectId(bytes([number]) * 16)


# --- event -------------------------------------------------------------------------------------------

BODY = b"\xa4Note\x81\xa4text\xa5hello"
HASH = bytes(range(32))


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
    return SequencerPart(first, 1_767_225_600_000_000, index, HASH)


def commits() -> dict[str, Any]:
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
                "author": _fields(record.author),
                "sequencer": _fields(record.sequencer),
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


def _fields(value: Any) -> dict[str, Any]:
    return {
        key: one.hex() if isinstance(one, bytes) else one for key, one in value._asdict().items()
    }


def _plain(tree: Any) -> Any:
    """Return a tree with bytes written as {"hex": …}, so that JSON can hold it."""
    if isinstance(tree, bytes):
        return {"hex": tree.hex()}
    if isinstance(tree, dict):
        return {str(key): _plain(one) for key, one in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_plain(one) for one in tree]
    return tree


RULES = {
    "inherit": Access(),
    "everyone reads": Access(read=Everyone),
    "everyone does all": Access(Everyone, Everyone),
    "nobody writes": Access(Inherit, Nobody),
    "keys and roles": Access(Only(b"k" * 16, "Observer"), AnyOf("Contributor", b"w" * 16)),
}


def access() -> dict[str, Any]:
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
            {"name": name, "rule": pack(rule.encode()).hex(), "fields": _plain(rule.encode())}
            for name, rule in RULES.items()
        ],
        "invalid": [
            {"name": name, "rule": pack(tree).hex(), "error": "protocol"}
            for name, tree in invalid.items()
        ],
    }


def headers() -> dict[str, Any]:
    valid = {
        "none": {},
        "an empty header": {0: Header()},
        "a rule": {1: Header(RULES["keys and roles"])},
        "all fields": {0: Header(Access(), "alice", bytes(16)), 2: Header(reply=HASH[:16])},
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
    }
    return {
        "about": "the rare section of a commit with three rows",
        "valid": [
            {
                "name": name,
                "rare": encode_headers(some).hex(),
                "fields": {str(at): _plain(one.encode()) for at, one in some.items()},
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
        "checkpoint": Checkpoint(5, HASH, 1 << 50, b"r" * 16, bytes(3373)),
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


# --- values ------------------------------------------------------------------------------------------


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


def values() -> dict[str, Any]:
    """Plaintext bodies in all codecs, the numbers of types, the ids of elements."""
    sample = Sample(
        "x",
        Decimal("9.90"),
        date(2026, 1, 2),
        datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        UUID(int=5),
        Colour.RED,
        b"\0",
        {"inside": Decimal(1)},
    )
    some: list[tuple[str, Any, int]] = [
        ("text", "hello", 1),
        ("bytes", b"\0\1", 1),
        ("raw bytes", b"\0\1", 3),
        ("an int", 5, 1),
        ("a list", [1, "two", None], 1),
        ("a list in JSON", [1, "two", None], 2),
        ("every kind of value in an untyped place", TREE, 1),
        ("a record", sample, 1),
        ("a note", Note("hello"), 1),
        ("a note in JSON", Note("hello"), 2),
        ("an enum", Colour.RED, 1),
    ]
    valid = []
    for name, value, codec in some:
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
    invalid: list[tuple[str, str, int, bytes]] = [
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
    salt, owner = HASH[:16], bytes(oid(1))
    keys: list[Any] = ["name", b"raw", 5, (1, "x"), Decimal(1)]
    return {
        "about": "plaintext bodies; invalid ones are refused with wrong_type",
        "valid": valid,
        "invalid": [
            {"name": name, "type": kind, "codec": codec, "body": raw.hex(), "error": "wrong_type"}
            for name, kind, codec, raw in invalid
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


# --- trust -------------------------------------------------------------------------------------------


def keys() -> dict[str, Any]:
    """Principals from their seeds, certificates, and how bodies are sealed."""
    alice = member("alice")
    fast = FastKey.from_seed(HASH)
    claim = Certificate(bytes(fast.public.raw), alice.public.key_id, HASH, 1 << 50)
    signature = alice.own.sign.sign(claim.message(), b"ate/certificate/1")
    other = alice.own.sign.sign(claim.message(), b"ate/commit/1")
    how = Confidentiality()
    head = lines()["sealed"].head()
    sealed = []
    for index in (0, 1, 65_535):
        sealer = how.sealer(HASH, HASH[::-1], oid(2), 7, b"E" * 32)
        nonce = index.to_bytes(12, "little")
        sealed.append(
            {
                "chain_id": HASH.hex(),
                "salt": HASH[::-1].hex(),
                "domain": oid(2).hex(),
                "epoch": 7,
                "epoch_key": (b"E" * 32).hex(),
                "index": index,
                "head": head.hex(),
                "plain": BODY.hex(),
                "sealed": sealer.seal(nonce, BODY, head).hex(),
            }
        )
    return {
        "about": "principals, session certificates, sealed bodies",
        "principals": [_principal(member(name)) for name in ("alice", "bob")],
        "certificates": [
            {"name": "good", "certificate": _certificate(claim, signature), "valid": True},
            {
                "name": "signed for another purpose",
                "certificate": _certificate(claim, other),
                "valid": False,
                "error": "bad_signature",
            },
            {
                "name": "a longer life",
                "valid": False,
                "error": "bad_signature",
                "certificate": _certificate(Certificate(*_parts(claim)[:3], 1 << 51), signature),
            },
        ],
        "sealed": sealed,
    }


def _parts(claim: Certificate) -> tuple[bytes, bytes, bytes, int]:
    return claim.subject, claim.issuer, claim.chain_id, claim.until_us


def _certificate(claim: Certificate, signature: bytes) -> dict[str, Any]:
    return {
        "subject": claim.subject.hex(),
        "issuer": claim.issuer.hex(),
        "chain_id": claim.chain_id.hex(),
        "until_us": claim.until_us,
        "message": claim.message().hex(),
        "signature": signature.hex(),
    }


def _principal(session: Session) -> dict[str, Any]:
    return {
        "identity": session.identity,
        "sign_seed": session.own.sign.seed.hex(),
        "seal_seed": session.own.seal.seed.hex(),
        "sign": session.public.sign.hex(),
        "seal": session.public.seal.hex(),
        "key_id": session.public.key_id.hex(),
    }


def grants() -> dict[str, Any]:
    """Grants of two epochs and what opens them."""
    from ate.trust.domains import Domains
    from ate.trust.state import Trust

    alice, bob = member("alice"), member("bob")
    trust = Trust()
    held: dict[bytes, bytes] = {}
    mine = Domains(held.get, trust, alice)
    draw, domain = SeededEntropy(b"grants"), bytes(oid(2))
    out = []
    for rule in (Only(alice.public, bob.public), Only(alice.public)):
        grant = mine.grant_for(domain, rule, draw)
        assert grant is not None
        held[domain] = encode(grant)
        opened = [mine.key(domain, epoch).hex() for epoch in range(1, grant.epoch + 1)]
        readers = [one.identity for one in (alice, bob) if one.public.key_id in grant.wraps]
        out.append({"body": encode(grant).hex(), "readers": readers, "keys": opened})
    return {"about": "grants of domain 0202…; seeds of the readers are in keys.json", "valid": out}


async def judgements() -> dict[str, Any]:
    """Commits that arrive at the golden chain of suite 2, and what an honest judge says."""
    stage = await golden_stage("suite2")
    ledger = await stage.ledger()
    view = ledger.view
    alice, mallory = actors("suite2")["alice"], actors("suite2")["mallory"]
    board, note = oid(0xB0), oid(0xA1)
    now = stage.clock.now_us()
    introduction = certificate_lines(mallory, view.trust.chain_id, now)
    on_board = Line(oid(0xF0), board, body=BODY)
    mine = Access(Everyone, Everyone)

    def forger(**fields: Any) -> Forger:
        fast = mallory.fast(view.trust.chain_id, now).key
        told = {"chain_id": view.trust.chain_id, "key": fast, "seen_seq": view.head, **fields}
        return Forger(**told)

    replayed = Origin(alice.device, _last_session(ledger, alice.device), 1, 0)
    role = Role("root", 2, (PublicKeys.of(mallory.public),))
    cases: list[tuple[str, str, Commit]] = [
        (
            "welcome: below an object that everybody may write",
            "",
            forger().commit(*introduction, on_board),
        ),
        ("its key is not published", "bad_signature", forger().commit(on_board)),
        ("unsigned", "bad_signature", forger(key=None).commit(on_board)),
        (
            "signed by another key",
            "bad_signature",
            forger().commit(on_board, key_id=alice.public.key_id),
        ),
        ("an unknown suite", "bad_signature", forger(suite=3).commit(*introduction, on_board)),
        ("another chain", "corrupt_log", forger(chain_id=HASH).commit(on_board)),
        (
            "has seen the future",
            "corrupt_log",
            forger(seen_seq=view.head + 1).commit(*introduction, on_board),
        ),
        ("below the root", "write_denied", forger().commit(*introduction, Line(oid(0xF1)))),
        ("somebody's object", "write_denied", forger().commit(*introduction, Line(note, base=1))),
        (
            "somebody's object under another parent",
            "write_denied",
            forger().commit(*introduction, Line(note, board)),
        ),
        (
            "somebody's tombstone",
            "write_denied",
            forger().commit(*introduction, on_board, Line(note, board, kind=Kind.TOMBSTONE)),
        ),
        ("a deleted id", "write_denied", forger().commit(*introduction, Line(oid(0xA2), board))),
        (
            "a rule brought along",
            "write_denied",
            forger().commit(*introduction, ruled(Line(oid(0xF1)), mine)),
        ),
        (
            "a circle of parents",
            "protocol",
            forger().commit(*introduction, Line(oid(0xF1), oid(0xF2)), Line(oid(0xF2), oid(0xF1))),
        ),
        (
            "a role",
            "write_denied",
            forger().commit(
                *introduction, Line(system_id("role", b"root"), kind=Kind.ROLE, body=encode(role))
            ),
        ),
        (
            "a key row in the place of an object",
            "protocol",
            forger().commit(
                *introduction, on_board, Line(note, kind=Kind.KEY, body=key_line(mallory.own).body)
            ),
        ),
        ("nothing but keys", "refused", forger().commit(*introduction)),
        (
            "an origin that was here",
            "replayed",
            forger(origin=replayed).commit(*introduction, on_board),
        ),
        (
            "an origin out of order",
            "replayed",
            forger(origin=Origin(7, 7, 5, 4)).commit(*introduction, on_board),
        ),
    ]
    part = following(stage.tamperer().payloads(), now)
    return {
        "about": "commits that arrive behind logs/v1/suite2; no error means that they are admitted",
        "log": "suite2",
        "cases": [
            {"name": name, "payload": ordered(commit, part).hex(), "error": error}
            for name, error, commit in cases
        ],
    }


def _last_session(ledger: Any, device: int) -> int:
    return next(session for (of, session) in ledger.view.origins.table if of == device)


# --- golden logs -------------------------------------------------------------------------------------

SUITES = {"plain": 0, "suite1": 1, "suite2": 2}


def actors(name: str) -> dict[str, Session]:
    """Return who plays in a golden log, with devices and session keys that repeat."""
    found = {}
    for number, who in enumerate(("alice", "bob", "mallory"), 1):
        found[who] = session = member(who)
        session.device = number
        draw = SeededEntropy(f"fast {name} {who}".encode())
        session.fast = _fixed_fast(session, draw)  # type: ignore[method-assign]
    return found


def _fixed_fast(session: Session, draw: SeededEntropy) -> Callable[[bytes, int], FastIdentity]:
    """Return what certifies one session key from a seed, instead of a random one."""
    made: list[FastIdentity] = []

    def fast(chain_id: bytes, now_us: int) -> FastIdentity:
        if not made:
            key = FastKey.from_seed(draw(32))
            pair = session.own
            claim = Certificate(bytes(key.public.raw), pair.key_id, chain_id, now_us + 30 * DAY_US)
            signature = pair.sign.sign(claim.message(), b"ate/certificate/1")
            made.append(
                FastIdentity(
                    key,
                    key.public.key_id,
                    (Certificate(*_parts(claim), signature),),
                    claim.until_us,
                )
            )
        return made[0]

    return fast


async def play(stage: Stage, name: str) -> dict[str, str]:
    """Write one golden log and return what it holds: id → text."""
    cast = actors(name)
    alice, bob = (cast["alice"], cast["bob"]) if SUITES[name] else (None, None)
    draw = SeededEntropy(name.encode())
    async with stage.open(alice, entropy=draw) as chain:
        dio = chain.dio()
        dio.store(Note("the first"), id=oid(0xA1))
        dio.store(Note("to be deleted"), id=oid(0xA2))
        await dio.commit()
        dio = chain.dio()
        dio.store(Note("on the board"), id=oid(0xB0), access=Access(Everyone, Everyone))
        await dio.commit()
        dio = chain.dio()
        if alice and bob:
            rule = Access(Only(alice.public, bob.public), AnyOf(alice.public, bob.public))
            dio.store(Note("between two"), id=oid(0xC0), access=rule)
        else:
            dio.store(Note("a folder"), id=oid(0xC0))
        dio.store(Note("inside"), id=oid(0xC1), parent=oid(0xC0))
        await dio.commit()
        (await dio.load(Note, oid(0xA1))).value = Note("the first, changed")
        (await dio.load(Note, oid(0xA2))).delete()
        await dio.commit()
    async with stage.open(bob, entropy=draw) as chain:
        dio = chain.dio()
        dio.store(Note("from bob"), id=oid(0xC2), parent=oid(0xC0))
        (await dio.load(Note, oid(0xC1))).move(oid(0xB0))
        await dio.commit()
    async with stage.open(alice, entropy=draw) as chain:
        dio = chain.dio()
        if alice:
            (await dio.load(Note, oid(0xC0))).access = Access(
                Only(alice.public), AnyOf(alice.public)
            )
            await dio.commit()
        dio.store(Note("large " * (12_000 if name == "suite2" else 12)), id=oid(0xD0))
        await dio.commit()
    if alice:
        async with stage.open(alice, entropy=draw) as chain:
            await chain.checkpoint()
    async with stage.open(alice) as chain:
        return {str(dao.id): dao.value.text async for dao in chain.dio().all(Note)}


async def golden_stage(name: str) -> Stage:
    """Return a stage with the frozen files of a golden log."""
    stage = Stage("golden", suite=SUITES[name] or 2)
    stage.clock = SimClock(1_767_225_600_000_000 + DAY_US)
    for path in ("/chains", "/chains/golden", "/chains/golden/000001"):
        stage.disk.mkdir(path)
    folder = VECTORS / "logs" / "v1" / name
    for file in sorted(
        one for one in folder.rglob("*") if one.is_file() and one.name != "expected.json"
    ):
        stage.disk.put(f"/chains/golden/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return stage


async def golden(name: str, folder: Path) -> None:
    stage = Stage("golden", suite=SUITES[name] or 2)
    stage.clock = SimClock(tick_us=1_000_000)
    texts = await play(stage, name)
    stage.tamperer().remove("index")
    ledger = await stage.ledger()
    view = ledger.view
    for path, raw in stage.disk.snapshot().items():
        target = folder / path.removeprefix("/chains/golden/")
        if target.name != "LOCK":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(raw)
    commits = [Record(memoryview(one)) for one in stage.tamperer().payloads()]
    told = {
        "about": "a chain that opens for ever; `objects` as read with the keys of alice",
        "name": "golden",
        "suite": SUITES[name],
        "chain_id": view.trust.chain_id.hex(),
        "head": view.head,
        "root": view.frontier.root().hex(),
        "link": view.link.hex(),
        "commits": [
            {
                "root": one.root.hex(),
                "leaf": one.leaf.hex(),
                "first_seq": one.first_seq,
                "rows": one.row_count,
            }
            for one in commits
        ],
        "objects": {
            key: text if len(text) < 100 else {"repeat": text[:6], "times": len(text) // 6}
            for key, text in texts.items()
        },
        "keys": {who: _principal(one) for who, one in actors(name).items()} if SUITES[name] else {},
    }
    _write(folder / "expected.json", told)


# --- writing -----------------------------------------------------------------------------------------


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"made {path.relative_to(VECTORS)}, {path.stat().st_size} bytes")


FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "event/rows.json": rows,
    "event/commits.json": commits,
    "event/access.json": access,
    "event/headers.json": headers,
    "event/system.json": system,
    "values/bodies.json": values,
    "trust/keys.json": keys,
    "trust/grants.json": grants,
}


async def make() -> None:
    """Make every file that is missing."""
    for name, content in FILES.items():
        if not (VECTORS / name).exists():
            _write(VECTORS / name, content())
    for name in SUITES:
        folder = VECTORS / "logs" / "v1" / name
        if not folder.exists():
            await golden(name, folder)
    if not (VECTORS / "trust" / "judgements.json").exists():
        _write(VECTORS / "trust" / "judgements.json", await judgements())


def main() -> None:
    if "--again" in sys.argv[1:]:
        for folder in ("event", "values", "trust", "logs"):
            shutil.rmtree(VECTORS / folder, ignore_errors=True)
    try:
        asyncio.run(make())
    except AteError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    assert ate.__version__
    main()
