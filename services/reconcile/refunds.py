"""Refunds and disputes at Stripe, whoever made them, and whatever became of them since."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from models import Dispute, Refund, db
from services.payments.disputes import apply_dispute
from services.payments.refund_books import STATUSES, mirror_refunds
from services.reconcile.report import Report
from services.shop import Shop


def check_refunds(shop: Shop, report: Report, since: datetime) -> None:
    """Bring every refund made at Stripe since then onto our books, with what became of it."""
    # A row is at most as old as the refund at Stripe, give or take the clocks.
    recent = select(Refund.reference, Refund.status).where(Refund.created_at >= since - timedelta(days=1))
    known = dict(db.session.execute(recent).all())
    db.session.commit()
    with report.looking_at("the refunds at Stripe"):
        for state in shop.gateway.list_refunds(since):
            if known.get(state.reference) is STATUSES.get(state.status):
                continue
            with report.looking_at(f"refund {state.reference}"):
                with shop.transaction():
                    news = mirror_refunds(shop, [state])
                if news:
                    report.count("refund")


def check_disputes(shop: Shop, report: Report, since: datetime) -> None:
    """Bring every dispute opened at Stripe since then onto our books, and look at those that are still open here."""
    known = dict(db.session.execute(select(Dispute.reference, Dispute.status)).all())
    still_open = set(db.session.scalars(select(Dispute.reference).where(Dispute.closed_at.is_(None))))
    db.session.commit()
    with report.looking_at("the disputes at Stripe"):
        for state in shop.gateway.list_disputes(since):
            still_open.discard(state.reference)
            if known.get(state.reference) == state.status:
                continue
            with report.looking_at(f"dispute {state.reference}"):
                with shop.transaction():
                    ours = apply_dispute(shop, state)
                if ours:
                    report.count("dispute")
    for reference in sorted(still_open):
        with report.looking_at(f"dispute {reference}"):
            dispute = shop.gateway.get_dispute(reference)
            with shop.transaction():
                apply_dispute(shop, dispute)
