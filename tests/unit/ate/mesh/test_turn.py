"""`ate.mesh.turn`: whose commit may come next; see also `tests/simulation/test_pipeline.py`."""

from __future__ import annotations

from typing import Any

import ate
from ate.chain.checkpoint import checkpoint_row
from ate.errors import AteError, Conflict, WriteDenied
from ate.event.commit import Origin, SequencerPart
from ate.event.draft import Draft
from ate.event.payload import encode_payload
from ate.mesh.turn import Turn
from ate.testing.simloop import run, sim_loop
from ate.testing.stage import member
from ate.wire.message import Submit

UNORDERED = SequencerPart(0, 0, 0, bytes(32))
LATE = Conflict("the head is another one")


def other(session: int) -> Submit:
    return Submit(1, bytes(40) + (9).to_bytes(8, "little") + session.to_bytes(8, "little"), None)


async def sealing(chain: ate.Chain, *drafts: Draft) -> Submit:
    """Return a commit that a root submits at the head."""
    ledger = chain._ledger
    rows = list(drafts) or [checkpoint_row(ledger, chain.session)]
    made, drafted = await ledger.preparer(chain.session).prepare(
        rows, origin=Origin(5, 77, 1, 0), seen_seq=chain.head, now_us=ledger.now_us()
    )
    payload = b"".join(encode_payload(made, UNORDERED, [None] * len(drafted)))
    return Submit(1, payload, chain.head)


def play(main: Any) -> None:
    async def inside() -> None:
        roused: list[float] = []
        async with ate.open("c", memory=True, session=member("alice")) as chain:
            async with chain.dio() as dio:
                dio.store("x")
            turn = Turn(chain._ledger, lambda: roused.append(sim_loop().time()))
            await main(chain, turn, roused)
            turn.end()

    run(inside)


def test_a_checkpoint_that_came_too_late_comes_next() -> None:
    async def main(chain: ate.Chain, turn: Turn, roused: list[float]) -> None:
        late = await sealing(chain)
        inbox: list[Any] = [(None, other(1)), (None, other(2))]
        assert turn.look(inbox) == 2
        turn.refused(late, LATE)
        assert turn.look(inbox) == 0
        inbox.append((None, other(3)))
        assert turn.look(inbox) == 0
        inbox += [(None, late), (None, other(4))]
        assert turn.look(inbox) == 1
        assert inbox[0][1] is late
        assert turn.look(inbox) == 5, "it is judged; who waited comes behind it"
        turn.refused(late, LATE)  # its author did not know of all that was ordered before
        assert turn.look(inbox[1:]) == 0
        began = sim_loop().time()
        await sim_loop().pause(3)
        assert [round(at - began) for at in roused] == [2]
        assert turn.look(inbox[1:]) == 4, "it took too long"
        turn.refused(late, LATE)
        assert turn.look(inbox[1:]) == 4, "the others had not long enough"
        await sim_loop().pause(4)
        turn.refused(late, LATE)
        assert turn.look(inbox[1:]) == 0
        turn.end()
        assert turn.look(inbox[1:]) == 4

    play(main)


def test_nobody_waits_for_anything_else() -> None:
    async def main(chain: ate.Chain, turn: Turn, roused: list[float]) -> None:
        late = await sealing(chain)
        note = Draft(1, bytes(range(16)), bytes(16), 0, 0, 0, 1, 1, b"x")
        spoilt = bytearray(late.commit)
        spoilt[late.commit.rindex(member("alice").public.key_id) + 20] ^= 1
        attempts: list[tuple[Submit, AteError]] = [
            (late, WriteDenied("no")),
            (Submit(1, late.commit, None), LATE),
            (Submit(1, bytes(spoilt), late.at), LATE),
            (Submit(1, late.commit[:200], late.at), LATE),
            (Submit(1, b"", late.at), LATE),
            (await sealing(chain, note), LATE),
        ]
        for message, error in attempts:
            turn.refused(message, error)
            assert turn.look([(None, other(1))]) == 1  # type: ignore[list-item]
        await chain.checkpoint()
        turn.refused(late, LATE)  # anybody can have seen it by now
        assert turn.look([(None, other(1))]) == 1  # type: ignore[list-item]
        assert roused == []

    play(main)
