"""Where the bars of the staff's charts stand: plain geometry, so that the page needs neither scripts nor styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 360, 174
# The bars stand on this line and end below this one; days and what the parts are stand below, the highest figure above.
BASE, TOP = 126, 22
# Beside the bars there is room for half of the first and of the last day's name.
SIDE = 22
# Half of the width of the longest figure that stands above a bar.
FIGURE = 46
# What is a little must not look like nothing.
LEAST = 1.5
# Every how many days one is named, counted back from the last one.
NAMED_EVERY = {7: 2, 30: 7, 90: 21}


@dataclass(frozen=True)
class Bar:
    """One day: `lower` stands on the line and `upper` on it, each with where it begins and how high it is."""

    day: date
    lower: int
    upper: int
    x: float
    width: float
    lower_y: float
    lower_height: float
    upper_y: float
    upper_height: float


@dataclass(frozen=True)
class Chart:
    """Bars of two parts from the first day to the last, and where the days are named.

    `peak` is the height of the highest bar in what is counted; its figure stands at `peak_x` and `peak_y`.
    """

    bars: list[Bar]
    days: list[tuple[float, date]]
    peak: int
    peak_x: float
    peak_y: int
    width: int = WIDTH
    height: int = HEIGHT
    base: int = BASE

    @property
    def first(self) -> date:
        """Return the first day."""
        return self.bars[0].day

    @property
    def last(self) -> date:
        """Return the last day."""
        return self.bars[-1].day


def draw(figures: Sequence[tuple[date, int, int]]) -> Chart | None:
    """Return the chart of what stands below and above on each of some days; None when all of it is nothing.

    Figures are zero or more, days follow one another.
    """
    peak = max((lower + upper for _day, lower, upper in figures), default=0)
    if not peak:
        return None
    step = (WIDTH - 2 * SIDE) / len(figures)
    gap = min(3.0, step / 5)
    bars = [_bar(figure, SIDE + index * step + gap / 2, step - gap, peak) for index, figure in enumerate(figures)]
    highest = next(bar for bar in bars if bar.lower + bar.upper == peak)
    every = NAMED_EVERY.get(len(figures), max(1, len(figures) // 4))
    named = reversed(range(len(figures) - 1, -1, -every))
    return Chart(
        bars=bars,
        days=[(_middle(bars[index]), bars[index].day) for index in named],
        peak=peak,
        peak_x=min(max(_middle(highest), FIGURE), WIDTH - FIGURE),
        peak_y=TOP - 6,
    )


def _bar(figure: tuple[date, int, int], x: float, width: float, peak: int) -> Bar:
    day, lower, upper = figure
    scale = (BASE - TOP) / peak
    lower_height, upper_height = (max(part * scale, LEAST) if part else 0.0 for part in (lower, upper))
    # A part that is drawn higher than it is must not push the other one over the top.
    lower_height = min(lower_height, BASE - TOP - upper_height)
    lower_y = BASE - lower_height
    return Bar(
        day=day,
        lower=lower,
        upper=upper,
        x=round(x, 1),
        width=round(width, 1),
        lower_y=round(lower_y, 1),
        lower_height=round(lower_height, 1),
        upper_y=round(lower_y - upper_height, 1),
        upper_height=round(upper_height, 1),
    )


def _middle(bar: Bar) -> float:
    return round(bar.x + bar.width / 2, 1)
