"""Vectors of the wire: messages in both formats, whole conversations, frames that are refused."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import SigningKey
from ate.errors import AteError
from ate.wire import message as m
from ate.wire.certificate import parse_pin, pin_of
from ate.wire.codec import Codec
from ate.wire.connection import Connection, Terms
from ate.wire.secure import Direction

HASH, ID, WORD = bytes(range(32)), bytes(range(16)), (1 << 64) - 1
SERVER_ID: Final = bytes(range(16, 32))
FRAMES: Final = [b"first frame", b"second"]
SAMPLES: Final[list[m.AnyMessage]] = [
    m.Ping(7),
    m.Pong(7),
    m.Bye(),
    m.Bye("trust", "not you", {"hint": "ask"}),
    m.Open(1, "team/notes", HASH, 5, HASH, [(WORD, 2)], True, 0, b"token", HASH, 1 << 20),
    m.Submit(1, b"commit", 9, [(ID, 3)], 2),
    m.Submit(1, b"commit"),
    m.Credit(1, 65_536),
    m.Lookup(1, 4, WORD, 1, 2),
    m.Fetch(1, 5, [1, 2, 300]),
    m.Close(1),
    m.Sync(6, {SERVER_ID: 7}, ["team/notes"]),
    m.Evidence(1, 8, 3, 5),
    m.Opened(
        1, HASH, 5, 9, HASH, 2, 5, [(2, 9)], 1, False, "relay", b"statement", 1_700_000_000_000_000
    ),
    m.Records(1, FRAMES),
    m.Accepted(1, WORD, 1, 2, 10, 5, True),
    m.Refused(1, WORD, 1, 3, 2, "conflict", "changed", "load again", ID, 9, False, 0),
    m.Stated(1, b"statement"),
    m.Found(1, 4, 10, 2, 6),
    m.Bodies(1, 5, [b"one", None, b""]),
    m.Moved(1, "wss://two.example/db", 2),
    m.Lagged(1, 500),
    m.Changed(6, {SERVER_ID: 8}, [("team/notes", 9)]),
    m.Failed(1, 5, "not_found", "no such row", "", 0),
    m.Closed(1),
    m.Proved(1, 8, [HASH]),
    m.Throttle(1, 100, 1 << 20, {"later": [1, None, "x"]}),
]
INVALID: Final[list[tuple[str, bytes]]] = [
    ("no array", b"\x80"),
    ("no message in it", b"\x90"),
    ("an unknown number", b"\x91\x92\x0f\x01"),
    ("too few fields", b"\x91\x91\x01"),
    ("a number below zero", b"\x91\x92\x01\xff"),
    ("a channel of 33 bits", b"\x91\x92\x15\xcf\0\0\0\x01\0\0\0\0"),
    ("a hash of 31 bytes", b"\x91\x95\x2c\x01\x01\x91\xc4\x1f" + bytes(31)),
    ("bytes behind the array", b"\x91\x92\x01\x01\0"),
    ("cut short", b"\x91\x92\x01"),
    ("more with a number for a key", b"\x91\x93\x01\x01\x81\x01\x01"),
    ("more with bytes in it", b"\x91\x93\x01\x01\x81\xa1a\xc4\x01x"),
    ("more four deep", b"\x91\x93\x01\x01\x81\xa1a\x91\x91\x91\x01"),
    ("4097 messages", b"\xdc\x10\x01" + b"\x92\x01\x01" * 4097),
]


def messages() -> dict[str, Any]:
    """Return one of each message in both formats, and what is none."""
    packed, text = Codec("msgpack"), Codec("json")
    return {
        "about": "the plaintext of a frame with one message, in both formats; invalid ones fail "
        "with protocol_remote",
        "valid": [
            {
                "name": type(one).__name__,
                "fields": json.loads(text.encode([one]))[0][1:],
                "msgpack": packed.encode([one]).hex(),
                "json": text.encode([one]).decode(),
            }
            for one in SAMPLES
        ],
        "invalid": [{"name": name, "msgpack": raw.hex()} for name, raw in INVALID],
    }


class _Recorder:
    """Two ends, and every frame between them."""

    def __init__(self, *, encryption: bool, format_: str, identities: bool) -> None:
        drawn = SeededEntropy(b"wire vectors")
        self.seeds = [drawn(64), drawn(64)] if identities else [b"", b""]
        keys = [SigningKey.from_seed(seed) if seed else None for seed in self.seeds]
        self.ephemeral, self.nonce = (drawn(32) if encryption else b""), drawn(32)
        queue = [one for one in (self.ephemeral, self.nonce) if one]
        self.client = Connection(
            "client", path="/db", agent="vector client", identity=keys[0],
            terms=Terms(encryption=encryption, formats=(format_,), frame_max=4096),
            entropy=lambda _: queue.pop(0),
        )  # fmt: skip
        self.server = Connection(
            "server", agent="vector server", identity=keys[1], server_id=SERVER_ID,
            entropy=drawn,
        )  # fmt: skip
        self.frames: list[dict[str, Any]] = []

    def carry(self) -> None:
        """Carry until nobody has anything to say."""
        before = -1
        while before < len(self.frames):
            before = len(self.frames)
            for source, target in ((self.client, self.server), (self.server, self.client)):
                for frame in source.outgoing():
                    heard = target.receive(frame, 0.0)
                    told = [json.loads(Codec("json").encode([one]))[0] for one in heard]
                    self.frames.append(
                        {"from": source.role, "frame": frame.hex(), "completes": told}
                    )


def conversation(name: str, *, encryption: bool, format_: str, identities: bool) -> dict[str, Any]:
    """Return a whole connection, from hello to Bye."""
    told = _Recorder(encryption=encryption, format_=format_, identities=identities)
    told.client.start(0.0)
    told.carry()
    told.client.send(m.Open(1, "team/notes"), m.Submit(1, b"commit" * 1000))
    told.carry()
    told.server.send(m.Records(1, FRAMES), m.Accepted(1, 2, 3, 4, 5, 6))
    told.carry()
    told.client.close()
    told.carry()
    sending, receiving = told.client._shake.sending, told.client._shake.receiving
    return {
        "name": name,
        "encrypted": encryption,
        "format": format_,
        "client_seed": told.seeds[0].hex(),
        "server_seed": told.seeds[1].hex(),
        "ephemeral_seed": told.ephemeral.hex(),
        "client_nonce": told.nonce.hex(),
        "client_key": sending._key.hex() if sending else "",
        "server_key": receiving._key.hex() if receiving else "",
        "frames": told.frames,
    }


def conversations() -> dict[str, Any]:
    """Return connections of each kind."""
    return {
        "about": "every frame of whole connections; `completes` are the messages, in JSON, that "
        "the receiver has with that frame",
        "valid": [
            conversation("sealed", encryption=True, format_="msgpack", identities=True),
            conversation("sealed json", encryption=True, format_="json", identities=True),
            conversation("signed", encryption=False, format_="msgpack", identities=True),
            conversation("anonymous json", encryption=False, format_="json", identities=False),
        ],
        "rekey": _rekey(),
    }


def _rekey() -> dict[str, Any]:
    """Return frames under three keys, with small bounds for when a key is replaced."""
    key, plains = bytes(range(32)), [b"a", b"bb", b"ccc", b"", b"dddddddd", b"e"]
    by_frames, by_bytes = Direction(key, rekey_frames=2), Direction(key, rekey_bytes=3)
    return {
        "about": "as if a key sealed 2 frames, or 3 bytes, and not 2^20 and 64 GiB",
        "key": key.hex(),
        "plain": [one.hex() for one in plains],
        "frames_2": [by_frames.seal(2, one).hex() for one in plains],
        "bytes_3": [by_bytes.seal(2, one).hex() for one in plains],
    }


def refusals() -> dict[str, Any]:
    """Return frames that an end refuses, by what it waits for."""
    greeting = Connection("client", entropy=SeededEntropy(1))
    greeting.start(0.0)
    (hello,) = greeting.outgoing()
    told = msgspec.msgpack.decode(hello[1:])
    future = b"\x04" + msgspec.msgpack.encode({**told, "versions": [9], "nonce": b""})
    cases = [
        ("empty", "server", Terms(), [b""]),
        ("unknown flag", "server", Terms(), [b"\x10"]),
        ("HTTP", "server", Terms(), [b"GET / HTTP/1.1"]),
        ("a message before the hello", "server", Terms(), [b"\0\x91\x92\x01\x01"]),
        ("a proof before the hello", "server", Terms(), [b"\x08\x80"]),
        ("a sealed hello", "server", Terms(), [b"\x06" + hello[1:]]),
        ("a hello cut in two", "server", Terms(), [b"\x05" + hello[1:]]),
        ("a piece of a message before the hello", "server", Terms(), [b"\x01\x91"]),
        ("a hello twice", "server", Terms(), [hello, hello]),
        ("a message before the proof", "server", Terms(), [hello, b"\0\x91\x92\x01\x01"]),
        ("a sealed frame that nobody agreed to", "server", Terms(), [hello, b"\x02" + bytes(20)]),
        ("a proof of another handshake", "server", Terms(),
         [hello, b"\x08\x81\xaatranscript\xc4\x20" + bytes(32)]),
        ("versions that are not spoken", "server", Terms(), [future]),
        ("no encryption where it is required", "server", Terms(encryption=True), [hello]),
        ("its own hello", "client", Terms(), [hello]),
        ("no encryption where it is wanted", "client", Terms(encryption=True), [_answer()]),
    ]  # fmt: skip
    return {
        "about": "a fresh end gets these frames; the last one is refused, with this code",
        "invalid": [
            {
                "name": name,
                "role": role,
                "encryption": terms.encryption,
                "frames": [frame.hex() for frame in frames],
                "error": _refused(role, terms, frames),
            }
            for name, role, terms, frames in cases
        ],
    }


def _answer() -> bytes:
    """Return a server's hello to a client that did not ask for encryption."""
    left, right = (
        Connection("client", entropy=SeededEntropy(1)),
        Connection("server", entropy=SeededEntropy(2)),
    )
    left.start(0.0)
    right.receive(left.outgoing()[0], 0.0)
    return right.outgoing()[0]


