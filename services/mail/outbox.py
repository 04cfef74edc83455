"""The outbox: a mail is a row before it is sent, so that it leaves exactly when its transaction commits.

A mail leaves at least once. When the worker dies after the server has taken a mail and before the row says so, the
lease ends and the mail is sent again, with the same Message-ID and Date, by which mailboxes recognise it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, and_, or_, select, update

from models import Mail, MailStatus, db
from services.database import inserting
from services.database_faults import run_again
from services.failpoints import failpoint
from services.mail.composition import compose
from services.mail.transport import MailDelayed, MailRefused, MailServerAway
from services.shop import Shop

log = logging.getLogger(__name__)

# How long one worker may take over a mail before another one may: longer than the slowest server (transport.LONGEST).
LEASE = timedelta(minutes=5)
# Pauses after the first tries; the last one repeats.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 30, 60))
# A server that is down wears nobody out by being called, and travellers wait for it to come back.
PAUSES_WHILE_AWAY = PAUSES[:3]
# A full mailbox or a server that is down is usually mended within a day; two days of tries cover a weekend.
GIVE_UP_AFTER = timedelta(hours=48)
# How many rows one sweep takes, and how many rows one INSERT holds.
BATCH = 200
SUBJECT_LENGTH = 200


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG picture of a mail: shown in the HTML part as `cid:<id>` and attached as a file called `name`."""

    id: str
    name: str
    base64: str

    def to_json(self) -> dict[str, str]:
        """Return the picture as the row keeps it."""
        return {"id": self.id, "name": self.name, "type": "image/png", "base64": self.base64}


@dataclass(frozen=True, kw_only=True, repr=False)
class Draft:
    """A mail that is written and not yet in the outbox; has no repr because its bodies may hold secrets."""

    kind: str
    subject_key: str
    recipient: str
    language: str
    subject: str
    text: str
    html: str
    pictures: tuple[Picture, ...] = ()


def queue(
    shop: Shop,
    *,
    kind: str,
    subject_key: str,
    recipient: str,
    language: str,
    subject: str,
    text: str,
    html: str,
    pictures: Sequence[Picture] = (),
) -> int | None:
    """Put a mail into the outbox of the current transaction; return its id, None when there was one already.

    `subject_key` names what the mail is about (`order:7`) and with `kind` makes it the only one of its sort.
    """
    draft = Draft(
        kind=kind,
        subject_key=subject_key,
        recipient=recipient,
        language=language,
        subject=subject,
        text=text,
        html=html,
        pictures=tuple(pictures),
    )
    return put(shop, draft)


def put(shop: Shop, draft: Draft) -> int | None:
    """Put a draft into the outbox of the current transaction; return its id, None when there was one already."""
    added = queue_all(shop, [draft])
    return added[0] if added else None


def queue_all(shop: Shop, drafts: Sequence[Draft]) -> list[int]:
    """Put mails into the outbox of the current transaction with one statement; return the ids of the new ones."""
    if not drafts:
        return []
    session = db.session()
    now = shop.clock.now()
    added = list(
        session.scalars(
            inserting(session, Mail)
            .values([row_values(draft, now) for draft in drafts])
            .on_conflict_do_nothing(index_elements=["subject_key", "kind"])
            .returning(Mail.id)
        )
    )
    for mail_id in added:
        shop.knock("send_mail", mail_id)
    return added


def row_values(draft: Draft, now: datetime) -> dict[str, Any]:
    """Return the columns of a mail that is to be sent now and was not tried yet."""
    return {
        "kind": draft.kind,
        "subject_key": draft.subject_key,
        "recipient": draft.recipient,
        "language": draft.language,
        "subject": draft.subject[:SUBJECT_LENGTH],
        "text_body": draft.text,
        "html_body": draft.html,
        "pictures": [picture.to_json() for picture in draft.pictures],
        "status": MailStatus.QUEUED,
        "tries": 0,
        "next_try_at": now,
        "created_at": now,
        "error": "",
    }


