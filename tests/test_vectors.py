"""The frozen vectors of events, trust and logs: what they say holds, for ever.

`tools/make_vectors.py` made them; `docs/spec` describes them. Those of `crypto/` are read by the
unit tests of their modules.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ate
from ate import merkle
from ate.chain.admit import admit, check_bodies
from ate.chain.evidence import Evidence
from ate.chain.form import check_form, check_rows
from ate.chain.ledger import Ledger
from ate.chain.verify import verify
from ate.chain.view import View
from ate.crypto.aead import Sealer
from ate.crypto.entropy import system_entropy
from ate.crypto.hash import digest, keyed
from ate.crypto.kem import SealingKey
from ate.crypto.sign import SigningKey, VerifyKey
from ate.dio.collections import collection_number
from ate.dio.schema import Schema, decode_any, name_of, schema_of
from ate.dio.values import encode as encode_value
from ate.errors import AteError, NoReadKey
from ate.event import system
from ate.event.access import Access
from ate.event.commit import Record, leaf_of, link_after
from ate.event.header import decode_headers, encode_headers
from ate.event.row import unpack
from ate.ids import ObjectId
from ate.log.local import LocalLog
from ate.log.memory import MemoryLog
from ate.session import KeyPair, Session
from ate.testing.simclock import SimClock
from ate.testing.simdisk import SimDisk
from ate.testing.stage import Note, member
from ate.trust import delta

VECTORS = Path(__file__).parent / "vectors"
LOGS = ("plain", "suite1", "suite2", "compacted")


@cache
def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return content


def cases(name: str, part: str) -> list[Any]:
    return [pytest.param(one, id=one["name"]) for one in load(name)[part]]


def bytes_of(text: str) -> bytes:
    return bytes.fromhex(text)


def plain(tree: Any) -> Any:
    """Return a tree with its {"hex": …} as bytes again."""
    if isinstance(tree, dict):
        return (
            bytes_of(tree["hex"])
            if set(tree) == {"hex"}
            else {key: plain(one) for key, one in tree.items()}
        )
    return [plain(one) for one in tree] if isinstance(tree, list) else tree


# --- event ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("event/rows.json", "valid"))
def test_rows(case: dict[str, Any]) -> None:
    row = unpack(bytes_of(case["row"]), 0)
    for name, value in case["fields"].items():
        found = getattr(row, name)
        assert (found.hex() if isinstance(found, bytes) else found) == value


@pytest.mark.parametrize("case", cases("event/commits.json", "valid"))
def test_commits(case: dict[str, Any]) -> None:
    record = Record(memoryview(bytes_of(case["payload"])))
    for part, found in (("author", record.author), ("sequencer", record.sequencer)):
        for name, value in case[part].items():
            one = getattr(found, name)
            assert (one.hex() if isinstance(one, bytes) else one) == value
    assert record.root.hex() == case["root"] == digest(bytes_of(case["payload"])[:192]).hex()
    assert record.leaf.hex() == case["leaf"]
    assert record.leaf == leaf_of(record.root, record.first_seq, record.sequencer.time_us)
    assert record.signature.hex() == case["signature"]
    assert bytes(record.rare).hex() == case["rare"]
    bodies = [bytes(record.inline(record.row(at))) for at in range(record.row_count)]
    assert [body.hex() for body in bodies] == case["bodies"]
    check_form(record)
    check_rows(record)
    check_bodies(View(MemoryLog()), record)


def outcome(payload: bytes) -> str:
    """Return the code of the error that reading and checking a commit ends with."""
    try:
        record = Record(memoryview(payload))
        check_form(record)
        check_rows(record)
        for at in range(record.row_count):
            record.inline(record.row(at))
        check_bodies(View(MemoryLog()), record)
        assert len(record.headers) <= record.row_count
    except AteError as error:
        return error.code
    return ""


@pytest.mark.parametrize("case", cases("event/commits.json", "invalid"))
def test_commits_that_are_none(case: dict[str, Any]) -> None:
    assert outcome(bytes_of(case["payload"])) == case["error"]


@pytest.mark.parametrize("case", cases("event/access.json", "valid"))
def test_rules(case: dict[str, Any]) -> None:
    raw = msgspec.msgpack.decode(bytes_of(case["rule"]))
    assert raw == plain(case["fields"])
    assert msgspec.msgpack.encode(Access.decode(raw).encode()).hex() == case["rule"]


@pytest.mark.parametrize("case", cases("event/access.json", "invalid"))
def test_rules_that_are_none(case: dict[str, Any]) -> None:
    with pytest.raises(AteError) as found:
        Access.decode(msgspec.msgpack.decode(bytes_of(case["rule"])))
    assert found.value.code == case["error"]


@pytest.mark.parametrize("case", cases("event/headers.json", "valid"))
def test_header_fields(case: dict[str, Any]) -> None:
    headers = decode_headers(bytes_of(case["rare"]), 3)
    assert {str(at): one.encode() for at, one in headers.items()} == plain(case["fields"])
    assert encode_headers(headers).hex() == case["rare"]


@pytest.mark.parametrize("case", cases("event/headers.json", "invalid"))
def test_header_fields_that_are_none(case: dict[str, Any]) -> None:
    with pytest.raises(AteError) as found:
        decode_headers(bytes_of(case["rare"]), 3)
    assert found.value.code == case["error"]


@pytest.mark.parametrize("case", cases("event/system.json", "valid"))
def test_system_bodies(case: dict[str, Any]) -> None:
    body = system.decode(getattr(system, case["type"]), bytes_of(case["body"]))
    assert system.encode(body).hex() == case["body"]


@pytest.mark.parametrize("case", cases("event/system.json", "invalid"))
def test_system_bodies_that_are_none(case: dict[str, Any]) -> None:
    with pytest.raises(AteError) as found:
        system.decode(getattr(system, case["type"]), bytes_of(case["body"]))
    assert found.value.code == case["error"]


def test_ids_of_system_rows() -> None:
    for case in load("event/system.json")["ids"]:
        assert system.system_id(case["what"], bytes_of(case["of"])).hex() == case["id"]


# --- trust ---------------------------------------------------------------------------------------


def pair_of(told: dict[str, str]) -> KeyPair:
    return KeyPair.from_seeds(
        told["identity"], bytes_of(told["sign_seed"]), bytes_of(told["seal_seed"])
    )


def test_principals() -> None:
    for case in load("trust/keys.json")["principals"]:
        pair = pair_of(case)
        assert pair.principal.sign.hex() == case["sign"]
        assert pair.principal.seal.hex() == case["seal"]
        assert pair.key_id.hex() == case["key_id"]
        assert SigningKey.from_seed(bytes_of(case["sign_seed"])).public.raw == pair.principal.sign
        assert SealingKey.from_seed(bytes_of(case["seal_seed"])).public.raw == pair.principal.seal


@pytest.mark.parametrize("case", cases("trust/keys.json", "certificates"))
def test_certificates(case: dict[str, Any]) -> None:
    told = case["certificate"]
    message = b"".join(bytes_of(told[name]) for name in ("subject", "issuer", "chain_id"))
    message += told["until_us"].to_bytes(8, "little")
    assert message.hex() == told["message"]
    issuer = VerifyKey(bytes_of(load("trust/keys.json")["principals"][0]["sign"]))
    if case["valid"]:
        issuer.verify(bytes_of(told["signature"]), message, b"ate/certificate/1")
        return
    with pytest.raises(AteError) as found:
        issuer.verify(bytes_of(told["signature"]), message, b"ate/certificate/1")
    assert found.value.code == case["error"]


def test_sealed_bodies() -> None:
    for case in load("trust/keys.json")["sealed"]:
        told = {name: bytes_of(value) for name, value in case.items() if isinstance(value, str)}
        context = (
            told["chain_id"] + told["salt"] + told["domain"] + case["epoch"].to_bytes(2, "little")
        )
        sealer = Sealer(keyed(told["epoch_key"], context))
        nonce = case["index"].to_bytes(12, "little")
        assert sealer.seal(nonce, told["plain"], told["head"]) == told["sealed"]
        assert sealer.open(nonce, told["sealed"], told["head"]) == told["plain"]


def test_grants_open_to_their_readers() -> None:
    """Done by hand, as the specification says, and not with the product's own way."""
    people = {one["identity"]: pair_of(one) for one in load("trust/keys.json")["principals"]}
    for case in load("trust/grants.json")["valid"]:
        grant = system.decode(system.Grant, bytes_of(case["body"]))
        info = b"ate/grant/1" + grant.domain + grant.epoch.to_bytes(4, "little")
        assert {people[who].key_id for who in case["readers"]} == set(grant.wraps)
        for who in case["readers"]:
            key = people[who].seal.unwrap(grant.wraps[people[who].key_id], info)
            past = b""
            if grant.past:
                past = Sealer(keyed(key, info)).open(b"past epochs\0", grant.past, info)
            keys = [*(past[at : at + 32] for at in range(0, len(past), 32)), key]
            assert [one.hex() for one in keys] == case["keys"]


