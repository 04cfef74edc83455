"""Which eSIMs end, which were renewed before they did, and what the supplier was paid: figures for the staff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from models import Esim, EsimStatus, Fulfilment, Order, OrderKind, OrderStatus, Package, Plan
from services.today_rules import ONE_DAY, SPENDING_DAYS, Ends, day_start
from services.today_sales import PAID_WITHIN, day_number

SOON = timedelta(days=7)
# How many of those that end soon are named.
FIRST = 10


@dataclass(frozen=True, kw_only=True)
class EndingEsim:
    """An eSIM that ends soon: the last four digits of its ICCID, and the order that bought it, where that is known."""

    digits: str
    ends_at: datetime
    renewable: bool
    order_public_id: str | None


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How many eSIMs in use end within SOON, how many of them can be renewed, and the first of them by their end."""

    count: int
    renewable: int
    first: list[EndingEsim]


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What the orders that the supplier took in the last SPENDING_DAYS cost, in ten-thousandths of a US dollar.

    At the cost of their plans as it is known now, which is None for those that are counted in `unknown`.
    """

    orders: int
    cost: int
    unknown: int


def read_ends(session: Session, days: Sequence[date], now: datetime) -> list[tuple[date, Ends]]:
    """Return for some days without a gap, in order, how many eSIMs have ended, and how many had been renewed before.

    Only eSIMs that were used have an end; one that nobody connected, or that was given back, does not count. A renewal
    counts when the supplier applied it before the end, and its money did not go back in full.
    """
    starts = [day_start(day) for day in days]
    renewed = (
        select(Package.id)
        .join(Order, Order.id == Package.order_id)
        .where(
            Package.esim_id == Esim.id,
            Package.created_at < Esim.expires_at,
            Order.kind == OrderKind.RENEWAL,
            Order.status != OrderStatus.REFUNDED,
        )
        .exists()
    )
    ended = (
        select(
            day_number(Esim.expires_at.expression, starts).label("day"), case((renewed, 1), else_=0).label("renewed")
        )
        .where(
            Esim.expires_at >= starts[0],
            Esim.expires_at < min(day_start(days[-1] + ONE_DAY), now),
            Esim.activated_at.is_not(None),
            Esim.status != EsimStatus.CANCELLED,
        )
        .subquery()
    )
    rows = session.execute(select(ended.c.day, func.count(), func.sum(ended.c.renewed)).group_by(ended.c.day))
    return [(days[number], Ends(count, int(renewals))) for number, count, renewals in rows]


def read_ending(session: Session, now: datetime) -> Ending:
    """Return which eSIMs in use end soon; two statements."""
    soon = and_(
        Esim.expires_at > now,
        Esim.expires_at <= now + SOON,
        Esim.activated_at.is_not(None),
        Esim.status.not_in((EsimStatus.CANCELLED, EsimStatus.EXPIRED)),
    )
    # As `usage_rules.renewability` has it, for eSIMs that have not ended.
    renewable = and_(Plan.supplier_topup_code.is_not(None), Esim.status != EsimStatus.SUSPENDED)
    counted = select(func.count(), func.coalesce(func.sum(case((renewable, 1), else_=0)), 0))
    count, possible = session.execute(counted.select_from(Esim).join(Plan, Plan.id == Esim.plan_id).where(soon)).one()
    bought = (
        select(Order.public_id)
        .where(Order.esim_id == Esim.id, Order.kind == OrderKind.PURCHASE)
        .order_by(Order.id)
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Esim.iccid, Esim.expires_at, case((renewable, 1), else_=0), bought)
        .join(Plan, Plan.id == Esim.plan_id)
        .where(soon)
        .order_by(Esim.expires_at, Esim.id)
        .limit(FIRST)
    )
    first = [
        EndingEsim(digits=iccid[-4:], ends_at=ends_at, renewable=bool(can), order_public_id=public_id)
        for iccid, ends_at, can, public_id in rows
    ]
    return Ending(count=count, renewable=int(possible), first=first)


def read_spending(session: Session, now: datetime) -> Spending:
    """Return what the supplier took in the last SPENDING_DAYS, up to now; one statement."""
    since = now - ONE_DAY * SPENDING_DAYS
    # What a plan costs is per day where the traveller chooses the days.
    units: Any = case((Plan.days_min != Plan.days_max, Order.days), else_=1)
    unknown = case((Plan.supplier_cost.is_(None), 1), else_=0)
    orders, cost, without = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(Plan.supplier_cost * units), 0),
            func.coalesce(func.sum(unknown), 0),
        )
        .select_from(Order)
        .join(Fulfilment, Fulfilment.order_id == Order.id)
        .join(Plan, Plan.id == Order.plan_id)
        .where(Order.created_at >= since - PAID_WITHIN, Fulfilment.ordered_at >= since)
    ).one()
    return Spending(orders=orders, cost=int(cost), unknown=int(without))
