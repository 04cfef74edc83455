"""Reminders: little data left, an end that is near, an eSIM that waits to be installed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, tuple_

from models import Account, Esim, EsimStatus, Mail, Order, Package, Plan, db
from services import links
from services.mail import outbox
from services.mail.messages import ReminderReason, esim_key, reminder_kind, renewal_reminder
from services.mail.outbox import Draft
from services.shop import Shop
from services.usage_rules import LOW_SHARE, SHORT_TIME, is_low, is_short, renewability

INSTALL_WITHIN = timedelta(days=14)
BATCH = 200

IN_USE = (EsimStatus.INSTALLED, EsimStatus.ACTIVE)


def send_reminders(shop: Shop) -> int:
    """Queue every reminder that is due and was not sent for its package; return how many.

    Safe to run as often as one likes. Asks a fixed number of statements for each 200 eSIMs. Opens its own
    transactions, so call it outside of one.
    """
    now = shop.clock.now()
    queued = last_id = 0
    while rows := _candidates(now, last_id):
        last_id = rows[-1].Esim.id
        drafts = _drafts(shop, rows, now)
        if drafts:
            with shop.transaction():
                queued += len(outbox.queue_all(shop, drafts))
    return queued


def due_reason(esim: Esim, now: datetime) -> ReminderReason | None:
    """Return what its owner should be reminded of now; None for an eSIM that is well, or past helping."""
    if esim.expires_at is not None and esim.expires_at <= now:
        return None
    if esim.status is EsimStatus.NEW:
        waits = esim.install_by is not None and now < esim.install_by <= now + INSTALL_WITHIN
        return ReminderReason.INSTALL_SOON if waits else None
    if esim.status is EsimStatus.DEPLETED:
        return ReminderReason.USED_UP
    if esim.status not in IN_USE:
        return None
    # The end comes first: its mail says how much data is left too, the other one would come on top.
    if is_short(esim.expires_at, now):
        return ReminderReason.ENDS_SOON
    return ReminderReason.LOW_DATA if is_low(esim.total_bytes, esim.used_bytes) else None


def _candidates(now: datetime, after_id: int) -> list[Row[Any]]:
    """Return eSIMs with their newest package, in batches; wider than `due_reason`, never narrower."""
    packages = (
        select(Package.esim_id, func.min(Package.order_id).label("first_order"), func.max(Package.id).label("newest"))
        .group_by(Package.esim_id)
        .subquery()
    )
    return list(
        db.session.execute(
            select(Esim, Account, Order, Plan.supplier_topup_code, packages.c.newest.label("package_id"))
            .join(packages, packages.c.esim_id == Esim.id)
            .join(Order, Order.id == packages.c.first_order)
            .join(Plan, Plan.id == Esim.plan_id)
            .join(Account, Account.id == Esim.account_id)
            .where(Esim.id > after_id, _may_be_due(now))
            .order_by(Esim.id)
            .limit(BATCH)
        )
    )


def _may_be_due(now: datetime) -> ColumnElement[bool]:
    return and_(
        or_(Esim.expires_at.is_(None), Esim.expires_at > now),
        or_(
            Esim.status == EsimStatus.DEPLETED,
            and_(Esim.status == EsimStatus.NEW, Esim.install_by > now, Esim.install_by <= now + INSTALL_WITHIN),
            and_(
                Esim.status.in_(IN_USE),
                or_(
                    Esim.expires_at <= now + SHORT_TIME,
                    Esim.total_bytes - Esim.used_bytes <= Esim.total_bytes * LOW_SHARE,
                ),
            ),
        ),
    )


def _drafts(shop: Shop, rows: list[Row[Any]], now: datetime) -> list[Draft]:
    wanted = {}
    for row in rows:
        reason = due_reason(row.Esim, now)
        if reason is not None:
            wanted[esim_key(row.Esim.id), reminder_kind(reason, row.package_id)] = (row, reason)
    # Only to spare the writing of mails that exist; that none comes twice is up to the outbox.
    there = db.session.execute(
        select(Mail.subject_key, Mail.kind).where(tuple_(Mail.subject_key, Mail.kind).in_(list(wanted)))
    )
    for subject_key, kind in there:
        del wanted[subject_key, kind]
    return [_draft(shop, row, reason, now) for row, reason in wanted.values()]


def _draft(shop: Shop, row: Row[Any], reason: ReminderReason, now: datetime) -> Draft:
    esim, account = row.Esim, row.Account
    renewable = renewability(esim, row.supplier_topup_code, now).possible
    if reason is ReminderReason.INSTALL_SOON:
        # The page of the order that bought it opens without signing in and holds the install link.
        url = links.order_url(shop, row.Order)
    elif renewable:
        url = links.renewal_url(shop, account.language, esim.public_id)
    else:
        url = links.plans_url(shop, account.language)
    return renewal_reminder(
        shop,
        esim,
        reason,
        package_id=row.package_id,
        recipient=account.email,
        language=account.language,
        url=url,
        renewable=renewable,
    )
