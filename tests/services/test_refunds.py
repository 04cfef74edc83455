"""Money that goes back: each cause once, never more than came in, whatever becomes of Stripe's answers."""

from __future__ import annotations

import pytest

from models import Order, OrderStatus, Payment, RefundStatus
from services.payments.refunds import RefundTooLarge, due_refunds, send_refund
from tests import both_databases
from tests.money_world import PRICE, MoneyWorld, varied

REFUNDS = "/v1/refunds"


@pytest.fixture
def order(money: MoneyWorld) -> Order:
    return money.paid(money.order())


@pytest.fixture
def payment(money: MoneyWorld, order: Order) -> Payment:
    (payment,) = money.payments(order)
    return payment


def at_stripe(money: MoneyWorld) -> list[tuple[int, str]]:
    return [(refund["amount"], refund["status"]) for refund in money.stripe.objects("re")]


@both_databases
def test_a_refund_reaches_stripe_the_books_and_the_buyer(money: MoneyWorld, order: Order, payment: Payment) -> None:
    refund = money.refund(payment, PRICE)
    money.work()
    (refund,) = money.refunds(order)
    assert (refund.status, refund.next_try_at) == (RefundStatus.SUCCEEDED, None)
    assert refund.reference == money.stripe.objects("re")[0]["id"]
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    assert money.mails(order, "refund-") == 1
    money.check(order)


@both_databases
def test_parts_add_up_to_the_whole(money: MoneyWorld, order: Order, payment: Payment) -> None:
    money.refund(payment, 500, cause="one")
    money.work()
    assert money.row(Order, order.id).status is OrderStatus.PART_REFUNDED
    money.check(order, kept=PRICE - 500)
    money.refund(payment, PRICE - 500, cause="two")
    money.work()
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    assert money.mails(order, "refund-") == 2
    money.check(order)


@both_databases
@pytest.mark.parametrize(("fault", "count"), [("drop_after", 2), ("bad_json", 1)])
def test_a_lost_answer_is_one_refund(money: MoneyWorld, order: Order, payment: Payment, fault: str, count: int) -> None:
    # The client itself repeats what was lost on the way, and not what it cannot read.
    money.stripe.fault(fault, method="POST", path=REFUNDS, count=count)
    money.refund(payment, PRICE)
    money.work()
    assert [refund.status for refund in money.refunds(order)] == [RefundStatus.REQUESTED]
    assert not due_refunds(money.shop)
    money.clock.advance(minutes=1)
    assert due_refunds(money.shop) == [refund.id for refund in money.refunds(order)]
    send_refund(money.shop, money.refunds(order)[0].id)
    assert at_stripe(money) == [(PRICE, "succeeded")]
    assert len({entry["idempotency_key"] for entry in money.stripe.requests("POST", REFUNDS)}) == 1
    assert [refund.status for refund in money.refunds(order)] == [RefundStatus.SUCCEEDED]
    money.check(order)


@both_databases
def test_an_answer_that_was_lost_more_than_a_day_ago_is_one_refund(
    money: MoneyWorld, order: Order, payment: Payment
) -> None:
    money.stripe.fault("drop_after", method="POST", path=REFUNDS, count=2)
    money.refund(payment, 500)
    money.work()
    money.clock.advance(hours=25)
    # By then Stripe has forgotten the key.
    for entry in money.stripe.account.idempotency.all():
        money.stripe.account.idempotency.remove(entry["id"])
    money.work()
    assert at_stripe(money) == [(500, "succeeded")]
    assert [refund.status for refund in money.refunds(order)] == [RefundStatus.SUCCEEDED]
    money.check(order, kept=PRICE - 500)


@varied("fault", ["500", "503", "429", "409", "drop_before"])
def test_while_stripe_is_down_a_refund_waits(money: MoneyWorld, order: Order, payment: Payment, fault: str) -> None:
    money.stripe.fault(fault, method="POST", path=REFUNDS, count=None)
    refund_id = money.refund(payment, PRICE).id
    for minutes in (0, 1, 2):
        money.clock.advance(minutes=minutes)
        send_refund(money.shop, refund_id)
    assert [refund.status for refund in money.refunds(order)] == [RefundStatus.REQUESTED]
    money.stripe.faults.clear()
    money.clock.advance(minutes=4)
    send_refund(money.shop, refund_id)
    assert at_stripe(money) == [(PRICE, "succeeded")]
    money.check(order)


@both_databases
def test_what_stripe_refuses_has_failed(money: MoneyWorld, order: Order, payment: Payment) -> None:
    (charge,) = money.stripe.objects("ch")
    money.stripe.open_dispute(charge["id"])
    money.refund(payment, PRICE)
    money.work()
    (refund,) = money.refunds(order)
    assert (refund.status, refund.next_try_at) == (RefundStatus.FAILED, None)
    assert money.row(Order, order.id).status is OrderStatus.PAID
    assert money.mails(order, "refund-") == 0


@both_databases
def test_a_payment_that_stripe_does_not_know_cannot_go_back(money: MoneyWorld, order: Order, payment: Payment) -> None:
    with money.shop.transaction() as session:
        session.get_one(Payment, payment.id).reference = "pi_unknown"
    money.refund(payment, PRICE)
    money.work()
    (refund,) = money.refunds(order)
    assert (refund.status, refund.next_try_at) == (RefundStatus.FAILED, None)