@pytest.mark.parametrize("case", cases("trust/judgements.json", "cases"))
async def test_judgements(case: dict[str, Any]) -> None:
    log = LocalLog.open(
        "/golden", disk=disk_of(load("trust/judgements.json")["log"]), readonly=True
    )
    clock = SimClock()
    ledger = Ledger(log, session=None, clock=clock, entropy=system_entropy)
    await ledger.replay(use_snapshot=False)
    record = Record(memoryview(bytes_of(case["payload"])))
    try:
        await admit(ledger.view, ledger.pipeline, record, time_us=record.sequencer.time_us)
        found = ""
    except AteError as error:
        found = error.code
    assert found == case["error"]


@pytest.mark.parametrize("case", cases("trust/sequences.json", "cases"))
async def test_sequences(case: dict[str, Any]) -> None:
    told = load("trust/sequences.json")
    ledger = Ledger(MemoryLog(), session=None, clock=SimClock(), entropy=system_entropy)
    for frame in told["frames"]:
        record = await ledger.receive(memoryview(bytes_of(frame)))
    assert record is not None
    (key,) = ledger.view.trust.sequencers.values()
    assert (key.raw.hex(), record.leaf.hex()) == (told["sequencer"], told["signed"]["leaf"])
    assert record.signature.hex() == told["signed"]["signature"]
    key.verify(record.signature[16:], record.leaf, b"ate/sequence/1")
    before = ledger.view.head
    record = Record(memoryview(bytes_of(case["payload"])))
    try:
        await admit(ledger.view, ledger.pipeline, record, time_us=record.sequencer.time_us)
        found = ""
    except AteError as error:
        found = error.code
    assert (found, ledger.view.head) == (case["error"], before)


