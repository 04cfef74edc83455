"""Starting to pay: an attempt is a row with its key before Stripe hears of it, and an order has one live attempt."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Attempt, AttemptStatus, Order, OrderStatus, db
from services.failpoints import failpoint
from services.identifiers import random_key
from services.languages import get_language
from services.links import order_page_url, order_url
from services.money import format_data
from services.orders import OrderNotPending, live_attempt, lock_order
from services.payments import (
    AnswerReplayed,
    GatewayRefused,
    GatewayUnavailable,
    SessionNotFound,
    SessionRequest,
    SessionState,
)
from services.payments.lost_orders import details_of
from services.payments.settlement import apply_session
from services.shop import Shop

log = logging.getLogger(__name__)

# Stripe keeps a session open between 30 minutes and 24 hours (stripe.checkout.Session, parameter `expires_at`).
SESSION_LIFETIME = timedelta(minutes=60)
# A buyer who comes back is sent to the open session only while there is time left to pay on it.
TIME_TO_PAY = timedelta(minutes=5)
# A request that Stripe refuses within this time after it was made is refused for what it says, not for its age.
STILL_FRESH = timedelta(minutes=1)
# Closing an outdated session, giving up a request that cannot succeed any more, and opening a fresh one.
ROUNDS = 3


def start_payment(shop: Shop, order_id: int) -> str:
    """Return the address where this order is paid: always the same one while its attempt lives.

    Opens its own transactions. Raises OrderNotPending when the order was paid or cancelled in the meantime, and
    GatewayUnavailable when Stripe does not answer; asking again then continues under the same key.
    """
    for _round in range(ROUNDS):
        attempt = _prepare(shop, order_id)
        if attempt.status is AttemptStatus.PROCESSING:
            raise OrderNotPending(attempt.order)
        if attempt.session_url is not None and not _outdated(attempt, shop.clock.now()):
            return attempt.session_url
        if attempt.session_id is not None:
            _close(shop, attempt)
            continue
        url = _open(shop, attempt)
        if url is not None:
            return url
    raise GatewayUnavailable(f"no session after {ROUNDS} rounds")


def stop_payment(shop: Shop, order_id: int) -> None:
    """Make sure that nobody can pay on an order's open session any more, and settle it when somebody already has.

    To be called before an order changes. Opens its own transactions; raises GatewayUnavailable.
    """
    attempt = live_attempt(db.session(), order_id)
    if attempt is not None and attempt.session_id is not None:
        db.session.commit()
        _close(shop, attempt)


def resume_attempt(shop: Shop, attempt_id: int) -> None:
    """Find out what became of an attempt whose session is unknown: ask again under its key, or give it up.

    Opens its own transactions; raises GatewayRefused and GatewayUnavailable.
    """
    attempt = db.session.get_one(Attempt, attempt_id, populate_existing=True)
    db.session.commit()
    if attempt.status is AttemptStatus.CREATED and attempt.session_id is None:
        with suppress(OrderNotPending):
            _open(shop, attempt)


def _prepare(shop: Shop, order_id: int) -> Attempt:
    """Return the live attempt of a pending order, a new one when there is none."""
    with shop.transaction() as session:
        order = lock_order(session, order_id)
        if order.status is not OrderStatus.PENDING:
            raise OrderNotPending(order)
        attempt = live_attempt(session, order.id)
        if attempt is None:
            attempt = _new_attempt(shop, session, order)
        elif attempt.session_id is None and not _matches(attempt, order):
            # Nobody ever saw an address for this attempt, so nobody can pay on it.
            attempt.status = AttemptStatus.SUPERSEDED
            session.flush()
            attempt = _new_attempt(shop, session, order)
        # Loaded here, because the order is read after the transaction, while Stripe is asked.
        attempt.order, _esim = order, order.esim
        return attempt


def _new_attempt(shop: Shop, session: Session, order: Order) -> Attempt:
    now = shop.clock.now()
    seqs = session.scalars(select(Attempt.seq).where(Attempt.order_id == order.id)).all()
    seq = max(seqs, default=0) + 1
    request = SessionRequest(
        attempt_reference=f"{order.public_id}-{seq}",
        order_public_id=order.public_id,
        amount_minor=order.amount_minor,
        currency=order.currency,
        product_name=order.plan_name,
        product_description=_description(order),
        email=order.email,
        locale=get_language(order.language).stripe_locale,
        success_url=order_url(shop, order),
        cancel_url=order_page_url(shop, order),
        expires_at=(now + SESSION_LIFETIME).replace(microsecond=0),
        details=details_of(shop, session, order),
    )
    attempt = Attempt(
        order_id=order.id,
        seq=seq,
        status=AttemptStatus.CREATED,
        idempotency_key=random_key(),
        request=request.to_json(),
        amount_minor=order.amount_minor,
        currency=order.currency,
        created_at=now,
        expires_at=request.expires_at,
    )
    session.add(attempt)
    session.flush()
    return attempt


def _description(order: Order) -> str:
    """Return the line below the plan's name on Stripe's page: data, and which eSIM a renewal is for."""
    locale = get_language(order.language).locale
    size = order.plan_facts["data_bytes"]
    parts = [format_data(size, locale)] if size else []
    if order.esim is not None:
        parts.append(f"eSIM ••••\u00a0{order.esim.iccid[-4:]}")
    return " · ".join([*parts, order.public_id])


def _matches(attempt: Attempt, order: Order) -> bool:
    request = SessionRequest.from_json(attempt.request)
    return (
        request.amount_minor,
        request.currency,
        request.email,
        request.product_name,
        request.product_description,
    ) == (
        order.amount_minor,
        order.currency,
        order.email,
        order.plan_name,
        _description(order),
    )


def _outdated(attempt: Attempt, now: datetime) -> bool:
    return now > attempt.expires_at - TIME_TO_PAY or not _matches(attempt, attempt.order)


def _open(shop: Shop, attempt: Attempt) -> str | None:
    """Open the attempt's session at Stripe and return its address, None when a new attempt is needed."""
    if shop.clock.now() > attempt.expires_at - TIME_TO_PAY:
        _give_up(shop, attempt)
        return None
    failpoint("start.intended")
    try:
        state = shop.gateway.open_session(SessionRequest.from_json(attempt.request), attempt.idempotency_key)
    except AnswerReplayed:
        # Stripe keeps a failure under its key for a day. Nobody was given an address, so a new key cannot pay twice.
        _give_up(shop, attempt)
        return None
    except GatewayRefused:
        # Nothing exists under this key. Too little time left on the request is mended by a fresh one; anything else
        # is refused again and told.
        fresh = shop.clock.now() < attempt.created_at + STILL_FRESH
        _give_up(shop, attempt)
        if fresh:
            raise
        return None
    failpoint("start.opened")
    with shop.transaction() as session:
        order = lock_order(session, attempt.order_id)
        row = session.get_one(Attempt, attempt.id, populate_existing=True)
        row.session_id, row.session_url = state.session_id, state.url
        if row.status is AttemptStatus.CREATED:
            row.status = AttemptStatus.OPEN
    if order.status is not OrderStatus.PENDING:
        # Paid or cancelled while Stripe was answering: nobody may pay on this session any more.
        _close(shop, row)
        raise OrderNotPending(order)
    if row.status is AttemptStatus.SUPERSEDED:
        # The order was changed while Stripe was answering: its newer attempt is the one to pay on.
        _close(shop, row)
        return None
    if state.status != "open":
        _apply(shop, state)
        return None
    return state.url