@both_databases
@pytest.mark.parametrize("first", ["pending", "requires_action"])
def test_a_refund_that_takes_days_is_looked_at_until_it_is_done(
    money: MoneyWorld, order: Order, payment: Payment, first: str
) -> None:
    money.stripe.account.refund_status = first
    money.refund(payment, PRICE)
    money.work()
    (refund,) = money.refunds(order)
    assert refund.status is RefundStatus.PENDING
    assert money.row(Order, order.id).status is OrderStatus.PAID
    assert refund.reference is not None
    money.stripe.settle_refund(refund.reference, "succeeded")
    money.clock.advance(hours=1)
    send_refund(money.shop, refund.id)
    assert [refund.status for refund in money.refunds(order)] == [RefundStatus.SUCCEEDED]
    assert money.mails(order, "refund-") == 1
    money.check(order)


@both_databases
def test_a_refund_that_takes_days_is_told_by_webhook(
    money: MoneyWorld, order: Order, payment: Payment, live_shop: str
) -> None:
    money.stripe.account.refund_status = "pending"
    money.refund(payment, PRICE)
    money.work()
    (refund,) = money.refunds(order)
    assert refund.reference is not None
    money.stripe.settle_refund(refund.reference, "succeeded")
    assert money.stripe.wait_for_webhooks()
    assert [refund.status for refund in money.refunds(order)] == [RefundStatus.SUCCEEDED]
    assert money.mails(order, "refund-") == 1
    money.check(order)


@both_databases
def test_a_pending_refund_that_fails_leaves_the_order_paid(money: MoneyWorld, order: Order, payment: Payment) -> None:
    money.stripe.account.refund_status = "pending"
    money.refund(payment, PRICE)
    money.work()
    (refund,) = money.refunds(order)
    assert refund.reference is not None
    money.stripe.settle_refund(refund.reference, "failed")
    money.clock.advance(hours=1)
    send_refund(money.shop, refund.id)
    assert [(each.status, each.reference) for each in money.refunds(order)] == [(RefundStatus.FAILED, refund.reference)]
    assert money.mails(order, "refund-") == 0
    money.check(order)


@both_databases
def test_a_refund_that_the_bank_returns_is_noticed(
    money: MoneyWorld, order: Order, payment: Payment, live_shop: str, caplog: pytest.LogCaptureFixture
) -> None:
    money.refund(payment, PRICE)
    money.work()
    (refund,) = money.refunds(order)
    assert refund.reference is not None
    money.stripe.settle_refund(refund.reference, "failed")
    assert money.stripe.wait_for_webhooks()
    assert [refund.status for refund in money.refunds(order)] == [RefundStatus.FAILED]
    assert f"refund {refund.id}" in caplog.text
    money.check(order, kept=PRICE)


@both_databases
def test_a_cause_that_is_noticed_twice_refunds_once(money: MoneyWorld, order: Order, payment: Payment) -> None:
    first = money.refund(payment, 500)
    assert money.refund(payment, 500).id == first.id
    money.work()
    assert money.refund(payment, 500).id == first.id
    money.work()
    assert at_stripe(money) == [(500, "succeeded")]
    money.check(order, kept=PRICE - 500)


@both_databases
def test_two_causes_with_the_same_amount_refund_twice(money: MoneyWorld, order: Order, payment: Payment) -> None:
    money.refund(payment, 500, cause="one")
    money.refund(payment, 500, cause="two")
    money.work()
    assert at_stripe(money) == [(500, "succeeded")] * 2
    money.check(order, kept=PRICE - 1000)


@both_databases
def test_a_refund_that_six_send_at_once_goes_out_once(money: MoneyWorld, order: Order, payment: Payment) -> None:
    refund_id = money.refund(payment, PRICE).id
    results = money.at_once(*[lambda: send_refund(money.shop, refund_id)] * 6)
    assert results == [None] * 6
    assert len(money.stripe.requests("POST", REFUNDS)) == 1
    money.check(order)


@both_databases
def test_no_more_goes_back_than_came_in(money: MoneyWorld, order: Order, payment: Payment) -> None:
    with pytest.raises(RefundTooLarge):
        money.refund(payment, PRICE + 1)
    money.refund(payment, 1000, cause="one")
    with pytest.raises(RefundTooLarge):
        money.refund(payment, 500, cause="two")
    money.work()
    with pytest.raises(RefundTooLarge):
        money.refund(payment, 491, cause="three")
    money.refund(payment, 490, cause="four")
    money.work()
    money.check(order)


@both_databases
def test_what_failed_may_go_back_by_another_way(money: MoneyWorld, order: Order, payment: Payment) -> None:
    money.stripe.account.refund_status = "pending"
    refund = money.refund(payment, PRICE, cause="one")
    money.work()
    (refund,) = money.refunds(order)
    assert refund.reference is not None
    money.stripe.settle_refund(refund.reference, "failed")
    money.clock.advance(hours=2)
    send_refund(money.shop, refund.id)
    money.stripe.account.refund_status = "succeeded"
    money.refund(payment, PRICE, cause="two")
    money.work()
    assert [each.status for each in money.refunds(order)] == [RefundStatus.FAILED, RefundStatus.SUCCEEDED]
    money.check(order)
