"""Refunds by staff: one for each form, never more than is left, and what they make of a delivery."""

from __future__ import annotations

import pytest

from models import FulfilmentStatus, Order, OrderStatus, RefundStatus, SupplierAttemptStatus, db
from services.identifiers import random_key
from services.orders import OrderNotFound
from services.payments.disputes import PaymentDisputed
from services.payments.refunds import RefundTooLarge
from services.staff_refunds import (
    NOTE_LENGTH,
    Effect,
    FormUsed,
    NothingToRefund,
    Obstacle,
    effect_of,
    obstacle_of,
    refund_by_staff,
    refundable_minor,
)
from tests import both_databases
from tests.money_world import PRICE, MoneyWorld
from tests.staff_world import acting, ask_supplier, dispute, hold


@pytest.fixture
def staff_id(money: MoneyWorld) -> int:
    return money.factories.make_staff().id


def refund(money: MoneyWorld, order: Order, amount_minor: int, staff_id: int, key: str = "", note: str = "why") -> int:
    """Send a refund form, a fresh one unless its key is given; return the refund's id."""
    money.fresh()
    return refund_by_staff(
        money.shop, order.public_id, amount_minor, form_key=key or random_key(), note=note, by=acting(staff_id)
    ).id


def obstacle(money: MoneyWorld, order: Order) -> Obstacle | None:
    return obstacle_of(db.session(), money.row(Order, order.id))


def effect(money: MoneyWorld, order: Order) -> Effect:
    return effect_of(db.session(), money.row(Order, order.id))


@both_databases
def test_a_refund_says_who_asked_for_it_and_why(money: MoneyWorld, staff_id: int) -> None:
    order = money.verified(money.order())
    refund(money, order, 500, staff_id, note="Two days without network" + "!" * 300)
    money.work()
    (row,) = money.refunds(order)
    assert (row.status, row.source, row.staff_id) == (RefundStatus.SUCCEEDED, "staff", staff_id)
    assert row.note.startswith("Two days without network!")
    assert len(row.note) == NOTE_LENGTH
    assert refundable_minor(db.session(), money.row(Order, order.id)) == PRICE - 500
    assert money.row(Order, order.id).status is OrderStatus.PART_REFUNDED
    money.check(order, kept=PRICE - 500)


@both_databases
def test_a_form_that_arrives_twice_is_one_refund(money: MoneyWorld, staff_id: int) -> None:
    order, key = money.verified(money.order()), random_key()
    first = refund(money, order, 500, staff_id, key)
    assert refund(money, order, 500, staff_id, key) == first
    money.work()
    assert refund(money, order, 500, staff_id, key) == first
    money.check(order, kept=PRICE - 500)


@both_databases
def test_a_form_that_arrives_six_times_at_once_is_one_refund(money: MoneyWorld, staff_id: int) -> None:
    order, key = money.verified(money.order()), random_key()
    public_id = order.public_id

    def send() -> int:
        return refund_by_staff(money.shop, public_id, PRICE, form_key=key, note="why", by=acting(staff_id)).id

    assert len(set(money.at_once(*[send] * 6))) == 1
    money.work()
    assert len(money.refunds(order)) == 1
    money.check(order)


@both_databases
def test_two_forms_with_the_same_amount_are_two_refunds(money: MoneyWorld, staff_id: int) -> None:
    order = money.verified(money.order())
    assert refund(money, order, 500, staff_id) != refund(money, order, 500, staff_id)
    money.work()
    assert len(money.stripe.objects("re")) == 2
    money.check(order, kept=PRICE - 1000)


def test_a_form_that_comes_back_with_another_amount_is_not_taken_for_the_first(
    money: MoneyWorld, staff_id: int
) -> None:
    order, key = money.verified(money.order()), random_key()
    refund(money, order, 500, staff_id, key)
    with pytest.raises(FormUsed) as used:
        refund(money, order, 700, staff_id, key)
    assert used.value.amount_minor == 500
    assert len(money.refunds(order)) == 1


