"""What a process leaves behind that is killed at a failpoint: what its name promises, looked at before anybody goes on.

Each function takes the running shop and the order that was under way, and fails where the promise is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import select

from models import (
    AttemptStatus,
    Esim,
    Fulfilment,
    FulfilmentStatus,
    Mail,
    MailStatus,
    Order,
    OrderKind,
    OrderStatus,
    Payment,
    Refund,
    RefundStatus,
    StripeEvent,
    SupplierAttemptStatus,
)
from services.fulfilment import LEASE
from tests.faults.running_shop import RunningShop


def start_intended(running: RunningShop, order: Order) -> None:
    """Our attempt is there, and Stripe has heard of nothing."""
    (attempt,) = running.money.attempts(order)
    assert (attempt.status, attempt.session_id) == (AttemptStatus.CREATED, None)
    assert running.stripe.objects("cs") == []


def start_opened(running: RunningShop, order: Order) -> None:
    """Stripe has opened the session that our attempt does not know."""
    (attempt,) = running.money.attempts(order)
    assert (attempt.status, attempt.session_id) == (AttemptStatus.CREATED, None)
    assert len(running.stripe.objects("cs")) == 1


def webhook_noted(running: RunningShop, order: Order) -> None:
    """The event is noted, and the order is not paid."""
    _unpaid(running, order)
    _noted(running, order)


def webhook_acted(running: RunningShop, order: Order) -> None:
    """The order is paid, and the event does not count as dealt with."""
    assert running.is_paid(order)
    _noted(running, order)


def unpaid(running: RunningShop, order: Order) -> None:
    """Nothing is recorded of a payment that Stripe has."""
    _unpaid(running, order)
    assert running.stripe.summary("order")["by_metadata"][order.public_id]["charges"] == 1


def committed(running: RunningShop, order: Order) -> None:
    """Whatever was committed is a whole step: a payment never stands without its fulfilment and its receipt."""
    paid = running.row(order).status is not OrderStatus.PENDING
    payments = running.money.payments(order)
    fulfilments = running.rows(select(Fulfilment).where(Fulfilment.order_id == order.id))
    assert (len(payments), len(fulfilments), running.money.mails(order, "receipt")) == (paid, paid, paid)


def claimed(running: RunningShop, order: Order) -> None:
    """The lease keeps everybody else away for its time, and nothing has been asked."""
    _at(running, order, FulfilmentStatus.WAITING)
    assert running.money.supplier_attempts(order) == []


def intended(running: RunningShop, order: Order) -> None:
    """The request counts as sent, and the supplier has heard of nothing."""
    _at(running, order, FulfilmentStatus.WAITING)
    _sent(running, order)
    assert running.money.supplier_orders(order) == 0


def answered(running: RunningShop, order: Order) -> None:
    """The supplier has carried it out, and for us it counts as sent."""
    _at(running, order, FulfilmentStatus.WAITING)
    _sent(running, order)
    assert running.money.supplier_orders(order) == 1
    if order.kind is OrderKind.RENEWAL:
        assert running.money.at_supplier(running.money.esim_of(order)).total_days == 14


def not_handed_over(running: RunningShop, order: Order) -> None:
    """The supplier has handed out the eSIM, and the buyer has nothing of it yet."""
    _at(running, order, FulfilmentStatus.ORDERED)
    assert len(running.supplier.esims()) == 1
    assert (running.rows(select(Esim)), running.money.mails(order, "esim-ready")) == ([], 0)


def not_verified(running: RunningShop, order: Order) -> None:
    """What was bought is on the books, and not called verified."""
    _at(running, order, FulfilmentStatus.APPLIED)
    assert len(running.money.packages(order)) == 1
    assert running.money.mails(order, "renewal-confirmed") == 0


def refund_requested(running: RunningShop, order: Order) -> None:
    """The order is as it was before the supplier refused it."""
    _at(running, order, FulfilmentStatus.WAITING)
    assert (running.rows(select(Refund)), running.stripe.objects("re")) == ([], [])


def refund_claimed(running: RunningShop, order: Order) -> None:
    """The refund is on the books, and Stripe has heard of nothing."""
    _refund_under_way(running, order, at_stripe=0)


def refund_answered(running: RunningShop, order: Order) -> None:
    """Stripe has sent the money back, and our books do not say so."""
    _refund_under_way(running, order, at_stripe=1)


def mail_claimed(running: RunningShop, order: Order) -> None:
    """The mail is being sent by somebody who is not there any more; it has not left."""
    _mail_under_way(running, order, arrived=0)


def mail_accepted(running: RunningShop, order: Order) -> None:
    """The mail has arrived, and counts as being sent by somebody who is not there any more."""
    _mail_under_way(running, order, arrived=1)


# What is left behind at each failpoint.
LEFT: Mapping[str, Callable[[RunningShop, Order], None]] = {
    "start.intended": start_intended,
    "start.opened": start_opened,
    "webhook.noted": webhook_noted,
    "webhook.acted": webhook_acted,
    "settle.asked": unpaid,
    "settle.recorded": unpaid,
    "transaction.committed": committed,
    "fulfil.claimed": claimed,
    "fulfil.intended": intended,
    "fulfil.answered": answered,
    "fulfil.collected": not_handed_over,
    "fulfil.stored": not_handed_over,
    "fulfil.read": not_verified,
    "fulfil.confirmed": not_verified,
    "refund.requested": refund_requested,
    "refund.claimed": refund_claimed,
    "refund.answered": refund_answered,
    "refund.recorded": refund_answered,
    "mail.claimed": mail_claimed,
    "mail.accepted": mail_accepted,
}


def _unpaid(running: RunningShop, order: Order) -> None:
    assert running.row(order).status is OrderStatus.PENDING
    assert running.rows(select(Payment).where(Payment.order_id == order.id)) == []
    assert running.rows(select(Fulfilment).where(Fulfilment.order_id == order.id)) == []
    assert running.money.mails(order, "") == 0


def _noted(running: RunningShop, order: Order) -> None:
    (attempt,) = running.money.attempts(order)
    (event,) = running.rows(select(StripeEvent).where(StripeEvent.object_id == attempt.session_id))
    assert event.processed_at is None


def _at(running: RunningShop, order: Order, status: FulfilmentStatus) -> None:
    """Check how far the order is, and that nobody else works on it until the lease of the dead one ends."""
    fulfilment = running.money.fulfilment(order)
    now = running.clock.now()
    assert fulfilment.status is status
    assert fulfilment.lease_until is not None
    assert now < fulfilment.lease_until <= now + LEASE


def _sent(running: RunningShop, order: Order) -> None:
    (attempt,) = running.money.supplier_attempts(order)
    assert (attempt.status, attempt.sends, attempt.answered_at) == (SupplierAttemptStatus.SENDING, 1, None)


def _refund_under_way(running: RunningShop, order: Order, *, at_stripe: int) -> None:
    (refund,) = running.money.refunds(order)
    assert (refund.status, refund.reference, refund.tries) == (RefundStatus.REQUESTED, None, 1)
    assert refund.next_try_at is not None
    assert refund.next_try_at > running.clock.now()
    assert len(running.stripe.objects("re")) == at_stripe
    assert running.row(order).status is OrderStatus.PAID
    assert running.money.mails(order, "refund-") == 0


def _mail_under_way(running: RunningShop, order: Order, *, arrived: int) -> None:
    mails = running.rows(select(Mail).where(Mail.subject_key == f"order:{order.id}"))
    assert MailStatus.SENDING in {mail.status for mail in mails}
    assert all(mail.lease_until > running.clock.now() for mail in mails if mail.status is MailStatus.SENDING)
    assert len(running.inbox.summaries(to=order.email)) >= arrived
    assert len([mail for mail in mails if mail.status is MailStatus.SENT]) <= len(mails) - 1
