"""Where the bars of the use per day stand: plain geometry, so that the page needs neither scripts nor styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from services.usage_days import ONE_DAY, SHOWN, Use

WIDTH, HEIGHT = 320, 126
# The bars stand on this line and end below this one, where there is room for words above and below.
BASE, TOP = 104, 20
GAP = 5
# What is a little must not look like nothing.
LEAST = 2


@dataclass(frozen=True)
class Bar:
    """One bar; `named` tells whether its figure stands above it, `middle` where the words go."""

    use: Use
    x: float
    y: float
    width: float
    height: float
    named: bool

    @property
    def middle(self) -> float:
        """Return the middle of the bar."""
        return round(self.x + self.width / 2, 1)


@dataclass(frozen=True)
class Chart:
    """Bars from the first day to the last, and where the number of each day stands below them."""

    bars: list[Bar]
    days: list[tuple[float, date]]
    first: date
    last: date
    width: int = WIDTH
    height: int = HEIGHT
    base: int = BASE


def draw(uses: Sequence[Use], from_the_right: bool) -> Chart | None:
    """Return the chart of some uses without a gap between them, None for none of them.

    The use of several days together is one bar as wide as those days, and as high as their mean: its area is what
    was used. `from_the_right` lets time run from right to left, as the text around it does.
    """
    if not uses:
        return None
    first, last = uses[0].first, uses[-1].last
    number = (last - first).days + 1
    step = WIDTH / max(SHOWN, number)
    peak = max((_mean(use) for use in uses), default=0.0)

    def place(x: float, width: float) -> float:
        return round(WIDTH - x - width if from_the_right else x, 1)

    bars = []
    for use in uses:
        width = use.days * step - 2 * GAP
        mean = _mean(use)
        height = round(max((BASE - TOP) * mean / peak, LEAST), 1) if mean else 0.0
        bars.append(
            Bar(
                use=use,
                x=place((use.first - first).days * step + GAP, width),
                y=round(BASE - height, 1),
                width=round(width, 1),
                height=height,
                named=bool(use.used) and (use.days > 1 or mean == peak),
            )
        )
    days = [(place((index + 0.5) * step, 0), first + index * ONE_DAY) for index in range(number)]
    return Chart(bars=bars, days=days, first=first, last=last)


def _mean(use: Use) -> float:
    return (use.used or 0) / use.days
