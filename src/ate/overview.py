"""`changes`: one call says which of many shared chains have news; it opens none of them.

news = await ate.changes("ws://host:5000/", names, cursor)
for name in news.heads: ...                       # open these
cursor = news.cursor                              # keep it for the next time
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import msgspec

from ate import limits
from ate.crypto.hash import derive
from ate.dio.opening import home
from ate.errors import UsageError
from ate.ids import ChainName
from ate.joining import Joining, registry
from ate.mesh.credential import Credential
from ate.mesh.known import Known
from ate.mesh.overview import Overview
from ate.mesh.pins import Pins
from ate.mesh.url import Url
from ate.session import Session

_Bytes: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=64)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
#: What a server said last: id of its start, position in it, digest of the names it was asked about.
_Seen: TypeAlias = tuple[_Bytes, _Count, _Bytes]
_cursors = msgspec.msgpack.Decoder(dict[str, _Seen])


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed.

    Args:
        cursor: for the next call.
        heads: names of the chains that may have changed, with the seq of their newest row; 0 when
            the server has not looked since it was started.
    """

    cursor: bytes
    heads: Mapping[str, int]


async def changes(
    url: str | Sequence[str],
    names: Iterable[str],
    cursor: bytes = b"",
    *,
    session: Session | None = None,
    connection: Mapping[str, Any] | None = None,
) -> Changes:
    """Ask which chains have changed since the last call.

    Each change is told at least once, also over restarts of a server. A chain is told again when
    the server cannot know, or when other names are asked about than before.

    Args:
        url: of the server, or of several among which the chains are.
        names: of chains. Those that are not there, or may not be read, are never told.
        cursor: what the last call returned; empty for the first.
        session: proves who asks, where the server wants to know.
        connection: as for `ate.open`.

    Raises:
        Offline: a server does not answer.
        UsageError: there are too many names, or that was no cursor.
    """
    plain = sorted({str(ChainName(name)) for name in names})
    limits.check("names of chains in one question", len(plain), limits.SYNC_NAMES_MAX)
    places = [Url.several(one) for one in ([url] if isinstance(url, str) else url)]
    joining = Joining("", **{"home": home(), **(connection or {})})
    seen = _decode(cursor)
    if not plain or not places:
        return Changes(cursor, {})
    asked = [_ask(place, plain, seen.get(str(place)), session, joining) for place in places]
    heads: dict[str, int] = {}
    for place, (last, found) in zip(places, await asyncio.gather(*asked), strict=True):
        seen[str(place)] = last
        for name, head in found:
            heads[name] = max(head, heads.get(name, 0))
    return Changes(msgspec.msgpack.encode(seen), heads)


async def _ask(
    place: Url, names: list[str], last: _Seen | None, session: Session | None, joining: Joining
) -> tuple[_Seen, list[tuple[str, int]]]:
    """Ask one server; returns what to keep of its cursor, and what has changed."""
    digest = derive("ate names", "\n".join(names).encode())[:16]
    since = {last[0]: last[1]} if last is not None and last[2] == digest else {}
    lines = joining.lines if joining.lines is not None else registry()
    known = await Known.of(joining.pins or Pins(joining.home), joining.names, place, names[0])
    identity = session.own.sign if session is not None else None
    trust = joining.trust or known.trust(place)
    line = lines.line(place, identity=identity, trust=trust, terms=joining.terms)
    try:
        answer = await Overview(line).ask(
            names, since, token=Credential(joining.token).show(), timeout_s=joining.timeout_s
        )
    finally:
        lines.release(line)
    fresh = (answer.cursor.keys() - since.keys()) or since.keys()
    start = min(fresh, default=b"")
    asked = set(names)
    told = [(name, head) for name, head in answer.heads if name in asked]
    return (start, answer.cursor.get(start, 0), digest), told


def _decode(cursor: bytes) -> dict[str, _Seen]:
    if not cursor:
        return {}
    try:
        return _cursors.decode(cursor)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(
            f"this is no cursor: {error}", hint="begin with an empty one: all counts as changed"
        ) from None
