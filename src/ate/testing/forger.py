"""`Forger`: commits made by hand, one field at a time, as an adversary makes them.

It judges nothing.

The product prepares what its own rules allow. A forger prepares anything, with whatever keys it
holds: rows of any kind and id, any flags, any origin, any suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from ate import merkle
from ate.crypto.entropy import SeededEntropy
from ate.crypto.hash import digest, digest_many
from ate.crypto.sign import FastKey, SigningKey
from ate.event.access import Access
from ate.event.commit import SIGN_CONTEXT, VERSION, AuthorPart, Commit, Origin
from ate.event.header import Header, encode_headers
from ate.event.row import EPOCH_SHIFT, FLAG_ACCESS, FLAG_HEADER, HEAD, Kind
from ate.event.system import CertificateBody, PublicKeys, encode, system_id
from ate.ids import ROOT, device_of
from ate.session import KeyPair, Session


@dataclass(frozen=True, slots=True)
class Line:
    """One row as its forger wants it.

    Args:
        flags: taken as they are; None sets what `header` demands.
        header: goes into the rare section.
    """

    id: bytes
    parent: bytes = ROOT
    kind: int = Kind.DATA
    body: bytes = b""
    base: int = 0
    created: int = 0
    collection: int = 0
    schema: int = 0
    codec: int = 0
    domain: bytes = ROOT
    epoch: int = 0
    flags: int | None = None
    header: Header | None = None

    def head(self) -> bytes:
        """Return the 80 bytes in front of the body hash."""
        flags = self.flags
        if flags is None:
            flags = 0
            if self.header is not None:
                flags = FLAG_HEADER | (FLAG_ACCESS if self.header.access is not None else 0)
        return HEAD.pack(
            self.kind, flags, self.codec, 0, self.schema, self.id, self.parent, self.collection,
            self.base, self.domain, self.created | self.epoch << EPOCH_SHIFT,
        )  # fmt: skip


def ruled(line: Line, access: Access) -> Line:
    """Return the line with an access rule in its header."""
    return replace(line, header=Header(access))


@dataclass(slots=True)
class Forger:
    """Somebody with keys and no manners.

    Args:
        chain_id: the chain the commits claim to be for.
        key: what signs: a long-term pair, a bare key, or None for unsigned commits.
        origin: of the next commit; it counts on by itself. By default that of the key.
        suite: what commits claim; by default what fits the key.
        seen_seq: the head the author claims to have seen.
    """

    chain_id: bytes
    key: KeyPair | SigningKey | FastKey | None = None
    origin: Origin = field(default=Origin(0, 0, 0, 0))
    suite: int | None = None
    seen_seq: int = 0
    entropy: SeededEntropy = field(default_factory=lambda: SeededEntropy(b"forger"))

    def __post_init__(self) -> None:
        if self.origin == Origin(0, 0, 0, 0):
            self.origin = Origin(device_of(self._key_id()) if self.key else 7, 7, 1, 0)

    def commit(
        self,
        *lines: Line,
        rare: bytes | None = None,
        signature: bytes | None = None,
        key_id: bytes | None = None,
        flags: int = 0,
        version: int = VERSION,
    ) -> Commit:
        """Return a commit of these rows; keyword arguments replace what would be true."""
        bodies = [line.body for line in lines]
        heads = [line.head() + body for line, body in zip(lines, digest_many(bodies), strict=True)]
        headers = {at: line.header for at, line in enumerate(lines) if line.header is not None}
        section = encode_headers(headers) if rare is None else rare
        key = self.key.sign if isinstance(self.key, KeyPair) else self.key
        chosen = key_id or self._key_id()
        author = AuthorPart(
            version, self._suite(), flags, len(lines), self.chain_id, *self.origin, chosen,
            self.seen_seq, self.entropy(32), merkle.rows_root(digest_many(heads)), digest(section),
        )  # fmt: skip
        self.origin = Origin(
            self.origin.device, self.origin.session, self.origin.lsn + 1, self.origin.lsn
        )
        raw = author.encode()
        root = digest(raw)
        if signature is None:
            signature = key.sign(root, SIGN_CONTEXT) if key else b""
        return Commit(author, raw, root, heads, bodies, signature, section, headers)

    def _key_id(self) -> bytes:
        if self.key is None:
            return bytes(16)
        return self.key.key_id if isinstance(self.key, KeyPair) else self.key.public.key_id

    def _suite(self) -> int:
        if self.suite is not None:
            return self.suite
        return 0 if self.key is None else 2 if isinstance(self.key, FastKey) else 1


def key_line(pair: KeyPair) -> Line:
    """Return the row that publishes a key pair's public half."""
    body = encode(PublicKeys.of(pair.principal))
    return Line(system_id("key", pair.key_id), kind=Kind.KEY, body=body)


def certificate_lines(session: Session, chain_id: bytes, now_us: int) -> list[Line]:
    """Return the rows that introduce a session's fast key on a chain.

    Its keys, then certificates.
    """
    fast = session.fast(chain_id, now_us)
    lines = [key_line(pair) for pair in session.authorities(chain_id)]
    for one in fast.certificates:
        body = CertificateBody(one.subject, one.issuer, one.chain_id, one.until_us, one.signature)
        name = system_id("certificate", one.subject + one.issuer)
        lines.append(Line(name, kind=Kind.CERTIFICATE, body=encode(body)))
    return lines


def pack(fields: Mapping[object, object] | Sequence[object] | object) -> bytes:
    """Return anything as MessagePack, for bodies and sections that should not exist."""
    return msgspec.msgpack.encode(fields)
