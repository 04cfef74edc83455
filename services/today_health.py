"""Whether mail leaves and Stripe's webhooks arrive, as far as the books tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import Mail, MailStatus, StripeEvent

# An event is dealt with at once; what is not by then has failed, and waits for Stripe to send it again.
AT_ONCE = timedelta(minutes=2)
# Of a mail that waits the next try stands on the books: a range, by which both databases use its index.
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Health:
    """Mails that have not left, since when the oldest waits, the last event of Stripe, and those without an end.

    Moments are UTC, None where there is none.
    """

    mails_waiting: int
    oldest_mail: datetime | None
    last_event: datetime | None
    events_failed: int


def read_health(session: Session, now: datetime) -> Health:
    """Return how mail and webhooks stand; one statement."""
    waiting = (Mail.next_try_at > LONG_AGO, Mail.status.in_((MailStatus.QUEUED, MailStatus.SENDING)))
    failed = (StripeEvent.processed_at.is_(None), StripeEvent.received_at < now - AT_ONCE)
    mails, oldest, last, events = session.execute(
        select(
            select(func.count(Mail.id)).where(*waiting).scalar_subquery(),
            select(func.min(Mail.created_at)).where(*waiting).scalar_subquery(),
            select(func.max(StripeEvent.received_at)).scalar_subquery(),
            select(func.count(StripeEvent.id)).where(*failed).scalar_subquery(),
        )
    ).one()
    return Health(mails_waiting=mails, oldest_mail=oldest, last_event=last, events_failed=events)
