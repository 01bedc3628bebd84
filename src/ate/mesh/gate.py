"""What a hall asks before it serves: may this visitor, so much, so fast; it never serves itself.

The hall calls these methods in the order in which a connection lives:

    admitted → (may_open → (may_submit → stored)* → closed)* → left

None of them waits or touches a disk. An `AteError` they raise is the answer: the hall sends it as
`Failed` (or as `Refused` for a commit) and goes on; from `admitted` it ends the connection.
`OpenGate` allows everything, and is what a hall uses when it is given no other.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Proved(Protocol):
    """What a peer has proved: the part of a `PeerSession` that a gate looks at."""

    @property
    def key_id(self) -> bytes:
        """Id of the key that the peer proved to hold, empty when it proved none."""
        ...


class Caller(Protocol):
    """One connection: the part of a `Visitor` that a gate looks at. It is hashed by identity."""

    @property
    def peer(self) -> Proved: ...

    @property
    def address(self) -> str:
        """The peer's address, for logs and limits."""
        ...

    def close(self, code: str, text: str) -> None:
        """Tell the peer that this is the end, and end it."""
        ...


class Rights(NamedTuple):
    """What a visitor may do with one chain.

    Args:
        read: be sent its records.
        write: submit commits; a hall says `writable=False` in `Opened` otherwise.
        commits_s, bytes_s: as fast as `may_submit` will let it, 0 without a limit; a hall sends
            them as `Throttle` behind `Opened` unless both are 0.
        elsewhere: URL of a server that has room. Not empty: the hall opens nothing and answers
            `Moved(ch, elsewhere)`; then it calls `closed`.
    """

    read: bool = True
    write: bool = True
    commits_s: int = 0
    bytes_s: int = 0
    elsewhere: str = ""


class Gate(Protocol):
    """Decides. Names are the chain's names as the hall keeps them, the same text in every call."""

    def admitted(self, visitor: Caller) -> None:
        """Count a connection that has completed its handshake.

        Raises:
            Throttled: there are too many; the hall tells the visitor and lets it go. `left` is
                called all the same.
        """
        ...

    def left(self, visitor: Caller) -> None:
        """Forget a connection, and all that it had open. Called once, whatever happened."""
        ...

    def may_open(self, visitor: Caller, name: str, token: bytes, *, exists: bool) -> Rights:
        """Return what the visitor may do with a chain, and count it as open until `closed`.

        Args:
            token: of the `Open`, as it came; empty when there was none.
            exists: False when its first commit would make the chain.

        Raises:
            TrustError: no token, or one that does not fit.
            NotFound: it does not exist, and the visitor may not make it.
            LimitExceeded: there are too many chains, open here or of this owner.
        """
        ...

    def closed(self, visitor: Caller, name: str) -> None:
        """Forget that the visitor has this chain open."""
        ...

    def may_submit(self, visitor: Caller, name: str, nbytes: int) -> float:
        """Return 0.0 when the commit may be taken now, and charge for it.

        Otherwise the seconds until the visitor may try again, and nothing is charged: hold the
        visitor back for so long and ask again, or send `Refused(code="throttled", again=True,
        retry_ms=…)`.

        Raises:
            TrustError: it may not write, or its token has expired.
            LimitExceeded: the chain's owner has used up the quota.
        """
        ...

    def stored(self, visitor: Caller, name: str, nbytes: int) -> None:
        """Count a commit that was appended; whoever stores the first of a chain is its owner."""
        ...


class OpenGate:
    """Allows everything to everybody."""

    def admitted(self, visitor: Caller) -> None:
        return

    def left(self, visitor: Caller) -> None:
        return

    def may_open(self, visitor: Caller, name: str, token: bytes, *, exists: bool) -> Rights:
        return Rights()

    def closed(self, visitor: Caller, name: str) -> None:
        return

    def may_submit(self, visitor: Caller, name: str, nbytes: int) -> float:
        return 0.0

    def stored(self, visitor: Caller, name: str, nbytes: int) -> None:
        return
