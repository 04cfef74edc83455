"""The steps of a fulfilment; each raises the supplier's errors and leaves what to make of them to `fulfilment`.

The rule behind all of them: a request to the supplier is a row before it is sent, and a request whose answer never came
is looked up before anything is sent again.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from models import (
    Esim,
    Fulfilment,
    FulfilmentStatus,
    Order,
    OrderKind,
    Package,
    PackageStatus,
    Payment,
    PaymentKind,
    Plan,
    SupplierAttempt,
    SupplierAttemptStatus,
    TokenPurpose,
    db,
)
from services import links, usage
from services.account_tokens import issue
from services.identifiers import public_id
from services.mail import messages
from services.order_states import FULFILMENT, WORKED_ON, sources
from services.orders import lock_order
from services.payments.refunds import request_refund
from services.renewal_rules import is_as_promised, was_applied
from services.shop import Shop
from services.suppliers import Profile, PurchaseRequest, Reading, Refused, TopupRequest

log = logging.getLogger(__name__)

# A supplier may show a top-up some time after it accepted it; before that, its absence proves nothing.
SETTLING_TIME = timedelta(seconds=60)
# A top-up that stays without a trace after this many requests is for a person.
MOST_SENDS = 3
# Past this, a buyer waits for a person: the order goes to the stuck list, and the supplier is still asked.
VERIFY_WITHIN = timedelta(hours=6)


def order_esim(shop: Shop, order: Order) -> bool:
    """Order a new eSIM under our reference; sending the same reference again buys nothing twice."""
    attempt = _live_attempt(shop, order, before=None)
    plan = db.session.get_one(Plan, order.plan_id)
    result = shop.supplier.place_order(
        PurchaseRequest(
            reference=attempt.reference,
            plan_code=plan.supplier_plan_code,
            expected_cost=plan.supplier_cost,
            days=order.days if plan.days_min != plan.days_max else None,
        )
    )
    with shop.transaction() as session:
        _accept(shop, session, attempt, result.supplier_order_id)
        _move(shop, session, order.id, FulfilmentStatus.ORDERED)
    return True


def collect_esim(shop: Shop, order: Order) -> bool:
    """Fetch the eSIM once the supplier has allocated it, and hand it to the buyer by page and mail."""
    attempt = db.session.scalars(
        select(SupplierAttempt).where(
            SupplierAttempt.order_id == order.id, SupplierAttempt.status == SupplierAttemptStatus.ACCEPTED
        )
    ).one()
    assert attempt.supplier_order_id is not None
    result = shop.supplier.get_order(attempt.supplier_order_id)
    if result.profile is None:
        return False
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        if order.esim_id is None:
            esim = _add_esim(shop, session, order, result.profile)
            order.esim_id = esim.id
            claim = _claim_url(shop, session, order)
            messages.esim_ready(shop, order, esim, claim)
        _move(shop, session, order.id, FulfilmentStatus.APPLIED)
    return True


def verify_purchase(shop: Shop, order: Order) -> bool:
    """Read the eSIM again at the supplier and check that it holds what was bought."""
    reading = _read(shop, order)
    size = order.plan_facts["data_bytes"]
    expected = size * order.days if size and order.plan_facts["per_day"] else size
    complete = expected is None or (reading.total_bytes or 0) >= expected or order.plan_facts["per_day"]
    return _finish(shop, order, reading, verified=complete)


def order_topup(shop: Shop, order: Order) -> bool:
    """Order a top-up unless an earlier request turns out to have been carried out.

    The supplier's promise to recognise a reference covers orders, not top-ups (docs/suppliers.md), so the totals from
    before the first request tell what became of it.
    """
    if not _is_next_renewal(order):
        return False
    reading = _read(shop, order)
    attempt = _find_attempt(order.id)
    if attempt is not None and was_applied(Reading.from_json(attempt.before or {}), reading):
        return _accept_topup(shop, order, attempt)
    if attempt is not None and shop.clock.now() < attempt.sent_at + SETTLING_TIME:
        return False
    if attempt is not None and attempt.sends >= MOST_SENDS:
        hold(shop, order.id, "outcome_unknown")
        return False
    attempt = _live_attempt(shop, order, before=reading)
    plan = db.session.get_one(Plan, order.plan_id)
    esim = _esim(order)
    assert plan.supplier_topup_code is not None
    shop.supplier.place_topup(
        TopupRequest(
            reference=attempt.reference,
            supplier_esim_id=esim.supplier_esim_id,
            plan_code=plan.supplier_topup_code,
            expected_cost=plan.supplier_cost,
        )
    )
    return _accept_topup(shop, order, attempt)


def _is_next_renewal(order: Order) -> bool:
    """Return whether no earlier renewal of the same eSIM is under way: totals can prove one top-up at a time."""
    earlier = (
        select(Order.id)
        .join(Fulfilment, Fulfilment.order_id == Order.id)
        .where(
            Order.esim_id == order.esim_id,
            Order.kind == OrderKind.RENEWAL,
            Fulfilment.status.in_(WORKED_ON),
            or_(Order.paid_at < order.paid_at, and_(Order.paid_at == order.paid_at, Order.id < order.id)),
        )
    )
    return db.session.scalars(earlier).first() is None


def verify_renewal(shop: Shop, order: Order) -> bool:
    """Read the eSIM again and compare it with what was promised before paying; only then say so to the buyer."""
    reading = _read(shop, order)
    attempt = _find_attempt(order.id)
    assert attempt is not None
    before = Reading.from_json(attempt.before or {})
    as_promised = is_as_promised(before, reading, order.plan_facts["data_bytes"], order.days)
    return _finish(shop, order, reading, verified=as_promised, before=before)


def refuse(shop: Shop, order_id: int, error: Refused) -> None:
    """End an order that the supplier refused for good: the money goes back at once, and the buyer is told."""
    log.error("order %s refused by the supplier: %s", order_id, error)
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        attempt = _find_attempt(order_id)
        if attempt is not None:
            attempt.status, attempt.error = SupplierAttemptStatus.REFUSED, type(error).__name__
            attempt.answered_at = shop.clock.now()
        if not _move(shop, session, order_id, FulfilmentStatus.REFUSED, reason=type(error).__name__):
            return
        payment = session.scalars(
            select(Payment).where(Payment.order_id == order.id, Payment.kind == PaymentKind.SETTLING)
        ).one()
        if payment.amount_minor:
            request_refund(shop, payment, payment.amount_minor, source="auto", cause="refused")


def hold(shop: Shop, order_id: int, reason: str) -> None:
    """Put an order before a person and tell the buyer that one looks at it."""
    log.error("order %s held: %s", order_id, reason)
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        if _move(shop, session, order_id, FulfilmentStatus.HELD, reason=reason):
            messages.order_delayed(shop, order)


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
    return list(session.scalars(query.where(or_(*wanted))))


def _find_attempt(order_id: int) -> SupplierAttempt | None:
    return db.session.scalars(
        select(SupplierAttempt)
        .where(SupplierAttempt.order_id == order_id, SupplierAttempt.status != SupplierAttemptStatus.REFUSED)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _live_attempt(shop: Shop, order: Order, before: Reading | None) -> SupplierAttempt:
    """Return the request to the supplier that stands for this order, committed before anything is sent."""
    now = shop.clock.now()
    with shop.transaction() as session:
        attempt = _find_attempt(order.id)
        if attempt is None:
            attempt = SupplierAttempt(
                order_id=order.id,
                seq=1,
                reference=f"{order.public_id}-1",
                status=SupplierAttemptStatus.SENDING,
                before=before.to_json() if before else None,
                sends=1,
                created_at=now,
                sent_at=now,
            )
            session.add(attempt)
            session.flush()
        else:
            attempt.status = SupplierAttemptStatus.UNKNOWN
            attempt.sends += 1
            attempt.sent_at = now
        return attempt


def _accept(shop: Shop, session: Session, attempt: SupplierAttempt, supplier_order_id: str | None) -> None:
    row = session.get_one(SupplierAttempt, attempt.id)
    row.status, row.supplier_order_id = SupplierAttemptStatus.ACCEPTED, supplier_order_id
    row.answered_at = shop.clock.now()


def _accept_topup(shop: Shop, order: Order, attempt: SupplierAttempt) -> bool:
    """Record that the top-up is on the eSIM: at this supplier, accepted is applied."""
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        _accept(shop, session, attempt, None)
        assert order.esim_id is not None
        _add_package(shop, session, order, order.esim_id, PackageStatus.QUEUED)
        _move(shop, session, order.id, FulfilmentStatus.ORDERED)
        _move(shop, session, order.id, FulfilmentStatus.APPLIED)
    return True


def _finish(shop: Shop, order: Order, reading: Reading, *, verified: bool, before: Reading | None = None) -> bool:
    now = shop.clock.now()
    with shop.transaction() as session:
        order = lock_order(session, order.id)
        esim = session.get_one(Esim, order.esim_id, populate_existing=True)
        usage.apply_reading(session, esim, reading, now)
        if verified and _move(shop, session, order.id, FulfilmentStatus.VERIFIED):
            if before is not None:
                messages.renewal_confirmed(shop, order, esim, before.to_json(), reading.to_json())
            return True
        fulfilment = session.get_one(Fulfilment, order.id)
        late = fulfilment.applied_at is not None and now > fulfilment.applied_at + VERIFY_WITHIN
    if late:
        hold(shop, order.id, "not_verified")
    return False


def _move(shop: Shop, session: Session, order_id: int, target: FulfilmentStatus, reason: str = "") -> bool:
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
    session.flush()
    return True


def _add_esim(shop: Shop, session: Session, order: Order, profile: Profile) -> Esim:
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
    _add_package(shop, session, order, esim.id, PackageStatus.ACTIVE)
    usage.apply_reading(session, esim, profile.reading, now)
    return esim


def _install_by(order: Order, profile: Profile, now: datetime) -> datetime:
    return profile.install_by or now + timedelta(days=order.plan_facts["install_within_days"])


def _add_package(shop: Shop, session: Session, order: Order, esim_id: int, status: PackageStatus) -> None:
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


def _claim_url(shop: Shop, session: Session, order: Order) -> str | None:
    """Return a link by which a buyer without a password takes the account, None for everybody else."""
    if order.account.claimed_at is not None:
        return None
    token = issue(session, order.account, TokenPurpose.CLAIM, shop.clock.now())
    return links.claim_url(shop, order.language, token.secret)


def _esim(order: Order) -> Esim:
    assert order.kind is OrderKind.PURCHASE or order.esim_id is not None
    return db.session.get_one(Esim, order.esim_id)


def _read(shop: Shop, order: Order) -> Reading:
    supplier_esim_id = _esim(order).supplier_esim_id
    db.session.commit()
    return shop.supplier.read_esim(supplier_esim_id)
