"""What a traveller owns, as rows for pages: as many SQL statements for a thousand eSIMs as for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Integer, String, bindparam, case, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from models import (
    Esim,
    EsimStatus,
    Fulfilment,
    FulfilmentStatus,
    Order,
    OrderKind,
    OrderStatus,
    Package,
    PackageStatus,
    Plan,
    PlanText,
)
from services import usage_rules
from services.languages import DEFAULT_LANGUAGE

ORDERS_PER_PAGE = 20


@dataclass(frozen=True, kw_only=True)
class EsimLine:
    """An eSIM on the overview; data in bytes, `ends_at` in UTC and only once the days count."""

    public_id: str
    nickname: str
    last_four: str
    plan_name: str
    status: EsimStatus
    unlimited: bool
    data_left: int | None
    low: bool
    ends_at: datetime | None
    install_by: datetime | None
    silent: bool


@dataclass(frozen=True, kw_only=True)
class OrderLine:
    """An order on the overview; the amount in minor units of its currency."""

    public_id: str
    kind: OrderKind
    status: OrderStatus
    plan_name: str
    amount_minor: int
    currency: str
    created_at: datetime
    paid_at: datetime | None
    fulfilment: FulfilmentStatus | None


@dataclass(frozen=True, kw_only=True)
class PackageLine:
    """A package of an eSIM; `data_bytes` is None for unlimited."""

    plan_name: str
    status: PackageStatus
    data_bytes: int | None
    days: int


# A statement costs more to build than to run, so those of the pages that are read most are built once.
_NAME_IN = bindparam("language", type_=String())


def _plan_name(plan_id: InstrumentedAttribute[int]) -> ColumnElement[str | None]:
    """Return the name of a plan in the parameter `language`, in English where it has none."""
    return (
        select(PlanText.name)
        .where(PlanText.plan_id == plan_id, or_(PlanText.language == _NAME_IN, PlanText.language == DEFAULT_LANGUAGE))
        .order_by(case((PlanText.language == _NAME_IN, 0), else_=1))
        .limit(1)
        .scalar_subquery()
    )


_ESIMS = (
    select(
        *(Esim.public_id, Esim.nickname, Esim.iccid, Esim.status, Esim.total_bytes, Esim.used_bytes),
        *(Esim.activated_at, Esim.expires_at, Esim.install_by, Esim.usage_silent_since),
        Plan.data_bytes,
        _plan_name(Esim.plan_id).label("plan_name"),
    )
    .join(Plan, Plan.id == Esim.plan_id)
    .where(Esim.account_id == bindparam("account_id"))
    .order_by(Esim.id.desc())
)
_ORDERS = (
    select(
        *(Order.public_id, Order.kind, Order.status, Order.plan_name, Order.amount_minor, Order.currency),
        *(Order.created_at, Order.paid_at, Fulfilment.status.label("fulfilment")),
    )
    .outerjoin(Fulfilment, Fulfilment.order_id == Order.id)
    .where(Order.account_id == bindparam("account_id"))
    .order_by(Order.id.desc())
    .limit(ORDERS_PER_PAGE + 1)
    .offset(bindparam("earlier", type_=Integer()))
)
_ESIM = (
    select(Esim)
    .where(Esim.public_id == bindparam("public_id"), Esim.account_id == bindparam("account_id"))
    .options(joinedload(Esim.plan))
    .execution_options(populate_existing=True)
)
_PACKAGES = (
    select(Package.status, Package.data_bytes, Package.days, _plan_name(Package.plan_id).label("plan_name"))
    .where(Package.esim_id == bindparam("esim_id"))
    .order_by(Package.id)
)
_NAME = select(_plan_name(Plan.id)).where(Plan.id == bindparam("plan_id"))


def list_esims(session: Session, account_id: int, language: str, now: datetime) -> list[EsimLine]:
    """Return the eSIMs of an account, newest first, by one statement."""
    return [
        EsimLine(
            public_id=row.public_id,
            nickname=row.nickname,
            last_four=row.iccid[-4:],
            plan_name=row.plan_name or "",
            status=usage_rules.effective_status(row.status, row.install_by, row.expires_at, now),
            unlimited=row.data_bytes is None,
            data_left=usage_rules.remaining(row.total_bytes, row.used_bytes),
            low=usage_rules.is_low(row.total_bytes, row.used_bytes),
            ends_at=row.expires_at if row.activated_at else None,
            install_by=row.install_by,
            silent=row.usage_silent_since is not None,
        )
        for row in session.execute(_ESIMS, {"account_id": account_id, "language": language})
    ]


def list_orders(session: Session, account_id: int, page: int) -> tuple[list[OrderLine], bool]:
    """Return one page (from 1) of an account's orders, newest first, and whether there are older ones."""
    earlier = (page - 1) * ORDERS_PER_PAGE
    rows = session.execute(_ORDERS, {"account_id": account_id, "earlier": earlier}).all()
    lines = [OrderLine(**row._mapping) for row in rows[:ORDERS_PER_PAGE]]
    return lines, len(rows) > ORDERS_PER_PAGE


def find_esim(session: Session, account_id: int, public_id: str) -> Esim | None:
    """Return an eSIM with its plan, fresh from the database, when the account owns it."""
    return session.scalar(_ESIM, {"public_id": public_id, "account_id": account_id})


def list_packages(session: Session, esim_id: int, language: str) -> list[PackageLine]:
    """Return the packages of an eSIM, oldest first, by one statement."""
    rows = session.execute(_PACKAGES, {"esim_id": esim_id, "language": language})
    return [
        PackageLine(plan_name=row.plan_name or "", status=row.status, data_bytes=row.data_bytes, days=row.days)
        for row in rows
    ]


def first_order(session: Session, esim_id: int) -> Order | None:
    """Return the order that bought an eSIM, with the facts of its plan as they were sold."""
    return session.scalar(select(Order).where(Order.esim_id == esim_id, Order.kind == OrderKind.PURCHASE).limit(1))


def plan_name(session: Session, plan_id: int, language: str) -> str:
    """Return the name of a plan in a language, in English where it has none."""
    return session.scalar(_NAME, {"plan_id": plan_id, "language": language}) or ""
