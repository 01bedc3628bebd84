from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.race import report
from tools.race.plan import LESS, Cell, Line
from tools.race.rounds import CellError, Figures, Rounds, Track

OURS = Cell("commit", "raw disk", (("which", 1),))
PEER = Cell("commit", "raw disk", (("which", 2),))
LINE = Line("G1", "a race", OURS, PEER, must=0.5, moon=1)


class Plan(Track):
    """A track whose cells and disk say what the test wants; the rounds are the real ones."""

    def __init__(self, folder: Path, disk: list[float], figures: dict[Cell, list[float]]) -> None:
        super().__init__(folder, lambda _: None)
        self._disk = self._endless(disk)
        self._figures = {cell: iter(values) for cell, values in figures.items()}
        self.order: list[Cell] = []

    @staticmethod
    def _endless(values: list[float]) -> Iterator[float]:
        yield from values
        while True:
            yield values[-1]

    def disk_us(self) -> float:
        return next(self._disk)

    def measure(self, cell: Cell, *, profile: bool = False) -> Figures:
        self.order.append(cell)
        try:
            return {"per_s": next(self._figures[cell])}
        except StopIteration:
            raise CellError("it broke") from None


def test_stores_take_turns_and_ratios_are_taken_within_a_round(tmp_path: Path) -> None:
    track = Plan(tmp_path, [70], {OURS: [10, 30, 20], PEER: [10, 10, 40]})
    rounds = track.run("G1", [LINE], 3)
    assert track.order == [OURS, PEER, PEER, OURS, OURS, PEER]
    result = report.judge(LINE, rounds)
    assert (result.ours, result.peer) == (20, 10)
    assert (result.low, result.ratio, result.high) == (0.5, 1.0, 3.0)
    assert result.verdict == "moon"
    assert result.steady
    assert result.discarded == 0


def test_a_round_is_run_again_when_the_disk_moved(tmp_path: Path) -> None:
    # Three looks a round: before, between and after its two cells.
    disk = [70, 70, 99, 70, 70, 70]
    track = Plan(tmp_path, disk, {OURS: [1000, 5], PEER: [1, 10]})
    rounds = track.run("G1", [LINE], 1)
    assert rounds.discarded == 1
    assert rounds.steady
    result = report.judge(LINE, rounds)
    assert (result.ours, result.peer, result.ratio) == (5, 10, 0.5)
    assert result.verdict == "must"


def test_a_disk_that_never_rests_is_told(tmp_path: Path) -> None:
    track = Plan(tmp_path, [70, 70, 99] * 3, {OURS: [1, 2, 3], PEER: [10, 10, 10]})
    rounds = track.run("G1", [LINE], 1)
    assert rounds.discarded == 3
    assert not rounds.steady
    result = report.judge(LINE, rounds)
    assert result.ours == 3
    assert result.verdict == "short"
    assert result.doubts == " (unsteady disk)"


def test_the_disk_does_not_matter_to_goals_that_do_not_wait_for_it(tmp_path: Path) -> None:
    track = Plan(tmp_path, [70, 70, 99], {OURS: [1], PEER: [1]})
    line = Line("G17", "a race", OURS, PEER)
    assert track.run("G17", [line], 1).discarded == 0


def test_a_peer_that_fails_leaves_our_figure_and_no_ratio(tmp_path: Path) -> None:
    track = Plan(tmp_path, [70], {OURS: [4, 6], PEER: [1]})
    result = report.judge(LINE, track.run("G1", [LINE], 2))
    assert (result.ours, result.peer, result.ratio) == (5, None, None)
    assert (result.verdict, result.error) == ("not measured", "it broke")
    row = report.table([result])[0]
    assert row[2] == "0.01 k/s"
    assert row[-1] == "not measured: it broke"


def test_what_is_not_installed_is_skipped_with_its_reason(tmp_path: Path) -> None:
    gone = Cell("commit", "eventsourcing-aes")
    rounds = Rounds(figures={OURS: [{"per_s": 8.0}], gone: []}, errors={gone: "not installed: x"})
    result = report.judge(Line("G1", "a race", OURS, gone), rounds)
    assert (result.ours, result.peer) == (8, None)
    assert result.error == "not installed: x"


@pytest.mark.parametrize(
    "ours, verdict", [(0.4, "moon"), (1.0, "must"), (1.5, "must"), (1.6, "short")]
)
def test_less_is_better_where_a_line_says_so(ours: float, verdict: str) -> None:
    line = Line("G16", "a race", OURS, PEER, "p50_s", "µs", LESS, must=1.5, moon=0.5)
    figures = {OURS: [{"p50_s": ours}], PEER: [{"p50_s": 1.0}]}
    found = report.judge(line, Rounds(figures=figures, disk_us=[(70, 71)]))
    assert found.verdict == verdict


def test_one_job_lost_in_one_round_is_not_hidden_by_the_others() -> None:
    line = Line("G24K", "lost", OURS, None, "lost", "jobs", LESS, must=0, worst=True)
    for lost, verdict in ((0.0, "must"), (1.0, "short")):
        figures = {OURS: [{"lost": 0.0}, {"lost": lost}, {"lost": 0.0}]}
        result = report.judge(line, Rounds(figures=figures, disk_us=[(70, 71)]))
        assert (result.ours, result.verdict) == (lost, verdict)
    assert report.show(0.0, "jobs") == "0 jobs"
    assert report.show(0.000_583, "µs") == "583 µs"
