"""Money that goes back without us: refunds made in Stripe's Dashboard, and our own whose answers were lost."""

from __future__ import annotations

from typing import Any

import pytest

from models import FindingKind, FulfilmentStatus, Order, OrderStatus, Payment, RefundStatus
from services.payments import RefundState
from services.payments.refund_books import mirror_refunds
from services.payments.refunds import RefundTooLarge, send_refund
from services.payments.settlement import Outcome
from services.reconcile import reconcile
from tests import both_databases
from tests.money_world import PRICE, MoneyWorld
from tests.services.lost_world import findings, reconciled

REFUNDS = "/v1/refunds"


def refund_in_dashboard(money: MoneyWorld, order: Order, amount_minor: int | None = None) -> str:
    """Send the money of an order back as a person does in Stripe's Dashboard; return the refund at Stripe."""
    (charge,) = money.stripe.charges_for(order.public_id)
    return str(money.stripe.refund(charge["id"], amount_minor)["id"])


def rows(money: MoneyWorld, order: Order) -> list[tuple[int, str, RefundStatus]]:
    return [(refund.amount_minor, refund.source, refund.status) for refund in money.refunds(order)]


def settled(money: MoneyWorld, order: Order) -> Payment:
    (payment,) = money.payments(order)
    return payment


# Made in the Dashboard.


