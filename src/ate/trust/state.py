"""`Trust`: what a chain says about keys, roles, certificates and policies.

A pure fold over its rows.

It never reads bodies of user data and never decides (the validators do).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ate import limits
from ate.crypto.hash import digest
from ate.crypto.kem import PUBLIC_BYTES as SEAL_BYTES
from ate.crypto.sign import PUBLIC_BYTES as SIGN_BYTES
from ate.crypto.sign import FastVerifyKey, VerifyKey
from ate.errors import BadSignature, ProtocolError
from ate.event.access import Principal
from ate.event.row import Kind
from ate.event.system import (
    CertificateBody,
    Checkpoint,
    Genesis,
    PublicKeys,
    Role,
    decode,
    system_id,
)
from ate.session import CERTIFICATE_CONTEXT, Certificate

ROOT_ROLE: Final = "root"


class Certified(NamedTuple):
    """A session key and the long-term keys that vouch for it: issuer → valid until (µs)."""

    key: FastVerifyKey
    issuers: dict[bytes, int]


class Trust:
    """Everything public that decisions need. `chain_id` is empty before the genesis commit."""

    def __init__(self) -> None:
        self.chain_id = b""
        self.genesis: Genesis | None = None
        self.keys: dict[bytes, Principal] = {}
        self.roles: dict[str, Role] = {}
        self._role_ids: dict[str, tuple[Role | None, frozenset[bytes]]] = {}
        self.certified: dict[bytes, Certified] = {}
        self.checkpoint: Checkpoint | None = None
        #: Certificates that were verified; shared by copies, so that each is verified once.
        self._proven: set[bytes] = set()

    def copy(self) -> Trust:
        """Return a copy that can learn more without this one knowing."""
        twin = Trust()
        twin.chain_id, twin.genesis, twin.checkpoint = self.chain_id, self.genesis, self.checkpoint
        twin.keys, twin.roles = dict(self.keys), dict(self.roles)
        twin.certified, twin._proven = dict(self.certified), self._proven
        return twin

    @property
    def suite(self) -> int:
        return self.genesis.suite if self.genesis else 0

    @property
    def has_roots(self) -> bool:
        return bool(self.genesis and self.genesis.roots)

    def root_keys(self) -> frozenset[bytes]:
        """Return the key ids that are root now."""
        return self.role_keys(ROOT_ROLE)

    def role_keys(self, name: str) -> frozenset[bytes]:
        """Return the key ids that may act as role `name` now; empty when there is no such role."""
        role = self.roles.get(name)
        known, ids = self._role_ids.get(name, (None, frozenset()))
        if known is not role:
            ids = frozenset(key.principal.key_id for key in role.keys) if role else frozenset()
            self._role_ids[name] = (role, ids)
        return ids

    def resolve(self, who: tuple[bytes | str, ...]) -> frozenset[bytes]:
        """Return the key ids a rule's names stand for now."""
        found: set[bytes] = set()
        for one in who:
            found |= self.role_keys(one) if isinstance(one, str) else {one}
        return frozenset(found)

    def authorities(self, key_id: bytes, time_us: int) -> frozenset[bytes]:
        """Return the long-term key ids that a commit signed by `key_id` speaks for."""
        certified = self.certified.get(key_id)
        if certified is None:
            return frozenset((key_id,)) if any(key_id) else frozenset()
        return frozenset(issuer for issuer, until in certified.issuers.items() if time_us <= until)

    def principal_of(self, key_id: bytes) -> Principal | None:
        """Return who stands behind a signing key, as published; None when nobody does."""
        certified = self.certified.get(key_id)
        for one in certified.issuers if certified else (key_id,):
            if one in self.keys:
                return self.keys[one]
        return None

    def name_of(self, key_id: bytes) -> str | None:
        """Return the identity behind a signing key, as published; None when nobody is."""
        principal = self.principal_of(key_id)
        return principal.identity if principal else None

    def verifier(self, key_id: bytes) -> VerifyKey | FastVerifyKey | None:
        """Return the public key behind `key_id`, or None when the chain does not hold it."""
        certified = self.certified.get(key_id)
        if certified is not None:
            return certified.key
        principal = self.keys.get(key_id)
        return VerifyKey(principal.sign) if principal else None

    def apply(self, kind: int, object_id: bytes, body: bytes | bytearray | memoryview) -> None:
        """Fold one system row in.

        Raises ProtocolError or BadSignature when its body is not sound.
        """
        if kind == Kind.KEY:
            self._learn(decode(PublicKeys, body))
        elif kind == Kind.CERTIFICATE:
            self._certify(decode(CertificateBody, body))
        elif kind == Kind.ROLE:
            self._role(decode(Role, body), object_id)
        elif kind == Kind.GENESIS and self.genesis is None:
            self.genesis = decode(Genesis, body)
            if self.genesis.roots:
                self._role(Role(ROOT_ROLE, 1, self.genesis.roots), None)
        elif kind == Kind.CHECKPOINT:
            self.checkpoint = decode(Checkpoint, body)

    def _learn(self, keys: PublicKeys) -> Principal:
        if len(keys.sign) != SIGN_BYTES or len(keys.seal) != SEAL_BYTES:
            raise ProtocolError("a published key has the wrong length")
        principal = keys.principal
        self.keys.setdefault(principal.key_id, principal)
        return principal

    def _role(self, role: Role, object_id: bytes | None) -> None:
        if object_id is not None and object_id != system_id("role", role.name.encode()):
            raise ProtocolError("a role row does not stand under its own id")
        limits.check("keys of a role", len(role.keys), limits.RULE_KEYS_MAX)
        known = self.roles.get(role.name)
        if known and role.generation < known.generation:
            raise ProtocolError("a role's generation went back")
        for keys in role.keys:
            self._learn(keys)
        self.roles[role.name] = role

    def _certify(self, body: CertificateBody) -> None:
        certificate = Certificate(*(getattr(body, name) for name in body.__struct_fields__))
        if certificate.chain_id != self.chain_id or len(certificate.subject) != 32:
            raise BadSignature("a session certificate is for another chain")
        issuer = self.keys.get(certificate.issuer)
        if issuer is None:
            raise BadSignature("a session certificate names an unknown key")
        proof = digest(certificate.message() + certificate.signature)
        if proof not in self._proven:
            VerifyKey(issuer.sign).verify(
                certificate.signature, certificate.message(), CERTIFICATE_CONTEXT
            )
            self._proven.add(proof)
        key = FastVerifyKey(certificate.subject)
        known = self.certified.get(key.key_id)
        issuers = {**(known.issuers if known else {}), certificate.issuer: certificate.until_us}
        self.certified[key.key_id] = Certified(key, issuers)
