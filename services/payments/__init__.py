"""What the shop needs from a payment provider, in the shop's own words; `stripe_gateway` is the one that is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


class PaymentError(Exception):
    """The payment provider could not be used as asked."""


class GatewayUnavailable(PaymentError):
    """The provider did not answer, or not usefully; what was asked may or may not have happened."""


class GatewayRefused(PaymentError):
    """The provider understood and said no; nothing happened. `code` is the provider's own word for it."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class AnswerReplayed(PaymentError):
    """The provider keeps answering this key with a stored failure: only a new key can get another answer."""


class SessionNotFound(PaymentError):
    """The provider knows no such session."""


class BadSignature(PaymentError):
    """A webhook was not signed by the provider, or is not an event."""


@dataclass(frozen=True, kw_only=True)
class SessionRequest:
    """Everything that opens a hosted payment page; stored with the attempt so that it can be sent again unchanged.

    `amount_minor` is in minor units of `currency`; `expires_at` is UTC. `details` is what the provider keeps beside
    the session, so that an order of which we lost the row can be made again from there (`lost_orders`).
    """

    attempt_reference: str
    order_public_id: str
    amount_minor: int
    currency: str
    product_name: str
    product_description: str
    email: str
    locale: str
    success_url: str
    cancel_url: str
    expires_at: datetime
    details: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON values."""
        return {**self.__dict__, "expires_at": self.expires_at.isoformat()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> SessionRequest:
        """Return the request that `to_json` wrote."""
        return cls(**{**values, "expires_at": datetime.fromisoformat(values["expires_at"])})


@dataclass(frozen=True, kw_only=True)
class SessionState:
    """A hosted payment page as the provider sees it now.

    `status` is open, complete or expired; `payment_status` is paid, unpaid or no_payment_required; `intent_status`
    tells a delayed payment that failed from one that is still under way. `attempt_reference` is None on a session
    that another application of the same account opened. `email` is what the buyer was known by, `details` what was
    kept beside the session. `refunded_minor` of the amount is on its way back already, and `disputed` says that the
    buyer's bank was asked for it: a payment that we hear of late may have a past. `paid_at` is when the buyer paid.
    """

    session_id: str
    url: str | None
    status: str
    payment_status: str
    currency: str
    amount_minor: int
    payment_reference: str | None
    intent_status: str | None
    livemode: bool
    attempt_reference: str | None
    created_at: datetime
    refunded_minor: int = 0
    disputed: bool = False
    paid_at: datetime | None = None
    email: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RefundState:
    """A refund as the provider sees it; `status` is pending, requires_action, succeeded, failed or canceled.

    `request_key` is the key under which we asked for it, None for one that was made at the provider by hand.
    """

    reference: str
    status: str
    amount_minor: int
    currency: str
    payment_reference: str
    request_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class DisputeState:
    """A buyer's claim at the bank as the provider sees it; `status` and `reason` are the provider's own words.

    `open` until it is decided; `withdrawn` while the bank has the money, which an inquiry leaves where it is.
    """

    reference: str
    status: str
    reason: str
    amount_minor: int
    currency: str
    payment_reference: str
    opened_at: datetime
    due_by: datetime | None
    open: bool
    withdrawn: bool


@dataclass(frozen=True, kw_only=True)
class PaymentEvent:
    """Something that happened at the provider: a hint to look, never a fact to act on."""

    event_id: str
    type: str
    livemode: bool
    object_id: str
    session_id: str | None
    created_at: datetime


class PaymentGateway(Protocol):
    """A provider of hosted payment pages.

    Every method raises GatewayUnavailable when no useful answer came and GatewayRefused when the provider said no.
    """

    def open_session(self, request: SessionRequest, idempotency_key: str) -> SessionState:
        """Return the session for this key, the same one however often it is asked; AnswerReplayed as named."""
        ...

    def get_session(self, session_id: str) -> SessionState:
        """Return the session as it is now; raises SessionNotFound."""
        ...

    def expire_session(self, session_id: str) -> SessionState:
        """Close an open session and return how it stands now, which may be `complete`; raises SessionNotFound."""
        ...

    def list_sessions(self, since: datetime) -> Iterator[SessionState]:
        """Yield all sessions created since then, newest first."""
        ...

    def refund(self, payment_reference: str, amount_minor: int, idempotency_key: str) -> RefundState:
        """Send money back once per key; raises AnswerReplayed as named."""
        ...

    def get_refund(self, reference: str) -> RefundState:
        """Return a refund as it is now."""
        ...

    def list_refunds(self, since: datetime) -> Iterator[RefundState]:
        """Yield all refunds made since then, also those made at the provider by hand, newest first."""
        ...

    def list_refunds_of(self, payment_reference: str) -> list[RefundState]:
        """Return all refunds of one payment, oldest first."""
        ...

    def get_dispute(self, reference: str) -> DisputeState:
        """Return a dispute as it is now."""
        ...

    def list_disputes(self, since: datetime) -> Iterator[DisputeState]:
        """Yield all disputes opened since then, newest first."""
        ...

    def parse_event(self, payload: bytes, signature: str) -> PaymentEvent:
        """Return the event in a signed webhook; raises BadSignature for anything else."""
        ...
