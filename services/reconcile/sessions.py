"""Attempts to pay and sessions at Stripe: whatever was paid becomes a payment here, whoever lost the news of it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy import or_, select

from models import Attempt, AttemptStatus, FindingKind, db
from services import findings
from services.languages import DEFAULT_LANGUAGE
from services.money import format_money
from services.order_states import LIVE_ATTEMPTS
from services.payments import SessionState
from services.payments.attempts import resume_attempt
from services.payments.lost_orders import NotRecoverable, in_order, is_lost, recover
from services.payments.settlement import PAID, Outcome, apply_session, settle
from services.reconcile.report import Report
from services.shop import Shop

log = logging.getLogger(__name__)

# A buyer who is paying right now is left alone for this long.
QUIET = timedelta(minutes=2)
BATCH = 200


def check_attempts(shop: Shop, report: Report) -> None:
    """Look at Stripe for every attempt that is open here."""
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
        with report.looking_at(f"attempt {attempt_id}"):
            if session_id is None:
                resume_attempt(shop, attempt_id)
            else:
                report.count(settle(shop, session_id))


def check_sessions(shop: Shop, report: Report, since: datetime) -> None:
    """Look at what Stripe has, so that money which no row of ours expects is found as well, and the other way round."""
    known = dict(
        db.session.execute(select(Attempt.session_id, Attempt.status).where(Attempt.created_at >= since)).all()
    )
    db.session.commit()
    seen: set[str] = set()
    lost: list[SessionState] = []
    # A session is as old as its attempt, give or take the time that the call took.
    complete = False
    with report.looking_at("the sessions at Stripe"):
        for state in shop.gateway.list_sessions(since - QUIET):
            seen.add(state.session_id)
            if state.attempt_reference is not None and _is_news(state, known.get(state.session_id)):
                _apply(shop, state, report, lost)
        complete = True
    for state in in_order(lost):
        with report.looking_at(f"session {state.session_id}"):
            _recover(shop, state, report)
    if report.unknown_sessions:
        log.error("sessions at Stripe without a row here: %s", ", ".join(report.unknown_sessions))
    if complete:
        _report_missing(shop, report, since, seen)


def _is_news(state: SessionState, status: AttemptStatus | None) -> bool:
    if status is AttemptStatus.SUCCEEDED:
        return False
    return status not in (AttemptStatus.EXPIRED, AttemptStatus.SUPERSEDED) or state.status == "complete"


def _apply(shop: Shop, state: SessionState, report: Report, lost: list[SessionState]) -> None:
    """Record what a session says; one that leads to no row is put among the lost ones or reported, or left alone."""
    with report.looking_at(f"session {state.session_id}"):
        with shop.transaction():
            outcome = apply_session(shop, state)
        if outcome is not Outcome.UNKNOWN:
            report.count(outcome)
        elif is_lost(shop, state):
            lost.append(state)
        elif "shop" not in state.details:
            _report_unknown(shop, state, report)


def _recover(shop: Shop, state: SessionState, report: Report) -> None:
    """Make a lost order again, or put it before a person when it cannot be."""
    try:
        outcome = recover(shop, state)
    except NotRecoverable as error:
        log.error("session %s was paid, and its order cannot be made again: %s", state.session_id, error)
        _report_unknown(shop, state, report)
        return
    report.count("recovered")
    report.count(outcome)
    with shop.transaction() as session:
        findings.clear_one(session, FindingKind.SESSION_UNKNOWN, state.session_id, shop.clock.now())


def _report_unknown(shop: Shop, state: SessionState, report: Report) -> None:
    """Put money that no order of ours expects before a person; a session that nobody paid on is only logged."""
    report.count(Outcome.UNKNOWN)
    report.unknown_sessions.append(state.session_id)
    if state.status != "complete" or state.payment_status not in PAID:
        return
    details = f"{format_money(state.amount_minor, state.currency, DEFAULT_LANGUAGE)} {state.attempt_reference}"
    with shop.transaction() as session:
        findings.notice(session, FindingKind.SESSION_UNKNOWN, state.session_id, shop.clock.now(), details=details)


def _report_missing(shop: Shop, report: Report, since: datetime, seen: set[str]) -> None:
    """Put payments before a person that our books have and Stripe does not."""
    before = shop.clock.now() - QUIET
    rows = db.session.execute(
        select(Attempt.session_id, Attempt.order_id).where(
            Attempt.status == AttemptStatus.SUCCEEDED, Attempt.created_at >= since, Attempt.created_at < before
        )
    ).all()
    db.session.commit()
    for session_id, order_id in rows:
        if session_id in seen:
            continue
        report.count("missing_at_stripe")
        with shop.transaction() as session:
            findings.notice(session, FindingKind.PAYMENT_UNKNOWN, session_id or "", shop.clock.now(), order_id=order_id)
