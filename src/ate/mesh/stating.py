"""Makes what a root states about its chain; it keeps nothing and says nothing by itself."""

from __future__ import annotations

from collections.abc import Callable

from ate.chain.ledger import Ledger
from ate.crypto.entropy import Entropy, system_entropy
from ate.crypto.sign import SigningKey
from ate.trust.attest import StatementSigner


def stating(
    identity: SigningKey, *, entropy: Entropy = system_entropy
) -> Callable[[Ledger, bytes], bytes]:
    """Return what makes statements: of a ledger, all of which is durable, answering a hash.

    Args:
        identity: the server's key.
    """
    signer = StatementSigner(identity, entropy=entropy)

    def state(ledger: Ledger, answers: bytes) -> bytes:
        view = ledger.view
        # The clock's time and not the chain's: it says when the server spoke.
        return signer.sign(
            view.trust.chain_id, view.frontier.size, view.frontier.root(), view.head,
            now_us=ledger.clock.now_us(), answers=answers if len(answers) == 32 else b"",
        ).encode()  # fmt: skip

    return state
