"""Delivering: one paid order is one order at the supplier, whatever the network, the supplier or our worker does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select

from jobs import sweep_once
from models import (
    Esim,
    EsimStatus,
    FulfilmentStatus,
    Order,
    OrderStatus,
    Plan,
    RefundStatus,
    SupplierAttemptStatus,
    db,
)
from services.catalogue_sync import sync_catalogue
from services.fulfilment import LEASE, due_fulfilments, fulfil, look_again
from services.late_orders import give_up_held
from services.money import GIGABYTE
from tests import both_databases
from tests.money_world import BY_THE_DAY, PRICE, MoneyWorld, varied

ORDER, QUERY = "/esim/order", "/esim/query"


def all_esims(money: MoneyWorld) -> Sequence[Esim]:
    money.fresh()
    return db.session.scalars(select(Esim)).all()


def delivered(money: MoneyWorld, order: Order) -> None:
    """Check that exactly one eSIM was bought and handed over, and that the money stayed."""
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert len(money.supplier.esims()) == 1
    assert money.supplier_orders(order) == 1
    assert len(all_esims(money)) == 1
    assert len(money.packages(order)) == 1
    assert money.mails(order, "esim-ready") == 1
    money.check(order)


def refunded(money: MoneyWorld, order: Order) -> None:
    """Check that nothing was bought and that the whole price went back, and said so once."""
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    assert money.supplier_orders(order) == 0
    (refund,) = money.refunds(order)
    assert (refund.status, refund.cause, refund.amount_minor) == (RefundStatus.SUCCEEDED, "refused", PRICE)
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    assert money.mails(order, "refund-") == 1
    money.check(order)


def held(money: MoneyWorld, order: Order, reason: str) -> None:
    """Check that a person is asked, that the buyer was told once, and that the money stayed."""
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.HELD, reason)
    assert (fulfilment.next_try_at, fulfilment.lease_until) == (None, None)
    assert money.mails(order, "order-delayed") == 1
    assert not due_fulfilments(money.shop)
    money.check(order)


@both_databases
def test_a_paid_order_becomes_an_esim(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    delivered(money, order)
    esim, theirs = money.esim_of(order), money.supplier.esims()[0]
    assert (esim.iccid, esim.supplier_esim_id) == (theirs.iccid, theirs.esim_tran_no)
    assert (esim.smdp_address, esim.matching_id) == ("smdp.example.com", theirs.matching_id)
    assert (esim.status, esim.total_bytes, esim.total_days) == (EsimStatus.NEW, GIGABYTE, 7)
    (attempt,) = money.supplier_attempts(order)
    assert (attempt.status, attempt.supplier_order_id) == (SupplierAttemptStatus.ACCEPTED, theirs.order_no)
    assert (attempt.reference, attempt.sends) == (theirs.transaction_id, 1)
    fulfilment = money.fulfilment(order)
    assert None not in (fulfilment.ordered_at, fulfilment.applied_at, fulfilment.verified_at)


@both_databases
def test_days_that_were_chosen_are_ordered(money: MoneyWorld) -> None:
    sync_catalogue(money.shop)
    order = money.verified(money.order(BY_THE_DAY, days=5))
    assert money.supplier.esims()[0].total_days == 5
    assert money.packages(order)[0].data_bytes == 5 * GIGABYTE
    money.check(order)


@both_databases
def test_a_slow_allocation_is_waited_for(money: MoneyWorld) -> None:
    money.supplier.set_allocation(held=True)
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.ORDERED
    money.work(seconds=10)
    assert money.fulfilment(order).status is FulfilmentStatus.ORDERED
    assert money.mails(order, "esim-ready") == 0
    money.supplier.set_allocation(held=False)
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@varied("fault", ["timeout_before", "500", "bad_json", "429", "error:999999"])
def test_an_order_that_did_not_arrive_is_sent_again(money: MoneyWorld, fault: str) -> None:
    money.supplier.fault(ORDER, fault, count=2)
    order = money.paid(money.order())
    money.work()
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.lease_until) == (FulfilmentStatus.WAITING, None)
    assert fulfilment.reason.startswith("supplier_")
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    assert money.requests(ORDER) == 3
    delivered(money, order)


@pytest.mark.parametrize("duplicate", ["replay", "310402"])
@varied("fault", ["timeout_after_commit", "500_after_commit", "bad_json_after_commit"])
def test_an_order_whose_answer_was_lost_is_found_again(money: MoneyWorld, fault: str, duplicate: str) -> None:
    money.supplier.set_variants(duplicate_order=duplicate)
    money.supplier.fault(ORDER, fault)
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    assert [attempt.sends for attempt in money.supplier_attempts(order)] == [2]
    delivered(money, order)


@both_databases
def test_an_order_that_the_supplier_knows_and_does_not_list_yet_is_waited_for(money: MoneyWorld) -> None:
    money.supplier.set_variants(duplicate_order="310402")
    money.supplier.set_allocation(held=True)
    money.supplier.fault(ORDER, "timeout_after_commit")
    order = money.paid(money.order())
    money.work()
    money.work(seconds=5)
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    money.supplier.set_allocation(held=False)
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@varied("code", ["200011", "310241", "000107"])
def test_what_the_supplier_refuses_for_good_is_paid_back(money: MoneyWorld, code: str) -> None:
    money.supplier.fault(ORDER, f"error:{code}")
    order = money.paid(money.order())
    money.work()
    refunded(money, order)
    money.work(minutes=5)
    assert money.requests(ORDER) == 1


@both_databases
def test_a_no_after_a_request_without_an_answer_is_not_believed_at_once(money: MoneyWorld) -> None:
    money.supplier.fault(ORDER, "timeout_before")
    order = money.paid(money.order())
    money.work()
    money.supplier.fault(ORDER, "error:200011")
    money.work(seconds=5)
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    assert money.refunds(order) == []
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@both_databases
def test_a_no_that_stays_after_a_request_without_an_answer_is_believed_after_an_hour(money: MoneyWorld) -> None:
    money.supplier.fault(ORDER, "timeout_before")
    order = money.paid(money.order())
    money.work()
    money.supplier.fault(ORDER, "error:200011", count=None)
    money.work(minutes=55)
    assert money.refunds(order) == []
    money.work(minutes=10)
    refunded(money, order)


@both_databases
def test_a_no_after_an_order_that_was_carried_out_finds_that_order(money: MoneyWorld) -> None:
    money.supplier.fault(ORDER, "timeout_after_commit")
    order = money.paid(money.order())
    money.work()
    money.supplier.fault(ORDER, "error:200011", count=None)
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@both_databases
def test_an_order_that_is_never_allocated_is_paid_back_after_a_day(money: MoneyWorld) -> None:
    money.supplier.set_allocation(held=True)
    order = money.paid(money.order())
    money.work()
    money.work(hours=2)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.ORDERED, "not_allocated")
    assert (fulfilment.late_at, money.mails(order, "order-delayed")) == (money.clock.now(), 1)
    money.work(hours=21)
    assert money.refunds(order) == []
    money.work(hours=2)
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    (refund,) = money.refunds(order)
    assert (refund.status, refund.cause, refund.amount_minor) == (RefundStatus.SUCCEEDED, "late", PRICE)
    assert (money.mails(order, "refund-"), money.mails(order, "order-delayed")) == (1, 1)
    money.check(order)


@both_databases
def test_an_order_that_is_allocated_late_is_delivered_without_anybody_doing_anything(money: MoneyWorld) -> None:
    money.supplier.set_allocation(held=True)
    order = money.paid(money.order())
    money.work()
    money.work(hours=2)
    assert money.fulfilment(order).late_at is not None
    money.supplier.set_allocation(held=False)
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    assert money.requests(ORDER) == 1
    delivered(money, order)


@both_databases
def test_an_order_that_cannot_be_sent_for_a_day_is_paid_back(money: MoneyWorld) -> None:
    money.supplier.set_balance(0)
    order = money.paid(money.order())
    money.work()
    money.work(hours=2)
    assert (money.fulfilment(order).reason, money.mails(order, "order-delayed")) == ("not_ordered", 1)
    money.work(hours=23)
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    (refund,) = money.refunds(order)
    assert (refund.status, refund.cause) == (RefundStatus.SUCCEEDED, "late")
    assert money.supplier_orders(order) == 0
    money.check(order)


@both_databases
def test_an_order_whose_outcome_stays_unknown_for_a_day_is_for_a_person(money: MoneyWorld) -> None:
    money.supplier.fault(ORDER, "timeout_before", count=None)
    order = money.paid(money.order())
    money.work()
    money.work(hours=25)
    held(money, order, "outcome_unknown")
    assert money.refunds(order) == []
    money.supplier.faults.clear()
    assert money.retry(order)
    assert not money.retry(order)
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@both_databases
def test_a_plan_that_is_out_of_stock_is_paid_back(money: MoneyWorld) -> None:
    money.supplier.set_stock("SIM-MC-1-7", 0)
    order = money.paid(money.order())
    money.work()
    refunded(money, order)


@both_databases
def test_an_empty_balance_is_waited_for(money: MoneyWorld) -> None:
    money.supplier.set_balance(0)
    order = money.paid(money.order())
    money.work()
    money.work(minutes=2)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.WAITING, "supplier_waiting")
    money.supplier.set_balance(10_000_000)
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@both_databases
def test_another_price_is_for_a_person(money: MoneyWorld) -> None:
    sync_catalogue(money.shop)
    money.supplier.set_price("SIM-MC-1-7", 999_999)
    order = money.paid(money.order())
    money.work()
    assert money.supplier_orders(order) == 0
    held(money, order, "price_changed")
    money.work(minutes=20)
    assert money.requests(ORDER) == 1
    # A person has a day for it; then the money goes back.
    money.work(hours=23)
    assert (give_up_held(money.shop), money.refunds(order)) == (0, [])
    money.clock.advance(hours=1)
    assert (give_up_held(money.shop), give_up_held(money.shop)) == (1, 0)
    money.work()
    (refund,) = money.refunds(order)
    assert (refund.status, refund.cause, refund.amount_minor) == (RefundStatus.SUCCEEDED, "late", PRICE)
    money.check(order)


@both_databases
def test_credentials_that_are_not_accepted_are_waited_for(money: MoneyWorld) -> None:
    money.supplier.fault(ORDER, "error:101003")
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@varied("fault", ["timeout_before", "500", "bad_json", "429"])
def test_a_supplier_that_is_silent_about_the_profile_is_asked_again(money: MoneyWorld, fault: str) -> None:
    money.supplier.fault(QUERY, fault, count=3)
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.ORDERED
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@both_databases
def test_a_lost_notification_is_made_up_for_by_asking(money: MoneyWorld) -> None:
    money.supplier.set_allocation(seconds=None)
    order = money.paid(money.order())
    money.work()
    # No address is registered, so that the supplier's word gets lost.
    money.supplier.allocate()
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)


@both_databases
def test_a_notification_makes_an_order_due_at_once(money: MoneyWorld) -> None:
    money.supplier.set_allocation(seconds=None)
    order = money.paid(money.order())
    for _look in range(6):
        money.work(minutes=5)
    money.supplier.allocate()
    assert not due_fulfilments(money.shop)
    (attempt,) = money.supplier_attempts(order)
    look_again(money.shop, attempt.supplier_order_id, None)
    money.work()
    delivered(money, order)


@both_databases
def test_a_lost_knock_is_made_up_for_by_the_sweep(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    money.app.extensions["queue"].flush()
    sweep_once(money.shop)
    money.work()
    delivered(money, order)


@both_databases
def test_two_workers_at_once_order_once(money: MoneyWorld) -> None:
    order_id = money.paid(money.order()).id
    results = money.at_once(*[lambda: fulfil(money.shop, order_id)] * 6)
    assert results == [None] * 6
    order = money.row(Order, order_id)
    money.keep_working(order)
    assert money.requests(ORDER) == 1
    delivered(money, order)


@both_databases
def test_a_lease_keeps_others_away_until_it_ends(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    now = money.clock.now()
    # What a worker leaves behind that was killed just after it had taken the order.
    with money.shop.transaction():
        money.fulfilment(order).lease_until = now + LEASE
    money.work(seconds=89)
    assert money.requests(ORDER) == 0
    money.clock.advance(seconds=2)
    assert due_fulfilments(money.shop) == [order.id]
    fulfil(money.shop, order.id)
    money.work()
    delivered(money, order)


@both_databases
def test_what_a_killed_worker_had_ordered_is_continued(money: MoneyWorld) -> None:
    """The worker died between the supplier's answer and our note of it: the row says `sending`, the eSIM is bought."""
    order = money.paid(money.order())
    money.supplier.fault(ORDER, "timeout_after_commit")
    money.work()
    with money.shop.transaction():
        money.supplier_attempts(order)[0].status = SupplierAttemptStatus.SENDING
        money.fulfilment(order).lease_until = money.clock.now() + LEASE
    assert money.supplier_orders(order) == 1
    money.clock.advance(seconds=91)
    fulfil(money.shop, order.id)
    money.work()
    delivered(money, order)


