"""Who is acting: `Session` holds an identity, its keys, its roles and claims; it judges nothing.

A session is made from keys here (`Session.new`, `Session.load`); an auth server will make them
later. Private keys never appear in `repr`, in exceptions or on disk unsealed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from ate.crypto.hash import derive, keyed
from ate.crypto.kdf import open_with_passphrase, seal_with_passphrase
from ate.crypto.kem import SealingKey
from ate.crypto.sign import FastKey, SigningKey
from ate.errors import CannotOpen, NotFound, StorageError, TrustError, UsageError
from ate.event.access import Principal
from ate.ids import device_of

CERTIFICATE_CONTEXT: Final = b"ate/certificate/1"
#: A session key signs for this long; then the next commit brings a new certificate.
CERTIFICATE_DAYS: Final = 30
_DAY_US: Final = 86_400_000_000
_MAGIC: Final = b"ATEKEYS1"
#: How often `open_or_new` asks.
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A signing key and a sealing key that belong together."""

    sign: SigningKey = field(repr=False)
    seal: SealingKey = field(repr=False)
    principal: Principal

    @classmethod
    def generate(cls, identity: str) -> KeyPair:
        return cls._of(identity, SigningKey.generate(), SealingKey.generate())

    @classmethod
    def from_seeds(cls, identity: str, sign: bytes, seal: bytes) -> KeyPair:
        return cls._of(identity, SigningKey.from_seed(sign), SealingKey.from_seed(seal))

    @classmethod
    def _of(cls, identity: str, sign: SigningKey, seal: SealingKey) -> KeyPair:
        return cls(sign, seal, Principal(identity, bytes(sign.public.raw), bytes(seal.public.raw)))

    @property
    def key_id(self) -> bytes:
        return self.principal.key_id


@dataclass(frozen=True, slots=True)
class Certificate:
    """A long-term key says: this session key may sign for me, on this chain, until then.

    Args:
        subject: Ed25519 public key (32 bytes).
        issuer: key id of the composite key that signed.
        chain_id: 32 bytes.
        until_us: last microsecond of validity.
        signature: composite signature over all of the above.
    """

    subject: bytes
    issuer: bytes
    chain_id: bytes
    until_us: int
    signature: bytes = field(repr=False, default=b"")

    def message(self) -> bytes:
        return self.subject + self.issuer + self.chain_id + self.until_us.to_bytes(8, "little")


@dataclass(frozen=True, slots=True)
class FastIdentity:
    """A session key with the certificates that give it authority."""

    key: FastKey = field(repr=False)
    key_id: bytes
    certificates: tuple[Certificate, ...]
    until_us: int


