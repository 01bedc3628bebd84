"""Station 3 of the road: drafts in, one sealed, hashed and signed commit out; plaintext ends here.

It never judges and never touches the log. The cost per row is a handful of C calls: pack, seal,
hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from ate import limits, merkle
from ate.crypto.aead import Sealer
from ate.crypto.entropy import Entropy
from ate.crypto.hash import digest, digest_many
from ate.errors import NoReadKey, UsageError
from ate.event.access import Access, Any, Everyone, Inherit, Principal, ReadRule, WriteRule
from ate.event.commit import VERSION, AuthorPart, Commit, Origin
from ate.event.draft import Draft
from ate.event.header import Header, encode_headers
from ate.event.row import (
    CODEC_DELTA,
    EPOCH_SHIFT,
    FLAG_ACCESS,
    FLAG_HEADER,
    FLAG_OVERWRITE,
    HEAD,
    Kind,
)
from ate.event.system import CertificateBody, PublicKeys, encode, system_id
from ate.ids import ROOT
from ate.session import KeyPair, Session
from ate.trust import delta
from ate.trust.domains import PLAIN, DomainKey, Domains, encode_grant
from ate.trust.pipeline import Pipeline
from ate.trust.rules import Rules
from ate.trust.sequence import Proved
from ate.trust.signer import Composite, Fast, Present, Signer, Unsigned, may_stay_unsigned

_NO_KEY: Final = bytes(16)
_SPLIT_HINT: Final = "commit in smaller portions"


class Preparer:
    """Makes commits of one session on one chain.

    Args:
        pipeline: enrichers, filters, confidentiality.
        present: the chain's keys, policies and stored objects.
        domains: the read-domain keys this session opens.
        session: who signs; None on chains without roots.
        entropy: where salts and keys come from.
        proved: to whom a session has proved its key; where the chain names that server, it signs in
            the author's place.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        present: Present,
        domains: Domains,
        session: Session | None,
        entropy: Entropy,
        *,
        proved: Proved | None = None,
    ) -> None:
        self.pipeline, self.present, self.domains = pipeline, present, domains
        self.session, self.entropy, self.proved = session, entropy, proved
        self.trust, self.stored = present.trust, present.stored

    def expect_roots(self, roots: Sequence[Principal]) -> None:
        """Before the genesis commit: these will be the roots, so they can read what it starts."""
        self.domains.roots = tuple(roots)

    async def prepare(
        self, drafts: Sequence[Draft], *, origin: Origin, seen_seq: int, now_us: int
    ) -> tuple[Commit, list[Draft]]:
        """Seal and sign `drafts` as one commit.

        Args:
            drafts: in the user's order.
            origin: who sends it; `lsn` must be new.
            seen_seq: head of the chain as the author knows it.
            now_us: for certificates.

        Returns:
            The commit and its rows as drafts: keys, certificates and grants come first.

        Raises:
            LimitExceeded, NoReadKey, UsageError.
        """
        self.domains.begin()
        mine = (
            [self._enriched(draft) for draft in drafts] if self.pipeline.enrichers else list(drafts)
        )
        #: No object of the chain or the commit has a rule of its own: the chain's rule serves all.
        uniform = self.present.rules == 1 and all(draft.header is None for draft in mine)
        rules: Rules | None = None
        if not uniform:
            mine = [self._carry_access(draft) for draft in mine]
            rules = Rules(self.stored, {d.id: (d.parent, _access(d)) for d in mine})
        grants = [] if uniform else self._grants(mine)
        signer = self._signer(rules, [*mine, *grants], now_us)
        if self.trust.genesis is None:
            rows = [*mine, *grants]  # the genesis row itself carries the root keys
        else:
            introduced = self._introductions(signer)
            # An author may name itself in a rule of its first commit: its key is published once.
            published = {row.id for row in introduced}
            rows = [*introduced, *(row for row in grants if row.id not in published), *mine]
        limits.check("rows in a commit", len(rows), limits.COMMIT_ROWS_MAX, hint=_SPLIT_HINT)
        salt = self.entropy(32)
        keys = self._domain_keys(rows, rules)
        packed = self._packed(rows, keys)
        bodies, heads = await self._seal(packed, keys, salt)
        headers = {}
        if not uniform or packed is not rows:
            headers = {i: row.header for i, row in enumerate(packed) if row.header is not None}
        rare = encode_headers(headers)
        author = AuthorPart(
            VERSION, signer.suite if signer else 0, 0, len(rows), self.trust.chain_id or bytes(32),
            *origin, signer.key_id if signer else _NO_KEY, seen_seq, salt,
            merkle.rows_root(b"".join(digest_many(heads))), digest(rare),
        )  # fmt: skip
        raw = author.encode()
        root = digest(raw)
        signature = signer.sign(root) if signer else b""
        return Commit(author, raw, root, heads, bodies, signature, rare, headers), rows

    def _enriched(self, draft: Draft) -> Draft:
        for enricher in self.pipeline.enrichers:
            draft = enricher.enrich(draft, self.session)
        return draft

    def _carry_access(self, draft: Draft) -> Draft:
        """A new version of an object with its own rule repeats the rule.

        So the newest row has it all.
        """
        if not draft.base and not draft.overwrite:
            return draft
        header = draft.header or Header()
        if header.access is not None:
            return draft
        stored = self.stored(draft.id)
        if stored is None or stored.access is None:
            return draft
        header = Header(stored.access, header.author, header.reply, header.unknown)
        return msgspec.structs.replace(draft, header=header)

    def _signer(self, rules: Rules | None, drafts: Sequence[Draft], now_us: int) -> Signer | None:
        if not (self.trust.has_roots if self.trust.genesis else self.domains.roots):
            return None
        if self.session is None:
            raise UsageError(
                "this chain is signed: a commit needs a session",
                hint="open it with session=Session.load(FILE, PASSPHRASE)",
            )
        self.session.check_live(now_us)
        if may_stay_unsigned(
            self.session, self.present, self.proved, drafts, has_rules=rules is not None
        ):
            return Unsigned(self.session)
        if self.trust.genesis is not None and self.trust.suite == 2:
            return Fast(self.session, self.session.fast(self.trust.chain_id, now_us))
        return Composite(self.session, self._acting_as(rules, drafts))

    def _acting_as(self, rules: Rules | None, drafts: Sequence[Draft]) -> KeyPair:
        """Return the key pair whose authority the first row's rule wants, for suite 1.

        System rows alone change roles and policies, which is for the roots.
        """
        assert self.session is not None
        first = next((d for d in drafts if d.kind <= Kind.TOMBSTONE), None)
        rule: WriteRule = Inherit
        if first is not None:
            rule = self.present.root_access().write
            if rules is not None:
                rule = rules.write_rule(first.id if first.base else first.parent)
        wanted: frozenset[bytes] = frozenset()
        if rule is Inherit:
            wanted = self.trust.root_keys()
        elif isinstance(rule, Any):
            wanted = self.trust.resolve(rule.names)
        for pair in self.session.authorities(self.trust.chain_id):
            if pair.key_id in wanted:
                return pair
        return self.session.own

    def _introductions(self, signer: Signer | None) -> list[Draft]:
        """Return rows that publish the author's keys and certificates.

        Where the chain lacks them.
        """
        if signer is None or signer.key_id in self.trust.certified:
            return []
        rows = [
            _key_row(pair.principal)
            for pair in signer.session.authorities(self.trust.chain_id)
            if pair.key_id not in self.trust.keys
        ]
        for certificate in signer.certificates:
            fields = (getattr(certificate, name) for name in CertificateBody.__struct_fields__)
            name = certificate.subject + certificate.issuer
            body = encode(CertificateBody(*fields))
            rows.append(_system_row(Kind.CERTIFICATE, "certificate", name, body))
        return rows

    def _grants(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return KEY rows for principals named in new rules, and GRANT rows for new read rules."""
        keys: dict[bytes, Draft] = {}
        grants: list[Draft] = []
        for draft in drafts:
            access = _access(draft)
            if access is None or draft.kind == Kind.TOMBSTONE:
                continue
            for principal in access.principals():
                if principal.key_id not in self.trust.keys:
                    keys[principal.key_id] = _key_row(principal)
            if access.read is Inherit and draft.id != ROOT:
                continue
            grant = self.domains.grant_for(draft.id, access.read, self.entropy)
            if grant is not None:
                row = _system_row(Kind.GRANT, "grant", draft.id, encode_grant(grant))
                row.parent = draft.id
                stored = self.stored(row.id)
                row.base = stored.seq if stored else 0
                row.created = (stored.row.created or stored.seq) if stored else 0
                grants.append(row)
        return [*keys.values(), *grants]

    def _domain_keys(self, rows: Sequence[Draft], rules: Rules | None) -> list[_Keyed]:
        """Return (domain, key) for each row; system rows and deletions are never sealed."""
        plain = (bytes(ROOT), PLAIN)
        if rules is None:
            if all(row.kind != Kind.DATA for row in rows):
                return [plain] * len(rows)  # nothing to seal: the key need not be at hand
            shared = self._keyed(bytes(ROOT), self.present.root_access().read)
            return [shared if row.kind == Kind.DATA else plain for row in rows]
        by_domain: dict[bytes, _Keyed] = {}
        by_parent: dict[bytes, _Keyed] = {}
        found: list[_Keyed] = []
        for row in rows:
            if row.kind != Kind.DATA:
                found.append(plain)
                continue
            inherits = row.header is None or row.header.access is None
            keyed = by_parent.get(row.parent) if inherits else None
            if keyed is None:
                domain, rule = rules.read_domain(row.id)
                keyed = by_domain.get(domain) or self._keyed(domain, rule)
                by_domain[domain] = keyed
                if inherits:
                    by_parent[row.parent] = keyed
            found.append(keyed)
        return found

    def _keyed(self, domain: bytes, rule: ReadRule) -> _Keyed:
        if rule is Everyone:
            return domain, PLAIN
        known = self.domains.newest(domain)
        if known is None and self.trust.has_roots:
            raise NoReadKey(
                f"read domain {domain.hex()[:8]} has no key to seal with", domain=domain
            )
        return domain, known or PLAIN

    def _packed(self, rows: list[Draft], keys: Sequence[_Keyed]) -> list[Draft]:
        """Return the rows as they are kept: deltas where that is smaller, then the filters.

        A delta is sealed under the key of what it copies from: who reads the one reads the other.
        """
        if any(row.against is not None for row in rows):
            rows = [
                delta.shorten(row, domain, key.epoch)
                for row, (domain, key) in zip(rows, keys, strict=True)
            ]
        if self.pipeline.filters:
            rows = [self._filtered(row) if row.kind == Kind.DATA else row for row in rows]
        return rows

    async def _seal(
        self, rows: Sequence[Draft], keys: Sequence[_Keyed], salt: bytes
    ) -> tuple[list[bytes], list[bytes]]:
        """Return stored bodies and the 112 signed bytes of each row."""
        plains = [row.body for row in rows]
        sizes = [len(plain) for plain in plains]
        limits.check("body bytes", max(sizes), limits.BODY_BYTES_MAX - 16, hint=_SPLIT_HINT)
        total = sum(sizes) + 200 * len(rows)
        limits.check("commit bytes", total, limits.COMMIT_BYTES_MAX, hint=_SPLIT_HINT)
        pack = HEAD.pack
        heads = [
            pack(
                row.kind, _flags(row) if row.header or row.overwrite else 0, row.codec, 0,
                row.schema, row.id, row.parent, row.collection, row.base, domain,
                row.created | key[0] << EPOCH_SHIFT,
            )
            for row, (domain, key) in zip(rows, keys, strict=True)
        ]  # fmt: skip
        bodies = await self._seal_runs(plains, heads, keys, salt)
        signed = [head + body for head, body in zip(heads, digest_many(bodies), strict=True)]
        return bodies, signed

    def _filtered(self, row: Draft) -> Draft:
        codec, body = row.codec & ~CODEC_DELTA, row.body
        for one in self.pipeline.filters:
            codec, body = one.encode(codec, body)
        if body is row.body:
            return row
        if codec & CODEC_DELTA:
            raise UsageError(f"codec bit {CODEC_DELTA} says delta, no filter may set it")
        codec |= row.codec & CODEC_DELTA
        return msgspec.structs.replace(row, codec=codec, body=body)

    async def _seal_runs(
        self,
        plains: list[bytes],
        heads: list[bytes],
        keys: Sequence[_Keyed],
        salt: bytes,
    ) -> list[bytes]:
        """Seal runs of rows that share a domain, one call for each run."""
        how, out, start = self.pipeline.confidentiality, [], 0
        sealers: dict[bytes, Sealer] = {}
        while start < len(plains):
            pair = keys[start]
            end = start + 1
            while end < len(plains) and keys[end] is pair:
                end += 1
            domain, key = pair
            if key.epoch == 0:
                out += plains[start:end]
            else:
                sealer = sealers.get(domain)
                if sealer is None:
                    sealer = how.sealer(self.trust.chain_id, salt, domain, key.epoch, key.key)
                    sealers[domain] = sealer
                out += await how.seal(sealer, plains[start:end], heads[start:end], start)
            start = end
        return out


_Keyed: TypeAlias = "tuple[bytes, DomainKey]"


def _access(draft: Draft) -> Access | None:
    return draft.header.access if draft.header is not None else None


def _flags(draft: Draft) -> int:
    flags = FLAG_OVERWRITE if draft.overwrite else 0
    if draft.header is not None:
        flags |= FLAG_HEADER | (FLAG_ACCESS if draft.header.access is not None else 0)
    return flags


def _key_row(principal: Principal) -> Draft:
    body = encode(PublicKeys.of(principal))
    return _system_row(Kind.KEY, "key", principal.key_id, body)


def _system_row(kind: Kind, what: str, name: bytes, body: bytes) -> Draft:
    return Draft(int(kind), system_id(what, name), bytes(ROOT), 0, 0, 0, 0, 0, body)
