"""Where the bars of the staff's charts stand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from blueprints.staff.today_chart import BASE, FIGURE, LEAST, NAMED_EVERY, SIDE, TOP, WIDTH, draw
from services.today_rules import SPANS, last_days

TODAY = date(2026, 11, 25)


def figures(*parts: tuple[int, int]) -> list[tuple[date, int, int]]:
    """Return parts of the days up to today."""
    return [(day, *part) for day, part in zip(last_days(TODAY, len(parts)), parts, strict=True)]


def test_nothing_is_no_chart() -> None:
    """Neither without days nor with days of nothing."""
    assert draw([]) is None
    assert draw(figures((0, 0), (0, 0))) is None


def test_the_highest_day_reaches_the_top_and_parts_stand_on_each_other() -> None:
    """Half as much is half as high."""
    chart = draw(figures((2, 2), (1, 1), (0, 0)))
    assert chart is not None
    high, low, none = chart.bars
    assert chart.peak == 4
    assert (high.upper_y, high.lower_y, high.lower_y + high.lower_height) == (TOP, (BASE + TOP) / 2, BASE)
    assert high.upper_y + high.upper_height == high.lower_y
    assert low.lower_height + low.upper_height == (BASE - TOP) / 2
    assert (none.lower_height, none.upper_height, none.lower_y) == (0, 0, BASE)


def test_a_little_can_be_seen_and_nothing_goes_over_the_top() -> None:
    """One beside ten thousand is drawn as high as can be seen, also on the highest bar."""
    chart = draw(figures((10_000, 1), (1, 0), (0, 1)))
    assert chart is not None
    assert [bar.upper_height for bar in chart.bars] == [LEAST, 0, LEAST]
    assert [bar.lower_height for bar in chart.bars[1:]] == [LEAST, 0]
    assert min(bar.upper_y for bar in chart.bars) >= TOP


@pytest.mark.parametrize("span", SPANS)
def test_days_stand_side_by_side_within_the_picture(span: int) -> None:
    """None overlaps the next, all are within the margins, and few enough days are named for their names to fit."""
    chart = draw(figures(*[(3, 1)] * span))
    assert chart is not None
    bars = chart.bars
    assert len(bars) == span
    assert (chart.first, chart.last) == (TODAY - timedelta(days=span - 1), TODAY)
    assert all(bar.x + bar.width <= after.x + 0.1 for bar, after in zip(bars, bars[1:], strict=False))
    assert bars[0].x >= SIDE
    assert bars[-1].x + bars[-1].width <= WIDTH - SIDE + 0.1
    assert min(bar.width for bar in bars) >= 2
    named = [x for x, _day in chart.days]
    assert chart.days[-1][1] == TODAY
    assert chart.days[-2][1] == TODAY - timedelta(days=NAMED_EVERY[span])
    assert min(after - before for before, after in zip(named, named[1:], strict=False)) > 2 * SIDE
    assert min(named) >= SIDE
    assert max(named) <= WIDTH - SIDE


@pytest.mark.parametrize("highest", [0, 15, 29])
def test_the_figure_of_the_highest_day_stays_in_the_picture(highest: int) -> None:
    """Also above the first and the last."""
    parts = [(1, 0)] * 30
    parts[highest] = (5, 0)
    chart = draw(figures(*parts))
    assert chart is not None
    assert chart.peak == 5
    assert FIGURE <= chart.peak_x <= WIDTH - FIGURE
