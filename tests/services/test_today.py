"""The figures of the staff's first page, as both databases count them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models import (
    Esim,
    EsimStatus,
    FindingKind,
    MailStatus,
    Order,
    OrderKind,
    OrderStatus,
    Package,
    PackageStatus,
    Refund,
    RefundStatus,
    StripeEvent,
)
from services.shop import Shop
from services.stuck import count_stuck, list_stuck, summarise_stuck
from services.today_esims import read_ending, read_ends, read_spending
from services.today_health import read_health
from services.today_rules import Ends, Sales, day_start, last_days
from services.today_sales import read_sales
from tests import both_databases
from tests.clock import FakeClock
from tests.factories import Factories
from tests.running import count_statements
from tests.staff_world import change_fulfilment, dispute, hold, make_late, make_mail, notice, settling_payment

TODAY = date(2026, 11, 25)
NOON = datetime(2026, 11, 25, 11, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def noon(clock: FakeClock) -> None:
    """Let it be noon in Monaco."""
    clock.set(NOON)


def sell(factories: Factories, at: datetime, state: str = "paid", **columns: Any) -> Order:
    """Return an order that was placed and paid at a moment."""
    return factories.make_order(state, paid_at=at, created_at=at, **columns)


def renew(factories: Factories, shop: Shop, esim: Esim, at: datetime, **columns: Any) -> Order:
    """Return a renewal of an eSIM that the supplier applied when it was paid."""
    order = sell(factories, at, kind=OrderKind.RENEWAL, esim_id=esim.id, **columns)
    values = {"order_id": order.id, "plan_id": order.plan_id, "status": PackageStatus.ACTIVE, "days": order.days}
    with shop.transaction() as session:
        session.add(Package(esim_id=esim.id, created_at=at, data_bytes=None, **values))
    return order


def give_back(
    shop: Shop, order: Order, amount_minor: int = 1490, status: RefundStatus = RefundStatus.SUCCEEDED
) -> None:
    """Put a refund of an order on the books."""
    payment, key = settling_payment(order), f"{order.public_id}-{status}"
    values = {"source": "shop", "currency": payment.currency, "created_at": NOON, "amount_minor": amount_minor}
    with shop.transaction() as session:
        session.add(
            Refund(payment_id=payment.id, status=status, cause=key, idempotency_key=key, reference=key, **values)
        )


@both_databases
@pytest.mark.parametrize("today", [date(2026, 10, 25), date(2026, 3, 29), TODAY])
def test_an_order_belongs_to_the_day_of_monaco_on_which_it_was_paid(
    factories: Factories, session: Session, today: date
) -> None:
    """From the first moment to the last, on days of 25, 23 and 24 hours, for every span."""
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    for day in (yesterday, today, tomorrow):
        sell(factories, day_start(day))
        sell(factories, day_start(day + timedelta(days=1)) - MICROSECOND, currency="CHF")
    first = today - timedelta(days=90)
    sell(factories, day_start(first))
    one = Sales(1, 0, 1490, 0)
    for span in (1, 2, 7, 30, 90, 91):
        books = read_sales(session, last_days(today, span))
        expected = {(day, currency) for day in (yesterday, today)[-span:] for currency in ("EUR", "CHF")}
        expected |= {(first, "EUR")} if span == 91 else set()
        assert set(books) == expected
        assert books[today, "EUR"] == one


@both_databases
def test_sales_are_counted_by_kind_and_currency(factories: Factories, shop: Shop, session: Session) -> None:
    """What is not paid does not count; what went back since counts on the day of the order."""
    esim = factories.make_esim()
    for currency in ("EUR", "EUR", "JPY"):
        sell(factories, NOON, currency=currency)
    renew(factories, shop, esim, NOON)
    factories.make_order("pending")
    factories.make_order("cancelled")
    give_back(shop, sell(factories, NOON - timedelta(days=1), status=OrderStatus.REFUNDED))
    part = sell(factories, NOON - timedelta(days=1), status=OrderStatus.PART_REFUNDED)
    give_back(shop, part, 400)
    give_back(shop, part, 1090, RefundStatus.FAILED)
    give_back(shop, sell(factories, NOON - timedelta(days=7), status=OrderStatus.REFUNDED))
    books = read_sales(session, last_days(TODAY, 7))
    yen = books[TODAY, "JPY"].gross_minor
    assert books == {
        (TODAY, "EUR"): Sales(2, 1, 4470, 0),
        (TODAY, "JPY"): Sales(1, 0, yen, 0),
        (TODAY - timedelta(days=1), "EUR"): Sales(2, 0, 2980, 1890),
    }
    assert yen > 0
    plain = read_sales(session, last_days(TODAY, 7), refunds=False)
    assert plain[TODAY - timedelta(days=1), "EUR"] == Sales(2, 0, 2980, 0)


@both_databases
def test_an_order_that_a_bank_took_weeks_to_pay_counts_when_it_was_paid(factories: Factories, session: Session) -> None:
    """It was placed long before the days that are looked at."""
    factories.make_order("paid", created_at=NOON - timedelta(days=40), paid_at=NOON)
    assert read_sales(session, [TODAY]) == {(TODAY, "EUR"): Sales(1, 0, 1490, 0)}


@both_databases
def test_an_esim_that_ended_was_renewed_or_not(factories: Factories, shop: Shop, session: Session) -> None:
    """Only before its end, only if the money did not go back, only if somebody used it."""
    ended, long_ago = NOON - timedelta(hours=1), NOON - timedelta(days=9)
    never, once, late, back = (factories.make_esim(expires_at=ended, status=EsimStatus.EXPIRED) for _ in range(4))
    assert never is not once
    renew(factories, shop, once, long_ago)
    renew(factories, shop, once, long_ago + timedelta(days=1))
    renew(factories, shop, late, ended)
    renew(factories, shop, back, long_ago, status=OrderStatus.REFUNDED)
    factories.make_esim(expires_at=ended, activated_at=None)
    factories.make_esim(expires_at=ended, status=EsimStatus.CANCELLED)
    factories.make_esim(expires_at=NOON)
    earlier = factories.make_esim(expires_at=NOON - timedelta(days=6), status=EsimStatus.EXPIRED)
    renew(factories, shop, earlier, long_ago)
    factories.make_esim(expires_at=NOON - timedelta(days=30))
    assert sorted(read_ends(session, last_days(TODAY, 30), NOON)) == [
        (TODAY - timedelta(days=6), Ends(1, 1)),
        (TODAY, Ends(4, 1)),
    ]


@both_databases
def test_what_ends_within_seven_days(factories: Factories, session: Session, clock: FakeClock) -> None:
    """In use, the first to end first, with the last digits and the order that bought it."""
    order = factories.make_order("verified")
    assert order.esim is not None
    soon = factories.make_esim(expires_at=NOON + timedelta(hours=1), status=EsimStatus.SUSPENDED)
    fixed = factories.make_esim(plan=factories.make_plan(supplier_topup_code=None), expires_at=NOON + timedelta(days=7))
    for columns in (
        {"expires_at": NOON},
        {"expires_at": NOON + timedelta(days=7, seconds=1)},
        {"activated_at": None},
        {"status": EsimStatus.CANCELLED},
        {"expires_at": None},
    ):
        factories.make_esim(**columns)
    found = read_ending(session, clock.now())
    assert (found.count, found.renewable) == (3, 1)
    assert [(esim.digits, esim.order_public_id, esim.renewable) for esim in found.first] == [
        (soon.iccid[-4:], None, False),
        (order.esim.iccid[-4:], order.public_id, True),
        (fixed.iccid[-4:], None, False),
    ]
    for _ in range(12):
        factories.make_esim()
    found = read_ending(session, clock.now())
    assert (found.count, len(found.first)) == (15, 10)


@both_databases
def test_what_the_supplier_was_paid_lately(factories: Factories, shop: Shop, session: Session) -> None:
    """At what the plans cost now; per day where the days are chosen, unknown where no cost is known."""
    fixed = factories.make_plan(supplier_cost=10_000)
    daily = factories.make_plan(days_min=1, days_max=30, supplier_cost=2_000)
    unknown = factories.make_plan(supplier_cost=None)
    assert read_spending(session, NOON).orders == 0
    for plan, days in ((fixed, 7), (daily, 5)):
        order = factories.make_order("ordered", plan=plan, days=days)
    change_fulfilment(shop, order, ordered_at=NOON - timedelta(days=14))
    factories.make_order("paid", plan=fixed)
    old = factories.make_order("verified", plan=fixed)
    change_fulfilment(shop, old, ordered_at=NOON - timedelta(days=14, seconds=1))
    found = read_spending(session, NOON)
    assert (found.orders, found.cost, found.unknown) == (2, 20_000, 0)
    factories.make_order("verified", plan=unknown)
    found = read_spending(session, NOON)
    assert (found.orders, found.cost, found.unknown) == (3, 20_000, 1)


@both_databases
def test_mails_that_wait_and_events_that_failed(factories: Factories, shop: Shop, session: Session) -> None:
    """What has left, has failed or was dealt with does not wait; a fresh event is still being dealt with."""
    found = read_health(session, NOON)
    assert (found.mails_waiting, found.oldest_mail, found.last_event, found.events_failed) == (0, None, None, 0)
    order, hour = factories.make_order("paid"), timedelta(hours=1)
    for number, (status, due) in enumerate(
        ((MailStatus.QUEUED, NOON), (MailStatus.SENDING, NOON), (MailStatus.SENT, None), (MailStatus.FAILED, None))
    ):
        columns = {"kind": f"mail-{number}", "created_at": NOON - number * hour}
        make_mail(shop, order, status, next_try_at=due, **columns)
    with shop.transaction() as writing:
        for name, ago, done in (("evt_1", 3 * hour, None), ("evt_2", hour, NOON), ("evt_3", timedelta(), None)):
            values = {"type": "refund.updated", "object_id": "re_1", "received_at": NOON - ago, "processed_at": done}
            writing.add(StripeEvent(id=name, **values))
    found = read_health(session, NOON)
    assert (found.mails_waiting, found.oldest_mail) == (2, NOON - hour)
    assert (found.last_event, found.events_failed) == (NOON, 1)


@both_databases
def test_the_summary_counts_what_the_list_shows(
    factories: Factories, shop: Shop, session: Session, clock: FakeClock
) -> None:
    """By kind, with the oldest order and the next deadline that has not passed."""
    assert summarise_stuck(session, NOON).count == 0
    make_late(shop, factories.make_order("ordered"), "not_allocated")
    hold(shop, factories.make_order("held"), "price_changed", held_at=NOON - timedelta(days=2))
    for due in (NOON - timedelta(days=1), NOON + timedelta(days=5), NOON + timedelta(days=3), None):
        dispute(shop, factories.make_order("verified"), due_by=due)
    dispute(shop, factories.make_order("verified"), "won", due_by=NOON + timedelta(days=1), closed_at=NOON)
    make_mail(shop, factories.make_order("verified"))
    notice(shop, FindingKind.SESSION_UNKNOWN, "cs_test_1")
    found = summarise_stuck(session, clock.now())
    assert (found.orders, found.disputes, found.mails, found.findings) == (2, 4, 1, 1)
    assert (found.oldest_order, found.next_deadline) == (NOON - timedelta(days=2), NOON + timedelta(days=3))
    assert found.count == count_stuck(session, NOON) == len(list_stuck(session, NOON))


def test_a_summary_is_one_statement(session: Session) -> None:
    """What waits, mail and webhooks, what the supplier was paid; sales are two, what ends is two."""
    reads: list[Callable[[], object]] = [
        lambda: summarise_stuck(session, NOON),
        lambda: read_health(session, NOON),
        lambda: read_spending(session, NOON),
        lambda: read_ends(session, last_days(TODAY, 30), NOON),
        lambda: read_sales(session, last_days(TODAY, 90)),
        lambda: read_ending(session, NOON),
    ]
    counts = []
    for read in reads:
        with count_statements() as statements:
            read()
        counts.append(len(statements))
    assert counts == [1, 1, 1, 1, 2, 2]
