"""What the shop's books, Stripe and the supplier say, in a form that can be put side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from models import (
    AttemptStatus,
    FulfilmentStatus,
    Mail,
    MailStatus,
    Order,
    OrderStatus,
    Payment,
    Refund,
    RefundStatus,
    db,
)
from sandbox.server import Sandbox
from scripts.restore.shop import Shop

# What moves although nothing has changed: when something was last looked at.
VOLATILE = {
    "attempts": {"checked_at"},
    "findings": {"seen_at"},
    "esims": {"used_bytes", "usage_as_of", "usage_read_at", "usage_asked_at", "topups", "topups_read_at"},
    "usage_days": {"day", "used_bytes"},
}


@dataclass(frozen=True, kw_only=True)
class OrderFacts:
    """One order as its buyer, its receipt and the supplier know it."""

    kind: str
    status: str
    fulfilment: str
    plan: str
    days: int
    email: str
    account: str
    language: str
    currency: str
    amount_minor: int
    consents: tuple[str, ...]
    supplier_esim_id: str
    iccid: str
    payments: tuple[str, ...]
    refunded_minor: int
    processing: bool

    @property
    def counts(self) -> bool:
        """Return whether somebody has paid for it, if only by a bank that takes days."""
        return bool(self.payments) or self.processing

    @property
    def state(self) -> str:
        """Return how far it is, in a few words."""
        if not self.payments:
            return "bank takes days" if self.processing else "not paid"
        return f"{self.status.replace('_', ' ')}, {self.fulfilment}"


def orders(shop: Shop) -> dict[str, OrderFacts]:
    """Return every order on the books by its number."""
    with shop.books():
        found = db.session.scalars(select(Order).order_by(Order.id)).all()
        return {order.public_id: _facts(order) for order in found}


def _facts(order: Order) -> OrderFacts:
    refunded = db.session.scalar(
        select(func.sum(Refund.amount_minor))
        .join(Payment)
        .where(Payment.order_id == order.id, Refund.status == RefundStatus.SUCCEEDED)
    )
    return OrderFacts(
        kind=order.kind.value,
        status=order.status.value,
        fulfilment=order.fulfilment.status.value if order.fulfilment else "",
        plan=order.plan.slug,
        days=order.days,
        email=order.email,
        account=order.account.email,
        language=order.language,
        currency=order.currency,
        amount_minor=order.amount_minor,
        consents=tuple(sorted(f"{each.kind} {each.language} {each.text_version}" for each in order.consents)),
        supplier_esim_id=order.esim.supplier_esim_id if order.esim else "",
        iccid=order.esim.iccid if order.esim else "",
        payments=tuple(sorted(payment.reference for payment in order.payments)),
        refunded_minor=int(refunded or 0),
        processing=any(attempt.status is AttemptStatus.PROCESSING for attempt in order.attempts),
    )


def esims_of(shop: Shop, email: str) -> list[str]:
    """Return the addresses' ends of the eSIMs in an account, oldest first."""
    with shop.books():
        bought = select(Order).where(Order.kind == "purchase", Order.esim_id.is_not(None)).order_by(Order.id)
        return [
            order.esim.public_id
            for order in db.session.scalars(bought)
            if order.esim is not None and order.account.email == email
        ]


def at_rest(shop: Shop) -> bool:
    """Return whether the worker has nothing left to do: every paid order is delivered or ended, every mail has left."""
    with shop.books():
        moving = [order for order in db.session.scalars(select(Order)) if _moves(order)]
        waiting = db.session.scalar(select(func.count()).select_from(Mail).where(Mail.status != MailStatus.SENT))
        refunds = select(func.count()).select_from(Refund).where(Refund.status == RefundStatus.REQUESTED)
        return not (moving or waiting or db.session.scalar(refunds))


def _moves(order: Order) -> bool:
    if order.status in (OrderStatus.PENDING, OrderStatus.CANCELLED):
        return False
    ended = (FulfilmentStatus.VERIFIED, FulfilmentStatus.REFUSED, FulfilmentStatus.HELD)
    return order.fulfilment is None or order.fulfilment.status not in ended


def mails(shop: Shop) -> Counter[tuple[str, str]]:
    """Return how often each mail about an order stands in the outbox, by the order's number and the mail's kind."""
    with shop.books():
        numbers = {
            f"order:{order_id}": number for order_id, number in db.session.execute(select(Order.id, Order.public_id))
        }
        rows = db.session.execute(select(Mail.subject_key, Mail.kind))
        return Counter(
            (numbers[subject], "refund" if kind.startswith("refund-") else kind)
            for subject, kind in rows
            if subject in numbers
        )


def everything(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables but for what moves although nothing has changed."""
    with shop.books():
        found = {}
        for table in db.metadata.sorted_tables:
            columns = [column for column in table.columns if column.name not in VOLATILE.get(table.name, ())]
            rows = db.session.execute(select(*columns).order_by(*table.primary_key))
            found[table.name] = [tuple(str(value) for value in row) for row in rows]
        return found


@dataclass(frozen=True)
class Outside:
    """What Stripe has taken and given back for each order, and what the supplier has carried out."""

    money: Mapping[str, Mapping[str, int]]
    bought: Mapping[str, int]
    esims: Mapping[str, tuple[int, int, int]]


def outside(sandbox: Sandbox) -> Outside:
    """Return what the outside world says: nothing of it is lost with the shop."""
    counters = sandbox.esim_access.counters()
    return Outside(
        money=sandbox.stripe.summary("order")["by_metadata"],
        bought={**counters["orders"], **counters["topups"]},
        esims={
            esim.esim_tran_no: (esim.total_volume, esim.total_days, len(esim.packages))
            for esim in sandbox.esim_access.esims()
        },
    )
