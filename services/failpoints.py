"""Named places between two steps of a money flow, where a test lets the process die.

A step either has committed or has not, and whoever comes next goes on from there: that is what the names are for.
In production nothing listens and a failpoint costs one comparison; there is no setting that switches one on. The
tests start the shop with a listener of their own (`listen`) and kill the process from inside.
"""

from __future__ import annotations

from collections.abc import Callable

# Where each one is: what has happened, what has not.
NAMES: dict[str, str] = {
    "start.intended": "the attempt and its key are committed; Stripe has not been asked for a session",
    "start.opened": "Stripe has opened the session; its id is not stored",
    "webhook.noted": "the event is committed as received; nothing has been done about it",
    "webhook.acted": "what the event hints at is committed; the event is not marked as processed",
    "settle.asked": "Stripe has said what the session is; nothing is recorded",
    "settle.recorded": "payment, order, fulfilment and receipt are written; nothing is committed",
    "transaction.committed": "the transaction is committed; its knocks have not been delivered",
    "fulfil.claimed": "the lease is committed; nothing has been asked",
    "fulfil.intended": "the request to the supplier is committed as being sent; it has not left",
    "fulfil.answered": "the supplier has accepted the request; its answer is not recorded",
    "fulfil.collected": "the supplier has handed out the eSIM; it is not stored",
    "fulfil.stored": "eSIM, package and mail are written; nothing is committed",
    "fulfil.read": "the supplier has said what the eSIM is now; nothing is recorded",
    "fulfil.confirmed": "the order is written as verified; nothing is committed",
    "refund.requested": "the refund and its key are written; nothing is committed",
    "refund.claimed": "the refund is claimed; Stripe has not been asked",
    "refund.answered": "Stripe has sent the money back; its answer is not recorded",
    "refund.recorded": "the refund is written as it stands at Stripe; nothing is committed",
    "mail.claimed": "the mail is claimed; the mail server has not been called",
    "mail.accepted": "the mail server has taken the mail; the mail is not marked as sent",
}

_listener: Callable[[str], None] | None = None


def listen(listener: Callable[[str], None] | None) -> None:
    """Let `listener` hear of every failpoint that this process reaches; None ends that."""
    global _listener
    _listener = listener


def failpoint(name: str) -> None:
    """Mark a place of NAMES; does nothing unless somebody listens."""
    if _listener is not None:
        _listener(name)
