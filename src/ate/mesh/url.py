"""Addresses of servers: text to parts and back; it never resolves a name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import Final

from ate.errors import UsageError

SCHEMES: Final = ("ws", "wss", "tcp", "tcps")
#: Meant where an address names no port, whatever its scheme: `atedb` listens here unless told
#: otherwise, with TLS too.
PORT: Final = 5000
#: An address is typed by people and kept in files: far longer than any of them writes.
URL_BYTES_MAX: Final = 2048
#: Servers that stand in for each other.
SERVERS_MAX: Final = 8

_HINT: Final = "write ws://host:port/path, or wss:// with TLS, tcp:// or tcps:// without HTTP"
_TWINS: Final = {"http": "ws", "https": "wss"}
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
_PATH: Final = re.compile(r"/[!-~]*")


@dataclass(frozen=True, slots=True)
class Url:
    """Where a server is.

    Its text always names the port: programs that mean different ones by none must agree on it.

    Args:
        scheme: "ws", "wss", "tcp" or "tcps"; the ones with an s are under TLS.
        host: a name in lower case, or an address; that of IPv6 without brackets.
        path: says which of a server's services is meant.
        others: servers with the same chains and the same key, which stand by for this one.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    others: tuple[Url, ...] = ()

    @classmethod
    def several(cls, text: str) -> Url:
        """Return an address with those that stand by for it: `text` has commas between them.

        Raises:
            UsageError: one is no address, or there are too many.
        """
        first, *more = [part.strip() for part in text.split(",")]
        if len(more) >= SERVERS_MAX:
            raise UsageError(f"at most {SERVERS_MAX} servers stand in for each other")
        return replace(cls.parse(first), others=tuple(map(cls.parse, more)))

    @classmethod
    def parse(cls, text: str, *, scheme: str = "ws") -> Url:
        """Return the parts of `text`.

        Args:
            text: `scheme://host:port/path`; only the host is needed.
            scheme: the one that is meant where `text` has none.

        Raises:
            UsageError: this is no address, or one that carries a password.
        """
        if len(text) > URL_BYTES_MAX:
            raise _wrong(f"{text[:40]}…", f"longer than {URL_BYTES_MAX} characters")
        head, separator, rest = text.partition("://")
        if separator:
            scheme = head.lower()
        else:
            rest = text
        if scheme not in SCHEMES:
            twin = _TWINS.get(scheme)
            hint = f"write {twin}:// instead of {scheme}://" if twin else _HINT
            raise UsageError(f"{scheme[:20]!r} is no scheme of a server", hint=hint)
        place, slash, path = rest.partition("/")
        if "@" in place:  # the text is not repeated: it may hold a password
            raise UsageError(
                "the address of a server holds no name or password",
                hint="give a key or a token instead: an address ends up in logs",
            )
        host, port = _split(place, text)
        path = slash + path or "/"
        if not _PATH.fullmatch(path) or "?" in path or "#" in path:
            raise _wrong(text, "its path has a ?, a #, a space or a letter to be percent-encoded")
        return cls(scheme, host, port or PORT, path)

    @property
    def is_websocket(self) -> bool:
        return self.scheme in {"ws", "wss"}

    @property
    def is_secure(self) -> bool:
        """Whether TLS is used."""
        return self.scheme in {"wss", "tcps"}

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def _split(place: str, text: str) -> tuple[str, int]:
    """Return host and port; the port is 0 when there is none."""
    if place.startswith("["):
        inner, bracket, tail = place[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise _wrong(text, "its IPv6 address has no ] at the end")
        return _ipv6(inner, text), _port(tail[1:], text) if tail else 0
    if place.count(":") > 1:
        raise _wrong(text, "an IPv6 address stands in brackets: [::1]")
    host, colon, port = place.partition(":")
    if not host:
        raise _wrong(text, "it has no host")
    return _name(host, text), _port(port, text) if colon else 0


def _ipv6(inner: str, text: str) -> str:
    try:
        return str(IPv6Address(inner))
    except ValueError:
        raise _wrong(text, f"[{inner}] is no IPv6 address") from None


def _name(host: str, text: str) -> str:
    try:
        plain = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        plain = ""
    if not _HOST.fullmatch(plain) or len(plain) > 253:
        raise _wrong(text, f"{host!r} is no host")
    return plain.lower()


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) < 65536):
        raise _wrong(text, f"{digits!r} is no port")
    return int(digits)


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is no address of a server: {why}", hint=_HINT)
