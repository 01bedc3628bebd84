"""The signature validator: a commit must be signed as the chain's suite demands.

It grants nothing.
"""

from __future__ import annotations

from ate.crypto.sign import FastVerifyKey, VerifyKey
from ate.errors import BadSignature
from ate.event.commit import SIGN_CONTEXT
from ate.event.system import Genesis, decode
from ate.trust.centralized import UNSIGNED
from ate.trust.plugin import ABSTAIN, Deny, Proposal, Verdict
from ate.trust.sequence import NO_SEQUENCE, check_sequence

_WHY_NOBODY = "the commit speaks for nobody: unsigned, or its session certificate has expired"


class Signature:
    """Denies what is unsigned, signed by an unknown key, or in a weaker suite; else abstains.

    In a chain that names sequencers, the signature of one of them stands for the author's.
    Keys and certificates that the commit itself brings along are in the proposal's trust already.
    """

    name = "signature"

    async def validate(self, proposal: Proposal) -> Verdict:
        author, trust = proposal.author, proposal.trust
        if trust.genesis is None:
            return _genesis(proposal)
        suite = trust.suite
        if suite == 0 and author.suite == 0:
            return ABSTAIN
        if author.suite == 0 and trust.sequencers:
            return _ordered(proposal)
        if author.suite == 0 or (suite == 1 and author.suite != 1) or author.suite > 2:
            return [
                Deny(-1, f"the chain is of suite {suite}, the commit is signed in {author.suite}")
            ]
        if not proposal.authorities:
            return [Deny(-1, _WHY_NOBODY)]
        if proposal.prepared_here:
            return ABSTAIN
        key = trust.verifier(author.key_id)
        if key is None:
            return [Deny(-1, f"the author's key {author.key_id.hex()[:8]} is not published here")]
        if isinstance(key, FastVerifyKey) is (author.suite == 1):
            return [Deny(-1, "the author's key is not of the suite the commit claims")]
        return _verify(proposal, key)


def _ordered(proposal: Proposal) -> Verdict:
    """A commit without its author's signature: what a server that may say so says of it."""
    author, trust, kinds = proposal.author, proposal.trust, proposal.record.kinds
    known = trust.keys.get(author.key_id)
    if known is None:
        return [Deny(-1, f"the author's key {author.key_id.hex()[:8]} is not published here")]
    for at, kind in enumerate(kinds if not UNSIGNED.issuperset(kinds) else b""):
        if kind not in UNSIGNED:
            return [Deny(at, "its author has not signed it: it decides who may read or write")]
    if proposal.proved:
        if proposal.signature != NO_SEQUENCE:
            return [Deny(-1, "an unsigned commit leaves room for the server's signature")]
        if known.sign != proposal.proved:
            return [Deny(-1, "its author has not signed it, and it came over another's connection")]
        return ABSTAIN
    try:
        check_sequence(trust.sequencers, proposal.signature, proposal.record.leaf)
    except BadSignature as error:
        return [Deny(-1, error.message)]
    return ABSTAIN


def _genesis(proposal: Proposal) -> Verdict:
    """A chain that names roots must be signed by one of them; its suite is in the row itself."""
    genesis = decode(Genesis, proposal.body(0))
    author = proposal.author
    if not genesis.roots:
        return ABSTAIN if author.suite == 0 else [Deny(0, "a chain without roots signs nothing")]
    if genesis.suite not in (1, 2):
        return [Deny(0, f"unknown suite {genesis.suite}")]
    for keys in genesis.roots:
        if keys.principal.key_id == author.key_id and author.suite == 1:
            return _verify(proposal, VerifyKey(keys.sign))
    return [Deny(0, "the genesis commit is not signed by one of its root keys")]


def _verify(proposal: Proposal, key: VerifyKey | FastVerifyKey) -> Verdict:
    try:
        key.verify(proposal.signature, proposal.root, SIGN_CONTEXT)
    except BadSignature:
        return [Deny(-1, "the signature does not verify")]
    return ABSTAIN
