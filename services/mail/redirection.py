"""Mails that are turned around because the address they went to was wrong, and what their reader is told meanwhile.

A mail that is not noted as sent is written anew in its own row, for the right address; one that was sent is written
once more, under a kind of its own. Whoever is handing the old one over just then cannot be stopped, but what comes of
it says nothing about the new one (`outbox._mark_sent`, `outbox._end_lease`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ScalarResult, delete, func, or_, select, update
from sqlalchemy.orm import Session

from models import Mail, MailStatus, db
from services.mail import outbox
from services.mail.outbox import Draft, row_values
from services.shop import Shop

UNSENT = (MailStatus.QUEUED, MailStatus.SENDING)
# A server that works takes a mail within this time; after the longer one its reader is told that it is delayed.
FRESH_FOR = timedelta(minutes=1)
LATE_AFTER = timedelta(minutes=10)


class MailState(StrEnum):
    """What has become of the mails about something at the address where they go now."""

    WELL = ""
    LEAVING = "leaving"
    DELAYED = "delayed"
    REFUSED = "refused"


def mail_state(session: Session, subject_key: str, recipient: str, now: datetime) -> MailState:
    """Return how the newest mails about a subject fare at this address, by one statement."""
    unsent_since = None
    for status, created_at in session.execute(
        select(Mail.status, Mail.created_at)
        .where(Mail.subject_key == subject_key, Mail.recipient == recipient)
        .order_by(Mail.created_at.desc(), Mail.id.desc())
    ):
        if status is MailStatus.FAILED:
            return MailState.REFUSED
        if status is MailStatus.SENT:
            # The address works, whatever it was before.
            break
        unsent_since = created_at
    if unsent_since is None:
        return MailState.WELL
    if now >= unsent_since + LATE_AFTER:
        return MailState.DELAYED
    return MailState.LEAVING if now < unsent_since + FRESH_FOR else MailState.WELL


def write_again(shop: Shop, draft: Draft, turn: int) -> int | None:
    """Let a mail go to the reader of `draft`, who may not have got it; in the current transaction.

    Takes the place of the newest mail of its kind, unless that was sent: then it is one more, `<kind>-again-<turn>`.
    """
    session = db.session()
    again = f"{draft.kind}-again-"
    newest = session.scalar(
        select(func.max(Mail.id)).where(
            Mail.subject_key == draft.subject_key, or_(Mail.kind == draft.kind, Mail.kind.startswith(again))
        )
    )
    values = row_values(draft, shop.clock.now())
    del values["kind"]
    turned = _turn(
        shop, update(Mail).where(Mail.id == newest, Mail.status != MailStatus.SENT).values(**values, lease_until=None)
    )
    if turned:
        return turned[0]
    return outbox.put(shop, draft if newest is None else replace(draft, kind=f"{again}{turn}"))


def redirect_waiting(shop: Shop, subject_key: str, recipient: str, *, old_link: str, new_link: str) -> None:
    """Let what still waits to be sent about a subject go to `recipient`, with another link in it."""
    _turn(
        shop,
        update(Mail)
        .where(Mail.subject_key == subject_key, Mail.status.in_(UNSENT), Mail.recipient != recipient)
        .values(
            recipient=recipient,
            text_body=func.replace(Mail.text_body, old_link, new_link),
            html_body=func.replace(Mail.html_body, old_link, new_link),
            **_due_now(shop),
        ),
    )


def retry_refused(shop: Shop, subject_key: str, recipient: str) -> int:
    """Send once more what was refused about a subject at this address; return how many mails that is."""
    return len(
        _turn(
            shop,
            update(Mail)
            .where(Mail.subject_key == subject_key, Mail.status == MailStatus.FAILED, Mail.recipient == recipient)
            .values(**_due_now(shop)),
        )
    )


def withdraw(session: Session, subject_key: str, recipient: str) -> None:
    """Take back what was written about a subject to this address and was not sent; what is due is written anew."""
    session.execute(
        delete(Mail)
        .where(Mail.subject_key == subject_key, Mail.recipient == recipient, Mail.status != MailStatus.SENT)
        .execution_options(synchronize_session=False)
    )


def _due_now(shop: Shop) -> dict[str, Any]:
    now = shop.clock.now()
    return {
        "status": MailStatus.QUEUED,
        "tries": 0,
        "lease_until": None,
        "next_try_at": now,
        "created_at": now,
        "error": "",
    }


def _turn(shop: Shop, statement: Any) -> list[int]:
    turned: ScalarResult[int] = db.session().scalars(
        statement.returning(Mail.id).execution_options(synchronize_session=False)
    )
    ids = sorted(turned)
    for mail_id in ids:
        shop.knock("send_mail", mail_id)
    return ids