@both_databases
def test_less_data_than_bought_is_not_called_verified_and_ends_with_a_person(money: MoneyWorld) -> None:
    with money.shop.transaction() as session:
        plan = session.scalars(select(Plan).where(Plan.supplier_plan_code == "SIM-MC-1-7")).one()
        plan.data_bytes = 2 * GIGABYTE
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.APPLIED
    assert money.mails(order, "esim-ready") == 1
    money.work(hours=4)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.APPLIED, "not_verified")
    assert money.mails(order, "order-delayed") == 1
    # The buyer has an eSIM, so its money does not go back by rule.
    money.work(hours=21)
    held(money, order, "not_verified")


@both_databases
def test_an_order_that_fails_does_not_stop_the_next_one(money: MoneyWorld) -> None:
    first, second = money.paid(money.order()), money.paid(money.order())
    money.supplier.fault(ORDER, "timeout_before", count=1)
    money.work()
    assert [money.fulfilment(order).status for order in (first, second)] == [
        FulfilmentStatus.WAITING,
        FulfilmentStatus.VERIFIED,
    ]
    money.keep_working(first)
    for order in (first, second):
        assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
        money.check(order)


@both_databases
def test_waiting_grows_longer_and_never_ends(money: MoneyWorld) -> None:
    money.supplier.fault(ORDER, "timeout_before", count=None)
    order = money.paid(money.order())
    waits: list[timedelta] = []
    for _look in range(11):
        money.work()
        due = money.fulfilment(order).next_try_at
        assert due is not None
        waits.append(due - money.clock.now())
        money.clock.set(due)
    assert [wait.total_seconds() for wait in waits] == [2, 4, 8, 15, 30, 60, 120, 300, 600, 600, 600]
    money.supplier.faults.clear()
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    delivered(money, order)