class Session:
    """One identity with its keys, roles and claims.

    Args:
        identity: e-mail or any text for people.
        own: the identity's key pair.
        roles: role name → key pairs, oldest generation first; they hold on every chain.
        claims: free facts, handed to plug-ins (and to views as context).
        expires_us: microsecond after which this session signs nothing; None = never.
    """

    def __init__(
        self,
        identity: str,
        own: KeyPair,
        *,
        roles: Mapping[str, tuple[KeyPair, ...]] | None = None,
        claims: Mapping[str, Any] | None = None,
        expires_us: int | None = None,
    ) -> None:
        self.identity = identity
        self.own = own
        self.roles: dict[str, tuple[KeyPair, ...]] = dict(roles or {})
        self.claims: dict[str, Any] = dict(claims or {})
        self.expires_us = expires_us
        self._fast: dict[bytes, FastIdentity] = {}
        #: Chain id → the roles that this chain has given. Equal names on two chains are two roles.
        self._given: dict[bytes, dict[str, tuple[KeyPair, ...]]] = {}

    def __repr__(self) -> str:
        names = sorted({*self.roles, *(name for given in self._given.values() for name in given)})
        return f"Session({self.identity}, key {self.own.key_id.hex()[:8]}, roles {names})"

    @classmethod
    def new(cls, identity: str, *, expires_us: int | None = None) -> Session:
        """Make fresh keys for `identity`."""
        return cls(identity, KeyPair.generate(identity), expires_us=expires_us)

    @property
    def public(self) -> Principal:
        """The half to give away: put it in `Only(…)`, `Any(…)` or `roots=[…]`."""
        return self.own.principal

    @property
    def device(self) -> int:
        """The number under which this session's commits are counted; it follows from its key."""
        return device_of(self.own.key_id)

    def authorities(self, chain_id: bytes = b"") -> tuple[KeyPair, ...]:
        """Return the key pairs this session can act as on a chain.

        Its own, and each role's newest.
        """
        roles = {**self.roles, **self._given.get(chain_id, {})}
        return (self.own, *(pairs[-1] for pairs in roles.values()))

    def opening_keys(self) -> dict[bytes, SealingKey]:
        """Return key id → sealing key, old role generations included."""
        pairs = [self.own]
        for roles in (self.roles, *self._given.values()):
            pairs += [pair for generations in roles.values() for pair in generations]
        return {pair.key_id: pair.seal for pair in pairs}

    def check_live(self, now_us: int) -> None:
        """Raise TrustError when the session has expired."""
        if self.expires_us is not None and now_us > self.expires_us:
            raise TrustError(f"the session of {self.identity} has expired", hint="log in again")

    def add_role(self, name: str, pair: KeyPair, *, chain_id: bytes = b"") -> None:
        """Take up a role's key pair as its newest generation.

        Args:
            chain_id: the chain that gave the role; it is of no use elsewhere and is not saved,
                since the chain gives it again. Empty: the role holds on every chain.
        """
        roles = self._given.setdefault(chain_id, {}) if chain_id else self.roles
        pairs = roles.get(name, ())
        if all(known.key_id != pair.key_id for known in pairs):
            roles[name] = (*pairs, pair)
            self._fast.clear()

    def local_key(self, chain_id: bytes) -> bytes:
        """Return a key for this session's private caches of one chain; never stored."""
        return keyed(derive("ate local cache key", self.own.seal.seed), chain_id)

    def fast(self, chain_id: bytes, now_us: int) -> FastIdentity:
        """Return a certified session key for `chain_id`, making one when there is none left.

        Valid until `CERTIFICATE_DAYS` from now, or until the session expires if that is sooner.
        """
        known = self._fast.get(chain_id)
        until = now_us + CERTIFICATE_DAYS * _DAY_US
        if self.expires_us is not None:
            until = min(until, self.expires_us)
        # A certificate that ends with the session can have no longer-lived successor.
        if known is not None and now_us + min(_DAY_US, until - now_us) <= known.until_us:
            return known
        key = FastKey.generate()
        subject = bytes(key.public.raw)
        certificates = tuple(
            _certify(pair, Certificate(subject, pair.key_id, chain_id, until))
            for pair in self.authorities(chain_id)
        )
        made = FastIdentity(key, key.public.key_id, certificates, until)
        self._fast[chain_id] = made
        return made

    def save(self, path: str | Path, passphrase: str) -> None:
        """Write the session's keys to `path`, sealed under `passphrase` (Argon2id), mode 0600.

        Raises:
            StorageError: the file cannot be written; what was there is untouched.
            UsageError: the claims cannot be encoded.
        """
        self._write(Path(path), passphrase, _replace)

    def _write(self, path: Path, passphrase: str, put: Callable[[Path, Path], None]) -> None:
        content = {
            "identity": self.identity,
            "own": _seeds(self.own),
            "roles": {name: [_seeds(one) for one in pairs] for name, pairs in self.roles.items()},
            "claims": self.claims,
            "expires_us": self.expires_us,
        }
        try:
            raw = msgspec.msgpack.encode(content)
        except (TypeError, ValueError) as error:
            raise UsageError(f"the session's claims cannot be saved: {error}") from None
        blob = _MAGIC + seal_with_passphrase(raw, passphrase)
        try:
            _put(path, blob, put)
        except OSError as error:
            raise StorageError(f"cannot write the key file: {error.strerror}") from None

    @classmethod
    def load(cls, path: str | Path, passphrase: str) -> Session:
        """Read keys written by `save`.

        Raises:
            NotFound: there is no such file.
            CannotOpen: wrong passphrase, or not a key file.
        """
        try:
            blob = Path(path).read_bytes()
        except FileNotFoundError:
            raise NotFound(
                f"no key file {Path(path).name}", hint="make one: ate keys new NAME"
            ) from None
        except OSError as error:
            raise StorageError(f"cannot read the key file: {error.strerror}") from None
        if not blob.startswith(_MAGIC):
            raise CannotOpen("not a key file")
        raw = open_with_passphrase(blob[len(_MAGIC) :], passphrase)
        try:
            content = msgspec.msgpack.decode(raw)
            identity = content["identity"]
            return cls(
                identity,
                KeyPair.from_seeds(identity, *content["own"]),
                roles={
                    name: tuple(KeyPair.from_seeds(name, *seeds) for seeds in pairs)
                    for name, pairs in content["roles"].items()
                },
                claims=content["claims"],
                expires_us=content["expires_us"],
            )
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError, UsageError):
            raise CannotOpen("the key file has an unknown form") from None

    @classmethod
    def open_or_new(cls, path: str | Path, ask: Callable[[str], str]) -> Session:
        """Load the keys at `path`, or make and save new ones: a program's first minute.

        Args:
            path: of the key file.
            ask: shows a question and returns the answer; answers to questions with the word
                "passphrase" should not be shown. `getpass.getpass` will do.

        Raises:
            CannotOpen: the passphrase was wrong three times, or it is not a key file.
            UsageError: no name was given, or two passphrases differed three times.
        """
        if not Path(path).exists():
            return cls._first(path, ask)
        for left in reversed(range(_TRIES)):
            try:
                return cls.load(path, ask(f"passphrase for {Path(path).name}: "))
            except CannotOpen:
                if not left:
                    raise
        raise AssertionError("unreachable")

    @classmethod
    def _first(cls, path: str | Path, ask: Callable[[str], str]) -> Session:
        identity = ask("new keys for (a name or e-mail address): ").strip()
        if not identity:
            raise UsageError("keys belong to somebody", hint="give a name or an e-mail address")
        for _ in range(_TRIES):
            passphrase = ask("new passphrase: ")
            if passphrase and ask("the same passphrase again: ") == passphrase:
                session = cls.new(identity)
                try:
                    session._write(Path(path), passphrase, _add)
                except _Taken:  # another program was faster: its keys are the keys
                    return cls.open_or_new(path, ask)
                return session
        raise UsageError(f"{_TRIES} times no passphrase, or two different ones")


class _Taken(Exception):
    """A file of that name is there."""


def _replace(temporary: Path, target: Path) -> None:
    temporary.replace(target)


def _add(temporary: Path, target: Path) -> None:
    """Give a file its name; raises _Taken when there is one of that name."""
    try:
        target.hardlink_to(temporary)
    except OSError:
        if not target.exists():  # a file system without links
            temporary.replace(target)
            return
        temporary.unlink()
        raise _Taken from None
    temporary.unlink()


def _put(target: Path, blob: bytes, put: Callable[[Path, Path], None]) -> None:
    """Write a private file and give it its name; after a power cut it is there or it is not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Programs that are started together must not write into each other's file.
    temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
    # What a crash left here may be readable for others: it is not written into.
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())
    put(temporary, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _seeds(pair: KeyPair) -> list[bytes]:
    return [pair.sign.seed, pair.seal.seed]


def _certify(pair: KeyPair, draft: Certificate) -> Certificate:
    signature = pair.sign.sign(draft.message(), CERTIFICATE_CONTEXT)
    return Certificate(draft.subject, draft.issuer, draft.chain_id, draft.until_us, signature)
