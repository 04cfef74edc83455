"""Reminders: little data left, an end that is near, an eSIM that waits to be installed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, tuple_

from models import Account, Esim, EsimStatus, Mail, Order, Package, db
from services import links
from services.mail import outbox
from services.mail.messages import ReminderReason, esim_key, reminder_kind, renewal_reminder
from services.mail.outbox import Draft
from services.shop import Shop

LOW_SHARE = 0.2
ENDS_WITHIN = timedelta(days=2)
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
        return ReminderReason.INSTALL_SOON if _within(esim.install_by, INSTALL_WITHIN, now) else None
    if esim.status is EsimStatus.DEPLETED:
        return ReminderReason.USED_UP
    if esim.status not in IN_USE:
        return None
    # The end comes first: its mail says how much data is left too, the other one would come on top.
    if _within(esim.expires_at, ENDS_WITHIN, now):
        return ReminderReason.ENDS_SOON
    if esim.total_bytes and esim.used_bytes is not None:
        left = max(esim.total_bytes - esim.used_bytes, 0)
        if left <= esim.total_bytes * LOW_SHARE:
            return ReminderReason.LOW_DATA
    return None


def _within(moment: datetime | None, span: timedelta, now: datetime) -> bool:
    return moment is not None and now < moment <= now + span


def _candidates(now: datetime, after_id: int) -> list[Row[Any]]:
    """Return eSIMs with their newest package, in batches; wider than `due_reason`, never narrower."""
    newest = select(func.max(Package.id).label("id")).group_by(Package.esim_id).subquery()
    return list(
        db.session.execute(
            select(Esim, Account, Order, Package.id.label("package_id"))
            .join(Package, Package.esim_id == Esim.id)
            .join(newest, newest.c.id == Package.id)
            .join(Order, Order.id == Package.order_id)
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
                    Esim.expires_at <= now + ENDS_WITHIN,
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
        select(Mail.subject_key, Mail.kind).where(tuple_(Mail.subject_key, Mail.kind).in_(wanted))
    )
    for subject_key, kind in there:
        del wanted[subject_key, kind]
    return [_draft(shop, row, reason) for row, reason in wanted.values()]


def _draft(shop: Shop, row: Row[Any], reason: ReminderReason) -> Draft:
    esim, account, order = row.Esim, row.Account, row.Order
    if reason is ReminderReason.INSTALL_SOON:
        # The order page opens without signing in and holds the install link.
        url = links.order_url(shop, order)
    else:
        url = links.renewal_url(shop, account.language, esim.public_id)
    return renewal_reminder(
        shop,
        esim,
        reason,
        package_id=row.package_id,
        recipient=account.email,
        language=account.language,
        url=url,
    )
