"""`ate.mesh.completion`: a retry gets its first answer, however late it comes."""

from __future__ import annotations

import pytest
from tests.unit.ate.mesh.served import Envoy, Scribe, rooted

from ate.event.commit import AuthorPart, Origin
from ate.mesh import completion as module
from ate.mesh.completion import Completions, Known
from ate.mesh.root import Root
from ate.wire.message import Accepted, Refused, Submit


async def written(*counts: int) -> tuple[Root, list[Scribe], list[list[bytes]]]:
    """Return a root where sessions wrote one after the other, and what they wrote."""
    root, first = await rooted()
    scribes, sent = [first], []
    for number in range(1, len(counts)):
        scribe = Scribe(2, number)
        scribe.join(first.forger.chain_id)
        scribes.append(scribe)
    for scribe, count in zip(scribes, counts, strict=True):
        notes, envoy = scribe.notes(count), Envoy()
        for note in notes:
            await root.submit(envoy, Submit(1, note))
        await envoy.until(Accepted, count)
        sent.append(notes)
    return root, scribes, sent


def found(completions: Completions, note: bytes) -> Known | None:
    author = AuthorPart.decode(note)
    return completions.find(author.device, author.session, author.lsn, memoryview(note))


async def test_answers_come_from_memory_and_from_the_log_alike() -> None:
    root, _, sent = await written(100, 40)
    fresh = Completions(root.ledger)
    for notes, before in zip(sent, (1, 101), strict=True):
        for number, note in enumerate(notes):
            for completions in (root.completions, fresh):
                known = found(completions, note)
                assert known is not None
                assert (known.index, known.first_seq) == (before + number, before + number + 1)
                answer = known.answer(3, AuthorPart.decode(note))
                assert isinstance(answer, Accepted)
                assert (answer.ch, answer.again) == (3, True)
    await root.close()


async def test_what_is_new_is_not_known() -> None:
    root, (scribe,), _ = await written(3)
    assert found(root.completions, scribe.note()) is None
    assert root.completions.lookup(1, 1, 0) is None
    assert root.completions.lookup(1, 1, 5) is None
    assert root.completions.lookup(9, 9, 1) is None
    await root.close()


async def test_other_bytes_are_not_the_same_commit() -> None:
    root, (scribe,), _ = await written(3)
    other = Scribe()
    other.join(scribe.forger.chain_id)
    other.forger.origin = Origin(1, 1, 3, 2)
    note = other.note(b"something else")
    known = found(root.completions, note)
    assert known is not None
    answer = known.answer(1, AuthorPart.decode(note))
    assert isinstance(answer, Refused)
    assert (answer.code, answer.last) == ("replayed", 4)
    assert "other bytes" in answer.text
    await root.close()


async def test_a_number_that_was_left_out_is_not_in_the_chain() -> None:
    root, (scribe,), _ = await written(1)
    scribe.forger.origin = Origin(1, 1, 10, 2)
    envoy = Envoy()
    await root.submit(envoy, Submit(1, scribe.note()))
    await envoy.until(Accepted)
    assert Completions(root.ledger).lookup(1, 1, 5) is None
    known = Completions(root.ledger).find(1, 1, 5, memoryview(bytes(300)))
    assert known is not None
    answer = known.answer(1, AuthorPart.decode(scribe.note()))
    assert isinstance(answer, Refused)
    assert "not known" in answer.text
    await root.close()


async def test_what_is_too_far_back_is_not_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SEARCH_MAX", 5)
    root, _, (notes, *_) = await written(10, 20)
    fresh = Completions(root.ledger)
    assert found(fresh, notes[9]) is not None
    assert fresh.lookup(1, 1, 11) is not None
    assert fresh.lookup(1, 1, 3) is None
    await root.close()


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SESSIONS", 3)
    root, scribes, sent = await written(2, 2, 2, 2, 2, 2)
    assert len(root.completions._recent) == 3
    for notes in sent:
        assert found(root.completions, notes[0]) is not None
    assert len(scribes) == 6
    await root.close()


async def test_after_a_compaction_what_is_left_is_found() -> None:
    root, _, (notes, others) = await written(20, 5)
    await root.compact()
    fresh = Completions(root.ledger)
    assert found(fresh, notes[-1]) is not None
    assert found(fresh, others[0]) is not None
    await root.close()