def send(shop: Shop, mail_id: int) -> bool:
    """Send a mail if it is due and nobody else is at it; return whether it left.

    Afterwards the row is sent and its bodies are empty, or it waits for its next try, or it has failed for good.
    """
    mail = _claim(shop, mail_id)
    if mail is None:
        return False
    failpoint("mail.claimed")
    try:
        shop.transport.send(compose(shop.settings, mail))
    except MailRefused as refusal:
        _fail(shop, mail, str(refusal))
        return False
    except MailDelayed as delay:
        _postpone(shop, mail, str(delay), PAUSES_WHILE_AWAY if isinstance(delay, MailServerAway) else PAUSES)
        return False
    except Exception as error:
        # The pause keeps a mail that cannot be built from coming back with every sweep.
        _postpone(shop, mail, type(error).__name__)
        raise
    failpoint("mail.accepted")
    log.info("mail %s (%s) sent at try %s", mail.id, mail.kind, mail.tries)
    _mark_sent(shop, mail)
    return True


def due(shop: Shop) -> list[int]:
    """Return the mails to send now: those whose knock was lost, whose pause is over or whose sender died."""
    now = shop.clock.now()
    return list(db.session.scalars(select(Mail.id).where(_is_due(now)).order_by(Mail.id).limit(BATCH)))


def _is_due(now: datetime) -> Any:
    return or_(
        and_(Mail.status == MailStatus.QUEUED, Mail.next_try_at <= now),
        and_(Mail.status == MailStatus.SENDING, Mail.lease_until <= now),
    )


def _claim(shop: Shop, mail_id: int) -> Mail | None:
    now = shop.clock.now()
    with shop.transaction() as session:
        result = session.execute(
            update(Mail)
            .where(Mail.id == mail_id, _is_due(now))
            .values(status=MailStatus.SENDING, lease_until=now + LEASE, tries=Mail.tries + 1)
            .execution_options(synchronize_session=False)
        )
        if cast("CursorResult[Any]", result).rowcount != 1:
            return None
        mail = session.get_one(Mail, mail_id, populate_existing=True)
        # It stays what was claimed, whatever the row becomes while it is handed over.
        session.expunge(mail)
        return mail


def _mark_sent(shop: Shop, mail: Mail) -> None:
    # Whoever holds the lease by now: the mail is out, and nobody may send it again. A mail that was written anew for
    # another address meanwhile is another one.
    same = (Mail.id == mail.id, Mail.recipient == mail.recipient, Mail.created_at == mail.created_at)
    values = {
        "status": MailStatus.SENT,
        "sent_at": shop.clock.now(),
        "text_body": "",
        "html_body": "",
        "pictures": [],
        "lease_until": None,
        "next_try_at": None,
        "error": "",
    }

    def note() -> None:
        with shop.transaction() as session:
            session.execute(update(Mail).where(*same).values(**values).execution_options(synchronize_session=False))

    # A deadlock here must not send the mail a second time.
    run_again(note)


def _postpone(shop: Shop, mail: Mail, reason: str, pauses: Sequence[timedelta] = PAUSES) -> None:
    now = shop.clock.now()
    if now - mail.created_at >= GIVE_UP_AFTER:
        _fail(shop, mail, reason)
        return
    pause = pauses[min(mail.tries, len(pauses)) - 1]
    log.warning("mail %s (%s) delayed at try %s: %s", mail.id, mail.kind, mail.tries, reason)
    _end_lease(shop, mail, status=MailStatus.QUEUED, next_try_at=now + pause, error=reason)


def _fail(shop: Shop, mail: Mail, reason: str) -> None:
    log.error("mail %s (%s) failed at try %s: %s", mail.id, mail.kind, mail.tries, reason)
    _end_lease(shop, mail, status=MailStatus.FAILED, next_try_at=None, error=reason)


def _end_lease(shop: Shop, mail: Mail, *, status: MailStatus, next_try_at: datetime | None, error: str) -> None:
    # Only while the lease is ours: somebody who took the mail over decides about it.
    with shop.transaction() as session:
        session.execute(
            update(Mail)
            .where(Mail.id == mail.id, Mail.status == MailStatus.SENDING, Mail.lease_until == mail.lease_until)
            .values(status=status, next_try_at=next_try_at, lease_until=None, error=error[:200])
            .execution_options(synchronize_session=False)
        )
