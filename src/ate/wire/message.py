"""What peers say to each other, as values; it makes no bytes of them and knows no socket.

A frame's plaintext is an array of messages. Each message is an array: its number, then its fields
in the order below; the last field `more` is a map for what later versions add, which is kept and
handed on. In most messages the first field is `ch`, the channel: one chain on this connection,
numbered by the client.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from ate import limits

#: A number that fits into 63 bits.
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
#: A random 64-bit number.
Word: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Channel: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
Hash: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=4096)]
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=256)]
Id: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Small: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=16_384)]
#: What both formats can say and tell apart without knowing the field: no byte strings, no keys but
#: text; three levels, each of some dozens. Arrays as keys, which MessagePack has, could be made to
#: collide in a dict, and an empty map of one byte takes 72 in memory.
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Leaf: TypeAlias = bool | _Number | float | str | None
_FEW: Final = msgspec.Meta(max_length=64)
_Branch: TypeAlias = _Leaf | Annotated[list[_Leaf], _FEW] | Annotated[dict[str, _Leaf], _FEW]
_Tree: TypeAlias = _Leaf | Annotated[list[_Branch], _FEW] | Annotated[dict[str, _Branch], _FEW]
More: TypeAlias = Annotated[dict[str, _Tree], _FEW]
#: device and session of an origin.
Source: TypeAlias = tuple[Word, Word]

_NO_HASH: Final = bytes(32)


class Message(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Base of all messages."""


# --- either way ---------------------------------------------------------------------------------


class Ping(Message, tag=1, frozen=True):
    """Are you there? The other side answers with a Pong of the same number."""

    number: Count
    more: More = {}


class Pong(Message, tag=2, frozen=True):
    """I am."""

    number: Count
    more: More = {}


class Bye(Message, tag=3, frozen=True):
    """The last message: nothing comes after it. `code` is that of an error, or empty."""

    code: Name = ""
    text: Text = ""
    more: More = {}


# --- from the client ----------------------------------------------------------------------------


class Open(Message, tag=16, frozen=True):
    """Open a chain on channel `ch`, and stream it from where I am.

    Args:
        name: of the chain.
        chain_id: of the chain I mean, 32 bytes; empty when I do not know it yet.
        commits, root: what I hold: so many commits, under this RFC 9162 root.
        sources: device and session pairs whose newest lsn I want to know.
        follow: stream what comes; otherwise only answer requests.
        sparse: leave out bodies that are longer; 0 leaves out none.
        token: what the server asked for, if anything.
        seen: hash of the newest statement I hold, 32 bytes or empty; the server's answer names it.
        credit: bytes of records that may be sent before the first `Credit`.
    """

    ch: Channel
    name: Name
    chain_id: Small = b""
    commits: Count = 0
    root: Hash = _NO_HASH
    sources: Annotated[list[Source], msgspec.Meta(max_length=1024)] = []
    follow: bool = True
    sparse: Count = 0
    token: Small = b""
    seen: Small = b""
    credit: Count = 0
    more: More = {}


class Submit(Message, tag=17, frozen=True):
    """Order this commit.

    Args:
        commit: a log payload whose sequencer part is zero, with all bodies inline.
        at: refuse unless the chain's head is this seq; None does not compare.
        guards: refuse as fenced unless each of these objects is at this seq.
        epoch: refuse as fenced when ownership of the chain has another epoch; 0 does not compare.
    """

    ch: Channel
    commit: bytes
    at: Count | None = None
    guards: Annotated[list[tuple[Id, Count]], msgspec.Meta(max_length=limits.GUARDS_MAX)] = []
    epoch: Count = 0
    more: More = {}


class Credit(Message, tag=18, frozen=True):
    """Send so many more bytes of records."""

    ch: Channel
    bytes: Count
    more: More = {}


class Lookup(Message, tag=19, frozen=True):
    """Was this commit applied? Answered by `Found`."""

    ch: Channel
    ref: Count
    device: Word
    session: Word
    lsn: Count
    more: More = {}


class Fetch(Message, tag=20, frozen=True):
    """Send the stored bodies of these rows. Answered by `Bodies`."""

    ch: Channel
    ref: Count
    seqs: Annotated[list[Count], msgspec.Meta(max_length=4096)]
    more: More = {}


class Close(Message, tag=21, frozen=True):
    """I need this channel no more; its number may be used again after `Closed`."""

    ch: Channel
    more: More = {}


class Sync(Message, tag=22, frozen=True):
    """What has changed in these chains since `cursor`? Answered by `Changed`.

    Args:
        cursor: server id to position there; empty asks for all.
        names: chains; empty means those that are open on this connection.
    """

    ref: Count
    cursor: dict[bytes, Count] = {}
    names: Annotated[list[Name], msgspec.Meta(max_length=65_536)] = []
    more: More = {}


class Evidence(Message, tag=23, frozen=True):
    """Prove that the tree of `new` commits continues that of `old`. Answered by `Proved`."""

    ch: Channel
    ref: Count
    old: Count
    new: Count
    more: More = {}


# --- from the server ----------------------------------------------------------------------------


