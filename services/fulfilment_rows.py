"""The rows that a fulfilment leaves behind: requests to the supplier, states with their moments, eSIMs, packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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
from services.failpoints import failpoint
from services.identifiers import public_id
from services.leases import LeaseOver
from services.order_states import FULFILMENT, WORKED_ON, sources
from services.renewal_rules import with_topups
from services.shop import Shop
from services.suppliers import NotFound, OutcomeUnknown, PriceChanged, Profile, Reading, Refused, Waiting

# How soon a request leaves after it was noted: whoever looks at it next reckons from then.
PROMPTLY = timedelta(seconds=10)
STAMPS = {
    FulfilmentStatus.ORDERED: "ordered_at",
    FulfilmentStatus.APPLIED: "applied_at",
    FulfilmentStatus.VERIFIED: "verified_at",
    FulfilmentStatus.HELD: "held_at",
    FulfilmentStatus.REFUSED: "held_at",
}


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
        if attempt.status is SupplierAttemptStatus.SENDING:
            # Whoever sent it died before anything was noted.
            attempt.unknown_at = attempt.sent_at
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
    """Note what came of a request that brought nothing: nothing was bought by it, or nobody knows.

    Raises LeaseOver for one that was noted a while ago.
    """
    failpoint("fulfil.intended")
    if shop.clock.now() > attempt.sent_at + PROMPTLY:
        raise LeaseOver
    try:
        yield
    except (Waiting, Refused, PriceChanged, NotFound):
        with shop.transaction() as session:
            row = session.get_one(SupplierAttempt, attempt.id, populate_existing=True)
            row.sends -= 1
            # An earlier request without an answer keeps the outcome unknown.
            row.status = SupplierAttemptStatus.UNKNOWN if row.sends else SupplierAttemptStatus.WAITING
            if not row.sends:
                _end_refunded(session, row.order_id)
        raise
    except OutcomeUnknown:
        with shop.transaction() as session:
            row = session.get_one(SupplierAttempt, attempt.id, populate_existing=True)
            row.status, row.unknown_at = SupplierAttemptStatus.UNKNOWN, row.sent_at
        raise
    failpoint("fulfil.answered")


def booked_reading(session: Session, esim_id: int, now: Reading) -> Reading:
    """Return what the eSIM should be by our own books alone, in the form of the supplier's reading `now`."""
    sizes = session.execute(select(Package.data_bytes, Package.days).where(Package.esim_id == esim_id)).all()
    data = [row.data_bytes for row in sizes]
    return replace(
        now,
        total_bytes=None if None in data else sum(data),
        total_days=sum(row.days for row in sizes),
        # Our books hold no end date of their own; the totals have to prove it.
        expires_at=None,
        package_count=len(sizes),
    )


def take_over(shop: Shop, attempt: SupplierAttempt, before: Reading) -> None:
    """Note that a request of which our books know nothing was carried out, and what the eSIM was before it."""
    now = shop.clock.now()
    with shop.transaction() as session:
        row = session.get_one(SupplierAttempt, attempt.id, populate_existing=True)
        row.before = {"reading": before.to_json(), "read_at": now.isoformat()}
        row.status = SupplierAttemptStatus.UNKNOWN


def put_back(shop: Shop, fulfilment: Fulfilment) -> None:
    """Put a held order back to where it stood and have it looked at now, inside the caller's transaction."""
    fulfilment.status = FulfilmentStatus.WAITING
    if fulfilment.ordered_at is not None:
        fulfilment.status = FulfilmentStatus.ORDERED if fulfilment.applied_at is None else FulfilmentStatus.APPLIED
    fulfilment.reason, fulfilment.tries, fulfilment.lease_until = "", 0, None
    # Whether it is late again counts from now.
    fulfilment.held_at, fulfilment.late_at, fulfilment.retried_at = None, None, shop.clock.now()
    fulfilment.next_try_at = fulfilment.retried_at
    attempt = find_request(fulfilment.order_id)
    if attempt is not None:
        # A person has looked at it, so its request may be sent again.
        attempt.sends = min(attempt.sends, 1)
    db.session.flush()
    shop.knock("fulfil", fulfilment.order_id)


def accept(shop: Shop, session: Session, attempt: SupplierAttempt, supplier_order_id: str | None) -> None:
    row = session.get_one(SupplierAttempt, attempt.id)
    row.status, row.supplier_order_id = SupplierAttemptStatus.ACCEPTED, supplier_order_id
    row.answered_at = shop.clock.now()


def move(shop: Shop, session: Session, order_id: int, target: FulfilmentStatus, reason: str = "") -> bool:
    """Move the fulfilment where its table allows, noting when; return whether it moved. The order is locked.

    One that was held while the supplier was at work stays held; how far it is gets noted all the same.
    """
    fulfilment = session.get_one(Fulfilment, order_id, populate_existing=True, with_for_update=True)
    if fulfilment.status is FulfilmentStatus.HELD and target in WORKED_ON:
        setattr(fulfilment, STAMPS[target], shop.clock.now())
        session.flush()
        # What is there after all is given back by reconcile.
        _end_refunded(session, order_id)
        return False
    if fulfilment.status not in sources(FULFILMENT, target):
        return False
    fulfilment.status, fulfilment.reason = target, reason
    setattr(fulfilment, STAMPS[target], shop.clock.now())
    if target not in WORKED_ON:
        fulfilment.lease_until = fulfilment.next_try_at = None
    session.flush()
    return True


def _end_refunded(session: Session, order_id: int) -> None:
    """End an order whose money went back while nobody knew what the supplier had done, because now it is known."""
    fulfilment = session.get_one(Fulfilment, order_id, populate_existing=True, with_for_update=True)
    if fulfilment.status is FulfilmentStatus.HELD and fulfilment.reason == "refunded":
        fulfilment.status = FulfilmentStatus.REFUSED
        session.flush()


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
