"""What a person can do about a delivery: retry it, have it looked at, end it; and never while the money is not ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models import Dispute, FulfilmentStatus, Order, OrderStatus, SupplierAttemptStatus, db
from services.audit import COMMAND
from services.identifiers import random_key
from services.orders import OrderNotFound
from services.staff_deliveries import NoSuchStep, Step, close, next_step, take_up
from services.staff_refunds import refund_by_staff
from tests import both_databases
from tests.money_world import PRICE, MoneyWorld
from tests.staff_world import acting, dispute, hold, make_late

ORDER = "/esim/order"


def step(money: MoneyWorld, order: Order) -> Step | None:
    return next_step(db.session(), money.row(Order, order.id))


def is_refused(money: MoneyWorld, call: Callable[[], object]) -> None:
    money.fresh()
    with pytest.raises(NoSuchStep):
        call()


@both_databases
def test_a_held_order_goes_on_where_it_stood(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    hold(money.shop, order, "price_changed", next_try_at=None)
    assert step(money, order) is Step.RETRY
    assert take_up(money.shop, order.public_id, by=COMMAND) is Step.RETRY
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    money.check(order)


@both_databases
def test_a_late_order_is_looked_at_now(money: MoneyWorld) -> None:
    money.supplier.set_allocation(held=True)
    order = money.paid(money.order())
    money.work()
    make_late(money.shop, order, "not_allocated")
    money.supplier.set_allocation(held=False)
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.ORDERED
    assert step(money, order) is Step.LOOK
    assert take_up(money.shop, order.public_id, by=COMMAND) is Step.LOOK
    money.work()
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.late_at) == (FulfilmentStatus.VERIFIED, None)
    money.check(order)


@both_databases
def test_two_clicks_at_once_order_once(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    hold(money.shop, order, "outcome_unknown", next_try_at=None)
    public_id = order.public_id
    results = money.at_once(*[lambda: take_up(money.shop, public_id, by=COMMAND)] * 4)
    assert sorted(str(result) for result in results) == ["look", "look", "look", "retry"]
    money.work()
    assert money.supplier_orders(order) == 1
    money.check(order)


def test_the_command_does_what_the_button_does(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    runner = money.app.test_cli_runner()
    hold(money.shop, order, "price_changed", next_try_at=None)
    dispute_id = dispute(money.shop, order)
    assert runner.invoke(args=["retry-order", order.public_id]).exit_code == 1
    with money.shop.transaction() as session:
        session.get_one(Dispute, dispute_id).status = "won"
    assert "back to work" in runner.invoke(args=["retry-order", order.public_id]).output
    assert "it is looked at now" in runner.invoke(args=["retry-order", order.public_id]).output
    assert runner.invoke(args=["retry-order", "NOSUCHONE0"]).exit_code == 1
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING


def test_what_has_ended_or_not_begun_has_no_next_step(money: MoneyWorld) -> None:
    verified, pending = money.verified(money.order()), money.order()
    refused = money.factories.make_order("refunded")
    for order in (verified, pending, refused):
        assert step(money, order) is None
        is_refused(money, lambda order=order: take_up(money.shop, order.public_id, by=COMMAND))  # type: ignore[misc]
        is_refused(money, lambda order=order: close(money.shop, order.public_id, by=COMMAND))  # type: ignore[misc]
    for call in (take_up, close):
        with pytest.raises(OrderNotFound):
            call(money.shop, "NOSUCHONE0", by=COMMAND)


@both_databases
def test_nothing_goes_out_while_the_bank_has_the_money(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    hold(money.shop, order, "outcome_unknown", next_try_at=None)
    dispute(money.shop, order)
    assert step(money, order) is None
    is_refused(money, lambda: take_up(money.shop, order.public_id, by=COMMAND))
    is_refused(money, lambda: close(money.shop, order.public_id, by=COMMAND))
    assert money.fulfilment(order).status is FulfilmentStatus.HELD


def test_an_order_whose_money_the_bank_has_given_to_the_buyer_can_only_end(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    hold(money.shop, order, "outcome_unknown", next_try_at=None)
    dispute(money.shop, order, "lost", closed_at=money.clock.now())
    assert step(money, order) is Step.CLOSE
    is_refused(money, lambda: take_up(money.shop, order.public_id, by=COMMAND))
    close(money.shop, order.public_id, by=COMMAND)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.REFUSED, "dispute_lost")


def test_a_question_of_the_bank_keeps_only_the_order_that_it_held(money: MoneyWorld) -> None:
    asked, other = money.paid(money.order()), money.paid(money.order())
    for order, reason in ((asked, "disputed"), (other, "outcome_unknown")):
        hold(money.shop, order, reason, next_try_at=None)
        dispute(money.shop, order, "warning_needs_response")
    assert step(money, asked) is None
    assert step(money, other) is Step.RETRY


@both_databases
def test_an_order_that_was_refunded_and_may_be_at_the_supplier_ends_when_a_person_says_so(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    money.supplier.fault(ORDER, "timeout_before")
    money.work()
    staff_id = money.factories.make_staff().id
    refund_by_staff(money.shop, order.public_id, PRICE, form_key=random_key(), note="why", by=acting(staff_id))
    assert money.fulfilment(order).reason == "refunded"
    assert step(money, order) is Step.CLOSE
    is_refused(money, lambda: take_up(money.shop, order.public_id, by=COMMAND))
    close(money.shop, order.public_id, by=COMMAND)
    is_refused(money, lambda: close(money.shop, order.public_id, by=COMMAND))
    money.work()
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.REFUSED, "refunded")
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    assert money.supplier_orders(order) == 0
    money.check(order)


def test_an_order_whose_refund_is_on_its_way_is_not_put_back_to_work(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    hold(money.shop, order, "price_changed", next_try_at=None)
    (payment,) = money.payments(order)
    money.refund(payment, PRICE)
    assert step(money, order) is Step.CLOSE
    is_refused(money, lambda: take_up(money.shop, order.public_id, by=COMMAND))


def test_a_held_order_whose_request_has_no_answer_is_looked_up_before_it_is_sent_again(money: MoneyWorld) -> None:
    money.supplier.fault(ORDER, "timeout_after_commit")
    order = money.paid(money.order())
    money.work()
    (attempt,) = money.supplier_attempts(order)
    assert attempt.status is SupplierAttemptStatus.UNKNOWN
    hold(money.shop, order, "outcome_unknown", next_try_at=None)
    take_up(money.shop, order.public_id, by=COMMAND)
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    assert money.supplier_orders(order) == 1
    money.check(order)
