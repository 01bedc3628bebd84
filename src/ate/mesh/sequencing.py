"""Centralized chains on both ends: whose commits a server signs, and when a client lets it.

It signs nothing before the root has judged it, and it never asks for less than a proved key on a
connection that nobody between can write to.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Final

from ate.chain.genesis import Founding, check_genesis
from ate.chain.ledger import Ledger
from ate.crypto.sign import FAST_PUBLIC_BYTES, FastVerifyKey
from ate.errors import BadSignature, TrustError, UsageError
from ate.event.commit import AuthorPart, Record
from ate.event.system import Genesis
from ate.mesh.guest import Guest
from ate.mesh.url import Url
from ate.trust.sequence import Proved, Sequencer, Vouch
from ate.trust.state import Trust, sequencers_of
from ate.wire.message import Opened
from ate.wire.terms import PeerSession

#: Where `Opened.more` names the sequencer, as hex.
OFFER: Final = "sequencer"
_SIGN: Final = "open the chain again: what its server does not sign, your program does"


class Sequencing:
    """A server's side: for whom it signs.

    Args:
        sequencer: its key.
        is_protected: something below keeps the connections from being written to by others: TLS,
            here or in a proxy. Else only those count that are encrypted or of this machine.
    """

    def __init__(self, sequencer: Sequencer, *, is_protected: bool = False) -> None:
        self._sequencer, self._is_protected = sequencer, is_protected

    @property
    def offer(self) -> str:
        """What clients are told; see `offered`."""
        return self._sequencer.public.raw.hex()

    def vouch(self, guest: Guest, trust: Trust) -> Vouch:
        """Return what an unsigned commit is judged with; raises BadSignature if it cannot be."""
        if self._sequencer.public.key_id not in trust.sequencers:
            raise unsigned()
        peer: PeerSession = guest.peer
        if peer.key is None:
            raise BadSignature("its author has not signed it, and the connection proves no key")
        if not (self._is_protected or peer.encrypted or is_here(guest.address)):
            raise BadSignature(
                "its author has not signed it, and others could write to the connection",
                hint="use wss://, or an encrypted connection",
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
        AteError: what `Ledger.consider` and `check_genesis` raise.
    """
    trust, vouch = ledger.view.trust, None
    if not AuthorPart.decode(payload).suite and trust.sequencers:
        if sequencing is None:
            raise unsigned()
        vouch = sequencing.vouch(guest, trust)
    record, current = await ledger.consider(payload, vouch)
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


def proved(opened: Opened, ledger: Ledger) -> Proved | None:
    """Return what the session of a ledger has proved to whom, now that a chain is open."""
    key, session = offered(opened), ledger.session
    if not key or session is None:
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
    if not offer:
        raise UsageError(
            "this server signs for nobody, so a centralized chain cannot begin here",
            hint='start it with --trust centralized, or open with mode="distributed"',
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


def check_wire(peer: PeerSession, url: Url) -> None:
    """Raise TrustError when others could write to a connection of a centralized chain."""
    if not (peer.encrypted or url.is_secure or is_here(url.host)):
        raise TrustError(
            "the chain is centralized: what comes over your connection counts as yours, and others "
            "can write to this one",
            hint='use wss://, or connection={"terms": Terms(encryption=True)}',
        )


def is_here(host: str) -> bool:
    """Return whether an address is of this very machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