def _give_up(shop: Shop, attempt: Attempt) -> None:
    """End an attempt whose address nobody was given."""
    with shop.transaction() as session:
        lock_order(session, attempt.order_id)
        row = session.get_one(Attempt, attempt.id, populate_existing=True)
        if row.status is AttemptStatus.CREATED and row.session_id is None:
            row.status = AttemptStatus.SUPERSEDED


def _close(shop: Shop, attempt: Attempt) -> None:
    """Make sure that nobody can pay on this attempt any more, and settle it when somebody already has.

    Raises GatewayUnavailable when Stripe leaves the session open.
    """
    assert attempt.session_id is not None
    try:
        state = shop.gateway.expire_session(attempt.session_id)
    except SessionNotFound:
        log.error("Stripe does not know the session of attempt %s", attempt.id)
        state = None
    if state is not None and state.status == "open":
        raise GatewayUnavailable("the session stays open")
    if state is not None and state.status != "expired":
        _apply(shop, state)
        return
    with shop.transaction() as session:
        lock_order(session, attempt.order_id)
        row = session.get_one(Attempt, attempt.id, populate_existing=True)
        if row.status in (AttemptStatus.OPEN, AttemptStatus.CREATED):
            row.status = AttemptStatus.SUPERSEDED


def _apply(shop: Shop, state: SessionState) -> None:
    with shop.transaction():
        apply_session(shop, state)
