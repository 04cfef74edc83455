"""Whom the mails about an order go to, and how a wrong address is corrected (docs/adr/0011).

Whoever may see an order may correct its address. With the address go the links in its mails, and an order that was
bought without an account moves to the account of the right address.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import partial

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from models import (
    Account,
    Esim,
    Fulfilment,
    Mail,
    Order,
    OrderKind,
    OrderStatus,
    Package,
    Refund,
    RefundStatus,
    SupplierAttempt,
    SupplierAttemptStatus,
)
from services import account_tokens, audit, links
from services.accounts import claim_url_for, get_or_create_for_purchase, mail_address, normalise_email
from services.audit import Action, Actor, Facts, Subject
from services.mail import messages, redirection
from services.mail.messages import Put, esim_key, order_key
from services.order_progress import codes_are_shown, progress_of
from services.orders import lock_order
from services.renewal_rules import with_topups
from services.shop import Shop
from services.suppliers import Reading

# More is no slip any more, and every correction may send mail to somebody who asked for none.
MOST_CORRECTIONS = 5
# While one of these is the trouble, the buyer should know that it takes longer.
DELAYED = ("held", "late", "unverified")


class Correction(StrEnum):
    """What came of correcting an address."""

    CORRECTED = "corrected"
    RETRIED = "retried"
    KEPT = "kept"


class TooManyCorrections(Exception):
    """The address of this order was corrected as often as may be."""


def correct_recipient(
    shop: Shop, session: Session, order: Order, new_email: str, now: datetime, *, by: Actor | None = None
) -> Correction:
    """Write to `new_email` about an order from now on, and send there what its buyer should have by now.

    Nothing more goes to the old address. The same correction made twice sends nothing twice: what was refused at an
    address that stays is tried once more. `by` is who of the staff asks for it, None when it is the buyer. Raises
    EmailInvalid and, unless staff asks, TooManyCorrections.
    """
    address = mail_address(new_email)
    order = lock_order(session, order.id)
    if address == order.email:
        tried = redirection.retry_refused(shop, order_key(order.id), address)
        if tried:
            _record(session, Action.RECIPIENT_RETRIED, order, by, now)
        return Correction.RETRIED if tried else Correction.KEPT
    old_email, old_link = order.email, links.order_url(shop, order)
    # A link that nobody was sent need not end: the buyer may be coming back from Stripe with it.
    if order.paid_at is not None or _kinds(session, order):
        if is_corrected_out(order) and by is None:
            raise TooManyCorrections
        order.corrections += 1
    order.email = address
    _move_to_account(session, order, old_email, now)
    # As fresh as the order: what is due may have become so while this transaction waited for its lock.
    session.get(Fulfilment, order.id, populate_existing=True)
    for kind in mails_due(session, order):
        _write(shop, session, order, kind, partial(redirection.write_again, turn=order.corrections))
    new_link = links.order_url(shop, order)
    redirection.redirect_waiting(shop, order_key(order.id), address, old_link=old_link, new_link=new_link)
    before: Facts = {"address": audit.masked(old_email)}
    _record(session, Action.RECIPIENT_CORRECTED, order, by, now, before, {"address": audit.masked(address)})
    return Correction.CORRECTED


def _record(
    session: Session,
    action: Action,
    order: Order,
    by: Actor | None,
    now: datetime,
    before: Facts | None = None,
    after: Facts | None = None,
) -> None:
    """Write down what staff does; what buyers do about their own orders stands on the orders."""
    if by is not None:
        audit.record(session, action, Subject.order(order.public_id), by=by, now=now, before=before, after=after)


def is_corrected_out(order: Order) -> bool:
    """Return whether the address of an order was corrected as often as may be."""
    return order.corrections >= MOST_CORRECTIONS


def belongs_to_address(account: Account, email: str) -> bool:
    """Return whether an account is nobody's yet but that of whoever reads the mails to this address."""
    return account.claimed_at is None and account.email == normalise_email(email)


