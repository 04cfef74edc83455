"""What a number of days of a plan costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models import ClockStart
from services.catalogue import DaysNotOffered, PlanView, quote

WEEK = PlanView(
    id=1,
    slug="monaco-1gb-7-days",
    name="Monaco 1 GB, 7 days",
    description="",
    countries=("MC",),
    data_bytes=1024**3,
    per_day=False,
    days_min=7,
    days_max=7,
    voice_minutes=None,
    sms_count=None,
    clock_start=ClockStart.FIRST_CONNECTION,
    install_within_days=180,
    network="Monaco Telecom",
    speed="5G",
    fair_use=False,
    currency="EUR",
    amount_minor=1490,
    supplier_plan_code="SIM-MC-1-7",
    supplier_topup_code="TOPUP_SIM-MC-1-7",
    supplier_cost=None,
)
BY_THE_DAY = replace(WEEK, per_day=True, days_min=1, days_max=30, amount_minor=1590, supplier_topup_code=None)


def test_a_plan_with_fixed_days_costs_its_price() -> None:
    assert quote(WEEK, 7) == 1490


@pytest.mark.parametrize(("days", "amount"), [(1, 1590), (3, 4770), (30, 47700)])
def test_a_plan_by_the_day_costs_its_price_times_the_days(days: int, amount: int) -> None:
    assert quote(BY_THE_DAY, days) == amount


@pytest.mark.parametrize(("plan", "days"), [(WEEK, 6), (WEEK, 8), (BY_THE_DAY, 0), (BY_THE_DAY, 31), (BY_THE_DAY, -1)])
def test_other_days_are_not_sold(plan: PlanView, days: int) -> None:
    with pytest.raises(DaysNotOffered) as refusal:
        quote(plan, days)
    assert (refusal.value.days_min, refusal.value.days_max) == (plan.days_min, plan.days_max)


def test_a_currency_without_decimals_needs_no_other_rule() -> None:
    assert quote(replace(BY_THE_DAY, currency="JPY", amount_minor=2750), 2) == 5500


def test_a_plan_knows_whether_it_covers_monaco_and_can_be_renewed() -> None:
    assert WEEK.covers_monaco
    assert WEEK.topup
    assert not replace(WEEK, countries=("FR", "IT")).covers_monaco
    assert not BY_THE_DAY.topup
