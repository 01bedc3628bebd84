"""`Trust`: what a chain says about keys, roles, certificates and policies.

A pure fold over its rows.

It never reads bodies of user data and never decides (the validators do).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ate import limits
from ate.crypto.hash import digest
from ate.crypto.kem import PUBLIC_BYTES as SEAL_BYTES
from ate.crypto.sign import FAST_PUBLIC_BYTES, FastVerifyKey, VerifyKey
from ate.crypto.sign import PUBLIC_BYTES as SIGN_BYTES
from ate.errors import BadSignature, ProtocolError
from ate.event.access import Principal
from ate.event.commit import AuthorPart
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
#: The role whose generations name the keys that order a centralized chain; see `sequencers`.
SEQUENCER_ROLE: Final = "sequencer"


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
        self._sequencers: tuple[object, dict[bytes, FastVerifyKey]] = (None, {})
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
        twin._sequencers = self._sequencers
        return twin

    @property
    def suite(self) -> int:
        return self.genesis.suite if self.genesis else 0

    @property
    def has_roots(self) -> bool:
        return bool(self.genesis and self.genesis.roots)

    @property
    def sequencers(self) -> dict[bytes, FastVerifyKey]:
        """The keys, by id, of servers whose signature stands for an author's here; mostly none.

        The genesis names them, until a root names others.
        """
        genesis, role = self.genesis, self.roles.get(SEQUENCER_ROLE)
        if genesis is None or genesis.mode != "centralized" or not genesis.roots:
            return {}
        source: object = role if role is not None and role.sequencers else genesis
        if self._sequencers[0] is not source:
            raws = source.sequencers if isinstance(source, Role) else sequencers_of(genesis)
            keys = [FastVerifyKey(raw) for raw in raws]
            self._sequencers = (source, {key.key_id: key for key in keys})
        return self._sequencers[1]

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

    def spoken_for(self, author: AuthorPart, time_us: int) -> frozenset[bytes]:
        """Return the long-term key ids that a commit speaks for.

        What a sequencer has signed speaks for the author and all roles that the author is in: no
        key of a role is needed where the server knows who is there.
        """
        if author.suite or not self.sequencers:
            return self.authorities(author.key_id, time_us)
        return self.member(author.key_id)

    def member(self, key_id: bytes) -> frozenset[bytes]:
        """Return a principal's key id, and those of the roles that it is a member of now."""
        roles = (name for name, role in self.roles.items() if key_id in role.wraps)
        return frozenset((key_id,)).union(*map(self.role_keys, roles))

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
        if role.name == SEQUENCER_ROLE and self.sequencers and not role.sequencers:
            raise ProtocolError("a centralized chain keeps at least one sequencer")
        if role.sequencers:
            check_sequencers(role.sequencers)
            if role.name != SEQUENCER_ROLE or role.keys or role.wraps:
                raise ProtocolError("a role names sequencers, and it is not theirs")
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


def sequencers_of(genesis: Genesis) -> tuple[bytes, ...]:
    """Return the public keys that a genesis names as its sequencers.

    Raises:
        ProtocolError, LimitExceeded: they are not a list of such keys.
    """
    named = genesis.policy.get("sequencers", ())
    if not isinstance(named, (list, tuple)):
        raise ProtocolError("the sequencers of a chain are not a list")
    check_sequencers(named)
    return tuple(named)


def check_sequencers(keys: Sequence[object]) -> None:
    """Raise ProtocolError or LimitExceeded unless these are public keys of sequencers."""
    limits.check("sequencers of a chain", len(keys), limits.SEQUENCERS_MAX)
    if any(not isinstance(one, bytes) or len(one) != FAST_PUBLIC_BYTES for one in keys):
        raise ProtocolError(f"the key of a sequencer has {FAST_PUBLIC_BYTES} bytes")
