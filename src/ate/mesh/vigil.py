"""`Vigil`: keeps watch over one server on one chain, and keeps what it saw beside the local copy.

It judges nothing itself: a `Witness` compares, and what shows a lie to others becomes a file.
"""

from __future__ import annotations

from typing import Final, Protocol

from ate.chain.ledger import Ledger
from ate.crypto.hash import digest
from ate.crypto.sign import VerifyKey
from ate.errors import AteError, ProtocolError, TrustError, UnsupportedFormat, UsageError
from ate.mesh.acknowledged import Acknowledged, Placed
from ate.mesh.evidence import Contradiction, encode
from ate.mesh.tree import ViewTree
from ate.mesh.witness import Witness
from ate.wire.message import Opened

#: What was heard is kept when so many statements have come; each replaces all that was before.
_KEEP_EVERY: Final = 16


class Keeper(Protocol):
    """Small files beside a local copy."""

    def read(self, name: str) -> bytes | None:
        """Return a file, or None."""
        ...

    def write(self, name: str, raw: bytes) -> str:
        """Replace a file, durably; returns where it is, for people."""
        ...


class Vigil:
    """See the module.

    Args:
        keeper: where memory and evidence are kept.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._witness: Witness | None = None
        self._server: VerifyKey | None = None
        self._unkept = 0
        self._shown = b""

    def meet(self, server: VerifyKey | None, chain_id: bytes) -> None:
        """A connection stands: from now on it is this server that speaks.

        Raises:
            ProtocolError, TrustError: what was kept is damaged.
        """
        if server is None or not chain_id:
            return
        if self._witness is not None and self._server == server:
            return
        raw = self._keeper.read(_file_of(server))
        self._server = server
        self._witness = Witness(chain_id, server)
        if raw is not None:
            try:
                self._witness = Witness.decode(raw, chain_id, server)
            except (ProtocolError, TrustError, UnsupportedFormat):
                # Whoever wipes or garbles a file of this machine could as well change the log.
                self._witness = Witness(chain_id, server)

    def show(self) -> bytes:
        """Return the hash of the newest statement, for the server to answer."""
        self._shown = self._witness.seen if self._witness is not None else b""
        return self._shown

    def hear(self, statement: bytes, ledger: Ledger, *, is_answer: bool = False) -> None:
        """Take in a statement.

        Raises:
            Contradiction: the server has lied; `.evidence` was kept if there is any.
            TrustError, ProtocolError: it is no statement of this server about this chain.
        """
        if self._witness is None or not statement:
            return
        try:
            self._witness.hear(statement, answers=self._shown if is_answer else None)
        except Contradiction as error:
            self._tell(error)
            raise
        self.look(ledger)
        self._unkept += 1
        if is_answer or self._unkept >= _KEEP_EVERY:
            self.keep()

    def look(self, ledger: Ledger) -> None:
        """Compare what was said with what has come."""
        witness = self._witness
        if witness is None or not witness.open:
            return
        if witness.open[0].size <= ledger.view.frontier.size:
            try:
                witness.check(ViewTree(ledger.view))
            except Contradiction as error:
                self._tell(error)
                raise

    def acknowledge(self, placed: Placed, ledger: Ledger) -> bytes | None:
        """Return a commit with a statement that covers it, as a file; None while there is none.

        Raises:
            Compacted: the way from the commit to the statement is not known any more.
        """
        statement = self._witness.agreed if self._witness is not None else None
        if statement is None or statement.size <= placed.index:
            return None
        return Acknowledged.of(placed, statement, ViewTree(ledger.view)).encode()

    def keep(self) -> None:
        """Write down what was heard."""
        if self._witness is not None and self._server is not None and self._unkept:
            self._unkept = 0
            self._keeper.write(_file_of(self._server), self._witness.encode())

    def _tell(self, error: Contradiction) -> None:
        if error.evidence is None:
            return
        try:
            raw = encode(error.evidence)
            # Named by what is in it: another lie later leaves this one as it is.
            place = self._keeper.write(f"evidence.{digest(raw).hex()[:16]}", raw)
            error.hint = f"{error.hint}; the evidence is in {place}: see `ate check`"
        except AteError:
            pass  # the contradiction itself says more than that it could not be written


def _file_of(server: VerifyKey) -> str:
    return f"witness.{server.key_id.hex()[:16]}"


def acknowledge(
    vigil: Vigil | None, opened: Opened | None, placed: Placed, ledger: Ledger
) -> bytes | None:
    """Return a commit with a statement that covers it, as a file; None while there is none.

    Args:
        opened: what the server answered; None while there is no connection.

    Raises:
        UsageError: the server signs nothing.
    """
    if vigil is None or (opened and opened.chain_id and not opened.statement):
        raise UsageError(
            "this server signs no statements",
            hint="`atedb` does with an identity; `receipt.proof()` needs none",
        )
    return vigil.acknowledge(placed, ledger)
