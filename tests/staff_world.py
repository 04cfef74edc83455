"""What makes an order wait for a person, put on the books by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from models import (
    Dispute,
    Finding,
    FindingKind,
    Fulfilment,
    FulfilmentStatus,
    Mail,
    MailStatus,
    Order,
    Payment,
    PaymentKind,
    Refund,
    RefundStatus,
    SupplierAttempt,
    SupplierAttemptStatus,
    db,
)
from services import findings
from services.audit import Actor
from services.mail.messages import order_key
from services.shop import Shop

# What must never stand on a page for staff.
SECRET = "no-page-may-show-this"


def acting(staff_id: int) -> Actor:
    """Return a member of staff who does something, by nothing but their id."""
    return Actor(staff_id=staff_id, name="Ann", role="owner", from_address="127.0.0.1")


def change_fulfilment(shop: Shop, order: Order, **columns: Any) -> None:
    """Set columns of the fulfilment of an order."""
    with shop.transaction() as session:
        fulfilment = session.get_one(Fulfilment, order.id)
        for name, value in columns.items():
            setattr(fulfilment, name, value)


def hold(shop: Shop, order: Order, reason: str, **columns: Any) -> None:
    """Hold an order since now."""
    values: Mapping[str, Any] = {"status": FulfilmentStatus.HELD, "reason": reason, "held_at": shop.clock.now()}
    change_fulfilment(shop, order, **{**values, **columns})


def make_late(shop: Shop, order: Order, reason: str) -> None:
    """Let an order that is under way be late since now, to be looked at in ten minutes."""
    now = shop.clock.now()
    change_fulfilment(shop, order, late_at=now, reason=reason, next_try_at=now + timedelta(minutes=10))


def settling_payment(order: Order) -> Payment:
    """Return the payment that settled an order."""
    return db.session.scalars(
        select(Payment).where(Payment.order_id == order.id, Payment.kind == PaymentKind.SETTLING)
    ).one()


def dispute(shop: Shop, order: Order, status: str = "needs_response", **columns: Any) -> int:
    """Put a dispute about the payment of an order on the books, and return its id."""
    payment, now = settling_payment(order), shop.clock.now()
    values: Mapping[str, Any] = {
        "payment_id": payment.id,
        "reference": f"dp_{order.public_id}",
        "status": status,
        "reason": "product_not_received",
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "opened_at": now,
        "due_by": now + timedelta(days=9),
    }
    with shop.transaction() as session:
        row = Dispute(**{**values, **columns})
        session.add(row)
        session.flush()
        return row.id


def make_refund(shop: Shop, order: Order) -> None:
    """Let the payment that settled an order have gone back in full."""
    payment = settling_payment(order)
    with shop.transaction() as session:
        session.add(
            Refund(
                payment_id=payment.id,
                status=RefundStatus.SUCCEEDED,
                source="shop",
                cause="refused",
                idempotency_key=f"refund-{order.public_id}",
                reference=f"re_{order.public_id}",
                amount_minor=payment.amount_minor,
                currency=payment.currency,
                created_at=shop.clock.now(),
            )
        )


def make_mail(shop: Shop, order: Order, status: MailStatus = MailStatus.FAILED, **columns: Any) -> int:
    """Put a mail about an order on the books, and return its id."""
    values: Mapping[str, Any] = {
        "kind": "esim-ready",
        "subject_key": order_key(order.id),
        "recipient": order.email,
        "language": "en",
        "subject": "Your eSIM",
        "text_body": SECRET,
        "html_body": SECRET,
        "status": status,
        "tries": 1,
        "created_at": shop.clock.now(),
        "error": "550 no such user" if status is MailStatus.FAILED else "",
    }
    with shop.transaction() as session:
        row = Mail(**{**values, **columns})
        session.add(row)
        session.flush()
        return row.id


def notice(shop: Shop, kind: FindingKind, reference: str, order: Order | None = None, details: str = "") -> int:
    """Notice a finding, and return its id."""
    with shop.transaction() as session:
        order_id = order.id if order is not None else None
        findings.notice(session, kind, reference, shop.clock.now(), order_id=order_id, details=details)
    same = select(Finding.id).where(Finding.kind == kind, Finding.reference == reference)
    return db.session.scalars(same).one()


def ask_supplier(shop: Shop, order: Order, status: SupplierAttemptStatus, **columns: Any) -> None:
    """Let a request to the supplier have been sent for an order."""
    now = shop.clock.now()
    values: Mapping[str, Any] = {
        "order_id": order.id,
        "seq": 1,
        "reference": f"{order.public_id}-1",
        "status": status,
        "created_at": now,
        "sent_at": now,
    }
    with shop.transaction() as session:
        session.add(SupplierAttempt(**{**values, **columns}))
