"""A buyer who asks the bank for the money back: nothing is delivered, and nothing sent back, until the bank decides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import select

from models import Dispute, FulfilmentStatus, Order, OrderStatus, Payment, db
from services.late_orders import give_up_held
from services.payments.disputes import PaymentDisputed, apply_dispute
from services.payments.settlement import Outcome
from services.reconcile import reconcile
from services.stuck import list_stuck
from tests import both_databases
from tests.money_world import PRICE, MoneyWorld
from tests.services.lost_world import reconciled

ORDER = "/esim/order"


def claim(money: MoneyWorld, order: Order, *, inquiry: bool = False) -> str:
    """Let the buyer of an order ask the bank for the money back; return the dispute at Stripe."""
    (charge,) = money.stripe.charges_for(order.public_id)
    return str(money.stripe.open_dispute(charge["id"], inquiry=inquiry)["id"])


def held(money: MoneyWorld, order: Order) -> bool:
    fulfilment = money.fulfilment(order)
    return (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.HELD, "disputed")


def disputes(money: MoneyWorld) -> Sequence[Dispute]:
    """Return the disputes on our books."""
    money.fresh()
    return db.session.scalars(select(Dispute).order_by(Dispute.id)).all()


def waits(money: MoneyWorld) -> list[str]:
    """Return what staff is asked to look at."""
    money.fresh()
    return [item.code for item in list_stuck(db.session(), money.clock.now())]


@both_databases
def test_what_is_disputed_before_its_delivery_is_held_and_goes_on_when_it_is_won(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    dispute = claim(money, order)
    assert reconciled(money).outcomes == {"dispute": 1}
    money.work(minutes=30)
    assert held(money, order)
    assert money.supplier_orders(order) == 0
    assert sorted(waits(money)) == ["disputed", "needs_response"]
    money.stripe.close_dispute(dispute, "won")
    assert reconciled(money).outcomes == {"dispute": 1}
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert waits(money) == []
    money.check(order)


@both_databases
def test_what_is_disputed_and_lost_is_not_delivered_and_not_refunded(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    dispute = claim(money, order)
    reconciled(money)
    money.stripe.close_dispute(dispute, "lost")
    reconciled(money)
    money.work(hours=30)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.REFUSED, "dispute_lost")
    assert (money.refunds(order), money.supplier_orders(order)) == ([], 0)
    # The money is with the bank, not with a refund of ours.
    assert money.row(Order, order.id).status is OrderStatus.PAID
    assert waits(money) == []


@both_databases
def test_an_order_that_waits_for_a_person_ends_with_a_dispute_that_is_lost(money: MoneyWorld) -> None:
    """Otherwise whoever retries it gives away what the bank has taken back."""
    money.supplier.fault(ORDER, "error:200005")
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).reason == "price_changed"
    dispute = claim(money, order)
    reconciled(money)
    money.stripe.close_dispute(dispute, "lost")
    reconciled(money)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.REFUSED, "dispute_lost")
    assert money.refunds(order) == []


@both_databases
def test_an_esim_that_comes_while_its_order_is_disputed_is_not_handed_over(money: MoneyWorld) -> None:
    money.supplier.set_allocation(held=True)
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.ORDERED
    dispute = claim(money, order)
    reconciled(money)
    money.supplier.set_allocation(held=False)
    money.work(minutes=30)
    assert held(money, order)
    assert money.row(Order, order.id).esim_id is None
    money.stripe.close_dispute(dispute, "won")
    reconciled(money)
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    money.check(order)


@both_databases
def test_what_was_delivered_before_stays_delivered(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    dispute = claim(money, order)
    reconciled(money)
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert waits(money) == ["needs_response"]
    money.stripe.close_dispute(dispute, "lost")
    reconciled(money)
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert waits(money) == []


@both_databases
def test_an_inquiry_holds_the_delivery_and_forbids_no_refund(money: MoneyWorld) -> None:
    order, another = money.paid(money.order()), money.paid(money.order())
    inquiry = claim(money, order, inquiry=True)
    claim(money, another, inquiry=True)
    reconciled(money)
    assert held(money, order)
    (payment,) = money.payments(another)
    money.refund(payment, PRICE)
    money.work()
    assert money.row(Order, another.id).status is OrderStatus.REFUNDED
    assert give_up_held(money.shop) == 1
    assert money.fulfilment(another).status is FulfilmentStatus.REFUSED
    money.stripe.close_dispute(inquiry, "warning_closed")
    reconciled(money)
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    money.check(order)
    money.check(another)


@both_databases
def test_nothing_can_be_sent_back_while_the_bank_has_the_money(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    dispute = claim(money, order)
    reconciled(money)
    (payment,) = money.payments(order)
    with pytest.raises(PaymentDisputed):
        money.refund(payment, PRICE)
    assert (money.refunds(order), money.stripe.requests("POST", "/v1/refunds")) == ([], [])
    money.stripe.close_dispute(dispute, "won")
    reconciled(money)
    money.refund(money.row(Payment, payment.id), PRICE)
    money.work()
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    money.check(order)


@both_databases
@pytest.mark.parametrize(("outcome", "kept"), [("won", 0), ("lost", PRICE)])
def test_a_rule_that_gives_the_money_back_waits_for_the_bank(money: MoneyWorld, outcome: str, kept: int) -> None:
    order = money.paid(money.order())
    dispute = claim(money, order)
    money.supplier.set_stock("SIM-MC-1-7", 0)
    # Only now does our side hear of it: the supplier has said no by then.
    with money.shop.transaction():
        row = Dispute(
            payment_id=money.payments(order)[0].id,
            reference=dispute,
            status="needs_response",
            reason="fraudulent",
            amount_minor=PRICE,
            currency="EUR",
            opened_at=money.clock.now(),
        )
        db.session.add(row)
    money.work()
    assert held(money, order)
    assert money.refunds(order) == []
    money.stripe.close_dispute(dispute, outcome)  # type: ignore[arg-type]
    reconciled(money)
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    assert sum(refund.amount_minor for refund in money.refunds(order)) == PRICE - kept
    money.check(order, kept=kept)


@both_databases
def test_of_two_disputes_both_have_to_be_decided(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    first = claim(money, order)
    reconciled(money)
    money.stripe.account.save({**money.stripe.objects("ch")[0], "disputed": False})
    second = claim(money, order)
    reconciled(money)
    money.stripe.close_dispute(first, "won")
    reconciled(money)
    assert held(money, order)
    money.stripe.close_dispute(second, "won")
    reconciled(money)
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED


@both_databases
def test_a_surplus_that_is_disputed_holds_nothing(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    with money.shop.transaction() as session:
        session.add(
            Payment(
                order_id=order.id,
                attempt_id=money.attempts(order)[0].id,
                kind="surplus",
                reference="pi_surplus",
                amount_minor=PRICE,
                currency="EUR",
                received_at=money.clock.now(),
            )
        )
    dispute = money.stripe.account
    (charge,) = money.stripe.charges_for(order.public_id)
    dispute.save({**charge, "payment_intent": "pi_surplus"})
    money.stripe.open_dispute(charge["id"])
    assert reconciled(money).outcomes == {"dispute": 1}
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert waits(money) == ["needs_response"]


@both_databases
def test_a_dispute_about_somebody_elses_payment_is_left_alone(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    dispute = claim(money, order)
    with money.shop.transaction() as session:
        session.get_one(Payment, money.payments(order)[0].id).reference = "pi_another"
    assert reconciled(money).outcomes == {}
    state = money.shop.gateway.get_dispute(dispute)
    with money.shop.transaction():
        assert not apply_dispute(money.shop, state)
    assert disputes(money) == []


@both_databases
def test_an_answer_that_was_overtaken_reopens_nothing(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    dispute = claim(money, order)
    money.fresh()
    early = money.shop.gateway.get_dispute(dispute)
    money.stripe.close_dispute(dispute, "won")
    reconciled(money)
    with money.shop.transaction():
        assert apply_dispute(money.shop, early)
    (row,) = disputes(money)
    assert row.status == "won"
    assert row.closed_at is not None
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED


@both_databases
def test_stripe_tells_of_it_at_once(money: MoneyWorld, live_shop: str) -> None:
    order = money.paid(money.order())
    dispute = claim(money, order)
    assert money.stripe.wait_for_webhooks()
    assert held(money, order)
    money.stripe.close_dispute(dispute, "won")
    assert money.stripe.wait_for_webhooks()
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert len(disputes(money)) == 1
    money.check(order)


@both_databases
def test_one_whose_events_were_lost_is_found_and_asked_about_until_it_is_decided(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    dispute = claim(money, order)
    reconciled(money)
    # Weeks later it is on no list any more that is looked at.
    money.clock.advance(days=50)
    money.stripe.close_dispute(dispute, "lost")
    reconciled(money)
    (row,) = disputes(money)
    assert (row.status, row.closed_at) == ("lost", money.clock.now())


@both_databases
def test_one_that_is_opened_twice_at_once_is_one(money: MoneyWorld) -> None:
    order = money.paid(money.order())
    claim(money, order)
    assert money.at_once(*[lambda: reconcile(money.shop).errors] * 4) == [0] * 4
    assert len(disputes(money)) == 1
    assert held(money, order)


@both_databases
def test_a_card_that_is_disputed_at_once(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    money.stripe.pay(session_id, card="4000000000000259", wait=False)
    assert money.settle(session_id) is Outcome.PAID
    money.work()
    assert held(money, order)
    reconciled(money)
    assert (len(disputes(money)), money.supplier_orders(order)) == (1, 0)
