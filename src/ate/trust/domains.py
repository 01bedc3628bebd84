"""Read domains: which key seals an object, who holds it, and how readers come and go.

No I/O of its own.

A domain starts at an object with its own read rule. Its key changes with each epoch; the newest
GRANT row wraps the epoch's key to every reader and carries the keys of all earlier epochs, sealed
under it. So one opened grant opens the domain's whole past, and a removed reader sees nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ate import limits
from ate.crypto.aead import Sealer
from ate.crypto.entropy import Entropy
from ate.crypto.hash import keyed
from ate.crypto.kem import PublicSealingKey
from ate.errors import CannotOpen, NoReadKey, ProtocolError, UsageError
from ate.event.access import Everyone, Inherit, Only, Principal, ReadRule
from ate.event.system import GRANT_CONTEXT, Grant, decode, encode
from ate.session import Session
from ate.trust.state import ROOT_ROLE, Trust

KEY_BYTES: Final = 32
EPOCH_MAX: Final = 65_535
_PAST_NONCE: Final = b"past epochs\0"


class DomainKey(NamedTuple):
    """The newest key of a domain. Epoch 0 means: everybody may read, nothing is sealed."""

    epoch: int
    key: bytes


PLAIN: Final = DomainKey(0, b"")


class Domains:
    """The domain keys that one session can open on one chain.

    Args:
        grant: returns the body of a domain's newest grant, or None.
        trust: keys and roles of the chain.
    """

    def __init__(
        self,
        grant: Callable[[bytes], bytes | memoryview | None],
        trust: Trust,
        session: Session | None,
    ) -> None:
        self._grant, self._trust, self._session = grant, trust, session
        self._keys: dict[bytes, list[bytes]] = {}
        #: Domains whose newest keys were made for a commit that is not known to have landed.
        self._made: set[bytes] = set()
        #: Roots of a chain whose genesis is still being written.
        self.roots: tuple[Principal, ...] = ()

    def under(self, trust: Trust) -> Domains:
        """Return the same domains as they look once the chain's roles are those of `trust`."""
        return Domains(self._grant, trust, self._session)

    def begin(self) -> None:
        """A commit is about to be prepared.

        Keys made for one that failed must not seal anything.
        """
        for domain in self._made:
            self._keys.pop(domain, None)
        self._made.clear()

    def forget(self, domain: bytes) -> None:
        """A newer grant of `domain` was applied: open it anew at the next use."""
        self._keys.pop(domain, None)

    def forget_all(self) -> None:
        """The chain was read anew."""
        self._keys.clear()

    def newest(self, domain: bytes) -> DomainKey | None:
        """Return the key to seal with, or None when the domain has no grant yet.

        Raises:
            NoReadKey: there is a grant and this session's keys do not open it.
        """
        keys = self._keys.get(domain)
        if keys is None:
            raw = self._grant(domain)
            if raw is None:
                return None
            keys = self._keys[domain] = self._open(decode(Grant, raw))
        return DomainKey(len(keys), keys[-1])

    def key(self, domain: bytes, epoch: int) -> bytes:
        """Return the key of one epoch; raises NoReadKey when this session does not hold it."""
        newest = self.newest(domain)
        if newest is None or not 0 < epoch <= newest.epoch:
            raise NoReadKey(
                f"no key for read domain {domain.hex()[:8]} epoch {epoch}", domain=domain
            )
        return self._keys[domain][epoch - 1]

    def _open(self, grant: Grant) -> list[bytes]:
        mine = self._session.opening_keys() if self._session else {}
        for key_id, sealing_key in mine.items():
            wrapped = grant.wraps.get(key_id)
            if wrapped is None:
                continue
            try:
                key = sealing_key.unwrap(wrapped, _info(grant.domain, grant.epoch))
                return [*_open_past(grant, key), key]
            except (CannotOpen, ProtocolError):
                # Whoever wrote the grant cheated this key; it may be named in another role.
                continue
        raise NoReadKey(
            f"none of the session's keys opens read domain {grant.domain.hex()[:8]}",
            domain=grant.domain,
        )

    def grant_for(self, domain: bytes, rule: ReadRule, entropy: Entropy) -> Grant | None:
        """Return the grant that makes `rule` true for `domain`.

        Or None when nothing needs to change.

        A new domain gets epoch 1. When a reader was removed, or a role's keys changed, a new epoch
        starts; when readers only joined, the same key is wrapped to them too.
        """
        readers = self.readers(rule)
        if not readers:
            return None
        wanted = {reader.key_id: reader for reader in readers}
        raw = self._grant(domain)
        if raw is None:
            return self._wrap(domain, [], entropy(KEY_BYTES), wanted.values())
        known = decode(Grant, raw)
        if set(known.wraps) == set(wanted):
            return None
        self.newest(domain)
        keys = self._keys[domain]
        if set(known.wraps) <= set(wanted):
            return self._wrap(domain, keys[:-1], keys[-1], wanted.values())
        limits.check("epochs of a read domain", len(keys) + 1, EPOCH_MAX)
        return self._wrap(domain, keys, entropy(KEY_BYTES), wanted.values())

    def remember(self, grant: Grant, key: bytes, past: list[bytes]) -> None:
        self._keys[grant.domain] = [*past, key]
        self._made.add(grant.domain)

    def readers(self, rule: ReadRule) -> list[Principal]:
        """Return the principals a read rule names; none for Everyone and on chains without keys."""
        if rule is Everyone:
            return []
        if rule is Inherit:
            role = self._trust.roles.get(ROOT_ROLE)
            return [keys.principal for keys in role.keys] if role else list(self.roots)
        assert isinstance(rule, Only)
        by_id = {principal.key_id: principal for principal in rule.principals}
        found: dict[bytes, Principal] = {}
        for key_id in self._trust.resolve(rule.names):
            principal = by_id.get(key_id) or self._trust.keys.get(key_id)
            if principal is None:
                raise UsageError(
                    f"the public key {key_id.hex()[:8]} is not known on this chain",
                    hint="name a Principal (session.public) instead of a key id",
                )
            found[key_id] = principal
        if not found:
            raise UsageError(f"{rule!r} names roles that this chain does not have")
        return list(found.values())

    def _wrap(
        self, domain: bytes, past: list[bytes], key: bytes, readers: Iterable[Principal]
    ) -> Grant:
        epoch = len(past) + 1
        info = _info(domain, epoch)
        wraps = {one.key_id: PublicSealingKey(one.seal).wrap(key, info) for one in readers}
        sealed = Sealer(keyed(key, info)).seal(_PAST_NONCE, b"".join(past), info) if past else b""
        grant = Grant(bytes(domain), epoch, wraps, sealed)
        self.remember(grant, key, past)
        return grant


def _open_past(grant: Grant, key: bytes) -> list[bytes]:
    if grant.epoch == 1 and not grant.past:
        return []
    info = _info(grant.domain, grant.epoch)
    joined = Sealer(keyed(key, info)).open(_PAST_NONCE, grant.past, info)
    keys = [joined[at : at + KEY_BYTES] for at in range(0, len(joined), KEY_BYTES)]
    if len(keys) != grant.epoch - 1:
        raise ProtocolError("a grant does not carry the keys of all earlier epochs")
    return keys


def _info(domain: bytes, epoch: int) -> bytes:
    return GRANT_CONTEXT + domain + epoch.to_bytes(4, "little")


def encode_grant(grant: Grant) -> bytes:
    """Return the row body of a grant."""
    return encode(grant)
