"""Orders: what a traveller asked for, before any money is involved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from models import Account, Attempt, AttemptStatus, Consent, Order, OrderKind, OrderStatus, PageName
from services.catalogue import PlanView, quote
from services.database import insert_once
from services.identifiers import public_id, random_key
from services.order_states import LIVE_ATTEMPTS
from services.page_texts import shown_text

# The version of the texts that come with the shop and that a buyer agrees to; moves with every change of their meaning.
TERMS_VERSION = "2026-11"
TERMS = "terms"
CONSENTS = (TERMS, "immediate_delivery", "phone_supports_esim")


class OrderNotFound(Exception):
    """There is no such order, or not for this visitor."""


class OrderNotPending(Exception):
    """The order is paid or cancelled, so it can no longer change."""

    def __init__(self, order: Order) -> None:
        super().__init__(order.public_id)
        self.order = order


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a traveller asks for in one checkout; `checkout_key` makes the same form sent twice one order."""

    checkout_key: str
    kind: OrderKind
    plan: PlanView
    days: int
    email: str
    language: str
    consents: tuple[str, ...]
    esim_id: int | None = None
    shown_before: Mapping[str, Any] | None = None
    shown_after: Mapping[str, Any] | None = None


def place_order(session: Session, wish: Wish, account: Account, now: datetime) -> Order:
    """Return the one order for this checkout, brought up to date with the wish; it costs what the plan costs now.

    Raises OrderNotPending when the order of this checkout is already paid, being paid or cancelled.
    """
    first = {"public_id": public_id(), "checkout_key": wish.checkout_key, "status": OrderStatus.PENDING}
    # Two clicks may arrive together: the unique key decides which of them makes the order.
    columns = _columns(wish, account, quote(wish.plan, wish.days))
    insert_once(session, Order, "checkout_key", {**first, "created_at": now, **columns})
    order = session.scalars(
        select(Order)
        .where(Order.checkout_key == wish.checkout_key)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    attempt = live_attempt(session, order.id)
    if order.status is not OrderStatus.PENDING or (attempt and attempt.status is AttemptStatus.PROCESSING):
        raise OrderNotPending(order)
    for name, value in columns.items():
        setattr(order, name, value)
    order.consents = _consents(wish, terms_version(session, wish.language), TERMS_VERSION, now)
    session.flush()
    return order


def restore_order(
    session: Session,
    wish: Wish,
    account: Account,
    public_id: str,
    *,
    amount_minor: int,
    created_at: datetime,
    paid_at: datetime | None,
    agreed_terms: str,
    agreed_wording: str,
) -> Order:
    """Return the order with this public id as it was when its payment page was opened, made where there is none.

    `amount_minor` is what was paid for it, in minor units of the plan's currency; `agreed_terms` and `agreed_wording`
    are the versions of the terms and of what else was agreed to. The order is locked and not marked as paid yet. Its
    checkout may have led to another order since; then it gets a checkout key of its own. An order that is paid or
    cancelled stays as it is.
    """
    columns = _columns(wish, account, amount_minor)
    taken = find_by_checkout_key(session, wish.checkout_key) is not None
    first = {
        "public_id": public_id,
        "checkout_key": random_key() if taken else wish.checkout_key,
        "status": OrderStatus.PENDING,
        "created_at": created_at,
    }
    # Two may find it missing at the same time: the database decides which of them makes it.
    insert_once(session, Order, "public_id", {**first, **columns})
    order = lock_order(session, session.scalars(select(Order.id).where(Order.public_id == public_id)).one())
    if order.status is OrderStatus.PENDING:
        # An older row may not have what was changed before it was paid for.
        for name, value in columns.items():
            setattr(order, name, value)
        order.paid_at = paid_at
        order.consents = _consents(wish, agreed_terms, agreed_wording, created_at)
        session.flush()
    return order


def is_as_wished(order: Order, wish: Wish) -> bool:
    """Return whether an order already asks for what is wished, at the price of now."""
    plan = wish.plan
    wished = (plan.id, wish.days, wish.email, plan.currency, quote(plan, wish.days))
    return (order.plan_id, order.days, order.email, order.currency, order.amount_minor) == wished


def terms_version(session: Session, language: str) -> str:
    """Return what identifies the very terms that buyers read in a language now: staff's text, or the shop's own."""
    text = shown_text(session, PageName.TERMS, language)
    return TERMS_VERSION if text is None else f"page-text-{text.id}"


def _consents(wish: Wish, terms: str, wording: str, given_at: datetime) -> list[Consent]:
    """Return the consents of a wish; `wording` is the version of what stands beside the boxes, which nobody edits."""
    versions = dict.fromkeys(wish.consents, wording) | {TERMS: terms}
    return [
        Consent(kind=kind, language=wish.language, text_version=versions[kind], given_at=given_at)
        for kind in wish.consents
    ]


def _columns(wish: Wish, account: Account, amount_minor: int) -> dict[str, Any]:
    plan = wish.plan
    return {
        "kind": wish.kind,
        "account_id": account.id,
        "esim_id": wish.esim_id,
        "plan_id": plan.id,
        "days": wish.days,
        "email": wish.email,
        "language": wish.language,
        "currency": plan.currency,
        "amount_minor": amount_minor,
        "plan_name": plan.name,
        "plan_facts": plan_facts(plan, wish.days),
        "shown_before": dict(wish.shown_before) if wish.shown_before else None,
        "shown_after": dict(wish.shown_after) if wish.shown_after else None,
    }


def plan_facts(plan: PlanView, days: int) -> dict[str, Any]:
    """Return what a receipt says of the plan, as JSON values: bytes, days, ISO country codes."""
    return {
        "data_bytes": plan.data_bytes,
        "per_day": plan.per_day,
        "days": days,
        "countries": list(plan.countries),
        "network": plan.network,
        "clock_start": plan.clock_start.value,
        "install_within_days": plan.install_within_days,
        "topup": plan.topup,
        "voice_minutes": plan.voice_minutes,
        "sms_count": plan.sms_count,
    }


def lock_order(session: Session, order_id: int) -> Order:
    """Return the order, fresh from the database and locked until the transaction ends."""
    return session.scalars(
        select(Order).where(Order.id == order_id).with_for_update().execution_options(populate_existing=True)
    ).one()


def find_order(session: Session, public_id: str) -> Order:
    """Return an order with its fulfilment, eSIM and plan; raises OrderNotFound."""
    order = session.scalars(
        select(Order)
        .where(Order.public_id == public_id)
        .options(joinedload(Order.fulfilment), joinedload(Order.esim), joinedload(Order.plan))
    ).one_or_none()
    if order is None:
        raise OrderNotFound(public_id)
    return order


def find_by_checkout_key(session: Session, checkout_key: str) -> Order | None:
    """Return the order of a checkout, if one was placed."""
    return session.scalars(select(Order).where(Order.checkout_key == checkout_key)).one_or_none()


def live_attempt(session: Session, order_id: int) -> Attempt | None:
    """Return the attempt by which this order may still be paid, if there is one."""
    return session.scalars(
        select(Attempt)
        .where(Attempt.order_id == order_id, Attempt.status.in_(LIVE_ATTEMPTS))
        .execution_options(populate_existing=True)
    ).one_or_none()
