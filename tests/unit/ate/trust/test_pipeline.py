from __future__ import annotations

import pytest

import ate
from ate.chain.admit import propose
from ate.errors import BadSignature, Refused, Replayed, WriteDenied
from ate.event.access import Access, Everyone, Nobody
from ate.event.commit import Record
from ate.testing.stage import Stage, member
from ate.trust.accept_all import AcceptAll
from ate.trust.compression import Zstd
from ate.trust.pipeline import Pipeline
from ate.trust.plugin import ABSTAIN, ALLOW, Change, Deny, Proposal, Verdict
from ate.trust.replay import Origins
from ate.trust.worker import OnChange


class Says:
    """A validator that always says the same."""

    def __init__(self, verdict: Verdict, name: str = "says") -> None:
        self.verdict, self.name = verdict, name
        self.asked = 0

    async def validate(self, proposal: Proposal) -> Verdict:
        self.asked += 1
        return self.verdict


class Total:
    """A projection that counts."""

    name = "total"

    def __init__(self) -> None:
        self.seen = 0

    def apply(self, change: Change) -> None:
        self.seen += 1


async def store(*plugins: object, access: Access | None = None) -> None:
    stage = Stage(plugins=plugins, access=access)
    (alice,) = await stage.cast("alice")
    await stage.as_(alice).store("note")


def test_plug_ins_are_sorted_by_what_they_can_do() -> None:
    zstd, worker, total = Zstd(), OnChange(frozenset(), lambda _: None), Total()
    pipeline = Pipeline([zstd, worker, total], Origins())
    assert pipeline.filters == [zstd]
    assert pipeline.workers == [worker]
    assert pipeline.projections == [total]
    assert pipeline.enrichers == []
    built_in = ["signature", "replay", "throttle", "worm", "centralized", "authority"]
    built_in += ["confidentiality", "deltas"]
    mine = ["compression", "worker", "total"]
    assert [one.name for one in pipeline.plugins] == [*built_in, *mine]


@pytest.mark.parametrize(
    "name", ["signature", "replay", "throttle", "worm", "centralized", "authority"]
)
def test_a_built_in_gives_way_to_its_namesake(name: str) -> None:
    mine = Says(ALLOW, name)
    pipeline = Pipeline([mine], Origins())
    assert [one for one in pipeline.plugins if one.name == name] == [mine]
    assert len(pipeline.validators) == 6


async def test_any_deny_refuses_the_commit_and_names_the_plug_in() -> None:
    with pytest.raises(Refused, match="refused by says: row 2: no; not ever") as refused:
        await store(Says([Deny(2, "no"), Deny(-1, "not ever")]))
    assert refused.value.verdicts == ("row 2: no", "not ever")


async def test_silence_of_all_refuses_too() -> None:
    with pytest.raises(Refused, match="no validator was in favour"):
        await store(Says(ABSTAIN, "authority"))
    with pytest.raises(Refused, match="no validator was in favour"):
        await store(Says([], "authority"))


async def test_one_voice_in_favour_is_enough_and_a_deny_still_wins() -> None:
    await store(Says(ABSTAIN, "authority"), Says(ALLOW))
    with pytest.raises(Refused):
        await store(Says(ALLOW), Says([Deny(-1, "no")], "other"))


@pytest.mark.parametrize(
    "name, error",
    [
        ("signature", BadSignature),
        ("authority", WriteDenied),
        ("replay", Replayed),
        ("worm", Refused),
    ],
)
async def test_a_refusal_by_a_built_in_has_an_error_of_its_own(
    name: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="row 0: one"):
        await store(Says([Deny(0, "one"), Deny(1, "two")], name))


async def test_a_refusal_of_many_rows_says_how_many() -> None:
    with pytest.raises(WriteDenied, match=r"row 0: no \(and 2 more rows\)"):
        await store(Says([Deny(0, "no"), Deny(1, "no"), Deny(2, "no")], "authority"))


async def test_after_a_deny_nobody_else_is_asked() -> None:
    first, second = Says([Deny(-1, "no")], "first"), Says(ALLOW, "second")
    with pytest.raises(Refused):
        await store(first, second)
    assert (first.asked, second.asked) == (1, 0)


async def test_the_acceptance_stage_is_replaceable() -> None:
    shut = Access(Everyone, Nobody)
    with pytest.raises(WriteDenied):
        await store(access=shut)
    await store(AcceptAll(), access=shut)


class Prefix:
    """A filter that puts a byte in front."""

    def __init__(self, name: str, byte: bytes, bit: int) -> None:
        self.name, self.byte, self.bit = name, byte, bit

    def encode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        return codec | self.bit, self.byte + body

    def decode(self, codec: int, body: bytes) -> tuple[int, bytes]:
        if not codec & self.bit:
            return codec, body
        assert body[:1] == self.byte
        return codec & ~self.bit, body[1:]


async def test_filters_are_undone_in_reverse_order() -> None:
    pipeline = Pipeline([Prefix("a", b"A", 16), Prefix("b", b"B", 64)], Origins())
    assert pipeline.decode(1 | 16 | 64, b"BAbody") == (1, b"body")
    stage = Stage(plugins=[Prefix("a", b"A", 16), Prefix("b", b"B", 64)])
    (alice,) = await stage.cast("alice")
    note = await stage.as_(alice).store("note")
    assert await stage.as_(alice).load(note) == "note"


async def proposals(session: ate.Session | None, *, tampered: bool = False) -> list[Proposal]:
    """Return the commits of a chain behind its first one, as they were proposed."""
    async with ate.open("p", memory=True, session=session) as chain:
        async with chain.dio() as dio:
            dio.store("x")
        view, made = chain._ledger.view, list[Proposal]()
        record = view.find(chain.head)[0]
        if tampered:
            raw = bytearray(record.payload)
            raw[40] ^= 1
            record = Record(memoryview(bytes(raw)))
        current = [0] * record.row_count
        made.append(propose(view, record, current, time_us=record.sequencer.time_us))
        return made


async def test_a_copy_asks_its_own_validators_before_a_commit_is_sent_and_then_no_more() -> None:
    (proposal,) = await proposals(None)
    mine = Says([Deny(0, "not from here")])
    pipeline = Pipeline([mine, Says(ALLOW, "authority"), Says(ABSTAIN, "replay")], Origins())
    pipeline.is_copy = True
    await pipeline.judge(proposal)
    assert mine.asked == 0, "others have ordered it: it is in the chain"
    with pytest.raises(Refused, match="refused by says: row 0: not from here"):
        await pipeline.judge_own(proposal)
    assert mine.asked == 1
    pipeline.is_copy = False
    with pytest.raises(Refused, match="refused by says"):
        await pipeline.judge(proposal)
    for fine in (ALLOW, ABSTAIN):
        await Pipeline([Says(fine)], Origins()).judge_own(proposal)
    unasked = Says([Deny(0, "no")], "throttle")
    await Pipeline([unasked], Origins()).judge_own(proposal)
    assert unasked.asked == 0, "the server asks those that it knows itself"


async def test_of_the_past_only_the_signature_is_judged() -> None:
    others = [Says([Deny(0, "no")], name) for name in ("authority", "replay", "mine")]
    pipeline = Pipeline(others, Origins())
    for session in (None, member("alice")):
        (proposal,) = await proposals(session)
        await pipeline.judge_signature(proposal)
    (proposal,) = await proposals(member("alice"), tampered=True)
    with pytest.raises(BadSignature):
        await pipeline.judge_signature(proposal)
    assert [one.asked for one in others] == [0, 0, 0]
