"""The frozen vectors of the wire: read by a few lines written from the specification, and by us.

`tools/make_vectors.py` made them; `docs/spec/wire.md` describes them. What stands under "from the
specification" uses the primitives alone, so that the product can not agree with itself only.
"""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ate.crypto.kem import SealingKey
from ate.crypto.sign import SigningKey, VerifyKey
from ate.errors import AteError, ProtocolError, UsageError
from ate.wire.certificate import parse_pin, pin_of
from ate.wire.codec import Codec
from ate.wire.connection import Connection, Terms
from ate.wire.message import Message
from ate.wire.secure import Direction

VECTORS = Path(__file__).parent / "vectors" / "wire"


@cache
def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return content


def cases(name: str, part: str) -> list[Any]:
    return [pytest.param(one, id=one["name"]) for one in load(name)[part]]


CONVERSATIONS = pytest.mark.parametrize("case", cases("conversations", "valid"))


# --- from the specification ---------------------------------------------------------------------


def derived(context: str, material: bytes) -> bytes:
    return blake3(material, derive_key_context=context).digest()


def told(raw: bytes) -> dict[str, Any]:
    """Return a hello or a proof, its byte strings as bytes."""
    if raw[:1] != b"{":
        content: dict[str, Any] = msgspec.msgpack.decode(raw)
        return content
    binary = {"nonce", "seal", "wrapped", "server", "transcript", "key", "signature"}
    return {
        name: base64.b64decode(value) if name in binary else value
        for name, value in json.loads(raw).items()
    }


