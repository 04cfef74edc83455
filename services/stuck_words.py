"""What staff reads about everything that waits for a person: the reason, and what to do next. English only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models import FindingKind


@dataclass(frozen=True)
class Words:
    """What has happened, and what to do next."""

    reason: str
    advice: str


# Why orders are held or late, as `Fulfilment.reason` names it.
ORDERS: Mapping[str, Words] = {
    # Late before it was held, and put back to work since.
    "": Words(
        "It was put back to work and has not been delivered yet; the shop goes on trying.",
        "Have the shop look again, or ask the supplier by the order's number; refund it if the traveller cannot wait.",
    ),
    "price_changed": Words(
        "The supplier asks another price than the one we know; nothing was bought.",
        "Run sync-catalogue, set the shop's price, then retry the order; or refund it. After a day it is refunded.",
    ),
    "outcome_unknown": Words(
        "Nobody knows whether the supplier has carried it out: no answer came, and it shows no trace.",
        "Look for the order's number in the supplier's portal. Carried out or not: retry the order, it is looked up "
        "again before anything is sent. Refund it only when the portal does not have it.",
    ),
    "refunded": Words(
        "The money was returned while nobody knew whether the supplier had carried the order out.",
        "Look for the order's number in the supplier's portal, and cancel there what exists; then mark this as done.",
    ),
    "not_ordered": Words(
        "The supplier has not taken the order for an hour; the shop goes on trying.",
        "Check the balance and the state of the supplier. Without a delivery the order is refunded after a day.",
    ),
    "not_allocated": Words(
        "The supplier took the order and has not handed out the eSIM for an hour; the shop goes on asking.",
        "Ask the supplier, by the order's number. Without a delivery the order is refunded after a day.",
    ),
    "not_verified": Words(
        "The supplier accepted it, and its own figures do not show what was paid for.",
        "Compare with the supplier's portal. A renewal without any trace is refunded after a day; otherwise have the "
        "supplier add what is missing and retry the order, or refund the buyer in part.",
    ),
    "disputed": Words(
        "The buyer's bank was asked for the money, so nothing is delivered until it has decided.",
        "Answer the dispute in Stripe's Dashboard. The order goes on by itself when you win.",
    ),
}
FINDINGS: Mapping[FindingKind, Words] = {
    FindingKind.WRONG_AMOUNT: Words(
        "Another amount was paid than the order costs. The money is on the books and the order is not delivered.",
        "Write to the buyer, refund the payment in Stripe's Dashboard, then mark this as done.",
    ),
    FindingKind.REFUND_FAILED: Words(
        "A refund did not reach the buyer.",
        "Refund the order again; if that fails too, ask the buyer for another way and mark this as done.",
    ),
    FindingKind.SESSION_UNKNOWN: Words(
        "Somebody has paid at Stripe, and the order cannot be made again from what Stripe knows.",
        "Open the session in Stripe's Dashboard, refund the payment there and write to the buyer.",
    ),
    FindingKind.PAYMENT_UNKNOWN: Words(
        "Our books have a payment that Stripe does not list.",
        "Look for the session in Stripe's Dashboard. If it is not there, do not refund; ask Stripe.",
    ),
    FindingKind.SUPPLIER_ORDER_UNKNOWN: Words(
        "The supplier has an eSIM under a number of ours, and no order of ours leads to it.",
        "If nobody has paid for it, cancel the eSIM in the supplier's portal.",
    ),
    FindingKind.SUPPLIER_ORDER_MISSING: Words(
        "We have delivered an eSIM that the supplier does not list any more.",
        "Ask the supplier by the eSIM's number before the traveller does.",
    ),
    FindingKind.ESIM_REFUNDED: Words(
        "There is an eSIM for an order whose money is back, and the shop could not or would not give it back.",
        "Revoke the eSIM in the supplier's portal unless the traveller is to keep it; then mark this as done.",
    ),
    FindingKind.TOPUP_UNKNOWN: Words(
        "The supplier shows more packages on this eSIM than we have sold for it.",
        "If you added one by hand, mark this as done; otherwise compare the orders of this eSIM with the portal.",
    ),
}


def order_words(reason: str) -> Words:
    """Return the words for why an order is held or late."""
    return ORDERS.get(reason) or Words(reason, "Retry it, or refund it.")