@pytest.mark.parametrize("case", cases("trust/proofs.json", "valid"))
def test_proofs(case: dict[str, Any]) -> None:
    raw = bytes_of(case["proof"])
    found = ate.check_proof(raw)
    for name in ("chain_id", "root", "size"):
        value = getattr(found, name)
        assert (value.hex() if isinstance(value, bytes) else value) == case[name]
    assert found.signer.key_id.hex() == case["signer"]
    assert [one.key_id.hex() for one in found.roots] == case["roots"]
    assert [[size, root.hex()] for size, root in found.continued] == case["continued"]
    assert (found.proven is None) is (case["row"] is None)
    if found.proven is not None:
        row, told = found.proven, case["row"]
        assert (row.seq, row.row.id.hex(), row.row.kind) == (told["seq"], told["id"], told["kind"])
        assert row.time_us == told["time_us"]
        assert [one.key_id.hex() for one in row.authors] == told["authors"]
        assert (row.body.hex() if row.body is not None else None) == told["body"]
    assert Evidence.decode(raw).encode() == raw


@pytest.mark.parametrize("case", cases("trust/proofs.json", "valid"))
def test_a_proof_by_hand(case: dict[str, Any]) -> None:
    """The specification is enough: nothing but hashes, trees, signatures and MessagePack."""
    raw = bytes_of(case["proof"])
    assert raw[:8] == b"ATEPRF1\n"
    commits, checkpoint, seq, key, continued = msgspec.msgpack.decode(raw[8:])
    size, root, time_us, key_id, signature, state = checkpoint
    for index, first, time, author, _, path, rows in commits:
        merkle.verify_inclusion(leaf_of(digest(author), first, time), index, size, path, root)
        count, rows_root = int.from_bytes(author[4:8], "little"), author[128:160]
        for at, signed, steps, body in rows:
            merkle.verify_rows(digest(signed), at, count, steps, rows_root)
            assert body is None or digest(body) == signed[80:112]
            if first + at == seq and key:
                nonce = at.to_bytes(12, "little")
                assert Sealer(key).open(nonce, body, signed[:80]).hex() == case["row"]["body"]
    _, _, _, first_author, first_signature, _, first_rows = commits[0]
    chain_id = digest(first_author)
    founders = msgspec.msgpack.decode(first_rows[0][3])["roots"]
    keys = [sign for _, sign, _ in founders if VerifyKey(sign)]
    assert chain_id.hex() == case["chain_id"]
    VerifyKey(keys[0]).verify(first_signature, chain_id, b"ate/commit/1")
    for commit in commits[1:]:
        for _, signed, _, body in commit[6]:
            if signed[0] == 5 and (role := msgspec.msgpack.decode(body))["name"] == "root":
                keys = [sign for _, sign, _ in role["keys"]]
    message = chain_id + size.to_bytes(8, "little") + root + time_us.to_bytes(8, "little") + state
    (signer,) = [one for one in keys if _signs(one, signature, message)]
    assert key_id.hex() == case["signer"]
    assert signer
    for old, old_root, path in continued:
        merkle.verify_consistency(old, old_root, size, path, root)


