"""The only way for an order to become paid: look the session up at Stripe, then record what it says, once."""

from __future__ import annotations

import logging
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from models import (
    Attempt,
    AttemptStatus,
    FindingKind,
    Fulfilment,
    FulfilmentStatus,
    Order,
    OrderStatus,
    Payment,
    PaymentKind,
    db,
)
from services import findings, money
from services.failpoints import failpoint
from services.languages import DEFAULT_LANGUAGE
from services.mail import messages
from services.order_states import ATTEMPT, sources
from services.orders import lock_order
from services.payments import PaymentError, SessionState
from services.payments.disputes import HELD_BECAUSE
from services.payments.refunds import request_refund
from services.shop import Shop

log = logging.getLogger(__name__)

# A page that is reloaded in anger asks Stripe at most this often.
LOOK_EVERY = timedelta(seconds=3)
PAID = ("paid", "no_payment_required")
# A delayed payment whose intent is in one of these states has failed for good (docs.stripe.com/payments/intents).
DEAD_INTENTS = ("requires_payment_method", "canceled")


class Outcome(StrEnum):
    """What looking at a session came to."""

    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    OPEN = "open"
    PROCESSING = "processing"
    PAID = "paid"
    ALREADY_PAID = "already_paid"
    SURPLUS = "surplus"
    HELD = "held"
    FAILED = "failed"
    EXPIRED = "expired"


def settle(shop: Shop, session_id: str) -> Outcome:
    """Bring our books up to date with a session at Stripe; safe to call any number of times and from everywhere.

    Called by webhook, return page, status poll and reconcile. Opens its own transaction. Raises SessionNotFound and
    GatewayUnavailable.
    """
    state = shop.gateway.get_session(session_id)
    failpoint("settle.asked")
    with shop.transaction():
        outcome = apply_session(shop, state)
        failpoint("settle.recorded")
    return outcome


def look_at_payment(shop: Shop, attempt_id: int) -> bool:
    """Settle an attempt unless it was looked at within three seconds; return whether Stripe had an answer.

    However many pages ask at the same time, one of them asks Stripe, so that a slow Stripe cannot keep every web
    process waiting. Opens its own transactions.
    """
    now = shop.clock.now()
    with shop.transaction() as session:
        turn = session.execute(
            update(Attempt)
            .where(
                Attempt.id == attempt_id,
                Attempt.session_id.is_not(None),
                or_(Attempt.checked_at.is_(None), Attempt.checked_at <= now - LOOK_EVERY),
            )
            .values(checked_at=now)
            .returning(Attempt.session_id)
        ).scalar_one_or_none()
    if turn is None:
        return True
    try:
        settle(shop, turn)
    except PaymentError:
        # Webhook and reconcile will find it.
        return False
    return True


def apply_session(shop: Shop, state: SessionState) -> Outcome:
    """Record what a session says, inside the caller's transaction.

    Outcome.FOREIGN for a session that another application opened, Outcome.UNKNOWN for one of ours without a row.
    """
    if state.attempt_reference is None:
        return Outcome.FOREIGN
    if state.livemode != shop.settings.stripe.livemode:
        log.error("session %s is of the other mode (livemode)", state.session_id)
        return Outcome.FOREIGN
    session = db.session()
    attempt = _find_attempt(session, state)
    if attempt is None:
        return Outcome.UNKNOWN
    order = lock_order(session, attempt.order_id)
    # Read again under the lock: another process may have settled it while we waited.
    session.refresh(attempt)
    attempt.checked_at = shop.clock.now()
    if attempt.session_id is None:
        attempt.session_id, attempt.session_url = state.session_id, state.url
    if state.status == "complete":
        return _apply_complete(shop, session, order, attempt, state)
    if state.status == "expired":
        _move(attempt, AttemptStatus.EXPIRED)
        return Outcome.EXPIRED
    _move(attempt, AttemptStatus.OPEN)
    return Outcome.OPEN


def _find_attempt(session: Session, state: SessionState) -> Attempt | None:
    attempt = session.scalars(select(Attempt).where(Attempt.session_id == state.session_id)).one_or_none()
    if attempt is not None:
        return attempt
    public_id, _dash, seq = (state.attempt_reference or "").rpartition("-")
    if not seq.isdecimal():
        return None
    return session.scalars(
        select(Attempt)
        .join(Order, Order.id == Attempt.order_id)
        .where(Order.public_id == public_id, Attempt.seq == int(seq), Attempt.session_id.is_(None))
    ).one_or_none()


