"""What waits for a person: orders that are held or late, refunds that failed, disputes, mails that came back, findings.

Each has the reason in words and what to do next. English, like everything for staff.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import String, and_, cast, literal, or_, select
from sqlalchemy.orm import Session, joinedload

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
)
from services.order_states import WORKED_ON

MOST = 200


class StuckKind(StrEnum):
    """What sort of thing waits."""

    HELD = "held"
    LATE = "late"
    DISPUTE = "dispute"
    MAIL = "mail"
    FINDING = "finding"


@dataclass(frozen=True, kw_only=True)
class StuckItem:
    """One thing that waits for a person since a moment in UTC.

    `code` is the reason as the books hold it, `reason` and `advice` say it in words. `order_public_id` is None where
    no order is known; `row_id` is that of the finding, the mail, the dispute or the order.
    """

    kind: StuckKind
    code: str
    since: datetime
    reason: str
    advice: str
    order_public_id: str | None
    row_id: int
    reference: str = ""
    details: str = ""

    @property
    def name(self) -> str:
        """Return what staff calls it by."""
        return self.order_public_id or self.reference


@dataclass(frozen=True)
class _Words:
    reason: str
    advice: str


# Why orders are held or late, as `Fulfilment.reason` names it.
ORDERS: Mapping[str, _Words] = {
    "price_changed": _Words(
        "The supplier asks another price than the one we know; nothing was bought.",
        "Run sync-catalogue, set the shop's price, then retry the order; or refund it. After a day it is refunded.",
    ),
    "outcome_unknown": _Words(
        "Nobody knows whether the supplier has carried it out: no answer came, and it shows no trace.",
        "Look for the order's number in the supplier's portal. Carried out or not: retry the order, it is looked up "
        "again before anything is sent. Refund it only when the portal does not have it.",
    ),
    "refunded": _Words(
        "The money was returned while nobody knew whether the supplier had carried the order out.",
        "Look for the order's number in the supplier's portal, and cancel the eSIM there if it exists.",
    ),
    "not_ordered": _Words(
        "The supplier has not taken the order for an hour; the shop goes on trying.",
        "Check the balance and the state of the supplier. Without a delivery the order is refunded after a day.",
    ),
    "not_allocated": _Words(
        "The supplier took the order and has not handed out the eSIM for an hour; the shop goes on asking.",
        "Ask the supplier, by the order's number. Without a delivery the order is refunded after a day.",
    ),
    "not_verified": _Words(
        "The supplier accepted it, and its own figures do not show what was paid for.",
        "Compare with the supplier's portal. A renewal without any trace is refunded after a day; otherwise have the "
        "supplier add what is missing and retry the order, or refund the buyer in part.",
    ),
    "disputed": _Words(
        "The buyer's bank was asked for the money, so nothing is delivered until it has decided.",
        "Answer the dispute in Stripe's Dashboard. The order goes on by itself when you win.",
    ),
}
FINDINGS: Mapping[FindingKind, _Words] = {
    FindingKind.WRONG_AMOUNT: _Words(
        "Another amount was paid than the order costs. The money is on the books and the order is not delivered.",
        "Write to the buyer, refund the payment in Stripe's Dashboard, then mark this as done.",
    ),
    FindingKind.REFUND_FAILED: _Words(
        "A refund did not reach the buyer.",
        "Refund the order again; if that fails too, ask the buyer for another way and mark this as done.",
    ),
    FindingKind.SESSION_UNKNOWN: _Words(
        "Somebody has paid at Stripe, and the order cannot be made again from what Stripe knows.",
        "Open the session in Stripe's Dashboard, refund the payment there and write to the buyer.",
    ),
    FindingKind.PAYMENT_UNKNOWN: _Words(
        "Our books have a payment that Stripe does not list.",
        "Look for the session in Stripe's Dashboard. If it is not there, do not refund; ask Stripe.",
    ),
    FindingKind.SUPPLIER_ORDER_UNKNOWN: _Words(
        "The supplier has an eSIM under a number of ours, and no order of ours leads to it.",
        "If nobody has paid for it, cancel the eSIM in the supplier's portal.",
    ),
    FindingKind.SUPPLIER_ORDER_MISSING: _Words(
        "We have delivered an eSIM that the supplier does not list any more.",
        "Ask the supplier by the eSIM's number before the traveller does.",
    ),
    FindingKind.ESIM_REFUNDED: _Words(
        "An eSIM came after its order had been refunded, and the supplier does not take it back.",
        "Revoke the eSIM in the supplier's portal, or write it off; then mark this as done.",
    ),
    FindingKind.TOPUP_UNKNOWN: _Words(
        "The supplier shows more packages on this eSIM than we have sold for it.",
        "If you added one by hand, mark this as done; otherwise compare the orders of this eSIM with the portal.",
    ),
}


def list_stuck(session: Session, now: datetime) -> list[StuckItem]:
    """Return what waits for a person, the longest waiting first, at most 200 of each kind."""
    items = [*_orders(session), *_disputes(session, now), *_mails(session), *_findings(session)]
    return sorted(items, key=lambda item: item.since)


def _orders(session: Session) -> Iterator[StuckItem]:
    late = and_(Fulfilment.late_at.is_not(None), Fulfilment.status.in_(WORKED_ON))
    query = (
        select(Fulfilment, Order.public_id, Order.created_at)
        .join(Order, Order.id == Fulfilment.order_id)
        .where(or_(Fulfilment.status == FulfilmentStatus.HELD, late))
        .order_by(Fulfilment.order_id)
        .limit(MOST)
    )
    for fulfilment, public_id, created_at in session.execute(query):
        held = fulfilment.status is FulfilmentStatus.HELD
        words = ORDERS.get(fulfilment.reason, _Words(fulfilment.reason or "It takes too long.", "Retry or refund it."))
        yield StuckItem(
            kind=StuckKind.HELD if held else StuckKind.LATE,
            code=fulfilment.reason,
            since=(fulfilment.held_at if held else fulfilment.late_at) or created_at,
            reason=words.reason,
            advice=words.advice,
            order_public_id=public_id,
            row_id=fulfilment.order_id,
        )


def _disputes(session: Session, now: datetime) -> Iterator[StuckItem]:
    query = (
        select(Dispute, Order.public_id)
        .join(Payment, Payment.id == Dispute.payment_id)
        .join(Order, Order.id == Payment.order_id)
        .where(Dispute.closed_at.is_(None))
        .order_by(Dispute.id)
        .limit(MOST)
    )
    for dispute, public_id in session.execute(query):
        inquiry = dispute.status.startswith("warning_")
        until = f" before {dispute.due_by:%d %b %Y}" if dispute.due_by is not None and dispute.due_by > now else ""
        yield StuckItem(
            kind=StuckKind.DISPUTE,
            code=dispute.status,
            since=dispute.opened_at,
            reason="The buyer's bank asks about this payment."
            if inquiry
            else "The buyer's bank has taken this payment back until it has decided.",
            advice=f"Answer in Stripe's Dashboard{until}, with the order page as proof of what was delivered.",
            order_public_id=public_id,
            row_id=dispute.id,
            reference=dispute.reference,
            details=dispute.reason.replace("_", " "),
        )


def _mails(session: Session) -> Iterator[StuckItem]:
    # A mail about an order whose address was corrected since has been sent again.
    query = (
        select(Mail, Order.public_id, Order.email)
        .outerjoin(Order, Mail.subject_key == literal("order:").concat(cast(Order.id, String)))
        .where(Mail.status == MailStatus.FAILED)
        .order_by(Mail.id)
        .limit(MOST)
    )
    for mail, public_id, email in session.execute(query):
        if public_id is not None and email != mail.recipient:
            continue
        yield StuckItem(
            kind=StuckKind.MAIL,
            code=mail.kind,
            since=mail.created_at,
            reason="A mail was not accepted by the buyer's mail server.",
            advice="Correct the address of the order if it is mistyped, or reach the buyer another way.",
            order_public_id=public_id,
            row_id=mail.id,
            reference=mail.recipient,
            details=mail.error,
        )


def _findings(session: Session) -> Iterator[StuckItem]:
    query = (
        select(Finding)
        .where(Finding.settled_at.is_(None))
        .options(joinedload(Finding.order))
        .order_by(Finding.id)
        .limit(MOST)
    )
    for finding in session.scalars(query):
        words = FINDINGS[finding.kind]
        yield StuckItem(
            kind=StuckKind.FINDING,
            code=finding.kind.value,
            since=finding.noticed_at,
            reason=words.reason,
            advice=words.advice,
            order_public_id=finding.order.public_id if finding.order is not None else None,
            row_id=finding.id,
            reference=finding.reference,
            details=finding.details,
        )
