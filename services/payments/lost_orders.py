"""Orders whose rows are lost, as after restoring a backup: made again from what Stripe keeps beside their sessions.

Every session carries what its order was (`details_of`). A session that was paid and leads to no row here is turned
back into its order under the same public id, so that links in mails and the supplier's own records lead to it again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import Account, Attempt, AttemptStatus, Esim, Order, OrderKind, Plan
from services.accounts import EmailInvalid, get_or_create_for_purchase, mail_address, normalise_email
from services.catalogue import PlanNotFound, get_any_plan
from services.identifiers import random_key
from services.languages import DEFAULT_LANGUAGE, LANGUAGES
from services.orders import TERMS, TERMS_VERSION, Wish, live_attempt, lock_order, restore_order
from services.payments import SessionState
from services.payments.refund_books import mirror_refunds
from services.payments.settlement import PAID, Outcome, apply_session
from services.shop import Shop

log = logging.getLogger(__name__)

# A row is committed before Stripe hears of it, so a younger session without one belongs to a transaction under way.
OLD_ENOUGH = timedelta(minutes=2)
# How the payment of a complete session stands while its bank takes days (docs.stripe.com/payments/intents).
UNDER_WAY = "processing"
# Stripe keeps at most 500 characters for a key (docs.stripe.com/api/metadata).
LONGEST_VALUE = 500
# What the column of a consent holds.
VERSION_LENGTH = 24


class NotRecoverable(Exception):
    """An order cannot be made again from its session; the message says what is missing."""


def details_of(shop: Shop, session: Session, order: Order) -> dict[str, str]:
    """Return what Stripe keeps beside a session of this order: everything that its row holds and the session does not.

    No activation code, no link and no card data; the e-mail address is Stripe's already.
    """
    plan = session.get_one(Plan, order.plan_id)
    account = session.get_one(Account, order.account_id)
    agreed = {consent.kind: consent.text_version for consent in order.consents}
    details = {
        "shop": shop.settings.shop_url,
        "kind": order.kind.value,
        "plan": plan.slug,
        "days": str(order.days),
        "language": order.language,
        "checkout": order.checkout_key,
        "consents": ",".join(sorted(agreed)),
        "terms": agreed.pop(TERMS, TERMS_VERSION),
        "wording": next(iter(agreed.values()), TERMS_VERSION),
    }
    if account.email != normalise_email(order.email):
        details["account"] = account.email
    if order.esim_id is not None:
        details["esim"] = session.get_one(Esim, order.esim_id).supplier_esim_id
    for name, shown in (("before", order.shown_before), ("after", order.shown_after)):
        if shown is not None:
            details[name] = json.dumps(shown, separators=(",", ":"))
    return {name: value for name, value in details.items() if len(value) <= LONGEST_VALUE}


def is_anothers(shop: Shop, state: SessionState) -> bool:
    """Return whether a session without a row was opened by another shop that uses the same account at Stripe."""
    return state.details.get("shop", shop.settings.shop_url) != shop.settings.shop_url


def is_lost(shop: Shop, state: SessionState) -> bool:
    """Return whether a session without a row was paid here a while ago, or is being paid by a bank that takes days."""
    return (
        state.status == "complete"
        and (state.payment_status in PAID or state.intent_status == UNDER_WAY)
        and state.details.get("shop") == shop.settings.shop_url
        and state.created_at < shop.clock.now() - OLD_ENOUGH
    )


def in_order(lost: Sequence[SessionState]) -> list[SessionState]:
    """Return lost sessions, newest first as Stripe lists them, in the order in which they are to be made again.

    Renewals of one eSIM as they were paid. What has gone back in full comes last: of two payments for one order it was
    the surplus.
    """
    # Stripe's moments are whole seconds; within one, its list tells what came first.
    return sorted(
        reversed(lost),
        key=lambda state: (0 < state.amount_minor <= state.refunded_minor, state.paid_at or state.created_at),
    )


def recover_session(shop: Shop, session_id: str) -> Outcome:
    """Make the order of a session again that leads to no row; UNKNOWN when it is not lost, or not to be made again.

    Opens its own transactions; raises PaymentError when Stripe cannot be asked.
    """
    state = shop.gateway.get_session(session_id)
    if is_anothers(shop, state):
        return Outcome.FOREIGN
    if state.status == "expired":
        # Nobody has paid on it, and nobody can any more.
        return Outcome.EXPIRED
    if not is_lost(shop, state):
        return Outcome.UNKNOWN
    try:
        return recover(shop, state)
    except NotRecoverable as error:
        log.warning("session %s is lost and cannot be made again yet: %s", session_id, error)
        return Outcome.UNKNOWN


def recover(shop: Shop, state: SessionState) -> Outcome:
    """Make the order of a lost session again, with its attempt, its payment and what went back of it.

    Safe to call any number of times, also at once. Opens its own transactions. Raises NotRecoverable, and PaymentError
    when Stripe cannot be asked for refunds.
    """
    refunds = shop.gateway.list_refunds_of(state.payment_reference) if state.payment_reference else []
    with shop.transaction() as session:
        order = _order(shop, session, state)
        if session.scalars(select(Attempt.id).where(Attempt.session_id == state.session_id)).first() is None:
            _add_attempt(session, order, state)
            log.warning("order %s was lost and is made again from session %s", order.public_id, state.session_id)
        outcome = apply_session(shop, state)
        # Before the worker looks: an order whose money is back is not delivered again.
        mirror_refunds(shop, refunds)
    return outcome


def _order(shop: Shop, session: Session, state: SessionState) -> Order:
    public_id, _dash, seq = (state.attempt_reference or "").rpartition("-")
    if not (public_id and seq.isdecimal()):
        raise NotRecoverable(f"no reference of ours: {state.attempt_reference}")
    try:
        wish, account = _wish(shop, session, state)
    except NotRecoverable:
        known = session.scalars(select(Order.id).where(Order.public_id == public_id)).one_or_none()
        if known is None:
            raise
        return lock_order(session, known)
    return restore_order(
        session,
        wish,
        account,
        public_id,
        amount_minor=state.amount_minor,
        created_at=state.created_at,
        paid_at=state.paid_at if state.payment_status in PAID else None,
        agreed_terms=_version(state, "terms"),
        # Sessions of before there were two versions carry the one that holds for both.
        agreed_wording=_version(state, "wording") or _version(state, "terms"),
    )


def _version(state: SessionState, name: str) -> str:
    return state.details.get(name, "")[:VERSION_LENGTH]


def _wish(shop: Shop, session: Session, state: SessionState) -> tuple[Wish, Account]:
    details = state.details
    language = details.get("language", "")
    language = language if language in LANGUAGES else DEFAULT_LANGUAGE
    try:
        kind, days = OrderKind(details["kind"]), int(details["days"])
        plan = get_any_plan(session, details["plan"], language, state.currency)
        email = mail_address(state.email)
        account, esim_id = _owner(shop, session, state, kind, email, language)
    except (KeyError, ValueError, PlanNotFound, EmailInvalid) as error:
        raise NotRecoverable(f"{type(error).__name__}: {error}") from error
    wish = Wish(
        checkout_key=details.get("checkout") or random_key(),
        kind=kind,
        plan=plan,
        days=days,
        email=email,
        language=language,
        consents=tuple(kind for kind in details.get("consents", "").split(",") if kind),
        esim_id=esim_id,
        shown_before=_shown(details.get("before")),
        shown_after=_shown(details.get("after")),
    )
    return wish, account


def _owner(
    shop: Shop, session: Session, state: SessionState, kind: OrderKind, email: str, language: str
) -> tuple[Account, int | None]:
    """Return whose order it was, and the eSIM that it renewed; raises KeyError for an eSIM that is not there (yet)."""
    if kind is OrderKind.PURCHASE:
        address = state.details.get("account") or email
        return get_or_create_for_purchase(session, address, language, state.currency, shop.clock.now()), None
    esim = session.scalars(
        select(Esim).where(Esim.supplier == shop.supplier.code, Esim.supplier_esim_id == state.details.get("esim", ""))
    ).one_or_none()
    if esim is None:
        raise KeyError("esim")
    return esim.account, esim.id


def _shown(text: str | None) -> dict[str, Any] | None:
    return json.loads(text) if text else None


def _add_attempt(session: Session, order: Order, state: SessionState) -> None:
    newest = session.scalar(select(func.max(Attempt.seq)).where(Attempt.order_id == order.id)) or 0
    session.add(
        Attempt(
            order_id=order.id,
            seq=newest + 1,
            # There is one live attempt at most: the order may have been opened for paying once more since.
            status=AttemptStatus.OPEN if live_attempt(session, order.id) is None else AttemptStatus.EXPIRED,
            idempotency_key=random_key(),
            request={},
            session_id=state.session_id,
            amount_minor=state.amount_minor,
            currency=state.currency,
            created_at=state.created_at,
            expires_at=state.created_at,
        )
    )
    session.flush()
