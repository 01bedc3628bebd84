"""Access tokens: who may do what with which chains, for how long; no public-key work, no storage.

A token is text: `ate-token-1:` and base64url of a MessagePack map and its keyed BLAKE3. It is bound
to the key that its bearer proves on connecting, so that a stolen one is of no use alone. Whoever
has the key file makes tokens, and whoever has it checks them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.hash import derive, keyed
from ate.errors import (
    AccessDenied,
    BadToken,
    LimitExceeded,
    NotFound,
    StorageError,
    TokenExpired,
    UsageError,
)
from ate.ids import ChainName

MINUTES: Final = 15
#: A token cannot be taken back one by one, only by changing the key.
MINUTES_MAX: Final = 30 * 24 * 60
CHAINS_MAX: Final = 64
OPS: Final = {"r": "read", "w": "write", "c": "create"}
#: Clocks of two machines may differ by so much.
SKEW_S: Final = 60

_PREFIX: Final = b"ate-token-1:"
_MAC: Final = 32
_BYTES_MAX: Final = 16_384
_KEY_FILE: Final = "ate-token-key-1"
_PRIVATE_BYTES_MAX: Final = 4096
_CACHED_MAX: Final = 4096
_GIVE: Final = (
    'give one: connection={"token": …}, or `ate … --token FILE`; whoever runs the server makes it'
)

Pattern = Annotated[str, msgspec.Meta(max_length=256)]


class Claims(msgspec.Struct, frozen=True, gc=False):
    """What a token says.

    Args:
        v: version of the form.
        kid: id of the key that made it.
        aud: the server it is for.
        sub: whom it was given to, for people.
        chains: names, or beginnings of names that end in `*`.
        ops: some of the letters r, w, c: read, write, create.
        iat, exp: seconds since 1970, made and valid until.
        jti: names this token.
        cnf: id of the key that its bearer proves to hold.
    """

    kid: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    aud: Annotated[str, msgspec.Meta(max_length=256)]
    sub: Annotated[str, msgspec.Meta(max_length=256)]
    chains: Annotated[list[Pattern], msgspec.Meta(min_length=1, max_length=CHAINS_MAX)]
    ops: Annotated[str, msgspec.Meta(max_length=8)]
    iat: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    exp: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    jti: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    cnf: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    v: int = 1

    def allows(self, name: str) -> bool:
        """Tell whether the token is for this chain."""
        return any(
            name.startswith(one[:-1]) if one.endswith("*") else name == one for one in self.chains
        )


class TokenKey(NamedTuple):
    """The secret of a key file.

    Args:
        audience: the server that the tokens are for.
        secrets: the one that makes tokens, then older ones whose tokens are still taken.
    """

    audience: str
    secrets: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"TokenKey({self.audience!r})"

    @classmethod
    def load(cls, path: str | Path) -> TokenKey:
        """Read a key file.

        Raises:
            NotFound: there is none.
            StorageError: it cannot be read, or others than its owner can read it.
            UsageError: it is no key file.
        """
        return _parse(read_private(path, "token key file"), Path(path).name)

    @classmethod
    def create(cls, path: str | Path, audience: str, entropy: Entropy = system_entropy) -> TokenKey:
        """Write a new key file, readable by its owner only.

        Raises:
            FileExistsError: something of this name is there; it is untouched.
            UsageError: no such audience can be.
        """
        if not audience or len(audience) > 100 or not audience.isprintable() or " " in audience:
            raise UsageError("an audience is one word of at most 100 letters")
        made = cls(audience, (entropy(32),))
        text = f"{_KEY_FILE}\naudience {audience}\nkey {made.secrets[0].hex()}\n"
        write_private(path, text)
        return made


def make(
    key: TokenKey,
    chains: Sequence[str],
    *,
    ops: str,
    holder: bytes,
    now_us: int,
    minutes: int = MINUTES,
    subject: str = "",
    path: str = "/",
    entropy: Entropy = system_entropy,
) -> str:
    """Return a token.

    Args:
        path: of the service at the server.
        chains: names of chains, or beginnings such as `example.com/alice/*`; `*` is all of them.
        ops: some of the letters r, w, c.
        holder: id of the key that its bearer will prove, 16 bytes.

    Raises:
        UsageError: one of these is not what it should be.
        LimitExceeded: too many chains, or too long a life.
    """
    if len(holder) != 16:
        raise UsageError(f"a key id has 16 bytes, this has {len(holder)}")
    if not ops or set(ops) - set(OPS):
        raise UsageError(f"no such rights: {ops!r}", hint="some of r (read), w (write), c (create)")
    if "r" not in ops:
        raise UsageError("who writes to a chain follows it", hint=f"add r: --ops r{ops}")
    if not chains:
        raise UsageError("a token is for one chain at least")
    if len(chains) > CHAINS_MAX:
        raise LimitExceeded("chains of a token", len(chains), CHAINS_MAX)
    if minutes < 1:
        raise UsageError("a token lives a minute at least")
    if minutes > MINUTES_MAX:
        raise LimitExceeded("minutes of a token", minutes, MINUTES_MAX)
    now = now_us // 1_000_000
    secret = key.secrets[0]
    body = msgspec.msgpack.encode(
        Claims(
            _kid(secret), audience_of(key, path), subject[:256], [_pattern(one) for one in chains],
            "".join(sorted(set(ops))), now, now + minutes * 60, entropy(16), bytes(holder),
        )
    )  # fmt: skip
    return (_PREFIX + base64.urlsafe_b64encode(body + _mac(secret, body)).rstrip(b"=")).decode()


class Checker:
    """Checks tokens, and remembers those whose MAC was right.

    Args:
        key: what `TokenKey.load` returned.
        path: of the service whose tokens these are; a token for one service opens no other.
    """

    def __init__(self, key: TokenKey, path: str = "/") -> None:
        self._audience = audience_of(key, path)
        self._secrets = {_kid(secret): secret for secret in key.secrets}
        self._known: dict[bytes, Claims] = {}

    def check(self, token: bytes, *, name: str, holder: bytes, now_us: int) -> Claims:
        """Return what a token says, when it is good for this chain and this peer now.

        Args:
            token: as the peer sent it.
            holder: id of the key that the peer has proved, empty when none.

        Raises:
            BadToken: it is none of ours, was altered, or is for another server or another key.
            TokenExpired: it was good once.
            AccessDenied: it is good, and for other chains.
        """
        claims = self._known.get(token)
        if claims is None:
            claims = self._open(token)
            if len(self._known) >= _CACHED_MAX:
                self._known.clear()
            self._known[token] = claims
        check_time(claims, now_us)
        if not hmac.compare_digest(claims.cnf, holder):
            raise _not_theirs(holder)
        if not claims.allows(name):
            raise AccessDenied(
                f"the token is for other chains than {name!r}",
                hint="ask whoever runs the server for one that names this chain",
            )
        return claims

    def _open(self, token: bytes) -> Claims:
        if not token:
            raise BadToken("this server wants a token", hint=_GIVE)
        raw = _unarmour(token)
        body, mac = raw[:-_MAC], raw[-_MAC:]
        try:
            claims = _DECODER.decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise BadToken("this is no token") from None
        secret = self._secrets.get(claims.kid)
        if secret is None:
            raise BadToken("the token was made with a key that this server does not have")
        if not hmac.compare_digest(_mac(secret, body), mac):
            raise BadToken("the token was altered")
        if claims.v != 1:
            raise BadToken(f"the token is of version {claims.v}")
        if claims.aud != self._audience:
            raise BadToken("the token is for another server, or another service of this one")
        return claims


def audience_of(key: TokenKey, path: str) -> str:
    """Return what tokens for a service name as their audience."""
    return key.audience if path == "/" else key.audience + path


def check_time(claims: Claims, now_us: int) -> None:
    """Raise TokenExpired; or BadToken, when it is from the future."""
    now = now_us // 1_000_000
    if now >= claims.exp:
        raise TokenExpired("the token has expired")
    if claims.iat > now + SKEW_S:
        raise BadToken("the token is from the future", hint="set the clocks of both machines")


_DECODER: Final = msgspec.msgpack.Decoder(Claims)


def _not_theirs(holder: bytes) -> BadToken:
    """Return the error for a bearer that did not prove the key the token is bound to."""
    if not holder:
        return BadToken(
            "the token is bound to a key, and this connection proved none",
            hint="act as whom it was made for: session=…, or `ate … --as NAME`",
        )
    return BadToken(
        f"the token is bound to another key than yours, which is {holder.hex()}",
        hint="act as whom it was made for, or ask for one of your own: `atedb token --for KEY`",
    )


def _unarmour(token: bytes) -> bytes:
    if not token.startswith(_PREFIX) or len(token) > _BYTES_MAX:
        raise BadToken("this is no token")
    text = token[len(_PREFIX) :]
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("this is no token") from None
    if len(raw) <= _MAC:
        raise BadToken("this is no token")
    return raw


def _kid(secret: bytes) -> bytes:
    return derive("ate token key id", secret)[:8]


def _mac(secret: bytes, body: bytes) -> bytes:
    return keyed(secret, b"ate/token/1" + body)


def _pattern(text: str) -> str:
    """Return a pattern as names are compared with it; raises UsageError when it can fit none."""
    if text == "*":
        return text
    if text.endswith("/*"):
        return ChainName(text[:-2]) + "/*"
    if "*" in text:
        raise UsageError(
            f"not a chain or a group of chains: {text!r}",
            hint="a name, or the first parts of names and `/*`, or `*` for all",
        )
    return str(ChainName(text))


def _parse(text: str, name: str) -> TokenKey:
    head, *lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    audience, secrets = "", []
    for line in lines:
        word, _, value = line.partition(" ")
        if word == "audience":
            audience = value.strip()
        elif word == "key":
            try:
                secrets.append(bytes.fromhex(value))
            except ValueError:
                secrets.append(b"")
    if head != _KEY_FILE or not audience or not secrets or any(len(one) != 32 for one in secrets):
        raise UsageError(
            f"{name} is no token key file", hint="make one: atedb token --new-key FILE"
        )
    return TokenKey(audience, tuple(secrets))


def read_private(path: str | Path, what: str) -> str:
    """Return the text of a file that only its owner may read.

    Raises:
        NotFound, StorageError, UsageError: it is not there, not readable, not private, no text.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                raise StorageError(
                    f"the {what} {file.name} can be read by others", hint=f"chmod 600 {file.name}"
                )
            raw = opened.read(_PRIVATE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no {what} {file.name}") from None
    except OSError as error:
        raise StorageError(f"cannot read the {what}: {error.strerror}") from None
    if len(raw) > _PRIVATE_BYTES_MAX or not raw.isascii():
        raise UsageError(f"{file.name} is no {what}")
    return raw.decode("ascii")


def write_private(path: str | Path, text: str) -> None:
    """Write a new file that only its owner may read; raises FileExistsError when it is there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
