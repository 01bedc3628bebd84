"""`Listener`: whose statements a replica hears, and what it makes of them; it asks nobody.

A relay hands on what the chain's master states. What counts then is the master's key, and that is
judged as if the master were asked itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ate.chain.ledger import Ledger
from ate.crypto.sign import PUBLIC_BYTES, VerifyKey
from ate.errors import (
    AteError,
    ProtocolError,
    ReadOnly,
    RemoteProtocolError,
    WriteDenied,
)
from ate.mesh.vigil import Vigil, acknowledge
from ate.wire.message import Opened
from ate.wire.terms import PeerSession, Trust

if TYPE_CHECKING:
    from ate.dio.receipt import Receipt


class Listener:
    """See the module.

    Args:
        vigil: keeps and compares what is stated; None believes everything.
        trust: returns what judges the key of the server at a URL, None when nothing does.
    """

    def __init__(
        self, vigil: Vigil | None = None, trust: Callable[[str], Trust | None] = lambda _: None
    ) -> None:
        self._vigil, self._trust = vigil, trust
        #: The server that is connected.
        self.peer: PeerSession | None = None
        self._speaker: VerifyKey | None = None
        self._seen = b""

    def show(self, ledger: Ledger) -> bytes:
        """Return the hash of what was heard last, for the next answer to name."""
        self._seen = b""
        if self._vigil is not None and self.peer is not None:
            self._meet(ledger)
            self._seen = self._vigil.show()
        return self._seen

    def learn(self, opened: Opened, ledger: Ledger) -> bool:
        """Learn who speaks; False when the chain must be opened anew, to show what it said last.

        Raises:
            TrustError: this is not the chain's master.
        """
        url, raw = opened.more.get("master"), opened.more.get("key")
        speaker = None
        if isinstance(url, str) and isinstance(raw, str):
            try:
                speaker = VerifyKey(bytes.fromhex(raw[: 2 * PUBLIC_BYTES + 1]))
            except (ValueError, ProtocolError):
                raise RemoteProtocolError("the relay names no key of the master") from None
            judge = self._trust(url)
            if judge is not None:
                judge(speaker)
        if speaker == self._speaker:
            return True
        self._speaker, seen = speaker, self._seen
        return self.show(ledger) == seen

    def hear(self, statement: bytes, ledger: Ledger, *, is_answer: bool = False) -> None:
        """Take in a statement; see `Vigil.hear`."""
        if self._vigil is not None and self.peer is not None:
            self._meet(ledger)
            self._vigil.hear(statement, ledger, is_answer=is_answer)

    def look(self, ledger: Ledger) -> None:
        """Compare what was said with what has come."""
        if self._vigil is not None:
            self._vigil.look(ledger)

    def acknowledge(self, receipt: Receipt, opened: Opened | None, ledger: Ledger) -> bytes | None:
        """Return a commit with a statement of the server that covers it; None while none does.

        Raises:
            UsageError: the server signs nothing.
            Compacted: the way from the commit to the statement is not known any more.
        """
        return acknowledge(self._vigil, opened, receipt.proof(), ledger)

    def keep(self) -> None:
        """Write down what was heard."""
        if self._vigil is not None:
            self._vigil.keep()

    def forget(self) -> None:
        """From now on another server is asked."""
        self._speaker = None

    def _meet(self, ledger: Ledger) -> None:
        assert self._vigil is not None
        assert self.peer is not None
        self._vigil.meet(self._speaker or self.peer.key, ledger.view.trust.chain_id)


def unwritable(name: str, opened: Opened) -> AteError:
    """Return why a server takes no commits."""
    if opened.role == "master":
        return WriteDenied(
            f"the server takes no commits to {name!r} from this session",
            hint="ask whoever runs it for the right to write; what is here can be read",
        )
    owner = opened.more.get("owner")
    return ReadOnly(
        f"the server keeps a copy of {name!r} that is only read ({opened.role})",
        hint=f"write to its master at {owner}" if isinstance(owner, str) else "",
    )
