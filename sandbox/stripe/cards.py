"""Stripe's test cards and test payment methods, and how each of them behaves (docs.stripe.com/testing)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sandbox.stripe.errors import card_error

Authentication = Literal["none", "until_set_up", "always"]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What happens when a card is charged; `label` is what the hosted page calls it."""

    number: str
    label: str
    brand: str = "visa"
    country: str = "US"
    decline_code: str | None = None
    error_code: str = "card_declined"
    message: str = "Your card was declined."
    authentication: Authentication = "none"
    disputed: bool = False


_FUNDS = "Your card has insufficient funds."
CARDS = (
    Card(number="4242424242424242", label="Succeeds"),
    Card(number="4000002500003155", label="3-D Secure, then remembered", authentication="until_set_up", country="IE"),
    Card(number="4000000000003220", label="3-D Secure", authentication="always"),
    Card(number="4000002760003184", label="3-D Secure every time", authentication="always", country="DE"),
    Card(number="4000000000000002", label="Declined", decline_code="generic_decline"),
    Card(number="4000000000009995", label="Insufficient funds", decline_code="insufficient_funds", message=_FUNDS),
    Card(
        number="4000000000000069",
        label="Expired card",
        decline_code="expired_card",
        error_code="expired_card",
        message="Your card has expired.",
    ),
    Card(number="4000000000000259", label="Succeeds, then disputed", disputed=True),
    Card(
        number="4000000000000119",
        label="Processing error",
        decline_code="processing_error",
        error_code="processing_error",
        message="An error occurred while processing your card. Try again in a little bit.",
    ),
    Card(
        number="4000008260003178",
        label="3-D Secure, then no funds",
        authentication="always",
        decline_code="insufficient_funds",
        message=_FUNDS,
    ),
    Card(number="5555555555554444", label="Mastercard, succeeds", brand="mastercard"),
    Card(number="378282246310005", label="American Express, succeeds", brand="amex"),
)
BY_NUMBER = {card.number: card for card in CARDS}

# The payment methods that exist in every test account; using one makes a new payment method of that card.
SHARED = {
    "pm_card_visa": "4242424242424242",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_amex": "378282246310005",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_threeDSecure2Required": "4000000000003220",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_createDispute": "4000000000000259",
}


def by_number(number: str) -> Card:
    """Return the test card; raises ApiError 402 for a number that is none, as Stripe's test mode does."""
    digits = "".join(character for character in number if character not in " -")
    if digits in BY_NUMBER:
        return BY_NUMBER[digits]
    if not digits.isdigit() or not 12 <= len(digits) <= 19 or not _luhn(digits):
        raise card_error("Your card number is incorrect.", "incorrect_number", param="number")
    raise card_error(
        "Your card was declined. Your request was in test mode, but used a non test card.",
        "card_declined",
        decline_code="test_mode_live_card",
    )


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * 2 if place % 2 else int(digit) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0