def _apply_complete(shop: Shop, session: Session, order: Order, attempt: Attempt, state: SessionState) -> Outcome:
    if state.payment_status in PAID:
        return _record_payment(shop, session, order, attempt, state)
    if state.intent_status in DEAD_INTENTS:
        if _move(attempt, AttemptStatus.FAILED) and order.status is OrderStatus.PENDING:
            messages.payment_failed(shop, order, attempt.id)
        return Outcome.FAILED
    if state.payment_status != "unpaid":
        log.error("session %s has payment status %r", state.session_id, state.payment_status)
    _move(attempt, AttemptStatus.PROCESSING)
    return Outcome.PROCESSING


def _record_payment(shop: Shop, session: Session, order: Order, attempt: Attempt, state: SessionState) -> Outcome:
    reference = state.payment_reference or state.session_id
    if session.scalars(select(Payment.id).where(Payment.reference == reference)).first() is not None:
        return Outcome.ALREADY_PAID
    _move(attempt, AttemptStatus.SUCCEEDED)
    paid = (state.amount_minor, state.currency)
    expected = paid == (attempt.amount_minor, attempt.currency)
    # An order that was changed while somebody paid on its old session is not paid by that.
    settles = expected and order.status is OrderStatus.PENDING and paid == (order.amount_minor, order.currency)
    payment = Payment(
        order_id=order.id,
        attempt_id=attempt.id,
        kind=PaymentKind.SETTLING if settles else PaymentKind.SURPLUS,
        reference=reference,
        amount_minor=state.amount_minor,
        currency=state.currency,
        received_at=shop.clock.now(),
    )
    session.add(payment)
    session.flush()
    if settles:
        _mark_paid(shop, session, order, state)
        return Outcome.PAID
    if not expected:
        _put_before_a_person(shop, session, order, attempt, payment)
        return Outcome.HELD
    if payment.amount_minor > state.refunded_minor:
        left = payment.amount_minor - state.refunded_minor
        request_refund(shop, payment, left, source="auto", cause="surplus")
    return Outcome.SURPLUS


def _put_before_a_person(shop: Shop, session: Session, order: Order, attempt: Attempt, payment: Payment) -> None:
    """Notice a wrong amount, which is nothing to settle by rule: the money is on the books and a person looks at it."""
    paid = money.format_money(payment.amount_minor, payment.currency, DEFAULT_LANGUAGE)
    expected = money.format_money(attempt.amount_minor, attempt.currency, DEFAULT_LANGUAGE)
    log.error("order %s: paid %s, expected %s", order.public_id, paid, expected)
    findings.notice(
        session,
        FindingKind.WRONG_AMOUNT,
        payment.reference,
        shop.clock.now(),
        order_id=order.id,
        details=f"{paid} instead of {expected}",
    )


def _mark_paid(shop: Shop, session: Session, order: Order, state: SessionState) -> None:
    now = shop.clock.now()
    fulfilment = Fulfilment(order_id=order.id, status=FulfilmentStatus.WAITING, next_try_at=now)
    if order.paid_at is not None:
        # Made again, it keeps the day on its receipt; how long we may take over it counts from now.
        fulfilment.retried_at = now
    order.status, order.paid_at = OrderStatus.PAID, order.paid_at or now
    if state.refunded_minor and state.refunded_minor >= state.amount_minor:
        # We hear of it late, as after restoring a backup: what has gone back is not delivered (again).
        fulfilment.status, fulfilment.reason, fulfilment.held_at = FulfilmentStatus.REFUSED, "refunded", now
    elif state.disputed:
        # It goes on when the dispute is on our books and decided.
        fulfilment.status, fulfilment.reason, fulfilment.held_at = FulfilmentStatus.HELD, HELD_BECAUSE, now
    else:
        shop.knock("fulfil", order.id)
    if fulfilment.status is not FulfilmentStatus.WAITING:
        fulfilment.next_try_at = None
    session.add(fulfilment)
    session.flush()
    messages.receipt(shop, order)


def _move(attempt: Attempt, target: AttemptStatus) -> bool:
    """Move the attempt where its table allows; return whether it moved. The caller holds the order's lock."""
    if attempt.status not in sources(ATTEMPT, target):
        return False
    attempt.status = target
    return True
