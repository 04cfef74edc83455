"""Putting our books beside Stripe's and the supplier's, in both directions.

Whatever a lost webhook, a crash or a restored backup left open is looked up and finished; what cannot be finished by
rule becomes a finding for a person. A second run changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from services.reconcile.esims import check_esims
from services.reconcile.refunds import check_disputes, check_refunds
from services.reconcile.report import Report
from services.reconcile.sessions import check_attempts, check_sessions
from services.shop import Shop

__all__ = ["Report", "reconcile"]

# Webhooks are retried for three days (docs.stripe.com/webhooks); what happened within them is looked at again.
WINDOW = timedelta(days=3)
# Banks return refunds weeks later, and disputes take as long (docs.stripe.com/refunds, /disputes).
DEEP_WINDOW, DEEP_REFUND_WINDOW = timedelta(days=8), timedelta(days=45)


def reconcile(shop: Shop, *, deep: bool = False) -> Report:
    """Bring open attempts, recent sessions, refunds, disputes and eSIMs in step; a second run changes nothing.

    Looks three days back; `deep` looks eight days back, 45 for refunds and disputes. Opens its own transactions, and
    may run any number of times at once.
    """
    report = Report()
    now = shop.clock.now()
    since = now - (DEEP_WINDOW if deep else WINDOW)
    check_attempts(shop, report)
    check_sessions(shop, report, since)
    money_since = now - (DEEP_REFUND_WINDOW if deep else WINDOW)
    check_refunds(shop, report, money_since)
    check_disputes(shop, report, money_since)
    check_esims(shop, report, since)
    return report