@both_databases
def test_no_more_than_is_left_goes_back(money: MoneyWorld, staff_id: int) -> None:
    order = money.verified(money.order())
    with pytest.raises(RefundTooLarge):
        refund(money, order, PRICE + 1, staff_id)
    refund(money, order, 1000, staff_id)
    with pytest.raises(RefundTooLarge):
        refund(money, order, PRICE - 1000 + 1, staff_id)
    assert obstacle(money, order) is None
    refund(money, order, PRICE - 1000, staff_id)
    assert obstacle(money, order) is Obstacle.NOTHING_LEFT
    money.work()
    money.check(order)


def test_only_what_was_paid_for_can_go_back(money: MoneyWorld, staff_id: int) -> None:
    pending, cancelled = money.order(), money.factories.make_order("cancelled")
    for order in (pending, cancelled):
        assert obstacle(money, order) is Obstacle.NOT_PAID
        assert refundable_minor(db.session(), order) == 0
        with pytest.raises(NothingToRefund):
            refund(money, order, 1, staff_id)
    with pytest.raises(OrderNotFound):
        refund_by_staff(money.shop, "NOSUCHONE0", 1, form_key=random_key(), note="why", by=acting(staff_id))


@pytest.mark.parametrize("status", ["needs_response", "under_review", "lost"])
def test_while_the_bank_has_the_money_nothing_goes_back(money: MoneyWorld, staff_id: int, status: str) -> None:
    order = money.verified(money.order())
    dispute(money.shop, order, status)
    assert obstacle(money, order) is Obstacle.DISPUTED
    with pytest.raises(PaymentDisputed):
        refund(money, order, 500, staff_id)
    assert money.refunds(order) == []


@pytest.mark.parametrize("status", ["warning_needs_response", "won", "prevented"])
def test_a_question_of_the_bank_and_a_dispute_that_was_won_forbid_nothing(
    money: MoneyWorld, staff_id: int, status: str
) -> None:
    order = money.verified(money.order())
    dispute(money.shop, order, status)
    assert obstacle(money, order) is None
    refund(money, order, 500, staff_id)
    money.work()
    money.check(order, kept=PRICE - 500)


@both_databases
def test_all_of_the_money_stops_a_delivery_and_a_part_does_not(money: MoneyWorld, staff_id: int) -> None:
    order = money.paid(money.order())
    assert effect(money, order) is Effect.STOPS
    refund(money, order, 500, staff_id)
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    refund(money, order, PRICE - 500, staff_id)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.REFUSED, "refunded")
    assert effect(money, order) is Effect.NONE
    money.work()
    assert money.supplier_orders(order) == 0
    money.check(order)


@both_databases
@pytest.mark.parametrize("reason", ["price_changed", "not_verified"])
def test_a_held_order_can_be_refunded(money: MoneyWorld, staff_id: int, reason: str) -> None:
    order = money.paid(money.order())
    hold(money.shop, order, reason, next_try_at=None)
    refund(money, order, PRICE, staff_id)
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    money.work()
    money.check(order)


def test_an_order_that_may_be_at_the_supplier_stays_before_a_person(money: MoneyWorld, staff_id: int) -> None:
    order = money.paid(money.order())
    ask_supplier(money.shop, order, SupplierAttemptStatus.UNKNOWN)
    assert effect(money, order) is Effect.UNKNOWN
    refund(money, order, PRICE, staff_id)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.HELD, "refunded")


@both_databases
def test_what_was_delivered_is_not_taken_back(money: MoneyWorld, staff_id: int) -> None:
    order = money.verified(money.order())
    assert effect(money, order) is Effect.KEPT
    refund(money, order, PRICE, staff_id)
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert money.supplier_orders(order) == 1
    money.check(order)


def test_a_refund_that_failed_can_be_sent_again(money: MoneyWorld, staff_id: int) -> None:
    order = money.verified(money.order())
    money.stripe.account.refund_status = "pending"
    refund(money, order, PRICE, staff_id)
    money.work()
    (first,) = money.refunds(order)
    assert first.reference is not None
    money.stripe.settle_refund(first.reference, "failed")
    money.work(hours=2)
    assert obstacle(money, order) is None
    money.stripe.account.refund_status = "succeeded"
    refund(money, order, PRICE, staff_id)
    money.work()
    assert [row.status for row in money.refunds(order)] == [RefundStatus.FAILED, RefundStatus.SUCCEEDED]
    money.check(order)
