"""Who signs a commit: a long-term key, a session's, or the server that will number it.

It prepares nothing and judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from ate.event.access import Access
from ate.event.commit import SIGN_CONTEXT
from ate.event.draft import Draft
from ate.session import Certificate, FastIdentity, KeyPair, Session
from ate.trust.centralized import UNSIGNED
from ate.trust.plugin import Stored
from ate.trust.sequence import NO_SEQUENCE, Proved
from ate.trust.state import Trust


class Present(Protocol):
    """The chain as of now, as far as preparing needs it."""

    trust: Trust
    #: Rows with an access rule seen so far.
    rules: int

    def stored(self, object_id: bytes, /) -> Stored | None: ...
    def root_access(self) -> Access: ...


class Composite:
    """Signs with a long-term key: suite 1, and every genesis commit."""

    suite = 1
    certificates: tuple[Certificate, ...] = ()

    def __init__(self, session: Session, acting: KeyPair) -> None:
        self.session, self._acting, self.key_id = session, acting, acting.key_id

    def sign(self, root: bytes) -> bytes:
        return self._acting.sign.sign(root, SIGN_CONTEXT)


class Unsigned:
    """Leaves room for the signature of the server, to which the session has proved its key."""

    suite = 0
    certificates: tuple[Certificate, ...] = ()

    def __init__(self, session: Session) -> None:
        self.session, self.key_id = session, session.own.key_id

    def sign(self, root: bytes) -> bytes:
        return NO_SEQUENCE


class Fast:
    """Signs with a certified session key: suite 2."""

    suite = 2

    def __init__(self, session: Session, fast: FastIdentity) -> None:
        self.session, self._key, self.key_id = session, fast.key, fast.key_id
        self.certificates = fast.certificates

    def sign(self, root: bytes) -> bytes:
        return self._key.sign(root, SIGN_CONTEXT)


Signer: TypeAlias = Composite | Fast | Unsigned


def may_stay_unsigned(
    session: Session, present: Present, proved: Proved | None, drafts: Sequence[Draft], *,
    has_rules: bool,
) -> bool:  # fmt: skip
    """Return whether the server's word is enough for a commit; see `ate.trust.centralized`.

    Args:
        proved: who has proved its key to which server.
        drafts: the rows, without those that introduce the author.
        has_rules: whether any object has a rule of its own.
    """
    trust = present.trust
    if proved is None or proved.sequencer not in trust.sequencers:
        return False
    if proved.key_id != session.own.key_id:
        return False  # it proves nothing about this session
    if not UNSIGNED.issuperset(draft.kind for draft in drafts):
        return False
    held = {pair.key_id for pair in session.authorities(trust.chain_id)}
    if not held <= trust.member(session.own.key_id):
        return False  # it can act as somebody whom the chain does not see in it
    return not has_rules or not any(_decides(draft, present) for draft in drafts)


def _decides(draft: Draft, present: Present) -> bool:
    """Return whether a draft brings a rule or moves an object."""
    access = draft.header.access if draft.header is not None else None
    stored = present.stored(draft.id)
    known = stored.access if stored is not None else None
    moves = stored is not None and stored.row.parent != draft.parent
    return (access is not None and access != known) or moves
