from __future__ import annotations

import pytest

from ate import limits
from ate.crypto.hash import digest
from ate.errors import (
    AteError,
    Compacted,
    LimitExceeded,
    ProtocolError,
    TrustError,
    UnsupportedFormat,
    UntrustedRoot,
)
from ate.mesh.acknowledged import Acknowledged
from ate.mesh.evidence import Contradiction, judge
from ate.mesh.witness import MAGIC, Witness
from ate.testing.spokesman import CHAIN, Spokesman, Story

OURS = Story(("common", 5), ("ours", 15))
THEIRS = Story(("common", 5), ("theirs", 15))
SERVER = Spokesman()


def short(size: int) -> Story:
    """What a replica holds that lags behind."""
    story = Story()
    story.leaves = OURS.leaves[:size]
    return story


def witness() -> Witness:
    return Witness(CHAIN, SERVER.key)


def test_an_honest_server_is_believed_and_answers() -> None:
    one, seen = witness(), []
    assert one.seen == b""
    for size in (3, 3, 8, 20):
        heard = one.hear(SERVER.say(OURS, size, answers=one.seen).encode(), answers=one.seen)
        seen.append(heard.hash)
        assert one.newest == heard
        assert one.seen == heard.hash
        one.check(OURS)
        assert one.open == []
        assert one.agreed is not None
        assert one.agreed.size == size
    assert len(set(seen)) == 4


def test_what_is_ahead_of_the_replica_is_compared_once_it_is_there() -> None:
    one = witness()
    for size in (4, 9, 12):
        one.hear(SERVER.say(OURS, size).encode())
    one.check(short(3))
    assert [said.size for said in one.open] == [4, 9, 12]
    one.check(short(9))
    assert [said.size for said in one.open] == [12]
    assert one.agreed is not None
    assert one.agreed.size == 9
    one.hear(SERVER.say(THEIRS, 13).encode())
    with pytest.raises(Contradiction, match="other commits than the 13") as found:
        one.check(OURS)
    assert found.value.evidence is None
    assert "nothing that the server signed" in found.value.hint
    # It stays until the server signs what it sends; then all can see it.
    one.hear(SERVER.say(OURS, 18).encode())
    with pytest.raises(Contradiction) as found:
        one.check(OURS)
    assert found.value.evidence is not None
    assert judge(found.value.evidence).kind == "rewritten"


def test_it_survives_being_closed() -> None:
    one = witness()
    for size in (4, 9):
        one.hear(SERVER.say(OURS, size).encode())
        one.check(short(5))
    again = Witness.decode(one.encode(), CHAIN, SERVER.key)
    assert (again.newest, again.agreed, again.open) == (one.newest, one.agreed, one.open)
    assert again.seen == one.seen
    again.check(OURS)
    assert again.agreed == one.newest
    fresh = Witness.decode(witness().encode(), CHAIN, SERVER.key)
    assert fresh.newest is fresh.agreed is None


def test_memory_is_bounded() -> None:
    one = witness()
    for size in range(1, 20):
        one.hear(SERVER.say(OURS, size).encode())
    assert len(one.open) == limits.STATEMENTS_MAX
    assert (one.open[0].size, one.open[-1].size) == (1, 19)
    assert len(one.encode()) < limits.WITNESS_BYTES_MAX
    again = Witness.decode(one.encode(), CHAIN, SERVER.key)
    assert again.open == one.open


@pytest.mark.parametrize(
    "raw, error",
    [
        (b"", UnsupportedFormat),
        (MAGIC, ProtocolError),
        (MAGIC + b"\x90", ProtocolError),
        (MAGIC + b"\x92\xc4\x01x\xc4\x00", UnsupportedFormat),
        (bytes(limits.WITNESS_BYTES_MAX + 1), LimitExceeded),
    ],
)
def test_a_memory_that_is_none(raw: bytes, error: type[AteError]) -> None:
    with pytest.raises(error):
        Witness.decode(raw, CHAIN, SERVER.key)


def test_a_memory_of_another_chain_or_server() -> None:
    one = witness()
    one.hear(SERVER.say(OURS, 4).encode())
    with pytest.raises(TrustError, match="another chain"):
        Witness.decode(one.encode(), digest(b"other"), SERVER.key)
    with pytest.raises(UntrustedRoot):
        Witness.decode(one.encode(), CHAIN, Spokesman(2).key)


def test_nothing_of_a_bad_statement_is_remembered() -> None:
    one = witness()
    for raw in (b"x", Spokesman(2).say(OURS).encode(),
                SERVER.say(OURS, chain_id=digest(b"other")).encode()):  # fmt: skip
        with pytest.raises(AteError):
            one.hear(raw)
    assert one.newest is None
    assert one.open == []


def test_what_compaction_dropped_cannot_be_compared() -> None:
    class Dropped(Story):
        def root(self, size: int) -> bytes:
            raise Compacted("gone")

        def between(self, start: int, stop: int):  # type: ignore[no-untyped-def]
            return iter(())

    one = witness()
    one.hear(SERVER.say(OURS, 4).encode())
    one.check(Dropped(("x", 20)))
    assert one.open == []
    kept = Acknowledged.of(OURS.commits[3], SERVER.say(OURS), OURS)
    one.recall(kept, Dropped(("x", 20)))


def test_a_commit_that_was_acknowledged() -> None:
    one = witness()
    kept = Acknowledged.of(OURS.commits[7], SERVER.say(OURS, 9), OURS)
    one.recall(kept, OURS)
    one.recall(kept, short(7))
    with pytest.raises(Contradiction) as found:
        one.recall(kept, THEIRS)
    assert found.value.evidence is None
    one.hear(SERVER.say(THEIRS, 8).encode())
    one.check(THEIRS)
    with pytest.raises(Contradiction, match="acknowledged commit 7") as found:
        one.recall(kept, THEIRS)
    assert found.value.evidence is not None
    assert judge(found.value.evidence).kind == "replaced"
    with pytest.raises(TrustError, match="another chain"):
        Witness(digest(b"other"), SERVER.key).recall(kept, OURS)
