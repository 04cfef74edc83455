"""What waits for a person: orders that are held or late, refunds that failed, disputes, mails that came back, findings.

Each has the reason in words and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, String, and_, case, cast, func, literal, or_, select
from sqlalchemy.orm import Session, joinedload

from models import Dispute, Finding, Fulfilment, FulfilmentStatus, Mail, MailStatus, Order, Payment
from services.order_states import WORKED_ON
from services.staff_deliveries import Step, usual_step
from services.stuck_words import FINDINGS, order_words

MOST = 200
# Nobody corrects an address a month later; the page of the order goes on showing the mail.
MAILS_WAIT_FOR = timedelta(days=30)


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
    no order is known; `row_id` is that of the finding, the mail, the dispute or the order. `step` is what a person can
    do about the delivery of an order.
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
    step: Step | None = None

    @property
    def name(self) -> str:
        """Return what staff calls it by."""
        return self.order_public_id or self.reference


@dataclass(frozen=True, kw_only=True)
class StuckSummary:
    """How much waits for a person, counted as `list_stuck` lists it; moments are UTC, None where there is none.

    `oldest_order` is since when the order waits that has waited longest, `next_deadline` until when the first of the
    disputes whose deadline has not passed takes an answer.
    """

    orders: int
    oldest_order: datetime | None
    findings: int
    disputes: int
    next_deadline: datetime | None
    mails: int

    @property
    def count(self) -> int:
        """Return how much waits in all."""
        return self.orders + self.findings + self.disputes + self.mails


def list_stuck(session: Session, now: datetime) -> list[StuckItem]:
    """Return what waits for a person, the longest waiting first, at most 200 of each kind."""
    items = [*_orders(session), *_disputes(session, now), *_mails(session, now), *_findings(session)]
    return sorted(items, key=lambda item: item.since)


def count_stuck(session: Session, now: datetime) -> int:
    """Return how many things `list_stuck` would list, in one statement."""
    waiting = (
        _waiting_orders().with_only_columns(Fulfilment.order_id, maintain_column_froms=True),
        _waiting_disputes().with_only_columns(Dispute.id, maintain_column_froms=True),
        _waiting_mails(now).with_only_columns(Mail.id, maintain_column_froms=True),
        _waiting_findings().with_only_columns(Finding.id, maintain_column_froms=True),
    )
    counts = [select(func.count()).select_from(rows.subquery()).scalar_subquery() for rows in waiting]
    return sum(session.execute(select(*counts)).one())


def summarise_stuck(session: Session, now: datetime) -> StuckSummary:
    """Return how much waits for a person, in one statement."""
    held_or_late = case((Fulfilment.status == FulfilmentStatus.HELD, Fulfilment.held_at), else_=Fulfilment.late_at)
    since = func.coalesce(held_or_late, Order.created_at).label("since")
    orders = _waiting_orders().with_only_columns(since, maintain_column_froms=True).subquery()
    disputes = _waiting_disputes().with_only_columns(Dispute.due_by, maintain_column_froms=True).subquery()
    mails = _waiting_mails(now).with_only_columns(Mail.id, maintain_column_froms=True).subquery()
    found = _waiting_findings().with_only_columns(Finding.id, maintain_column_froms=True).subquery()
    row = session.execute(
        select(
            *(select(func.count()).select_from(rows).scalar_subquery() for rows in (orders, disputes, mails, found)),
            select(func.min(orders.c.since)).scalar_subquery(),
            select(func.min(disputes.c.due_by)).where(disputes.c.due_by > now).scalar_subquery(),
        )
    ).one()
    return StuckSummary(
        orders=row[0], disputes=row[1], mails=row[2], findings=row[3], oldest_order=row[4], next_deadline=row[5]
    )


def _waiting_orders() -> Select[Fulfilment, str, datetime]:
    late = and_(Fulfilment.late_at.is_not(None), Fulfilment.status.in_(WORKED_ON))
    return (
        select(Fulfilment, Order.public_id, Order.created_at)
        .join(Order, Order.id == Fulfilment.order_id)
        .where(or_(Fulfilment.status == FulfilmentStatus.HELD, late))
        .order_by(Fulfilment.order_id)
        .limit(MOST)
    )


def _orders(session: Session) -> Iterator[StuckItem]:
    for fulfilment, public_id, created_at in session.execute(_waiting_orders()):
        held = fulfilment.status is FulfilmentStatus.HELD
        words = order_words(fulfilment.reason)
        yield StuckItem(
            kind=StuckKind.HELD if held else StuckKind.LATE,
            code=fulfilment.reason,
            since=(fulfilment.held_at if held else fulfilment.late_at) or created_at,
            reason=words.reason,
            advice=words.advice,
            order_public_id=public_id,
            row_id=fulfilment.order_id,
            step=usual_step(fulfilment),
        )


def _waiting_disputes() -> Select[Dispute, str]:
    return (
        select(Dispute, Order.public_id)
        .join(Payment, Payment.id == Dispute.payment_id)
        .join(Order, Order.id == Payment.order_id)
        .where(Dispute.closed_at.is_(None))
        .order_by(Dispute.id)
        .limit(MOST)
    )


def _disputes(session: Session, now: datetime) -> Iterator[StuckItem]:
    for dispute, public_id in session.execute(_waiting_disputes()):
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


def _waiting_mails(now: datetime) -> Select[Mail, str]:
    # A mail about an order whose address was corrected since has been sent again.
    return (
        select(Mail, Order.public_id)
        .outerjoin(Order, Mail.subject_key == literal("order:").concat(cast(Order.id, String)))
        .where(
            Mail.status == MailStatus.FAILED,
            Mail.created_at > now - MAILS_WAIT_FOR,
            or_(Order.id.is_(None), Order.email == Mail.recipient),
        )
        .order_by(Mail.id)
        .limit(MOST)
    )


def _mails(session: Session, now: datetime) -> Iterator[StuckItem]:
    for mail, public_id in session.execute(_waiting_mails(now)):
        yield StuckItem(
            kind=StuckKind.MAIL,
            code=mail.kind,
            since=mail.created_at,
            reason="A mail was not accepted by the mail server of its reader.",
            advice="Correct the address of the order if it is mistyped, or reach the buyer another way."
            if public_id is not None
            else "It is not about an order. Reach its reader another way if it matters.",
            order_public_id=public_id,
            row_id=mail.id,
            reference=mail.recipient,
            details=mail.error,
        )


def _waiting_findings() -> Select[Finding]:
    return select(Finding).where(Finding.settled_at.is_(None)).order_by(Finding.id).limit(MOST)


def _findings(session: Session) -> Iterator[StuckItem]:
    for finding in session.scalars(_waiting_findings().options(joinedload(Finding.order))):
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