def mails_due(session: Session, order: Order) -> list[str]:
    """Return the kinds of the mails that the buyer of an order should have by now, in the order of their sending."""
    written = _kinds(session, order)
    due = []
    if order.status is OrderStatus.PENDING:
        due += _numbered(written, "payment-failed")[-1:]
    if order.paid_at is not None:
        due.append("receipt")
    if "order-delayed" in written and progress_of(order).trouble in DELAYED:
        due.append("order-delayed")
    if codes_are_shown(order):
        due.append("esim-ready")
    if _renewal_readings(session, order) is not None:
        due.append("renewal-confirmed")
    back = session.scalars(
        select(Refund.id).where(Refund.id.in_(_ids(written, "refund")), Refund.status == RefundStatus.SUCCEEDED)
    )
    return due + [f"refund-{refund_id}" for refund_id in sorted(back)]


def _kinds(session: Session, order: Order) -> set[str]:
    return set(session.scalars(select(Mail.kind).where(Mail.subject_key == order_key(order.id))))


def _ids(kinds: set[str], name: str) -> list[int]:
    """Return the ids of the rows that mails of kinds like `refund-7` are about."""
    numbers = (kind.removeprefix(f"{name}-") for kind in kinds)
    return sorted(int(number) for number in numbers if number.isdecimal())


def _numbered(kinds: set[str], name: str) -> list[str]:
    return [f"{name}-{number}" for number in _ids(kinds, name)]


def _write(shop: Shop, session: Session, order: Order, kind: str, put: Put) -> None:
    """Write a mail anew, as the order is now."""
    name, _dash, number = kind.rpartition("-")
    if kind == "receipt":
        messages.receipt(shop, order, put)
    elif kind == "order-delayed":
        messages.order_delayed(shop, order, put)
    elif kind == "esim-ready":
        assert order.esim is not None
        messages.esim_ready(shop, order, order.esim, claim_url_for(shop, session, order, shop.clock.now()), put)
    elif kind == "renewal-confirmed":
        readings = _renewal_readings(session, order)
        assert readings is not None
        assert order.esim is not None
        before, after = (reading.to_json() for reading in readings)
        messages.renewal_confirmed(shop, order, order.esim, before, after, put)
    elif name == "refund":
        refund = session.get_one(Refund, int(number))
        messages.order_refunded(shop, order, refund, refund.cause, put)
    else:
        assert name == "payment-failed"
        messages.payment_failed(shop, order, int(number), put)


def _renewal_readings(session: Session, order: Order) -> tuple[Reading, Reading] | None:
    """Return what a verified renewal found, and what it made of that; None for everything else."""
    if order.kind is not OrderKind.RENEWAL or order.fulfilment is None or order.fulfilment.verified_at is None:
        return None
    before = session.scalar(
        select(SupplierAttempt.before).where(
            SupplierAttempt.order_id == order.id, SupplierAttempt.status == SupplierAttemptStatus.ACCEPTED
        )
    )
    package = session.scalar(select(Package).where(Package.order_id == order.id))
    if before is None or package is None:
        return None
    reading = Reading.from_json(before["reading"])
    return reading, with_topups(reading, [(package.data_bytes, package.days)])


def _move_to_account(session: Session, order: Order, old_email: str, now: datetime) -> None:
    """Move an order and the eSIM that it bought to the account of its address, unless the old one belongs to somebody.

    Under a lock on the account, because its claim link may be opened at the same moment.
    """
    old = session.get_one(Account, order.account_id, with_for_update=True, populate_existing=True)
    if not belongs_to_address(old, old_email):
        return
    account = get_or_create_for_purchase(session, order.email, order.language, order.currency, now)
    if account.id == old.id:
        return
    order.account = account
    if order.esim_id is not None and not _others(session, order, Order.esim_id == order.esim_id):
        esim = session.get_one(Esim, order.esim_id, populate_existing=True)
        esim.account = account
        session.flush()
        # Reminders; those that are still due are written anew, for the new account.
        redirection.withdraw(session, esim_key(esim.id), old.email)
    if not _others(session, order, Order.account_id == old.id):
        account_tokens.withdraw_all(session, old.id, now)


def _others(session: Session, order: Order, condition: ColumnElement[bool]) -> bool:
    return session.scalar(select(Order.id).where(Order.id != order.id, condition).limit(1)) is not None