@both_databases
def test_a_refund_before_the_delivery_stops_it(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    refund_in_dashboard(money, order)
    assert reconciled(money).outcomes == {"refund": 1}
    money.work()
    assert rows(money, order) == [(PRICE, "stripe", RefundStatus.SUCCEEDED)]
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    assert (money.mails(order, "refund-"), money.supplier_orders(order)) == (1, 0)
    assert reconciled(money).outcomes == {}
    money.check(order)


@both_databases
def test_a_refund_in_part_changes_nothing_about_the_delivery(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    refund_in_dashboard(money, order, 500)
    refund_in_dashboard(money, order, 300)
    assert reconciled(money).outcomes == {"refund": 2}
    money.work()
    assert money.row(Order, order.id).status is OrderStatus.PART_REFUNDED
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert money.mails(order, "refund-") == 2
    money.check(order, kept=PRICE - 800)


@both_databases
def test_stripe_tells_of_it_at_once(money: MoneyWorld, live_shop: str) -> None:
    order = money.verified(money.order())
    refund_in_dashboard(money, order)
    assert money.stripe.wait_for_webhooks()
    assert rows(money, order) == [(PRICE, "stripe", RefundStatus.SUCCEEDED)]
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    assert reconciled(money).outcomes == {}
    money.check(order)


@both_databases
def test_one_that_takes_days_is_followed_to_its_end(money: MoneyWorld) -> None:
    money.stripe.account.refund_status = "pending"
    order = money.verified(money.order())
    reference = refund_in_dashboard(money, order)
    reconciled(money)
    assert rows(money, order) == [(PRICE, "stripe", RefundStatus.PENDING)]
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.stripe.settle_refund(reference, "succeeded")
    money.work(hours=2)
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    money.check(order)


@both_databases
def test_what_a_bank_returns_is_for_a_person_until_it_went_back_another_way(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    reference = refund_in_dashboard(money, order)
    reconciled(money)
    money.stripe.settle_refund(reference, "failed")
    # Weeks later nobody tells: the deep run looks back 45 days.
    money.clock.advance(days=30)
    assert reconciled(money).outcomes == {}
    money.fresh()
    assert reconcile(money.shop, deep=True).outcomes == {"refund": 1}
    assert money.row(Order, order.id).status is OrderStatus.PAID
    assert findings(money) == [FindingKind.REFUND_FAILED]
    money.refund(settled(money, order), PRICE)
    money.work()
    assert findings(money) == []
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    money.check(order)


@both_databases
def test_of_a_surplus_it_leaves_the_order_paid(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    money.alter_session(session_id, amount_total=PRICE + 1)
    money.stripe.pay(session_id, wait=False)
    # A wrong amount is on the books, and a person sends it back in the Dashboard.
    assert money.settle(session_id) is Outcome.HELD
    refund_in_dashboard(money, order)
    reconciled(money)
    assert money.row(Order, order.id).status is OrderStatus.PENDING
    assert [source for _amount, source, _status in rows(money, order)] == ["stripe"]


@both_databases
def test_of_a_payment_that_is_not_ours_it_is_left_alone(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    refund_in_dashboard(money, order)
    with money.shop.transaction() as session:
        session.get_one(Payment, settled(money, order).id).reference = "pi_another"
    assert reconciled(money).outcomes == {}
    assert rows(money, order) == []


def test_a_refund_of_a_charge_without_a_payment_is_left_alone(money: MoneyWorld) -> None:
    state = RefundState(reference="re_1", status="succeeded", amount_minor=1, currency="EUR", payment_reference="")
    with money.shop.transaction():
        assert mirror_refunds(money.shop, [state]) == 0


@both_databases
def test_many_who_hear_of_it_at_once_book_it_once(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    refund_in_dashboard(money, order)
    assert money.at_once(*[lambda: reconcile(money.shop).errors] * 4) == [0] * 4
    assert rows(money, order) == [(PRICE, "stripe", RefundStatus.SUCCEEDED)]
    assert money.mails(order, "refund-") == 1
    money.check(order)


# Our own.


@both_databases
def test_our_own_whose_answer_is_lost_and_whose_event_comes_first_is_one(money: MoneyWorld, live_shop: str) -> None:
    order = money.verified(money.order())
    money.stripe.fault("drop_after", method="POST", path=REFUNDS, count=2)
    refund = money.refund(settled(money, order), PRICE)
    send_refund(money.shop, refund.id)
    assert money.stripe.wait_for_webhooks()
    assert rows(money, order) == [(PRICE, "staff", RefundStatus.SUCCEEDED)]
    # The worker comes back to it and finds it done.
    money.work(minutes=5)
    assert rows(money, order) == [(PRICE, "staff", RefundStatus.SUCCEEDED)]
    assert (len(money.stripe.objects("re")), money.mails(order, "refund-")) == (1, 1)
    money.check(order)


@both_databases
def test_our_own_that_is_found_by_reconciling_is_not_sent_again(money: MoneyWorld) -> None:
    """As after restoring a backup, when Stripe has forgotten the key under which it was asked for."""
    order = money.verified(money.order())
    money.stripe.fault("drop_after", method="POST", path=REFUNDS, count=2)
    refund = money.refund(settled(money, order), 500)
    send_refund(money.shop, refund.id)
    assert rows(money, order) == [(500, "staff", RefundStatus.REQUESTED)]
    for entry in money.stripe.account.idempotency.all():
        money.stripe.account.idempotency.remove(entry["id"])
    assert reconciled(money).outcomes == {"refund": 1}
    money.work(minutes=10)
    assert rows(money, order) == [(500, "staff", RefundStatus.SUCCEEDED)]
    assert len(money.stripe.objects("re")) == 1
    money.check(order, kept=PRICE - 500)


@both_databases
@pytest.mark.parametrize("dashboard", [None, 1000])
def test_our_own_that_comes_after_one_in_the_dashboard_goes_no_further(money: MoneyWorld, dashboard: Any) -> None:
    order = money.verified(money.order())
    # Its event was lost, so we still believe that all of the money is there.
    refund_in_dashboard(money, order, dashboard)
    refund = money.refund(settled(money, order), PRICE)
    send_refund(money.shop, refund.id)
    gone = dashboard or PRICE
    assert rows(money, order) == [
        (PRICE, "staff", RefundStatus.CANCELED),
        (gone, "stripe", RefundStatus.SUCCEEDED),
    ]
    assert len(money.stripe.objects("re")) == 1
    status = OrderStatus.REFUNDED if dashboard is None else OrderStatus.PART_REFUNDED
    assert money.row(Order, order.id).status is status
    # What is left is for whoever asked for it.
    assert findings(money) == ([] if dashboard is None else [FindingKind.REFUND_FAILED])
    money.check(order, kept=PRICE - gone)


@both_databases
def test_no_more_goes_back_than_the_dashboard_has_left(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    refund_in_dashboard(money, order, 1000)
    reconciled(money)
    with pytest.raises(RefundTooLarge):
        money.refund(settled(money, order), PRICE)
    money.refund(settled(money, order), PRICE - 1000)
    money.work()
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    money.check(order)


@both_databases
def test_a_rule_that_gives_back_what_is_back_already_does_nothing(money: MoneyWorld) -> None:
    money.supplier.set_stock("SIM-MC-1-7", 0)
    order = money.paid(money.order())
    refund_in_dashboard(money, order)
    money.work()
    money.work(minutes=2)
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    assert len(money.stripe.objects("re")) == 1
    assert findings(money) == []
    money.check(order)