def _signs(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        VerifyKey(key).verify(signature, message, b"ate/checkpoint/1")
    except AteError:
        return False
    return True


@pytest.mark.parametrize("case", cases("trust/proofs.json", "invalid"))
def test_proofs_that_are_none(case: dict[str, Any]) -> None:
    known = [member(name).public for name in case["roots"]]
    with pytest.raises(AteError) as found:
        ate.check_proof(bytes_of(case["proof"]), roots=known)
    assert found.value.code == case["error"]


# --- golden logs ---------------------------------------------------------------------------------


def disk_of(name: str) -> SimDisk:
    """Return a disk with the files of a golden log in `/golden`."""
    disk, folder = SimDisk(), VECTORS / "logs" / "v1" / name
    disk.mkdir("/golden")
    for file in sorted(folder.rglob("*")):
        if file.is_dir():
            disk.mkdir(f"/golden/{file.name}")
        elif file.name != "expected.json":
            disk.put(f"/golden/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return disk


def expected(name: str) -> dict[str, Any]:
    return load(f"logs/v1/{name}/expected.json")


def session_of(name: str, who: str) -> Session | None:
    told = expected(name)["keys"].get(who)
    return Session(who, pair_of(told)) if told else None


def text_of(told: Any) -> str:
    return told if isinstance(told, str) else told["repeat"] * told["times"]


@pytest.mark.parametrize("name", LOGS)
async def test_a_golden_log_opens_for_ever(name: str) -> None:
    told = expected(name)
    alice = session_of(name, "alice")
    roots = [alice.public] if alice else None
    async with ate.open(
        "golden", path="/", disk=disk_of(name), session=alice, roots=roots
    ) as chain:
        assert (chain.id.hex(), chain.head, chain.root.hex()) == (
            told["chain_id"],
            told["head"],
            told["root"],
        )
        size = told.get("size", len(told["commits"]))
        assert chain.commits == size
        dio = chain.dio()
        found = {str(dao.id): dao.value.text async for dao in dio.all(Note)}
        assert found == {key: text_of(text) for key, text in told["objects"].items()}
        dio.store(Note("and it goes on"))
        await dio.commit()
        assert chain.commits == size + 1


@pytest.mark.parametrize("name", LOGS)
async def test_a_golden_log_verifies(name: str) -> None:
    found = await verify(LocalLog.open("/golden", disk=disk_of(name), readonly=True))
    assert found.ok
    assert found.root.hex() == expected(name)["root"]


@pytest.mark.parametrize("name", [name for name in LOGS if name != "compacted"])
def test_a_golden_log_by_hand(name: str) -> None:
    """Roots, leaves and links, computed from the specification alone."""
    told = expected(name)
    log = LocalLog.open("/golden", disk=disk_of(name), readonly=True)
    link, leaves, next_seq = bytes(32), [], 1
    for index, (_, payload) in enumerate(log.scan()):
        raw = bytes(payload)
        root = digest(raw[:192])
        first_seq, time_us = (int.from_bytes(raw[at : at + 8], "little") for at in (192, 200))
        leaf = digest(b"\0" + root + raw[192:208])
        count = int.from_bytes(raw[4:8], "little")
        assert (root.hex(), leaf.hex(), first_seq, count) == tuple(told["commits"][index].values())
        assert (first_seq, int.from_bytes(raw[208:216], "little")) == (next_seq, index)
        assert raw[216:248] == link
        assert leaf == leaf_of(root, first_seq, time_us)
        link, next_seq = link_after(link, leaf), next_seq + count
        leaves.append(leaf)
    assert link.hex() == told["link"]
    assert merkle.root(leaves).hex() == told["root"]
    assert digest(bytes(next(iter(log.scan()))[1][:192])).hex() == told["chain_id"]


def test_a_compacted_golden_log_by_hand() -> None:
    """Frames, leaves, nodes and thinned rows, taken apart as the specification says."""
    told = expected("compacted")
    log = LocalLog.open("/golden", disk=disk_of("compacted"), readonly=True)
    (_, prefix), *rest = log.scan()
    assert bytes(prefix[:8]) == b"\x82\x01" + bytes(6)
    cut = msgspec.msgpack.decode(prefix[8:])["cut"]
    nodes: list[bytes] = []
    leaves: list[tuple[int, int, bytes]] = []  # first leaf, level, hash
    size, commits, thinned = 0, iter(told["commits"]), 0
    for _, payload in rest:
        raw = bytes(payload)
        if raw[0] == 0x83:
            nodes += [raw[at : at + 32] for at in range(8, len(raw), 32)]
            continue
        index = int.from_bytes(raw[208:216], "little")
        assert index < cut or raw[0] == 1
        while size < index:
            level = ((size & -size) or 1 << 40).bit_length() - 1
            while size + (1 << level) > index:
                level -= 1
            leaves.append((size, level, nodes.pop(0)))
            size += 1 << level
        root = digest(b"\1" + raw[1:192])
        leaf = digest(b"\0" + root + raw[192:208])
        first_seq, count = (
            int.from_bytes(raw[192:200], "little"),
            int.from_bytes(raw[4:8], "little"),
        )
        assert (root.hex(), leaf.hex(), first_seq, count) == tuple(next(commits).values())
        leaves.append((index, 0, leaf))
        size += 1
        if raw[0] == 0x81:
            thinned += 1
            check_thinned(raw, count)
    assert not nodes
    assert thinned > 1
    assert next(commits, None) is None
    stack: list[tuple[int, bytes]] = []
    for _, level, found in leaves:
        while stack and stack[-1][0] == level:
            found = digest(b"\1" + stack.pop()[1] + found)  # noqa: PLW2901
            level += 1  # noqa: PLW2901
        stack.append((level, found))
    top = stack.pop()[1]
    while stack:
        top = digest(b"\1" + stack.pop()[1] + top)
    assert (size, top.hex()) == (told["size"], told["root"])


def check_thinned(raw: bytes, count: int) -> None:
    """Compute the rows root of a thinned commit of at most sixteen rows."""
    assert count <= 16
    kept, hashes = (int.from_bytes(raw[at : at + 4], "little") for at in (248, 252))
    signature, rare = (int.from_bytes(raw[at : at + 4], "little") for at in (256, 260))
    at = 272 + 96 * kept + (signature + 7 & ~7) + (rare + 7 & ~7)
    told = [raw[at + 32 * n : at + 32 * n + 32] for n in range(hashes)]
    rows: dict[int, bytes] = {}
    for number in range(kept):
        row = raw[272 + 96 * number : 368 + 96 * number]
        length, index = (int.from_bytes(row[at : at + 4], "little") for at in (80, 84))
        place = int.from_bytes(row[88:96], "little")
        body = told.pop(0) if place >> 63 else digest(raw[place : place + length])
        rows[index] = digest(row[:80] + body)
    children = [rows[index] if index in rows else told.pop(0) for index in range(count)]
    assert not told
    assert digest(b"\x10" + b"".join(children)) == raw[128:160]


@pytest.mark.parametrize("name", ["suite1", "suite2", "compacted"])
async def test_a_golden_log_shows_each_reader_what_it_may(name: str) -> None:
    """Bob was removed from one folder, and wrote there before; mallory is nobody."""
    folder = ObjectId.parse("c0" * 16)
    for who, texts in (
        ("bob", {"on the board"}),
        ("mallory", {"on the board"}),
        (None, {"on the board"}),
    ):
        session = session_of(name, who) if who else None
        async with ate.open(
            "golden", path="/", disk=disk_of(name), session=session, readonly=True
        ) as chain:
            assert texts <= {dao.value.text async for dao in chain.dio().all(Note)}
            with pytest.raises(NoReadKey):
                await chain.dio().load(Note, folder)


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("values/bodies.json", "valid"))
def test_values(case: dict[str, Any]) -> None:
    """Read untyped, they are written again byte for byte: nothing of them is lost."""
    body = bytes_of(case["body"])
    assert name_of(body) == case["type"]
    assert int.from_bytes(digest(case["type"].encode())[:4], "little") == case["schema"]
    value = decode_any(body, case["codec"])
    if case["codec"] == 1:
        assert body.endswith(encode_value(value))
    if case["type"] == "Note":
        assert schema_of(Note).decode(body, case["codec"]) == Note("hello")


@pytest.mark.parametrize("case", cases("values/bodies.json", "invalid"))
def test_values_that_are_none(case: dict[str, Any]) -> None:
    schema: Schema[Any] = schema_of({"str": str, "list": list, "Note": Note}[case["type"]])
    with pytest.raises(AteError) as found:
        schema.decode(bytes_of(case["body"]), case["codec"])
    assert found.value.code == case["error"]


@pytest.mark.parametrize("case", cases("values/deltas.json", "valid"))
def test_deltas(case: dict[str, Any]) -> None:
    base, packed = bytes_of(case["base"]), bytes_of(case["delta"])
    assert delta.number_of(packed) == case["number"]
    assert delta.apply(base, packed).hex() == case["plain"]
    assert digest(bytes_of(case["plain"])).hex().startswith(case["check"])


@pytest.mark.parametrize("case", cases("values/deltas.json", "invalid"))
def test_deltas_that_are_none(case: dict[str, Any]) -> None:
    with pytest.raises(AteError) as found:
        delta.apply(bytes_of(case["base"]), bytes_of(case["delta"]))
    assert found.value.code == case["error"]


def test_where_deltas_are_taken_from() -> None:
    """Version n of a run is made from version n & (n - 1), some steps behind version n - 1."""
    for case in load("values/deltas.json")["bases"]:
        number, behind = case["number"], case["number"] - 1
        for _ in range(delta.steps_back(number)):
            behind &= behind - 1
        assert behind == case["base"] == number & (number - 1)


def test_collections_and_their_elements() -> None:
    told = load("values/bodies.json")
    for case in told["collections"]:
        assert collection_number(case["path"]) == case["number"]
        assert int.from_bytes(digest(case["path"].encode())[:8], "little") == case["number"]
    for case in told["elements"]:
        context = bytes_of(case["salt"]) + bytes_of(case["owner"])
        assert keyed(context, bytes_of(case["key"]))[:16].hex() == case["id"]
    missing = told["missing_salt"]
    assert (
        digest(bytes_of(missing["owner"]) + missing["path"].encode())[:16].hex() == missing["salt"]
    )
