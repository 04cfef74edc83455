"""Refunds: in full or in part, at once or later, and failing after they seemed done."""

from __future__ import annotations

from typing import Literal

from sandbox.store import Document
from sandbox.stripe import listing, money, payment_methods
from sandbox.stripe.account import Account
from sandbox.stripe.contract import literals
from sandbox.stripe.errors import conflict_with_state, invalid
from sandbox.stripe.forms import Parameters, integer, metadata, text

Status = Literal["pending", "succeeded", "failed", "canceled"]
_OPEN = ("pending", "requires_action")


def create(account: Account, parameters: Parameters) -> Document:
    """Refund a charge; raises ApiError 400 for one that is refunded, disputed or smaller than the amount.

    The amount is in minor units and everything that is left when absent.
    """
    charge = _charge(account, parameters)
    amount, reason = integer(parameters, "amount"), text(parameters, "reason")
    if amount is not None and amount < 1:
        raise invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
    if reason is not None and reason not in literals("RefundCreateParams", "reason"):
        raise invalid("Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer", "reason")
    given = metadata(parameters)
    taken = _checked_amount(account, charge, amount)
    refund = account.new(
        "re",
        "refund",
        amount=taken,
        charge=charge["id"],
        currency=charge["currency"],
        metadata=given,
        payment_intent=charge["payment_intent"],
        reason=reason,
        status=account.refund_status,
        pending_reason="processing" if account.refund_status == "pending" else None,
        destination_details={"type": charge["payment_method_details"]["type"]},
    )
    charge["amount_refunded"] += taken
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    account.save(charge)
    account.save(refund)
    account.emit("refund.created", refund)
    account.emit("charge.refunded", charge)
    return refund


def finish(account: Account, identity: str, status: Status, reason: str = "expired_or_canceled_card") -> Document:
    """Let a refund succeed, fail or be cancelled later; failing gives the money back to the merchant.

    Raises ApiError 400 when the refund has already failed or been cancelled.
    """
    refund = account.find("re", identity, "refund")
    if refund["status"] in ("failed", "canceled"):
        raise conflict_with_state(f"This refund has a status of {refund['status']}.")
    refund.update(status=status, pending_reason="processing" if status == "pending" else None)
    if status in ("failed", "canceled"):
        refund["failure_reason"] = reason if status == "failed" else None
        charge = account.find("ch", refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        account.save(charge)
    account.save(refund)
    if status == "failed":
        account.emit("refund.failed", refund)
    account.emit("refund.updated", refund)
    account.emit("charge.refund.updated", refund)
    return refund


def update(account: Account, identity: str, parameters: Parameters) -> Document:
    """Change a refund's metadata."""
    refund = account.find("re", identity, "refund")
    refund["metadata"] = payment_methods.changed_metadata(refund["metadata"], parameters)
    account.save(refund)
    account.emit("refund.updated", refund)
    return refund


def cancel(account: Account, identity: str) -> Document:
    """Cancel a refund that waits for the buyer; raises ApiError 400 for any other, as Stripe does."""
    refund = account.find("re", identity, "refund")
    if refund["status"] != "requires_action":
        raise conflict_with_state(f"This refund has a status of {refund['status']} and cannot be canceled.")
    return finish(account, identity, "canceled")


def listed(account: Account, parameters: Parameters) -> Document:
    """Return refunds, newest first, of one charge or payment when asked for."""
    charge, intent = text(parameters, "charge"), text(parameters, "payment_intent")
    found = [
        refund
        for refund in account.of("re")
        if charge in (None, refund["charge"]) and intent in (None, refund["payment_intent"])
    ]
    return listing.page(account, found, parameters, "/v1/refunds")


def _charge(account: Account, parameters: Parameters) -> Document:
    identity, intent_id = text(parameters, "charge"), text(parameters, "payment_intent")
    if identity:
        charge = account.find("ch", identity, "charge")
    elif intent_id:
        intent = account.find("pi", intent_id, "payment_intent")
        if intent["status"] != "succeeded":
            raise conflict_with_state(f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.")
        charge = account.find("ch", intent["latest_charge"], "charge")
    else:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if charge["status"] != "succeeded":
        raise conflict_with_state(f"Charge {charge['id']} was not successful and cannot be refunded.", "charge")
    return charge


def _checked_amount(account: Account, charge: Document, amount: int | None) -> int:
    if _charged_back(account, charge):
        raise conflict_with_state(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", "charge", "charge_disputed"
        )
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        raise conflict_with_state(
            f"Charge {charge['id']} has already been refunded.", "charge", "charge_already_refunded"
        )
    if amount is not None and amount > left:
        wanted, remaining = (money.formatted(value, charge["currency"]) for value in (amount, left))
        kind = "unrefunded amount on charge" if charge["amount_refunded"] else "charge amount"
        raise conflict_with_state(f"Refund amount ({wanted}) is greater than {kind} ({remaining})", "amount")
    return left if amount is None else amount


def _charged_back(account: Account, charge: Document) -> bool:
    """Return whether a dispute forbids refunds: inquiries (`warning_...`) and disputes that were won do not."""
    return any(
        dispute["charge"] == charge["id"] and not dispute["is_charge_refundable"] for dispute in account.of("dp")
    )
