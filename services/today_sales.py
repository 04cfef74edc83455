"""What was paid for on each of Monaco's days, grouped by the database: two statements however many orders there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, case, func, literal_column, select
from sqlalchemy.orm import Session

from models import Order, OrderKind, OrderStatus, Payment, PaymentKind, Refund, RefundStatus
from services.today_rules import ONE_DAY, Books, Sales, day_start

# Orders are found by the index on `created_at`. The slowest of banks takes two weeks, an order that nobody pays is
# cancelled after a day: none is paid so long after it was placed.
PAID_WITHIN = timedelta(days=60)
GONE_BACK = (OrderStatus.PART_REFUNDED, OrderStatus.REFUNDED)


def day_number(moment: ColumnElement[Any], starts: Sequence[datetime]) -> ColumnElement[int]:
    """Return in SQL which day a moment belongs to: the last of `starts`, in UTC and in order, that is not after it.

    Found by halving, so that ninety days cost seven comparisons; no database has to know when Monaco's days begin.
    """

    def between(first: int, last: int) -> ColumnElement[int]:
        if first == last:
            return literal_column(str(first), Integer)
        middle = (first + last + 1) // 2
        return case((moment < starts[middle], between(first, middle - 1)), else_=between(middle, last))

    return between(0, len(starts) - 1)


def read_sales(session: Session, days: Sequence[date], *, refunds: bool = True) -> Books:
    """Return what was paid for on each of some days without a gap, in order; `refunds` also what has gone back of it.

    An order belongs to the day on which it was paid, and so does what goes back of it: a later refund lowers what is
    left of that day. Money that came on top of an order, and goes back, is no part of it.
    """
    starts = [day_start(day) for day in days]
    paid = _paid_within(starts, day_start(days[-1] + ONE_DAY))
    sold = (
        select(day_number(Order.paid_at.expression, starts).label("day"), Order.currency, Order.kind)
        .add_columns(Order.amount_minor)
        .where(*paid)
        .subquery()
    )
    key = (sold.c.day, sold.c.currency, sold.c.kind)
    books: Books = {}
    for number, currency, kind, orders, amount in session.execute(
        select(*key, func.count(), func.sum(sold.c.amount_minor)).group_by(*key)
    ):
        renewed = kind is OrderKind.RENEWAL
        found = Sales(0 if renewed else orders, orders if renewed else 0, int(amount))
        day = days[number]
        books[day, currency] = books.get((day, currency), Sales()).plus(found)
    if refunds:
        _add_refunds(session, books, days, starts, paid)
    return books


def _add_refunds(
    session: Session,
    books: Books,
    days: Sequence[date],
    starts: Sequence[datetime],
    paid: tuple[ColumnElement[bool], ...],
) -> None:
    back = (
        select(day_number(Order.paid_at.expression, starts).label("day"), Order.currency, Refund.amount_minor)
        .join(Payment, Payment.order_id == Order.id)
        .join(Refund, Refund.payment_id == Payment.id)
        .where(
            *paid,
            Order.status.in_(GONE_BACK),
            Payment.kind == PaymentKind.SETTLING,
            Refund.status == RefundStatus.SUCCEEDED,
        )
        .subquery()
    )
    key = (back.c.day, back.c.currency)
    for number, currency, amount in session.execute(select(*key, func.sum(back.c.amount_minor)).group_by(*key)):
        day = days[number]
        books[day, currency] = books[day, currency].plus(Sales(refunded_minor=int(amount)))


def _paid_within(starts: Sequence[datetime], end: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Order.created_at >= starts[0] - PAID_WITHIN, Order.paid_at >= starts[0], Order.paid_at < end)
