"""One order with everything that the books hold of it, for staff: no activation code, key, address of a payment page or
text of a mail is ever read for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from models import (
    Account,
    Attempt,
    Dispute,
    Esim,
    Finding,
    Fulfilment,
    Mail,
    Order,
    Payment,
    Plan,
    Refund,
    Staff,
    SupplierAttempt,
)
from services.mail.messages import order_key
from services.orders import OrderNotFound

Rows = Sequence[Row[*tuple[Any, ...]]]


@dataclass(frozen=True, kw_only=True)
class OrderBooks:
    """The rows of one order, oldest first; `order` is one row of order, account, plan, eSIM and fulfilment."""

    order: Row[*tuple[Any, ...]]
    attempts: Rows
    payments: Rows
    refunds: Rows
    disputes: Rows
    supplier_attempts: Rows
    mails: Rows
    findings: Rows


def read_books(session: Session, public_id: str) -> OrderBooks:
    """Return what the books hold of an order; raises OrderNotFound."""
    order = session.execute(_order().where(Order.public_id == public_id)).one_or_none()
    if order is None:
        raise OrderNotFound(public_id)
    return OrderBooks(
        order=order,
        attempts=session.execute(_attempts(order.id)).all(),
        payments=session.execute(_payments(order.id)).all(),
        refunds=session.execute(_refunds(order.id)).all(),
        disputes=session.execute(_disputes(order.id)).all(),
        supplier_attempts=session.execute(_supplier_attempts(order.id)).all(),
        mails=session.execute(_mails(order.id)).all(),
        findings=session.execute(_findings(order.id)).all(),
    )


def _order() -> Select[*tuple[Any, ...]]:
    moments = ("ordered_at", "applied_at", "verified_at", "held_at", "late_at", "retried_at", "next_try_at")
    return (
        select(
            *(Order.id, Order.public_id, Order.kind, Order.status, Order.days, Order.email, Order.language),
            *(Order.currency, Order.amount_minor, Order.plan_name, Order.created_at, Order.paid_at, Order.cancelled_at),
            *(Account.email.label("account_email"), Plan.supplier, Plan.supplier_plan_code),
            *(Esim.public_id.label("esim"), Esim.iccid, Esim.supplier_esim_id, Esim.status.label("esim_status")),
            *(Fulfilment.status.label("fulfilment"), Fulfilment.reason, Fulfilment.tries),
            *(getattr(Fulfilment, name) for name in moments),
        )
        .join(Account, Account.id == Order.account_id)
        .join(Plan, Plan.id == Order.plan_id)
        .outerjoin(Esim, Esim.id == Order.esim_id)
        .outerjoin(Fulfilment, Fulfilment.order_id == Order.id)
    )


def _attempts(order_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            *(Attempt.seq, Attempt.status, Attempt.session_id, Attempt.amount_minor, Attempt.currency),
            *(Attempt.created_at, Attempt.checked_at),
        )
        .where(Attempt.order_id == order_id)
        .order_by(Attempt.seq)
    )


def _payments(order_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(Payment.kind, Payment.reference, Payment.amount_minor, Payment.currency, Payment.received_at)
        .where(Payment.order_id == order_id)
        .order_by(Payment.id)
    )


def _refunds(order_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            *(Refund.id, Refund.status, Refund.source, Refund.cause, Refund.note, Refund.amount_minor),
            *(Refund.currency, Refund.reference, Refund.created_at, Staff.name.label("staff")),
        )
        .join(Payment, Payment.id == Refund.payment_id)
        .outerjoin(Staff, Staff.id == Refund.staff_id)
        .where(Payment.order_id == order_id)
        .order_by(Refund.id)
    )


def _disputes(order_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            *(Dispute.reference, Dispute.status, Dispute.reason, Dispute.amount_minor, Dispute.currency),
            *(Dispute.opened_at, Dispute.due_by, Dispute.closed_at),
        )
        .join(Payment, Payment.id == Dispute.payment_id)
        .where(Payment.order_id == order_id)
        .order_by(Dispute.id)
    )


def _supplier_attempts(order_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            *(SupplierAttempt.reference, SupplierAttempt.status, SupplierAttempt.sends, SupplierAttempt.error),
            *(SupplierAttempt.supplier_order_id, SupplierAttempt.sent_at, SupplierAttempt.answered_at),
        )
        .where(SupplierAttempt.order_id == order_id)
        .order_by(SupplierAttempt.seq)
    )


def _mails(order_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            *(Mail.kind, Mail.recipient, Mail.status, Mail.tries, Mail.error, Mail.created_at, Mail.sent_at),
        )
        .where(Mail.subject_key == order_key(order_id))
        .order_by(Mail.id)
    )


def _findings(order_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            *(Finding.id, Finding.kind, Finding.reference, Finding.details, Finding.noticed_at),
            *(Finding.settled_at, Staff.name.label("staff")),
        )
        .outerjoin(Staff, Staff.id == Finding.settled_by)
        .where(Finding.order_id == order_id)
        .order_by(Finding.id)
    )
