"""Vectors of keys, certificates, sealed bodies and grants; it judges nobody."""

from __future__ import annotations

from typing import Any

from tools.vectors.event import lines
from tools.vectors.fixed import BODY, HASH, oid

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import FastKey
from ate.event.access import Only
from ate.event.system import (
    encode,
)
from ate.session import Certificate, Session
from ate.testing.stage import member
from ate.trust.confidentiality import Confidentiality
from ate.trust.domains import Domains
from ate.trust.state import Trust


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
        "principals": [principal_of(member(name)) for name in ("alice", "bob")],
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
                "certificate": _certificate(Certificate(*parts_of(claim)[:3], 1 << 51), signature),
            },
        ],
        "sealed": sealed,
    }


def parts_of(claim: Certificate) -> tuple[bytes, bytes, bytes, int]:
    """Return what a certificate signs."""
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


def principal_of(session: Session) -> dict[str, Any]:
    """Return a principal with its seeds, for JSON."""
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
