"""`ate.trust.sequence`: the signature that a server gives in an author's place."""

from __future__ import annotations

import pytest

from ate.crypto.entropy import SeededEntropy
from ate.crypto.sign import FastKey, SigningKey
from ate.errors import BadSignature
from ate.trust.sequence import (
    NO_SEQUENCE,
    SEQUENCE_BYTES,
    SEQUENCE_CONTEXT,
    Sequencer,
    check_sequence,
)

ONE, OTHER = Sequencer(FastKey.from_seed(bytes(32))), Sequencer(FastKey.from_seed(b"2" * 32))
BOTH = {one.public.key_id: one.public for one in (ONE, OTHER)}
LEAF = bytes(range(32))


def test_what_was_signed_holds_and_nothing_else() -> None:
    signature = ONE.sign(LEAF)
    assert len(signature) == SEQUENCE_BYTES == len(NO_SEQUENCE)
    check_sequence(BOTH, signature, LEAF)
    check_sequence(BOTH, OTHER.sign(LEAF), LEAF)
    for bad, leaf in (
        (signature, bytes(32)),
        (OTHER.public.key_id + signature[16:], LEAF),
        (signature[:-1], LEAF),
        (signature + b"\0", LEAF),
        (NO_SEQUENCE, LEAF),
        (b"", LEAF),
    ):
        with pytest.raises(BadSignature):
            check_sequence(BOTH, bad, leaf)
    with pytest.raises(BadSignature, match="neither its author nor a sequencer"):
        check_sequence({OTHER.public.key_id: OTHER.public}, signature, LEAF)


def test_it_is_no_other_kind_of_signature() -> None:
    """The context keeps what a server signs from being taken for what an author signs."""
    key = FastKey.from_seed(bytes(32))
    assert ONE.sign(LEAF)[16:] == key.sign(LEAF, SEQUENCE_CONTEXT)
    with pytest.raises(BadSignature):
        check_sequence(BOTH, key.public.key_id + key.sign(LEAF, b"ate/commit/1"), LEAF)


def test_a_server_has_one_for_its_identity() -> None:
    identity = SigningKey.generate(SeededEntropy(1))
    one = Sequencer.of(identity)
    assert one.public == Sequencer.of(SigningKey.from_seed(identity.seed)).public
    assert one.public != Sequencer.of(SigningKey.generate(SeededEntropy(2))).public
    assert one.public.key_id.hex()[:8] in repr(one)
    assert identity.seed.hex() not in repr(vars(one))
