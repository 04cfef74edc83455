"""Use per day: differences of what is known, sums where days are missing, and nothing that nobody told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from blueprints.account.chart import BASE, GAP, TOP, WIDTH, draw
from services.usage_days import MOST_SHOWN, SHOWN, KnownDay, Use, day_of, use_per_day

TODAY = date(2026, 11, 24)
DAY = timedelta(days=1)


def ago(days: int) -> date:
    return TODAY - days * DAY


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def known(*figures: tuple[int, int]) -> list[KnownDay]:
    """Return days from how many days ago they were and what had been used by then."""
    return [KnownDay(ago(days), used) for days, used in figures]


@pytest.mark.parametrize(
    ("as_of", "read_at", "day"),
    [
        # Monaco is an hour ahead in winter and two in summer.
        (datetime(2026, 11, 23, 22, 59, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC), date(2026, 11, 23)),
        (datetime(2026, 11, 23, 23, 0, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC), date(2026, 11, 24)),
        (datetime(2026, 7, 1, 22, 0, tzinfo=UTC), datetime(2026, 7, 2, 9, tzinfo=UTC), date(2026, 7, 2)),
        (None, datetime(2026, 11, 24, 23, 30, tzinfo=UTC), date(2026, 11, 25)),
        # A supplier whose clock is ahead.
        (datetime(2026, 11, 26, 9, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC), date(2026, 11, 24)),
    ],
)
def test_a_figure_belongs_to_the_day_of_its_own_moment(as_of: datetime | None, read_at: datetime, day: date) -> None:
    assert day_of(as_of, read_at) == day


def test_use_is_the_difference_of_two_days() -> None:
    assert use_per_day(known((2, 100), (1, 150), (0, 150)), None, TODAY) == [
        Use(ago(1), ago(1), 50),
        Use(TODAY, TODAY, 0),
    ]


def test_the_day_of_the_activation_counts_from_nothing() -> None:
    assert use_per_day(known((1, 100), (0, 160)), noon(ago(1)), TODAY) == [
        Use(ago(1), ago(1), 100),
        Use(TODAY, TODAY, 60),
    ]


def test_the_first_known_day_of_an_esim_that_ran_before_is_one_sum_with_the_days_before() -> None:
    assert use_per_day(known((1, 100)), noon(ago(3)), ago(1)) == [Use(ago(3), ago(1), 100)]


def test_a_first_figure_without_an_activation_is_no_use_of_that_day() -> None:
    assert use_per_day(known((0, 100)), None, TODAY) == []


def test_figures_from_before_the_activation_are_no_days_of_use() -> None:
    days = known((5, 0), (4, 0), (1, 70))
    assert use_per_day(days, noon(ago(1)), ago(1)) == [Use(ago(1), ago(1), 70)]


def test_an_activation_that_figures_contradict_is_not_counted_from() -> None:
    days = known((3, 500), (2, 600), (1, 700))
    assert use_per_day(days, noon(ago(1)), ago(1)) == [Use(ago(2), ago(2), 100), Use(ago(1), ago(1), 100)]


def test_days_without_a_figure_are_one_sum_with_the_next_known_day() -> None:
    assert use_per_day(known((4, 100), (1, 400), (0, 500)), None, TODAY) == [
        Use(ago(3), ago(1), 300),
        Use(TODAY, TODAY, 100),
    ]


def test_days_since_the_last_figure_are_unknown() -> None:
    assert use_per_day(known((4, 100), (3, 150)), None, TODAY) == [
        Use(ago(3), ago(3), 50),
        Use(ago(2), TODAY, None),
    ]


def test_a_figure_that_went_down_is_unknown_and_the_next_one_counts_from_it() -> None:
    assert use_per_day(known((3, 100), (2, 300), (1, 50), (0, 80)), None, TODAY) == [
        Use(ago(2), ago(2), 200),
        Use(ago(1), ago(1), None),
        Use(TODAY, TODAY, 30),
    ]


def test_nothing_known_is_nothing_to_show() -> None:
    assert use_per_day([], None, TODAY) == []
    assert use_per_day([], noon(ago(3)), TODAY) == []
    assert use_per_day(known((1, 300), (0, 200)), None, TODAY) == []
    assert use_per_day(known((40, 100), (39, 200)), None, TODAY) == []


def test_a_day_to_come_is_not_shown() -> None:
    assert use_per_day(known((1, 10), (0, 20), (-1, 30)), None, TODAY) == [Use(TODAY, TODAY, 10)]


def test_seven_days_are_shown_and_more_only_where_a_sum_began_before() -> None:
    every_day = known(*((days, 1000 - days) for days in range(20, -1, -1)))
    assert [use.first for use in use_per_day(every_day, None, TODAY)] == [ago(days) for days in range(6, -1, -1)]
    with_a_gap = known((20, 0), (12, 10), (5, 100), (0, 200))
    assert use_per_day(with_a_gap, None, TODAY) == [Use(ago(11), ago(5), 90), Use(ago(4), TODAY, 100)]


def test_a_sum_that_began_too_long_ago_is_not_cut_into_a_part() -> None:
    uses = use_per_day(known((30, 0), (2, 900), (1, 950), (0, 960)), None, TODAY)
    assert uses == [Use(ago(6), ago(2), None), Use(ago(1), ago(1), 50), Use(TODAY, TODAY, 10)]


@pytest.mark.parametrize("figures", [((13, 5), (9, 7), (8, 3), (2, 40)), ((6, 1), (0, 2)), ((20, 0), (7, 9), (6, 10))])
def test_what_is_shown_has_no_gap_and_is_never_negative(figures: tuple[tuple[int, int], ...]) -> None:
    uses = use_per_day(known(*figures), noon(ago(14)), TODAY)
    assert uses[-1].last == TODAY
    for before, after in zip(uses, uses[1:], strict=False):
        assert after.first == before.last + DAY
    assert all(use.used is None or use.used >= 0 for use in uses)
    assert (uses[-1].last - uses[0].first).days < MOST_SHOWN


def test_the_highest_bar_fills_the_chart_and_the_others_are_in_proportion() -> None:
    chart = draw([Use(ago(2), ago(2), 50), Use(ago(1), ago(1), 100), Use(TODAY, TODAY, None)], from_the_right=False)
    assert chart is not None
    assert [bar.height for bar in chart.bars] == [(BASE - TOP) / 2, BASE - TOP, 0]
    assert [bar.named for bar in chart.bars] == [False, True, False]
    assert [day for _x, day in chart.days] == [ago(2), ago(1), TODAY]


def test_a_sum_is_as_wide_as_its_days_and_its_area_is_what_was_used() -> None:
    chart = draw([Use(ago(3), ago(1), 300), Use(TODAY, TODAY, 100)], from_the_right=False)
    assert chart is not None
    wide, narrow = chart.bars
    assert wide.height == narrow.height
    assert wide.width + 2 * GAP == pytest.approx(3 * (narrow.width + 2 * GAP), abs=0.3)


def test_little_is_seen_and_nothing_is_not() -> None:
    chart = draw([Use(ago(1), ago(1), 10**9), Use(TODAY, TODAY, 1)], from_the_right=False)
    assert chart is not None
    assert 0 < chart.bars[1].height < 5
    nothing = draw([Use(TODAY, TODAY, 0)], from_the_right=False)
    assert nothing is not None
    assert (nothing.bars[0].height, nothing.bars[0].named) == (0, False)


def test_time_runs_from_right_to_left_where_words_do() -> None:
    uses = [Use(ago(days), ago(days), 10) for days in range(SHOWN - 1, -1, -1)]
    left, right = draw(uses, from_the_right=False), draw(uses, from_the_right=True)
    assert left is not None
    assert right is not None
    assert left.bars[0].x == pytest.approx(right.bars[-1].x, abs=0.2)
    assert left.bars[0].x < left.bars[-1].x
    assert right.bars[0].x > right.bars[-1].x
    for bar in (*left.bars, *right.bars):
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH


def test_nothing_is_no_chart() -> None:
    assert draw([], from_the_right=False) is None
