"""What a goal is made of: cells, rows of the table, sizes. It names no goal and runs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

MORE: Final = "more"
LESS: Final = "less"
Better = Literal["more", "less"]


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Args:
        kind: a function of `cells`, or "first" and "start", which the rounds take themselves.
        store: "ate" or a peer.
        options: as (name, value) pairs, so that equal cells are run once a round.
        data: rows of the finished data it needs; 0 when it starts empty.
        copies: it changes that data, so it gets a copy.
        past: updates of that data, after it was made.
        fill: other options of the cell that makes that data.
    """

    kind: str
    store: str
    options: tuple[tuple[str, Any], ...] = ()
    data: int = 0
    copies: bool = False
    past: int = 0
    fill: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Line:
    """One row of the table: ours against a peer, or against a bound when there is no peer.

    Args:
        goal, what: its name and what is measured.
        ours, peer: the cells; without a peer the figure itself is judged.
        figure: which figure of the cells.
        unit: "/s", "s", "ms", "µs", "B", "x" or a noun.
        better: "more" or "less".
        must, moon: bounds of the ratio ours : peer, or of the figure; None = shown for information.
        note: what a reader must know about the row.
        worst: the worst round is shown and judged, not the median.
    """

    goal: str
    what: str
    ours: Cell
    peer: Cell | None
    figure: str = "per_s"
    unit: str = "/s"
    better: Better = "more"
    must: float | None = None
    moon: float | None = None
    note: str = ""
    worst: bool = False

    @property
    def cells(self) -> tuple[Cell, ...]:
        return (self.ours,) if self.peer is None else (self.ours, self.peer)


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Args:
        seconds: of one commit or update cell.
        small, large: rows of the finished data, 100 k and 1 M in a full run.
        loads: ids that are loaded.
        messages: records whose way to a subscriber is timed.
        events: records that a new client catches up on.
        jobs, kills: of a queue; workers killed in a round.
        cold_mib: of a chain that is read while another is appended to.
        restarts: of a server that is killed.
        crowd: subscribers of one chain, through relays.
    """

    seconds: float = 1.5
    small: int = 100_000
    large: int = 1_000_000
    loads: int = 100_000
    starts: int = 5
    most: int = 400_000
    messages: int = 600
    events: int = 1_000_000
    jobs: int = 4_000
    kills: int = 40
    cold_mib: int = 1024
    restarts: int = 9
    crowd: int = 10_000
    scale: float = field(default=1.0)


FULL: Final = Sizes()
QUICK: Final = Sizes(seconds=0.4, small=20_000, large=100_000, loads=10_000, starts=3,
                     messages=120, events=20_000, jobs=800, kills=10, cold_mib=64,
                     restarts=3, crowd=400, scale=0.1)  # fmt: skip
