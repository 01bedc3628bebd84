"""Judges a proof with nothing but the proof and root keys: no chain, no disk, no clock, no network.

Every byte of a proof is covered by something that is checked here. What a proof can not show is
that no later commit changed the object again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ate import limits, merkle
from ate.chain.evidence import Evidence, ShownCommit, ShownRow
from ate.crypto.aead import Sealer
from ate.crypto.hash import digest
from ate.crypto.sign import FastVerifyKey, VerifyKey
from ate.errors import (
    BadSignature,
    CannotOpen,
    ProtocolError,
    TrustError,
    UnsupportedFormat,
    UntrustedRoot,
)
from ate.event.access import Principal
from ate.event.commit import AUTHOR_BYTES, SIGN_CONTEXT, VERSION, AuthorPart, leaf_of
from ate.event.row import CODEC_FORMAT, HEAD_BYTES, SIGNED_BYTES, Kind, Row, unpack
from ate.event.system import CHECKPOINT_CONTEXT, Genesis, Role, decode
from ate.trust.centralized import UNSIGNED
from ate.trust.compression import Zstd
from ate.trust.sequence import check_sequence
from ate.trust.soundness import own_id
from ate.trust.state import ROOT_ROLE, SEQUENCER_ROLE, Trust

_LOCAL: Final = bytes(16)
_SYSTEM: Final = (Kind.GENESIS, Kind.KEY, Kind.ROLE, Kind.CERTIFICATE)
_CHANGES: Final = (Kind.DATA, Kind.TOMBSTONE)
#: Roles that say whose signature counts; a root key names them.
_DECIDING: Final = (ROOT_ROLE, SEQUENCER_ROLE)


@dataclass(frozen=True, slots=True)
class Proven:
    """The row that is proved.

    Args:
        seq: its place in the order.
        row: its fields; the last three say nothing.
        time_us: the sequencer's time, information only.
        key_id: of the key that signed its commit.
        authors: whom that key spoke for.
        body: in plain, as it was encoded; None when only its hash is shown.
    """

    seq: int
    row: Row
    time_us: int
    key_id: bytes
    authors: tuple[Principal, ...]
    body: bytes | None = field(default=None, repr=False)

    @property
    def is_deletion(self) -> bool:
        return self.row.kind == Kind.TOMBSTONE

    def plain(self) -> tuple[int, bytes]:
        """Return the codec and the body, unpacked.

        Raises:
            CannotOpen: it is not shown, or a filter packed it that is not here.
        """
        codec, body = self.row.codec, self.body
        if body is None:
            raise CannotOpen("the proof shows the hash of the value only", hint="")
        if codec > CODEC_FORMAT:
            codec, body = Zstd().decode(codec, body)
        if codec > CODEC_FORMAT:
            raise CannotOpen("the value was packed by a filter that is not known here", hint="")
        return codec, body


@dataclass(frozen=True, slots=True)
class Checked:
    """What a proof that holds has shown.

    Args:
        chain_id, name: of the chain.
        founder: the root key that signed its first commit.
        roots: its root keys at the checkpoint, by this proof.
        size, root, time_us: of the checkpoint.
        signer: the root key that signed it.
        is_pinned: it is one that the caller knew; else the chain's own word was taken for it.
        proven: the row that is proved, None when it is about the chain alone.
        continued: size and root of earlier states that the checkpoint continues.
    """

    chain_id: bytes
    name: str
    founder: Principal
    roots: tuple[Principal, ...]
    size: int
    root: bytes
    time_us: int
    signer: Principal
    is_pinned: bool
    proven: Proven | None
    continued: tuple[tuple[int, bytes], ...]


def check_proof(
    proof: Evidence | bytes,
    *,
    roots: Iterable[Principal] = (),
    earlier: Iterable[Evidence | bytes] = (),
) -> Checked:
    """Return what a proof shows, when all of it is true.

    Args:
        proof: as `chain.prove` returned it, or the bytes of a proof file.
        roots: root keys that you know; one of them must have signed the checkpoint. Without any, a
            proof shows no more than that its maker holds a root key of some chain.
        earlier: older proofs of the same chain, which this one must continue.

    Raises:
        TrustError: a path, a signature or an author is not what it should be, or there are two
            histories of one chain.
        UntrustedRoot: the checkpoint is signed by none of `roots`, or how this proof continues an
            earlier one is not shown.
        ProtocolError, UnsupportedFormat, LimitExceeded: it is no proof.
    """
    known = tuple(roots)
    found = check(_read(proof), known)
    for one in earlier:
        check_order(check(_read(one), known), found)
    return found


def _read(proof: Evidence | bytes) -> Evidence:
    # Also what is an object already is read from its bytes: only they have a form to be checked.
    return Evidence.decode(proof.encode() if isinstance(proof, Evidence) else proof)


def check(evidence: Evidence, roots: Iterable[Principal] = ()) -> Checked:
    """Return what one proof shows; raises what `check_proof` raises."""
    walk = _Walk(evidence)
    for commit in evidence.commits:
        walk.take(commit)
    signer = walk.checkpoint()
    pinned = {one.key_id for one in roots}
    if pinned and signer.key_id not in pinned:
        raise UntrustedRoot(
            f"the checkpoint is signed by {signer.identity} ({signer.key_id.hex()[:8]}), "
            "and that is none of the root keys given"
        )
    sealed, trust = evidence.checkpoint, walk.trust
    assert trust.genesis is not None
    return Checked(
        chain_id=trust.chain_id,
        name=trust.genesis.name,
        founder=walk.founder,
        roots=tuple(trust.keys[key_id] for key_id in sorted(trust.root_keys())),
        size=sealed.size,
        root=sealed.root,
        time_us=sealed.time_us,
        signer=signer,
        is_pinned=bool(pinned),
        proven=walk.proven,
        continued=tuple((one.size, one.root) for one in evidence.continued),
    )


def check_order(older: Checked, newer: Checked) -> None:
    """Return when two proofs are shown to be of one history.

    Raises:
        TrustError: they are of two chains, or of two histories of one.
        UntrustedRoot: `newer` does not say how it continues `older`.
    """
    if older.chain_id != newer.chain_id:
        raise TrustError(f"they are of two chains, {older.name!r} and {newer.name!r}", hint="")
    known = {(newer.size, newer.root), *newer.continued}
    if (older.size, older.root) in known:
        return
    if older.size in {size for size, _ in known}:
        raise TrustError(
            f"two histories of one chain: its first {older.size} commits have two different roots",
            hint="somebody with a root key, or the host, has shown different things to you",
        )
    raise UntrustedRoot(
        "the newer proof does not show that it continues the older one",
        hint="make one that does: ate prove CHAIN --consistency OLDER > FILE",
    )


class _Walk:
    """Folds the commits of a proof as a chain is folded, each first shown to be in the tree."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.trust = Trust()
        self.founder: Principal
        self.proven: Proven | None = None
        self._index, self._next_seq, self._time_us = -1, 1, 0

    def take(self, commit: ShownCommit) -> None:
        """Judge one commit and learn what it says."""
        author = _author(commit.author)
        self._check_place(commit, author)
        rows = [_row(shown, author) for shown in commit.rows]
        if not rows or [one.at for one in commit.rows] != sorted({one.at for one in commit.rows}):
            raise ProtocolError("a commit of the proof shows no rows, or not in their order")
        commit_root = digest(commit.author)
        leaf = leaf_of(commit_root, commit.first_seq, commit.time_us)
        sealed = self.evidence.checkpoint
        merkle.verify_inclusion(leaf, commit.index, sealed.size, commit.path, sealed.root)
        is_first = self._index < 0
        if is_first:
            self._found(commit, author, commit_root, rows)
        elif author.chain_id != self.trust.chain_id:
            raise TrustError("a commit of the proof belongs to another chain", hint="")
        for row, shown in zip(rows, commit.rows, strict=True):
            self._check_row(row, shown, is_first=is_first)
        self._learn(rows, commit, Kind.KEY, Kind.CERTIFICATE)
        if not is_first:
            self._judge(commit, author, commit_root, rows)
        self._learn(rows, commit, Kind.ROLE)
        self._index, self._time_us = commit.index, commit.time_us
        self._next_seq = commit.first_seq + author.row_count

    def _check_place(self, commit: ShownCommit, author: AuthorPart) -> None:
        ahead = commit.index > self._index and commit.first_seq >= self._next_seq
        limits.check("rows in a commit", author.row_count, limits.COMMIT_ROWS_MAX)
        if not ahead or not self._time_us <= commit.time_us <= limits.TIME_US_MAX:
            raise ProtocolError("the commits of the proof do not follow each other")

    def _found(
        self, commit: ShownCommit, author: AuthorPart, commit_root: bytes, rows: Sequence[Row]
    ) -> None:
        """The first commit: it names the chain, and one of the roots that it names signed it."""
        body = commit.rows[0].body
        is_genesis = rows[0].kind == Kind.GENESIS and commit.rows[0].at == 0 and body is not None
        if not is_genesis or any(author.chain_id) or (commit.index, commit.first_seq) != (0, 1):
            raise ProtocolError("the proof does not begin with the first commit of a chain")
        assert body is not None
        genesis = decode(Genesis, body)
        founders = {one.principal.key_id: one.principal for one in genesis.roots}
        founder = founders.get(author.key_id)
        if founder is None or author.suite != 1 or genesis.suite not in (1, 2):
            raise BadSignature("the chain was not founded by one of its roots")
        self.trust.chain_id = commit_root
        self.trust.apply(Kind.GENESIS, rows[0].id, body)
        VerifyKey(founder.sign).verify(commit.signature, commit_root, SIGN_CONTEXT)
        self.founder = founder

    def _check_row(self, row: Row, shown: ShownRow, *, is_first: bool) -> None:
        """Raise unless a row has a place in a proof and is what its kind says."""
        if row.kind in _CHANGES:
            return
        if row.kind not in _SYSTEM or shown.body is None:
            raise ProtocolError("the proof shows a row that proves nothing")
        if row.epoch or row.codec or row.schema or (row.kind == Kind.GENESIS and not is_first):
            raise ProtocolError("a system row of the proof is none")
        if row.id != own_id(row.kind, row, shown.body, self.trust):
            raise ProtocolError("a system row of the proof does not stand under its own id")

    def _learn(self, rows: Sequence[Row], commit: ShownCommit, *kinds: Kind) -> None:
        for row, shown in zip(rows, commit.rows, strict=True):
            if row.kind in kinds:
                assert shown.body is not None
                self.trust.apply(row.kind, row.id, shown.body)

    def _judge(
        self, commit: ShownCommit, author: AuthorPart, commit_root: bytes, rows: Sequence[Row]
    ) -> None:
        """Check who signed, where something depends on it."""
        changes = [at for at, row in enumerate(rows) if row.kind in _CHANGES]
        is_rotation = any(
            row.kind == Kind.ROLE and decode(Role, shown.body or b"").name in _DECIDING
            for row, shown in zip(rows, commit.rows, strict=True)
        )
        if not changes and not is_rotation:
            if commit.signature:
                raise ProtocolError("the proof holds a signature that proves nothing")
            return
        authorities = self._signed(commit, author, commit_root)
        if is_rotation and not authorities & self.trust.root_keys():
            raise BadSignature("new root keys or sequencers were not signed by a root key")
        for at in changes:
            self._prove(commit, author, rows[at], commit.rows[at], authorities)

    def _signed(
        self, commit: ShownCommit, author: AuthorPart, commit_root: bytes
    ) -> frozenset[bytes]:
        """Return whom a commit speaks for, when its signature is good."""
        trust = self.trust
        if author.suite == 0 and trust.sequencers:
            return self._ordered(commit, author, commit_root)
        authorities = trust.authorities(author.key_id, commit.time_us)
        key = trust.verifier(author.key_id)
        if key is None or not authorities or not 0 < author.suite <= trust.suite:
            raise BadSignature("the proof does not show the key of an author")
        if isinstance(key, FastVerifyKey) is (author.suite == 1):
            raise BadSignature("an author's key is not of the suite that the commit claims")
        key.verify(commit.signature, commit_root, SIGN_CONTEXT)
        return authorities

    def _ordered(
        self, commit: ShownCommit, author: AuthorPart, commit_root: bytes
    ) -> frozenset[bytes]:
        """Return whom a commit speaks for that the server has signed in its author's place."""
        trust = self.trust
        if author.key_id not in trust.keys:
            raise BadSignature("the proof does not show the key of an author")
        if any(row.signed[0] not in UNSIGNED for row in commit.rows):
            raise BadSignature("what decides who may read or write is signed by its author")
        leaf = leaf_of(commit_root, commit.first_seq, commit.time_us)
        check_sequence(trust.sequencers, commit.signature, leaf)
        return frozenset((author.key_id,))

    def _prove(
        self,
        commit: ShownCommit,
        author: AuthorPart,
        row: Row,
        shown: ShownRow,
        authorities: frozenset[bytes],
    ) -> None:
        seq, trust = commit.first_seq + shown.at, self.trust
        if seq != self.evidence.seq or self.proven is not None:
            raise ProtocolError("the proof is about one row, and shows another")
        names = tuple(trust.keys[key_id] for key_id in sorted(authorities & trust.keys.keys()))
        body, key = shown.body, self.evidence.key
        is_sealed = bool(row.epoch)
        if (row.kind == Kind.TOMBSTONE and body is not None) or (
            bool(key) is not (is_sealed and body is not None)
        ):
            raise ProtocolError("a sealed body comes with its key, and nothing else does")
        if body is not None and is_sealed:
            if len(key) != merkle.HASH_BYTES:
                raise ProtocolError("the key of a body has the wrong length")
            nonce = shown.at.to_bytes(12, "little")
            body = Sealer(key).open(nonce, body, shown.signed[:HEAD_BYTES])
        self.proven = Proven(seq, row, commit.time_us, author.key_id, names, body)

    def checkpoint(self) -> Principal:
        """Return the root key that signed the checkpoint; what it covers is complete then."""
        evidence, trust = self.evidence, self.trust
        sealed = evidence.checkpoint
        if self._index < 0 or bool(evidence.seq) is not (self.proven is not None):
            raise ProtocolError("the proof does not show the row that it is about")
        if not evidence.seq and evidence.key:
            raise ProtocolError("the proof holds a key that opens nothing")
        if sealed.time_us > limits.TIME_US_MAX:
            raise ProtocolError("the time of the checkpoint is none")
        if sealed.key_id not in trust.root_keys():
            raise BadSignature("the checkpoint is not signed by a root key of this chain")
        signer = trust.keys[sealed.key_id]
        message = sealed.message(trust.chain_id)
        VerifyKey(signer.sign).verify(sealed.signature, message, CHECKPOINT_CONTEXT)
        last = 0
        for one in evidence.continued:
            if not last < one.size <= sealed.size:
                raise ProtocolError("the earlier states of the proof are not in their order")
            merkle.verify_consistency(one.size, one.root, sealed.size, one.path, sealed.root)
            last = one.size
        return signer


def _author(raw: bytes) -> AuthorPart:
    if len(raw) != AUTHOR_BYTES:
        raise ProtocolError(f"an author part has {AUTHOR_BYTES} bytes, this has {len(raw)}")
    part = AuthorPart.decode(raw)
    if part.version != VERSION:
        raise UnsupportedFormat(f"commit format {part.version}, this version reads {VERSION}")
    return part


def _row(shown: ShownRow, author: AuthorPart) -> Row:
    """Return a row that is shown to be in its commit, and its body to be its own."""
    if len(shown.signed) != SIGNED_BYTES:
        raise ProtocolError(f"the signed part of a row has {SIGNED_BYTES} bytes")
    merkle.verify_rows(
        digest(shown.signed), shown.at, author.row_count, shown.path, author.rows_root
    )
    row = unpack(shown.signed + _LOCAL, 0)
    if shown.body is not None and digest(shown.body) != row.body_hash:
        raise TrustError("a body of the proof is not the one that its row names", hint="")
    return row