class Reader:
    """Somebody who holds the seeds and reads a recorded conversation."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.frames = [(one["from"], bytes.fromhex(one["frame"])) for one in case["frames"]]
        hellos = [frame for _, frame in self.frames[:2]]
        self.hellos = [told(frame[1:]) for frame in hellos]
        counted = b"".join(len(one).to_bytes(4, "little") + one for one in hellos)
        self.transcript = derived("ate wire transcript 1", counted)
        self.keys: dict[str, bytes] = {}
        if case["encrypted"]:
            ephemeral = SealingKey.from_seed(bytes.fromhex(case["ephemeral_seed"]))
            assert ephemeral.public.raw == self.hellos[0]["seal"]
            info = b"ate/wire/1" + derived("ate wire client hello 1", hellos[0])
            secret = ephemeral.unwrap(self.hellos[1]["wrapped"], info)
            for side in ("client", "server"):
                self.keys[side] = derived(f"ate wire {side} key 1", secret + self.transcript)
        self.numbers = {"client": 0, "server": 0}

    def open(self, side: str, frame: bytes) -> tuple[int, bytes]:
        """Return the flags and the plaintext of the next frame of a side."""
        if not self.keys:
            return frame[0], frame[1:]
        nonce = self.numbers[side].to_bytes(12, "little")
        self.numbers[side] += 1
        assert frame[0] & 2
        return frame[0] & ~2, AESGCM(self.keys[side]).decrypt(nonce, frame[1:], frame[:1])


@CONVERSATIONS
def test_a_conversation_read_from_the_specification(case: dict[str, Any]) -> None:
    reader = Reader(case)
    assert reader.keys.get("client", b"").hex() == case["client_key"]
    assert reader.keys.get("server", b"").hex() == case["server_key"]
    assert [side for side, _ in reader.frames[:4]] == ["client", "server", "server", "client"]
    assert [frame[0] for _, frame in reader.frames[:2]] == [4, 4]
    assert reader.hellos[0]["nonce"].hex() == case["client_nonce"]
    assert reader.hellos[0]["versions"] == [1]
    assert (reader.hellos[1]["version"], reader.hellos[1]["format"]) == (1, case["format"])
    proved = reader.transcript
    for side, frame in reader.frames[2:4]:
        flags, plain = reader.open(side, frame)
        assert flags == 8
        proof = told(plain)
        assert proof["transcript"] == proved
        seed = bytes.fromhex(case[f"{side}_seed"])
        if seed:
            key = SigningKey.from_seed(seed).public
            assert proof["key"] == key.raw
            key.verify(proof["signature"], proved, f"ate/wire/{side}/1".encode())
        else:
            assert "key" not in proof
        # The client signs for this server.
        proved = derived("ate wire server proved 1", proved + proof.get("key", b""))
    held: dict[str, bytes] = {"client": b"", "server": b""}
    for (side, frame), recorded in zip(reader.frames[4:], case["frames"][4:]):
        flags, plain = reader.open(side, frame)
        held[side] += plain
        if flags == 1:
            assert recorded["completes"] == []
            continue
        assert flags == 0
        found = msgspec.json.decode(held[side]) if case["format"] == "json" else _texts(held[side])
        held[side] = b""
        # A Bye is not handed on.
        assert found == (recorded["completes"] or [[3, "", "", {}]])


def _texts(plain: bytes) -> Any:
    """Return MessagePack as JSON shows it."""
    return json.loads(msgspec.json.encode(msgspec.msgpack.decode(plain)))


def test_keys_that_are_replaced_from_the_specification() -> None:
    case = load("conversations")["rekey"]
    plains = [bytes.fromhex(one) for one in case["plain"]]
    key = bytes.fromhex(case["key"])
    second = derived("ate wire next key", key)
    third = derived("ate wire next key", second)
    plan = {
        "frames_2": [(key, 0), (key, 1), (second, 0), (second, 1), (third, 0), (third, 1)],
        # a and bb are three bytes; ccc takes a key, the empty one goes with it; eight are over.
        "bytes_3": [(key, 0), (key, 1), (second, 0), (second, 1), (third, 0)],
    }
    for name, uses in plan.items():
        for (used, number), plain, frame in zip(uses, plains, case[name]):
            nonce = number.to_bytes(12, "little")
            assert b"\x02" + AESGCM(used).encrypt(nonce, plain, b"\x02") == bytes.fromhex(frame)


@pytest.mark.parametrize("case", cases("messages", "valid"))
def test_a_message_from_the_specification(case: dict[str, Any]) -> None:
    assert _texts(bytes.fromhex(case["msgpack"])) == json.loads(case["json"])
    assert json.loads(case["json"])[0][1:] == case["fields"]
    # Shortest form, so that all encoders make the same bytes.
    loose = msgspec.msgpack.decode(bytes.fromhex(case["msgpack"]))
    assert msgspec.msgpack.encode(loose).hex() == case["msgpack"]


@pytest.mark.parametrize("case", cases("pins", "valid"))
def test_a_pin_from_the_specification(case: dict[str, Any]) -> None:
    key_id = derived("ate key id", bytes.fromhex(case["public"]))[:16]
    assert key_id.hex() == case["key_id"]
    raw = key_id + derived("ate key text check", key_id)[:4]
    assert case["pin"] == "ate-key:" + base64.b32encode(raw).decode().lower()


# --- by the product -----------------------------------------------------------------------------


@CONVERSATIONS
def test_a_client_repeats_its_side_of_a_conversation(case: dict[str, Any]) -> None:
    """Given the same chance it says the same, but for its signature, and hears the same."""
    queue = [bytes.fromhex(case[name]) for name in ("ephemeral_seed", "client_nonce")]
    queue = [one for one in queue if one]
    seed = bytes.fromhex(case["client_seed"])
    end = Connection(
        "client", path="/db", agent="vector client",
        identity=SigningKey.from_seed(seed) if seed else None,
        terms=Terms(encryption=case["encrypted"], formats=(case["format"],), frame_max=4096),
        entropy=lambda _: queue.pop(0),
    )  # fmt: skip
    end.start(0.0)
    frames = [(one["from"], bytes.fromhex(one["frame"])) for one in case["frames"]]
    assert end.outgoing() == [frames[0][1]]
    for (side, frame), one in zip(frames, case["frames"]):
        if side == "server":
            heard = end.receive(frame, 0.0)
            assert json.loads(Codec("json").encode(heard) if heard else "[]") == one["completes"]
    assert end.is_ready
    assert end.peer is not None
    server_seed = bytes.fromhex(case["server_seed"])
    assert end.peer.key == (SigningKey.from_seed(server_seed).public if server_seed else None)
    (proof,) = end.outgoing()
    assert proof[0] == frames[3][1][0]
    said = [bytes.fromhex(one["frame"]) for one in case["frames"][4:] if one["from"] == "client"]
    asked = [one["completes"] for one in case["frames"] if one["from"] == "client"]
    again: list[bytes] = []
    for batch in filter(None, asked):
        end.send(*Codec("json").decode(json.dumps(batch).encode()))
        again += end.outgoing()
    end.close()
    assert again + end.outgoing() == said


@pytest.mark.parametrize("case", cases("messages", "valid"))
def test_messages(case: dict[str, Any]) -> None:
    packed, text = Codec("msgpack"), Codec("json")
    messages: list[Message] = [*packed.decode(bytes.fromhex(case["msgpack"]))]
    assert type(messages[0]).__name__ == case["name"]
    assert text.decode(case["json"].encode()) == messages
    assert packed.encode(messages).hex() == case["msgpack"]
    assert text.encode(messages).decode() == case["json"]


@pytest.mark.parametrize("case", cases("messages", "invalid"))
def test_messages_that_are_none(case: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        Codec("msgpack").decode(bytes.fromhex(case["msgpack"]))


@pytest.mark.parametrize("case", cases("refusals", "invalid"))
def test_refusals(case: dict[str, Any]) -> None:
    end = Connection(case["role"], terms=Terms(encryption=case["encryption"]))
    end.start(0.0)
    *fine, last = [bytes.fromhex(one) for one in case["frames"]]
    for frame in fine:
        end.receive(frame, 0.0)
    with pytest.raises(AteError) as found:
        end.receive(last, 0.0)
    assert found.value.code == case["error"]


def test_keys_that_are_replaced() -> None:
    case = load("conversations")["rekey"]
    for name, bounds in (("frames_2", {"rekey_frames": 2}), ("bytes_3", {"rekey_bytes": 3})):
        there = Direction(bytes.fromhex(case["key"]), **bounds)
        assert [there.open(bytes.fromhex(one)).hex() for one in case[name]] == case["plain"]


@pytest.mark.parametrize("case", cases("pins", "valid"))
def test_pins(case: dict[str, Any]) -> None:
    assert pin_of(VerifyKey(bytes.fromhex(case["public"]))) == case["pin"]
    assert parse_pin(case["pin"]).hex() == case["key_id"]


@pytest.mark.parametrize("case", cases("pins", "invalid"))
def test_pins_that_are_none(case: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        parse_pin(case["pin"])


def test_the_specification_names_every_message_with_its_fields() -> None:
    """Number, name, order of the fields, and which may be left out."""
    page = (Path(__file__).parents[1] / "docs" / "spec" / "wire.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+?)(?:: the last.*)? \|$", page, re.MULTILINE)
    written = {}
    for number, name, fields in rows:
        needed, _, optional = re.sub(r"\*[^*]*\*", "", fields).partition("[")
        written[int(number)] = (name, *(_names(part) for part in (needed, optional)))
    actual = {}
    for kind in Message.__subclasses__():
        found = msgspec.structs.fields(kind)
        tag = kind.__struct_config__.tag
        assert isinstance(tag, int)
        actual[tag] = (
            kind.__name__,
            [one.name for one in found if one.required],
            [one.name for one in found if not one.required],
        )
    assert written == actual


def _names(part: str) -> list[str]:
    return re.findall(r"\w+", part)
