"""The rows that a fulfilment leaves behind: requests to the supplier, states with their moments, eSIMs, packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from models import (
    Esim,
    Fulfilment,
    FulfilmentStatus,
    Order,
    Package,
    PackageStatus,
    SupplierAttempt,
    SupplierAttemptStatus,
    db,
)
from services import usage
from services.identifiers import public_id
from services.order_states import FULFILMENT, WORKED_ON, sources
from services.renewal_rules import with_topups
from services.shop import Shop
from services.suppliers import OutcomeUnknown, Profile, Reading, Waiting


def open_orders_of(session: Session, supplier_order_id: str | None, supplier_esim_id: str | None) -> list[int]:
    """Return the orders under way that a supplier's order or eSIM belongs to."""
    query = (
        select(Fulfilment.order_id)
        .join(Order, Order.id == Fulfilment.order_id)
        .outerjoin(SupplierAttempt, SupplierAttempt.order_id == Order.id)
        .outerjoin(Esim, Esim.id == Order.esim_id)
        .where(Fulfilment.status.in_(WORKED_ON))
        .distinct()
    )
    wanted = []
    if supplier_order_id is not None:
        wanted.append(SupplierAttempt.supplier_order_id == supplier_order_id)
    if supplier_esim_id is not None:
        wanted.append(Esim.supplier_esim_id == supplier_esim_id)
    # In one order always, because the caller changes these rows one after the other.
    return sorted(session.scalars(query.where(or_(*wanted))))


def find_request(order_id: int) -> SupplierAttempt | None:
    return db.session.scalars(
        select(SupplierAttempt)
        .where(SupplierAttempt.order_id == order_id, SupplierAttempt.status != SupplierAttemptStatus.REFUSED)
        .execution_options(populate_existing=True)
    ).one_or_none()


def prepare_request(shop: Shop, order: Order, before: Reading | None) -> SupplierAttempt:
    """Return the request to the supplier that stands for this order, committed before anything is sent."""
    now = shop.clock.now()
    with shop.transaction() as session:
        attempt = find_request(order.id)
        if attempt is None:
            attempt = add_request(shop, session, order)
        if attempt.status is SupplierAttemptStatus.WAITING and before is not None:
            attempt.before = {"reading": before.to_json(), "read_at": now.isoformat()}
        attempt.status = SupplierAttemptStatus.SENDING
        attempt.sends += 1
        attempt.sent_at = now
        return attempt


def add_request(shop: Shop, session: Session, order: Order) -> SupplierAttempt:
    """Add the request to the supplier that stands for this order; nothing of it has been sent yet."""
    now = shop.clock.now()
    attempt = SupplierAttempt(
        order_id=order.id,
        seq=1,
        reference=f"{order.public_id}-1",
        status=SupplierAttemptStatus.WAITING,
        sends=0,
        created_at=now,
        sent_at=now,
    )
    session.add(attempt)
    session.flush()
    return attempt


def reading_before(session: Session, attempt: SupplierAttempt, esim_id: int) -> Reading:
    """Return what the eSIM would be now without this top-up: as it was before, and with what others have added since.

    Others come in between when this one was held and is taken up again.
    """
    assert attempt.before is not None
    others = session.execute(
        select(Package.data_bytes, Package.days).where(
            Package.esim_id == esim_id,
            Package.order_id != attempt.order_id,
            Package.created_at > datetime.fromisoformat(attempt.before["read_at"]),
        )
    )
    return with_topups(Reading.from_json(attempt.before["reading"]), [(row.data_bytes, row.days) for row in others])


@contextmanager
def sending(shop: Shop, attempt: SupplierAttempt) -> Iterator[None]:
    """Note what came of a request that has no answer: nothing was bought (Waiting), or nobody knows."""
    try:
        yield
    except Waiting:
        with shop.transaction() as session:
            row = session.get_one(SupplierAttempt, attempt.id, populate_existing=True)
            row.sends -= 1
            # An earlier request without an answer keeps the outcome unknown.
            row.status = SupplierAttemptStatus.UNKNOWN if row.sends else SupplierAttemptStatus.WAITING
        raise
    except OutcomeUnknown:
        with shop.transaction() as session:
            row = session.get_one(SupplierAttempt, attempt.id, populate_existing=True)
            row.status = SupplierAttemptStatus.UNKNOWN
        raise


def allow_sending_again(order_id: int) -> None:
    """Let a held order's request be sent again, inside the caller's transaction: a person has looked at it."""
    attempt = find_request(order_id)
    if attempt is not None:
        attempt.sends = min(attempt.sends, 1)


def accept(shop: Shop, session: Session, attempt: SupplierAttempt, supplier_order_id: str | None) -> None:
    row = session.get_one(SupplierAttempt, attempt.id)
    row.status, row.supplier_order_id = SupplierAttemptStatus.ACCEPTED, supplier_order_id
    row.answered_at = shop.clock.now()


def move(shop: Shop, session: Session, order_id: int, target: FulfilmentStatus, reason: str = "") -> bool:
    """Move the fulfilment where its table allows, noting when; return whether it moved. The order is locked."""
    fulfilment = session.get_one(Fulfilment, order_id, populate_existing=True, with_for_update=True)
    if fulfilment.status not in sources(FULFILMENT, target):
        return False
    fulfilment.status, fulfilment.reason = target, reason
    stamp = {
        FulfilmentStatus.ORDERED: "ordered_at",
        FulfilmentStatus.APPLIED: "applied_at",
        FulfilmentStatus.VERIFIED: "verified_at",
        FulfilmentStatus.HELD: "held_at",
        FulfilmentStatus.REFUSED: "held_at",
    }[target]
    setattr(fulfilment, stamp, shop.clock.now())
    if target not in WORKED_ON:
        fulfilment.lease_until = fulfilment.next_try_at = None
    session.flush()
    return True


def add_esim(shop: Shop, session: Session, order: Order, profile: Profile) -> Esim:
    now = shop.clock.now()
    esim = Esim(
        public_id=public_id(),
        account_id=order.account_id,
        plan_id=order.plan_id,
        supplier=shop.supplier.code,
        supplier_esim_id=profile.supplier_esim_id,
        iccid=profile.iccid,
        smdp_address=profile.smdp_address,
        matching_id=profile.matching_id,
        confirmation_code=profile.confirmation_code,
        apn=profile.apn,
        install_by=_install_by(order, profile, now),
        created_at=now,
    )
    session.add(esim)
    session.flush()
    add_package(shop, session, order, esim.id, PackageStatus.ACTIVE)
    usage.apply_reading(session, esim, profile.reading, now)
    return esim


def _install_by(order: Order, profile: Profile, now: datetime) -> datetime:
    return profile.install_by or now + timedelta(days=order.plan_facts["install_within_days"])


def add_package(shop: Shop, session: Session, order: Order, esim_id: int, status: PackageStatus) -> None:
    size = order.plan_facts["data_bytes"]
    session.add(
        Package(
            esim_id=esim_id,
            order_id=order.id,
            plan_id=order.plan_id,
            status=status,
            data_bytes=size * order.days if size and order.plan_facts["per_day"] else size,
            days=order.days,
            created_at=shop.clock.now(),
        )
    )
    session.flush()
