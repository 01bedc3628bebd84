"""Soundness of system rows: their own id, their own bytes, a body that decodes.

It judges nobody's rights.

Keys, roles, certificates and grants steer every later decision, so nothing of them is believed
before it was compared with what the author signed. What passes here can be folded in without an
error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ate import limits
from ate.crypto.hash import Buffer, digest
from ate.crypto.kem import WRAPPED_BYTES
from ate.errors import CorruptLog, ProtocolError, UnsupportedFormat
from ate.event.commit import Record
from ate.event.row import SYSTEM_FIRST, Kind, Row
from ate.event.system import CertificateBody, Genesis, Grant, PublicKeys, Role, decode, system_id
from ate.ids import ROOT
from ate.trust.state import Trust, sequencers_of

MODES: Final = ("distributed", "centralized")
SUITE_MAX: Final = 2
_KEY_BYTES: Final = 32
_TAG_BYTES: Final = 16
_KEY_ID_BYTES: Final = 16
_INTRODUCES: Final = (Kind.KEY, Kind.CERTIFICATE)


def check_system_rows(record: Record, body: Callable[[int], Buffer], trust: Trust) -> Trust:
    """Check all system rows of a commit.

    Args:
        record: the commit; its signed rows were checked.
        body: stored body of row n.
        trust: the chain's, which is not changed.

    Returns:
        What to judge the commit with: `trust`, and the keys and certificates the commit brings
        along. They prove themselves, but they are the chain's only once the commit is.

    Raises:
        CorruptLog: a body is not the one its row names.
        ProtocolError, BadSignature, LimitExceeded: a row is not what its kind says.
        UnsupportedFormat: a chain of a later version.
    """
    kinds = record.kinds
    if max(kinds) < SYSTEM_FIRST:
        return trust
    certificates = kinds.count(Kind.CERTIFICATE)
    limits.check("certificates in a commit", certificates, limits.COMMIT_CERTIFICATES_MAX)
    learned, outcome = trust.copy(), trust.copy()
    for at, kind in enumerate(kinds):
        if kind < SYSTEM_FIRST:
            continue
        row, raw = record.row(at), body(at)
        if digest(raw) != row.body_hash:
            raise CorruptLog(f"the body of system row {row.id.hex()} was altered")
        if row.stamp >> 48 or row.codec or row.schema:
            raise ProtocolError("a system row is sealed or encoded")
        if row.id != own_id(kind, row, raw, trust):
            raise ProtocolError(f"a {Kind(kind).name.lower()} row does not stand under its own id")
        if kind in _INTRODUCES:
            learned.apply(kind, row.id, raw)
        if kind != Kind.GRANT:
            outcome.apply(kind, row.id, raw)
    return learned


def own_id(kind: int, row: Row, raw: Buffer, trust: Trust) -> bytes:
    """Return the one id that a system row of this content may have."""
    if kind == Kind.KEY:
        return system_id("key", decode(PublicKeys, raw).principal.key_id)
    if kind == Kind.CERTIFICATE:
        certificate = decode(CertificateBody, raw)
        return system_id("certificate", certificate.subject + certificate.issuer)
    if kind == Kind.ROLE:
        return system_id("role", decode(Role, raw).name.encode())
    if kind == Kind.GRANT:
        return system_id("grant", _check_grant(decode(Grant, raw), row))
    if kind == Kind.GENESIS:
        _check_genesis(decode(Genesis, raw), trust)
        return ROOT
    return system_id("checkpoint", b"")


def _check_genesis(genesis: Genesis, trust: Trust) -> None:
    if genesis.mode not in MODES or not 0 <= genesis.suite <= SUITE_MAX:
        raise UnsupportedFormat(f"a chain of mode {genesis.mode!r:.40} and suite {genesis.suite}")
    if genesis.suite and not genesis.roots:
        raise ProtocolError("a chain without roots signs nothing")
    if sequencers_of(genesis) and (genesis.mode != "centralized" or not genesis.roots):
        raise ProtocolError("only a centralized chain with roots has sequencers")
    if trust.genesis is not None and genesis != trust.genesis:
        raise ProtocolError("a chain is founded once")


def _check_grant(grant: Grant, row: Row) -> bytes:
    """Return the domain of a grant that is whole."""
    sealed = _KEY_BYTES * (grant.epoch - 1) + _TAG_BYTES if grant.epoch > 1 else 0
    sizes = {len(wrapped) for wrapped in grant.wraps.values()}
    names = {len(key_id) for key_id in grant.wraps}
    if grant.domain != row.parent or not 0 < grant.epoch < 1 << 16:
        raise ProtocolError("a grant does not name its domain or its epoch")
    if len(grant.past) != sealed or sizes != {WRAPPED_BYTES} or names != {_KEY_ID_BYTES}:
        raise ProtocolError("a grant does not hold the keys that it should")
    return grant.domain
