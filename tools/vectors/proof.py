"""Proof files: what they show, and what is wrong with those that show nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from tools.vectors.fixed import oid

import ate
from ate.chain.evidence import MAGIC, Evidence
from ate.errors import AteError
from ate.event.access import Access, Everyone
from ate.event.access import Any as AnyOf
from ate.session import Session
from ate.testing.stage import Note, Stage

DEED, DESK = oid(0xA1), oid(0xA2)


async def proofs() -> dict[str, Any]:
    """Return proofs that hold, and proofs that do not with their class of failure."""
    made: list[tuple[str, Evidence, Session]] = []
    for suite in (1, 2):
        stage = Stage("deeds", suite=suite)
        _, bob = await stage.cast("alice", "bob")
        played = await _play(stage, bob)
        made += [
            (f"suite {suite}: {what}", one, by)
            for what, one, by in (played if suite == 2 else played[1:3])
        ]
    return {
        "about": "proof files; roots are what the checkpoint must be signed by",
        "valid": [_valid(name, one, signer) for name, one, signer in made],
        "invalid": [_invalid(*case) for case in _wrongs(played[1][1], bob)],
    }


async def _play(stage: Stage, bob: Session) -> list[tuple[str, Evidence, Session]]:
    """Found a chain, change its roots, let a member write, and prove what happened."""
    (alice,) = await stage.cast("alice")
    async with stage.open(alice) as chain, chain.dio() as dio:
        dio.store(Note("sealed"), id=DEED)
    async with stage.open(alice) as chain, chain.dio() as dio:
        access = Access(read=Everyone, write=AnyOf(bob.public))
        dio.store(Note("desk"), id=DESK, access=access)
    await stage.as_(bob).change(DESK, "bob was here")
    async with stage.open(alice) as chain:
        hashed = await chain.prove(DEED)
        opened = await chain.prove(DEED, value=True)
        await chain.set_role("root", [alice.public, bob.public])
        await chain.set_role("root", [bob.public])
    await stage.as_(bob).delete(DESK)
    async with stage.open(bob) as chain:
        deleted = await chain.prove(DESK, continues=hashed)
        plain = await chain.prove(DESK, at_seq=deleted.seq - 1, value=True, continues=3)
        alone = await chain.prove(continues=opened)
    return [
        ("the hash of a sealed value", hashed, alice),
        ("a sealed value and its key", opened, alice),
        ("a deletion, after the roots changed twice", deleted, bob),
        ("a value that everybody may read, of a member", plain, bob),
        ("a chain that continues what it was", alone, bob),
    ]


def _valid(name: str, proof: Evidence, signer: Session) -> dict[str, Any]:
    found = ate.check_proof(proof, roots=[signer.public])
    row = None
    if found.proven is not None:
        body = found.proven.body
        row = {
            "seq": found.proven.seq,
            "id": found.proven.row.id.hex(),
            "kind": found.proven.row.kind,
            "time_us": found.proven.time_us,
            "authors": [one.key_id.hex() for one in found.proven.authors],
            "body": body.hex() if body is not None else None,
        }
    return {
        "name": name,
        "chain_id": found.chain_id.hex(),
        "size": found.size,
        "root": found.root.hex(),
        "signer": found.signer.key_id.hex(),
        "roots": [one.key_id.hex() for one in found.roots],
        "row": row,
        "continued": [[size, root.hex()] for size, root in found.continued],
        "proof": proof.encode().hex(),
    }


def _wrongs(
    proof: Evidence, stranger: Session
) -> list[tuple[str, Callable[[bytes], bytes], bytes, tuple[Session, ...]]]:
    raw = proof.encode()
    sealed = replace(proof, checkpoint=replace(proof.checkpoint, size=proof.checkpoint.size + 1))
    signature = bytearray(proof.checkpoint.signature)
    signature[0] ^= 1
    unsigned = replace(proof, checkpoint=replace(proof.checkpoint, signature=bytes(signature)))
    headless = replace(proof, commits=proof.commits[1:])

    def same(one: bytes) -> bytes:
        return one

    return [
        ("another file", lambda one: b"ATELOG1\n" + one[8:], raw, ()),
        ("a newer version", lambda one: b"ATEPRF2\n" + one[8:], raw, ()),
        ("cut short", lambda one: one[:-1], raw, ()),
        ("something behind the end", lambda one: one + b"\0", raw, ()),
        (
            "a list that claims more than is there",
            lambda _: MAGIC + b"\xdd\xff\xff\xff\xff",
            raw,
            (),
        ),
        ("a checkpoint over more commits", same, sealed.encode(), ()),
        ("a signature that does not verify", same, unsigned.encode(), ()),
        ("without the first commit", same, headless.encode(), ()),
        ("signed by none of the roots that are known", same, raw, (stranger,)),
    ]


def _invalid(
    name: str, change: Callable[[bytes], bytes], raw: bytes, known: tuple[Session, ...]
) -> dict[str, Any]:
    wrong = change(raw)
    try:
        ate.check_proof(wrong, roots=[one.public for one in known])
    except AteError as error:
        return {
            "name": name, "error": error.code, "roots": [one.identity for one in known],
            "proof": wrong.hex(),
        }  # fmt: skip
    raise AssertionError(name)
