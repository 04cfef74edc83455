"""Putting our books beside Stripe's: whatever a lost webhook or a crash left open is looked up and finished."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import or_, select

from models import Attempt, AttemptStatus, db
from services.order_states import LIVE_ATTEMPTS
from services.payments import PaymentError, SessionState
from services.payments.attempts import resume_attempt
from services.payments.settlement import Outcome, apply_session, settle
from services.shop import Shop

log = logging.getLogger(__name__)

# A buyer who is paying right now is left alone for this long.
QUIET = timedelta(minutes=2)
# Webhooks are retried for three days (docs.stripe.com/webhooks); what happened within them is looked at again.
WINDOW = timedelta(days=3)
BATCH = 200


@dataclass
class Report:
    """What reconciling found and did."""

    outcomes: dict[str, int] = field(default_factory=dict)
    unknown_sessions: list[str] = field(default_factory=list)
    errors: int = 0

    def count(self, outcome: Outcome) -> None:
        """Add one to an outcome."""
        self.outcomes[outcome.value] = self.outcomes.get(outcome.value, 0) + 1


def reconcile(shop: Shop) -> Report:
    """Bring every open attempt and every recent session at Stripe up to date; a second run changes nothing."""
    report = Report()
    _check_attempts(shop, report)
    _check_sessions(shop, report)
    return report


def _check_attempts(shop: Shop, report: Report) -> None:
    before = shop.clock.now() - QUIET
    rows = db.session.execute(
        select(Attempt.id, Attempt.session_id)
        .where(
            Attempt.status.in_(LIVE_ATTEMPTS),
            Attempt.created_at < before,
            or_(Attempt.checked_at.is_(None), Attempt.checked_at < before),
        )
        .order_by(Attempt.checked_at.nulls_first(), Attempt.id)
        .limit(BATCH)
    ).all()
    db.session.commit()
    for attempt_id, session_id in rows:
        try:
            if session_id is None:
                resume_attempt(shop, attempt_id)
            else:
                report.count(settle(shop, session_id))
        except PaymentError as error:
            log.warning("attempt %s: %s", attempt_id, error)
            report.errors += 1
        except Exception:
            # One row that cannot be dealt with must not keep all others from being looked up.
            log.exception("attempt %s could not be reconciled", attempt_id)
            report.errors += 1


def _check_sessions(shop: Shop, report: Report) -> None:
    """Look at what Stripe has, so that money which no row of ours expects is found as well."""
    since = shop.clock.now() - WINDOW
    known = dict(
        db.session.execute(select(Attempt.session_id, Attempt.status).where(Attempt.created_at >= since)).all()
    )
    db.session.commit()
    try:
        for state in shop.gateway.list_sessions(since):
            status = known.get(state.session_id)
            if state.attempt_reference is None or status is AttemptStatus.SUCCEEDED:
                continue
            if status in (AttemptStatus.EXPIRED, AttemptStatus.SUPERSEDED) and state.status != "complete":
                continue
            _apply(shop, state, report)
    except PaymentError as error:
        log.warning("sessions at Stripe could not be listed: %s", error)
        report.errors += 1
    if report.unknown_sessions:
        log.error("sessions at Stripe without a row here: %s", ", ".join(report.unknown_sessions))


def _apply(shop: Shop, state: SessionState, report: Report) -> None:
    try:
        with shop.transaction():
            outcome = apply_session(shop, state)
    except Exception:
        log.exception("session %s could not be reconciled", state.session_id)
        report.errors += 1
        return
    report.count(outcome)
    if outcome is Outcome.UNKNOWN:
        report.unknown_sessions.append(state.session_id)
