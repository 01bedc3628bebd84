"""Centralized chains on both ends: whose commits a server signs, and when a client lets it.

It signs nothing before the root has judged it, and it never asks for less than a key that was
proved over an encrypted connection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ate.chain import ordering
from ate.chain.genesis import Founding, check_genesis
from ate.chain.ledger import Ledger
from ate.crypto.sign import FAST_PUBLIC_BYTES, FastVerifyKey
from ate.errors import BadSignature, UsageError
from ate.event.commit import AuthorPart, Record
from ate.event.system import Genesis
from ate.mesh.guest import Guest
from ate.trust.sequence import Proved, Sequencer, Vouch
from ate.trust.state import Trust, sequencers_of
from ate.wire.message import Opened
from ate.wire.terms import PeerSession

#: Where `Opened.more` names the sequencer, as hex.
OFFER: Final = "sequencer"
_SIGN: Final = "open the chain again: what its server does not sign, your program does"


class Sequencing:
    """A server's side: for whom it signs.

    Only who has proved a key over an encrypted connection can leave its signature to the server:
    there nobody between the two ends can say anything. TLS is not enough. Whoever is at its other
    end may be a stranger who passes on what a client of his proves.

    Args:
        sequencer: its key.
    """

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer

    def offer(self, guest: Guest) -> dict[str, str]:
        """Return what a client is told in `Opened`; see `offered`."""
        peer: PeerSession = guest.peer
        can = peer.key is not None and peer.encrypted
        return {OFFER: self._sequencer.public.raw.hex()} if can else {}

    def vouch(self, guest: Guest, trust: Trust) -> Vouch:
        """Return what an unsigned commit is judged with; raises BadSignature if it cannot be."""
        peer: PeerSession = guest.peer
        if self._sequencer.public.key_id not in trust.sequencers:
            raise unsigned()
        if peer.key is None or not peer.encrypted:
            raise BadSignature(
                "its author has not signed it, nor proved a key over an encrypted connection",
                hint=_SIGN,
            )
        return Vouch(peer.key.raw, self._sequencer.sign)

    def names(self, genesis: Genesis) -> bool:
        """Return whether a chain is to be ordered by this server."""
        return self._sequencer.public.raw in sequencers_of(genesis)


async def consider(
    sequencing: Sequencing | None, guest: Guest, ledger: Ledger, name: str, payload: memoryview
) -> tuple[Record, list[int]]:
    """Judge and number a submitted commit, and sign it if its author has left that to us.

    Args:
        name: of the chain.
        payload: at least as long as a header.

    Raises:
        BadSignature: its author has not signed it, and nobody here can.
        UsageError: it founds a chain that is not to be here.
        AteError: what `ordering.consider` and `check_genesis` raise.
    """
    trust, vouch = ledger.view.trust, None
    if trust.sequencers and not AuthorPart.decode(payload).suite:
        if sequencing is None:
            raise unsigned()
        vouch = sequencing.vouch(guest, trust)
    record, current = await ordering.consider(ledger, payload, vouch)
    if trust.genesis is None:
        check_founding(sequencing, check_genesis(record, name))
    return record, current


def unsigned() -> BadSignature:
    """Return what is wrong with a commit that its author left to the wrong server."""
    return BadSignature(
        "its author has not signed it, and this server may not sign for authors of this chain",
        hint=_SIGN,
    )


def check_founding(sequencing: Sequencing | None, genesis: Genesis) -> None:
    """Raise UsageError when a new chain wants a sequencer that is not here."""
    if genesis.mode != "centralized":
        return
    if sequencing is None:
        raise UsageError(
            "this server takes chains of mode distributed only",
            hint="start it with --trust centralized, or leave mode= away",
        )
    if not sequencing.names(genesis):
        raise UsageError("the new chain does not name this server as one of its sequencers")


# --- a client's side ------------------------------------------------------------------------------


def offered(opened: Opened | None) -> bytes:
    """Return the public key of the sequencer that answered; empty when it is none."""
    told = opened.more.get(OFFER) if opened is not None and opened.role == "master" else None
    try:
        raw = bytes.fromhex(told) if isinstance(told, str) else b""
    except ValueError:
        return b""
    return raw if len(raw) == FAST_PUBLIC_BYTES else b""


def proved(opened: Opened, peer: PeerSession | None, ledger: Ledger) -> Proved | None:
    """Return what the session of a ledger has proved to whom, now that a chain is open."""
    key, session = offered(opened), ledger.session
    if not key or session is None or peer is None or not peer.encrypted:
        return None
    return Proved(session.own.key_id, FastVerifyKey(key).key_id)


def with_sequencer(founding: Founding, offer: bytes) -> Founding:
    """Return what a chain is to be, once it names the server that will order it.

    Args:
        offer: see `offered`.

    Raises:
        UsageError: it is to be centralized, and cannot be on this server.
    """
    if founding.mode != "centralized":
        return founding
    if not offer and founding.roots:
        raise UsageError(
            "no centralized chain can begin here: the server does not sign over this connection",
            hint="start it with --trust centralized; give a session, and leave terms= away or "
            "let them encrypt",
        )
    if not founding.roots:
        raise UsageError(
            "a centralized chain of a server has keys: how else would it know who writes?",
            hint="open it with session=",
        )
    named = founding.policy.get("sequencers") or [offer]
    if offer not in named:
        raise UsageError(
            "the sequencers that you name are other servers than this one",
            hint=f"its key is {offer.hex()}",
        )
    return replace(founding, policy={**founding.policy, "sequencers": list(named)})