def _refused(role: Any, terms: Terms, frames: list[bytes]) -> str:
    end = Connection(role, terms=terms, entropy=SeededEntropy(5))
    end.start(0.0)
    for frame in frames[:-1]:
        end.receive(frame, 0.0)
    try:
        end.receive(frames[-1], 0.0)
    except AteError as error:
        return error.code
    raise AssertionError(frames[-1])


def pins() -> dict[str, Any]:
    """Return keys with the texts that name them."""
    keys = [SigningKey.generate(SeededEntropy(number)).public for number in range(3)]
    texts = [pin_of(key) for key in keys]
    assert [parse_pin(text) for text in texts] == [key.key_id for key in keys]
    return {
        "about": "public keys, their ids, and the texts that name them",
        "valid": [
            {"name": text, "public": key.raw.hex(), "key_id": key.key_id.hex(), "pin": text}
            for key, text in zip(keys, texts)
        ],
        "invalid": [
            {"name": "a slip", "pin": texts[0][:-1] + ("a" if texts[0][-1] != "a" else "b")},
            {"name": "two letters changed places", "pin": _swapped(texts[0])},
            {"name": "short", "pin": texts[0][:-1]},
            {"name": "nothing", "pin": "ate-key:"},
        ],
    }


def _swapped(text: str) -> str:
    at = next(n for n in range(8, len(text)) if text[n] != text[n + 1])
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
