"""Disputes: a buyer asks the bank for the money back, so delivery waits and staff answers at Stripe."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Dispute, Fulfilment, FulfilmentStatus, Order, Payment, PaymentKind, db
from services import fulfilment_rows as rows
from services.order_states import WORKED_ON
from services.orders import lock_order
from services.payments import DisputeState
from services.shop import Shop

log = logging.getLogger(__name__)

HELD_BECAUSE = "disputed"
LOST = ("lost",)


class PaymentDisputed(Exception):
    """The buyer's bank has the money until the dispute is decided, so none of it can be sent back."""


def apply_dispute(shop: Shop, state: DisputeState) -> bool:
    """Record how a dispute stands at Stripe, inside the caller's transaction; return whether it is about an order.

    While it is open, what has not been delivered is held; once the buyer has withdrawn it or lost it, it goes on.
    """
    session = db.session()
    payment = session.scalars(select(Payment).where(Payment.reference == state.payment_reference)).one_or_none()
    if payment is None or not state.payment_reference:
        return False
    order = lock_order(session, payment.order_id)
    dispute = _row(session, payment, state)
    if dispute.closed_at is not None:
        # Two answers may overtake each other; a decision is final.
        return True
    dispute.status, dispute.amount_minor, dispute.due_by = state.status, state.amount_minor, state.due_by
    if not state.open:
        dispute.closed_at = shop.clock.now()
    session.flush()
    if payment.kind is PaymentKind.SETTLING:
        _act(shop, session, order, dispute)
    return True


def open_disputes(session: Session, order_id: int) -> list[Dispute]:
    """Return the disputes about an order's payments that are not decided."""
    return list(
        session.scalars(select(Dispute).join(Payment).where(Payment.order_id == order_id, Dispute.closed_at.is_(None)))
    )


def refuse_while_disputed(session: Session, payment: Payment) -> None:
    """Make sure that a payment can be refunded; raises PaymentDisputed.

    Stripe refuses it as well. An inquiry leaves the money where it is and forbids nothing, a dispute that was won
    neither (docs.stripe.com/disputes/how-disputes-work).
    """
    statuses = session.scalars(select(Dispute.status).where(Dispute.payment_id == payment.id))
    if any(not status.startswith("warning_") and status not in ("won", "prevented") for status in statuses):
        raise PaymentDisputed(payment.reference)


def _row(session: Session, payment: Payment, state: DisputeState) -> Dispute:
    dispute = session.scalars(select(Dispute).where(Dispute.reference == state.reference)).one_or_none()
    if dispute is None:
        # Nobody else can be adding it: the order is locked.
        dispute = Dispute(
            payment_id=payment.id,
            reference=state.reference,
            status=state.status,
            reason=state.reason[:60],
            amount_minor=state.amount_minor,
            currency=state.currency,
            opened_at=state.opened_at,
        )
        session.add(dispute)
        log.error("dispute %s about payment %s: %s", state.reference, payment.reference, state.reason)
    return dispute


def _act(shop: Shop, session: Session, order: Order, dispute: Dispute) -> None:
    fulfilment = session.get(Fulfilment, order.id, populate_existing=True, with_for_update=True)
    if fulfilment is None:
        return
    held = fulfilment.status is FulfilmentStatus.HELD
    for_this = held and fulfilment.reason == HELD_BECAUSE
    if dispute.closed_at is None:
        if fulfilment.status in WORKED_ON:
            rows.move(shop, session, order.id, FulfilmentStatus.HELD, reason=HELD_BECAUSE)
    elif dispute.status in LOST and (for_this or (held and fulfilment.applied_at is None)):
        # Whatever else it is held for: nobody may deliver it any more.
        rows.move(shop, session, order.id, FulfilmentStatus.REFUSED, reason="dispute_lost")
    elif for_this and not open_disputes(session, order.id):
        rows.put_back(shop, fulfilment)