class Opened(Message, tag=32, frozen=True):
    """The chain is open.

    Args:
        chain_id: empty when there is no such chain yet: the first commit makes it.
        commits, head, root: what the server holds durably.
        cut: commits below it may be missing or thinned (compaction).
        start: index of the first commit that will be sent: the client's own count, or 0 when it has
            to begin anew because what it lacks was compacted.
        last: newest lsn and its seq for each source asked for; (0, 0) when there is none.
        epoch: of the server's ownership.
        writable: whether commits are taken here.
        role: "master", "relay", "archive" or "legacy".
        statement: see `ate.chain.statement_of_head`; empty when the server signs none.
        time_us: the server's chain time.
    """

    ch: Channel
    chain_id: Small
    commits: Count
    head: Count
    root: Hash
    cut: Count = 0
    start: Count = 0
    last: list[tuple[Count, Count]] = []
    epoch: Count = 0
    writable: bool = True
    role: Name = "master"
    statement: Small = b""
    time_us: Count = 0
    more: More = {}


class Records(Message, tag=33, frozen=True):
    """Frames of the log, in order, without a gap.

    Args:
        frames: log payloads with all bodies inline, or absent in a sparse stream. None at all say
            that the log's thinned part, if it has one, is complete.
    """

    ch: Channel
    frames: list[bytes]
    more: More = {}


class Accepted(Message, tag=34, frozen=True):
    """A commit of yours is durable. It comes in the stream as well, to all followers.

    Args:
        lsn: of the commit, and `device`, `session` of its origin.
        first_seq: of its first row. index: of the commit.
        again: it was here before: this is a retry's answer.
    """

    ch: Channel
    device: Word
    session: Word
    lsn: Count
    first_seq: Count
    index: Count
    again: bool = False
    more: More = {}


class Refused(Message, tag=35, frozen=True):
    """A commit of yours was not applied.

    Args:
        last: newest lsn of its session that was applied.
        code: of the error; `again` says that the same bytes may be sent again later.
        object: id of the object in question, or empty. theirs: the seq that is current.
    """

    ch: Channel
    device: Word
    session: Word
    lsn: Count
    last: Count
    code: Name
    text: Text
    hint: Text = ""
    object: Small = b""
    theirs: Count = 0
    again: bool = False
    retry_ms: Count = 0
    more: More = {}


class Stated(Message, tag=36, frozen=True):
    """The server's signed statement about the chain."""

    ch: Channel
    statement: Small
    more: More = {}


class Found(Message, tag=37, frozen=True):
    """Answer to `Lookup`.

    Args:
        first_seq: of the commit, 0 when it was not applied.
        last: newest lsn of its session.
        commits: what the chain holds durably now.
    """

    ch: Channel
    ref: Count
    first_seq: Count
    last: Count
    commits: Count = 0
    more: More = {}


class Bodies(Message, tag=38, frozen=True):
    """Answer to `Fetch`: stored bodies in the order asked; None where a row is kept no more."""

    ch: Channel
    ref: Count
    bodies: list[bytes | None]
    more: More = {}


class Moved(Message, tag=39, frozen=True):
    """The chain is elsewhere; `epoch` grows with each move."""

    ch: Channel
    url: Text
    epoch: Count = 0
    more: More = {}


class Lagged(Message, tag=40, frozen=True):
    """You are far behind `head`; what you lack waits in the log until you give credit."""

    ch: Channel
    head: Count
    more: More = {}


class Changed(Message, tag=41, frozen=True):
    """Answer to `Sync`: the chains that changed with their heads, and the next cursor."""

    ref: Count
    cursor: dict[bytes, Count]
    heads: list[tuple[Name, Count]]
    more: More = {}


class Failed(Message, tag=42, frozen=True):
    """A request failed, or a channel ended (`ref` 0).

    Args:
        code: of the error. retry_ms: come back after so many; 0 = not by itself.
    """

    ch: Channel
    ref: Count
    code: Name
    text: Text
    hint: Text = ""
    retry_ms: Count = 0
    more: More = {}


class Closed(Message, tag=43, frozen=True):
    """Answer to `Close`."""

    ch: Channel
    more: More = {}


class Proved(Message, tag=44, frozen=True):
    """Answer to `Evidence`: the path of RFC 9162 §2.1.4."""

    ch: Channel
    ref: Count
    path: list[Hash]
    more: More = {}


class Throttle(Message, tag=45, frozen=True):
    """From now on at most so many commits and bytes a second on this channel; 0 = no limit."""

    ch: Channel
    commits_s: Count = 0
    bytes_s: Count = 0
    more: More = {}


#: What either side may say, and what each side alone may.
EITHER: Final = (Ping, Pong, Bye)
FROM_CLIENT: Final = (Open, Submit, Credit, Lookup, Fetch, Close, Sync, Evidence)
FROM_SERVER: Final = (
    Opened, Records, Accepted, Refused, Stated, Found, Bodies, Moved, Lagged, Changed, Failed,
    Closed, Proved, Throttle,
)  # fmt: skip

AnyMessage: TypeAlias = (
    Ping | Pong | Bye | Open | Submit | Credit | Lookup | Fetch | Close | Sync | Evidence
    | Opened | Records | Accepted | Refused | Stated | Found | Bodies | Moved | Lagged | Changed
    | Failed | Closed | Proved | Throttle
)  # fmt: skip
