"""`KeptWitness`: a witness on the disk, beside the local copy; it decides nothing by itself.

The file `witness` holds what the server has said. When the server is caught, the evidence goes into
a file of its own before anybody is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ate import limits
from ate.chain.ledger import Ledger
from ate.crypto.hash import digest
from ate.crypto.sign import VerifyKey
from ate.errors import Forked, UntrustedRoot
from ate.log import recovery
from ate.log.disk import Disk
from ate.merkle import Frontier
from ate.mesh.evidence import Evidence, encode
from ate.mesh.tree import ViewTree
from ate.mesh.witness import Witness
from ate.trust.attest import HeadStatement, StatementSigner

NAME: Final = "witness"
EVIDENCE: Final = "evidence"


class KeptWitness:
    """What the server of one chain has said, kept.

    Args:
        disk: where the local copy is; None keeps nothing.
        directory: of the local copy, which exists; the caller holds its lock.
        server: whose statements count. None: whoever made the first one that was ever heard.
    """

    def __init__(
        self, disk: Disk | None, directory: str = "", *, server: VerifyKey | None = None
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._server = server
        self._witness: Witness | None = None
        self._is_dirty = False
        self._base: Frontier | None = None
        self._raw = self._load()

    def _load(self) -> bytes:
        path = f"{self._directory}/{NAME}"
        if self._disk is None or not self._disk.exists(path):
            return b""
        file = self._disk.open(path, readonly=True)
        try:
            return file.pread(limits.WITNESS_BYTES_MAX + 1, 0)
        finally:
            file.close()

    @property
    def seen(self) -> bytes:
        """Hash of the newest statement; empty when there is none."""
        if self._witness is None and self._raw:
            self._witness = Witness.decode(self._raw, server=self._server)
        return self._witness.seen if self._witness is not None else b""

    def check(self, statement: bytes, ledger: Ledger, *, answers: bytes | None = None) -> None:
        """Compare a statement with those of before, and all of them with the replica.

        Args:
            statement: as it came; empty to compare only, after records have come.
            ledger: the replica.
            answers: the `seen` that was shown, when this is the reply to it.

        Raises:
            Forked: the server has lied; `evidence` is in the file that the hint names, if there is
                any.
            TrustError, ProtocolError, UnsupportedFormat, LimitExceeded: it is no statement of this
                server about this chain.
            StorageError: the evidence, or what was said, could not be kept.
        """
        shown = self.seen
        if statement:
            self._hear(statement, ledger, answers)
        witness = self._witness
        if witness is None or not witness.open:
            return
        try:
            witness.check(ViewTree(ledger.view, self._base))
        except Forked as error:
            self._keep_evidence(error)
            raise
        finally:
            # The reply is what the next connection shows; what comes in between may be lost.
            if answers is not None or not shown:
                self.save()
        self._base = ledger.view.frontier

    def _hear(self, raw: bytes, ledger: Ledger, answers: bytes | None) -> None:
        witness, chain_id = self._witness, ledger.view.trust.chain_id
        if witness is None:
            said = HeadStatement.decode(raw)
            witness = Witness(said.chain_id, self._server or said.server)
        if chain_id and witness.chain_id != chain_id:
            raise UntrustedRoot("the server has spoken of another chain")
        try:
            witness.hear(raw, answers=answers)
        except Forked as error:
            self._keep_evidence(error)
            raise
        self._witness, self._is_dirty = witness, True

    def _keep_evidence(self, error: Forked) -> None:
        evidence: Evidence | None = error.evidence
        if evidence is None or self._disk is None:
            return
        raw = encode(evidence)
        name = f"{EVIDENCE}.{digest(raw).hex()[:8]}"
        recovery.replace(self._disk, f"{self._directory}/{name}", (raw,))
        error.hint = f"do not go on with this server: show its operator {name}, and `ate check` it"

    def save(self) -> None:
        """Make durable what was heard."""
        if self._disk is None or self._witness is None or not self._is_dirty:
            return
        recovery.replace(self._disk, f"{self._directory}/{NAME}", (self._witness.encode(),))
        self._is_dirty = False

    def destroy(self) -> None:
        """Forget all that was heard; evidence stays."""
        self._witness, self._raw = None, b""
        if self._disk is not None:
            self._disk.remove(f"{self._directory}/{NAME}")
            self._disk.sync_dir(self._directory)


def stating(signer: StatementSigner, *, epoch: int = 0) -> Callable[[Ledger, bytes], bytes]:
    """Return what signs the present head of a chain: (ledger, answers) → statement.

    Call it only while all that the ledger shows is durable: a server that loses what it has signed
    convicts itself.
    """

    def state(ledger: Ledger, answers: bytes) -> bytes:
        view = ledger.view
        frontier = view.frontier
        # A client may show anything; what is no hash is not answered.
        known = answers if len(answers) == len(view.trust.chain_id) else b""
        return signer.sign(
            view.trust.chain_id, frontier.size, frontier.root(), view.head,
            now_us=ledger.now_us(), epoch=epoch, answers=known,
        ).encode()  # fmt: skip

    return state
