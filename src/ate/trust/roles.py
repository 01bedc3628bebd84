"""Roles: a key pair that its members share, wrapped to each of them.

It neither stores nor judges roles.

A role's key pair changes with each generation. Whoever holds a member's sealing key opens the
newest one from the ROLE row; who is no longer a member keeps what it had and gets nothing new.

A wrap is 1280 bytes: a fresh 32-byte key, wrapped with HPKE to the member (1168), then the seed of
the signing key (64) and that of the sealing key (32), sealed with AES-256-GCM under that key with
a zero nonce. HPKE's info and the associated data are the same: the context, the generation (u32)
and the role's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ate import limits
from ate.crypto.aead import NONCE_BYTES, Sealer
from ate.crypto.entropy import Entropy
from ate.crypto.kem import SEED_BYTES as SEAL_SEED_BYTES
from ate.crypto.kem import WRAPPED_BYTES, PublicSealingKey, SealingKey
from ate.crypto.sign import SEED_BYTES as SIGN_SEED_BYTES
from ate.crypto.sign import SigningKey
from ate.errors import CannotOpen, UsageError
from ate.event.access import Principal, check_role_name
from ate.event.system import ROLE_CONTEXT, PublicKeys, Role
from ate.session import KeyPair, Session
from ate.trust.state import ROOT_ROLE, Trust

_KEY_BYTES: Final = 32
# The key is fresh for each wrap, so it seals once and its nonce may be constant.
_NONCE: Final = bytes(NONCE_BYTES)


def next_generation(
    name: str, members: Sequence[Principal], known: Role | None, entropy: Entropy
) -> Role:
    """Return the role's next generation: a new key pair that `members` alone can open.

    Args:
        name: e.g. "Contributor". The keys of "root" are the members' own, so nothing is wrapped.
        known: the generation before, None when the role is new.

    Raises:
        UsageError: the name is no role name, or the chain would be left without a root.
        LimitExceeded: too many members.
    """
    check_role_name(name)
    limits.check("members of a role", len(members), limits.RULE_KEYS_MAX)
    generation = known.generation + 1 if known else 1
    unique = {member.key_id: member for member in members}
    if name == ROOT_ROLE:
        if not unique:
            raise UsageError("a chain keeps at least one root: nobody could ever name another")
        return Role(name, generation, tuple(PublicKeys.of(one) for one in unique.values()))
    sign, seal = SigningKey.generate(entropy), SealingKey.generate(entropy)
    keys = PublicKeys(name, sign.public.raw, seal.public.raw)
    wraps = {
        key_id: _wrap(member, sign.seed + seal.seed, _info(name, generation), entropy)
        for key_id, member in unique.items()
    }
    return Role(name, generation, (keys,), wraps)


def open_role(role: Role, session: Session) -> KeyPair | None:
    """Return the role's key pair, or None when the session is no member.

    What does not open, or opens to other keys than the role's, counts as no membership: a bad wrap
    must not keep its victim from using the chain.
    """
    for key_id, sealing_key in session.opening_keys().items():
        wrapped = role.wraps.get(key_id)
        if wrapped is None:
            continue
        try:
            seeds = _unwrap(sealing_key, wrapped, _info(role.name, role.generation))
            pair = KeyPair.from_seeds(role.name, seeds[:SIGN_SEED_BYTES], seeds[SIGN_SEED_BYTES:])
        except (CannotOpen, UsageError):
            continue
        if [PublicKeys.of(pair.principal)] == list(role.keys):
            return pair
    return None


def join_roles(trust: Trust, session: Session) -> None:
    """Give the session the newest key pair of every role of this chain that it is a member of."""
    held = {pair.key_id for pair in session.authorities(trust.chain_id)}
    for role in trust.roles.values():
        if not role.wraps or trust.role_keys(role.name) <= held:
            continue
        pair = open_role(role, session)
        if pair is not None:
            session.add_role(role.name, pair, chain_id=trust.chain_id)


def _wrap(member: Principal, seeds: bytes, info: bytes, entropy: Entropy) -> bytes:
    key = entropy(_KEY_BYTES)
    return PublicSealingKey(member.seal).wrap(key, info) + Sealer(key).seal(_NONCE, seeds, info)


def _unwrap(sealing_key: SealingKey, wrapped: bytes, info: bytes) -> bytes:
    key = sealing_key.unwrap(wrapped[:WRAPPED_BYTES], info)
    seeds = Sealer(key).open(_NONCE, wrapped[WRAPPED_BYTES:], info)
    if len(seeds) != SIGN_SEED_BYTES + SEAL_SEED_BYTES:
        raise CannotOpen("a role's wrap holds something else")
    return seeds


def _info(name: str, generation: int) -> bytes:
    return ROLE_CONTEXT + generation.to_bytes(4, "little") + name.encode()
