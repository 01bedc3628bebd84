from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ate.dio.overlay import EMPTY, PROVISIONAL, Overlay
from ate.event.draft import Draft


def draft(n: int, base: int = 0) -> Draft:
    return Draft(1, n.to_bytes(16, "big"), bytes(16), 0, base, 0, 1, 1, b"x")


def test_the_newest_own_version_is_shown_until_it_lands_or_is_lifted() -> None:
    overlay = Overlay()
    one, two = [draft(1), draft(2)], [draft(1, PROVISIONAL)]
    first = overlay.put(one, 10)
    second = overlay.put(two, 20)
    assert (first, second, len(overlay)) == (PROVISIONAL, PROVISIONAL + 2, 2)
    newest = overlay.get(one[0].id)
    assert newest is not None
    assert (newest.seq, newest.time_us, newest.draft) == (second, 20, two[0])
    overlay.land(one, first, 7)
    assert [upcoming.seq for upcoming in overlay] == [second]
    assert (overlay.real(first), overlay.real(first + 1), overlay.real(second)) == (7, 8, 0)
    assert overlay.real(5) == 5
    overlay.lift(two, second)
    assert len(overlay) == 0
    assert overlay.real(second) == 0


def test_numbers_go_on_behind_those_of_before() -> None:
    overlay = Overlay()
    assert overlay.put([draft(1)], 0, first=PROVISIONAL + 5) == PROVISIONAL + 5
    assert overlay.put([draft(2)], 0) == PROVISIONAL + 6
    assert overlay.put([], 0) == PROVISIONAL + 7
    assert len(EMPTY) == 0


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), max_size=12), st.randoms())
def test_every_provisional_seq_becomes_its_own(
    commits: list[tuple[int, int]], random: object
) -> None:
    """Whatever the order in which they land, and whatever comes in between."""
    overlay, real, placed = Overlay(), 1, []
    for count, between in commits:
        drafts = [draft(n) for n in range(count)]
        placed.append((drafts, overlay.put(drafts, 0), real))
        real += count + between
    random.shuffle(placed)  # type: ignore[attr-defined]
    for drafts, first, landed in placed:
        assert overlay.real(first) == 0
        overlay.land(drafts, first, landed)
    for drafts, first, landed in placed:
        assert [overlay.real(first + at) for at in range(len(drafts))] == [
            landed + at for at in range(len(drafts))
        ]
    assert len(overlay._starts) <= len(commits)


def test_a_long_run_takes_no_room() -> None:
    overlay = Overlay()
    for n in range(1000):
        overlay.land([draft(n)], overlay.put([draft(n)], 0), 50 + n)
    assert len(overlay._starts) == 1
    assert overlay.real(PROVISIONAL + 999) == 1049
