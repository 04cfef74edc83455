"""Disputes: buyers who ask their bank for the money back."""

from __future__ import annotations

from typing import Literal

from sandbox.store import Document
from sandbox.stripe import listing, payment_methods
from sandbox.stripe.account import Account
from sandbox.stripe.errors import conflict_with_state
from sandbox.stripe.forms import Parameters, text

Outcome = Literal["won", "lost", "warning_closed"]
_CLOSED = ("won", "lost", "warning_closed", "prevented")
_RESPONSE_SECONDS = 9 * 86_400
_EVIDENCE_KEYS = ("customer_email_address", "customer_name", "product_description", "uncategorized_text")


def open_dispute(account: Account, charge_id: str, *, reason: str = "fraudulent", inquiry: bool = False) -> Document:
    """Open a dispute over what is left of a charge, or an inquiry that takes no money yet.

    Raises ApiError 400 when the charge was never paid or is disputed already.
    """
    charge = account.find("ch", charge_id, "charge")
    if charge["status"] != "succeeded" or charge["disputed"]:
        raise conflict_with_state(f"Charge {charge_id} cannot be disputed.", "charge")
    dispute = account.new(
        "dp",
        "dispute",
        amount=charge["amount"] - charge["amount_refunded"],
        balance_transactions=[],
        charge=charge_id,
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        evidence=dict.fromkeys(_EVIDENCE_KEYS),
        evidence_details={
            "due_by": account.now() + _RESPONSE_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        is_charge_refundable=inquiry,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason=reason,
        status="warning_needs_response" if inquiry else "needs_response",
    )
    charge["disputed"] = True
    account.save(charge)
    account.save(dispute)
    account.emit("charge.dispute.created", dispute)
    if not inquiry:
        account.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def end(account: Account, identity: str, outcome: Outcome) -> Document:
    """Close a dispute; raises ApiError 400 when it is closed already."""
    dispute = account.find("dp", identity, "dispute")
    if dispute["status"] in _CLOSED:
        raise conflict_with_state("This dispute is already closed.", code="dispute_already_closed")
    withdrawn = not dispute["status"].startswith("warning_")
    # A won dispute puts the charge back to where it was, so that it may be refunded again.
    dispute.update(status=outcome, is_charge_refundable=outcome != "lost")
    account.save(dispute)
    account.emit("charge.dispute.closed", dispute)
    if outcome == "won" and withdrawn:
        account.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def close(account: Account, identity: str) -> Document:
    """Accept a dispute as lost, as the merchant may."""
    return end(account, identity, "lost")


def update(account: Account, identity: str, parameters: Parameters) -> Document:
    """Add evidence or metadata to a dispute; with `submit` the bank begins to look at it."""
    dispute = account.find("dp", identity, "dispute")
    if dispute["status"] in _CLOSED:
        raise conflict_with_state("This dispute is already closed.", code="dispute_already_closed")
    evidence = parameters.get("evidence")
    if isinstance(evidence, dict):
        dispute["evidence"].update(evidence)
        dispute["evidence_details"]["has_evidence"] = True
        if parameters.get("submit") != "false":
            dispute["evidence_details"]["submission_count"] += 1
            warning = dispute["status"].startswith("warning_")
            dispute["status"] = "warning_under_review" if warning else "under_review"
    dispute["metadata"] = payment_methods.changed_metadata(dispute["metadata"], parameters)
    account.save(dispute)
    account.emit("charge.dispute.updated", dispute)
    return dispute


def listed(account: Account, parameters: Parameters) -> Document:
    """Return disputes, newest first, of one charge or payment when asked for."""
    charge, intent = text(parameters, "charge"), text(parameters, "payment_intent")
    found = [
        dispute
        for dispute in account.of("dp")
        if charge in (None, dispute["charge"]) and intent in (None, dispute["payment_intent"])
    ]
    return listing.page(account, found, parameters, "/v1/disputes")
