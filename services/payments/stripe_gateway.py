"""Stripe, behind the shop's own words; the only module that imports `stripe` (ADR 0005)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import stripe
from stripe.checkout import Session

from config import StripeSettings
from services.payments import (
    AnswerReplayed,
    BadSignature,
    DisputeState,
    GatewayRefused,
    GatewayUnavailable,
    PaymentEvent,
    RefundState,
    SessionNotFound,
    SessionRequest,
    SessionState,
)

log = logging.getLogger(__name__)

# Connect and read seconds. With one retry the worst case stays below the minute a buyer or a proxy waits.
TIMEOUT = (3.05, 20)
RETRIES = 1
ORIGIN = "travel-card"
INTENT = ["payment_intent.latest_charge"]
# Statuses after which a dispute does not change any more, and those in which the money is (still) ours
# (stripe.Dispute, attribute `status`).
CLOSED_DISPUTES = ("won", "lost", "warning_closed", "prevented")
UNDISPUTED = ("won", "prevented")
# What comes of reading an event that is signed and yet none.
UNREADABLE = (ValueError, AttributeError, KeyError, TypeError, OverflowError, RecursionError)


class StripeGateway:
    """Stripe Checkout by redirect: the buyer pays on Stripe's page, card data never touches this shop."""

    def __init__(self, settings: StripeSettings) -> None:
        self._settings = settings
        self._client = stripe.StripeClient(
            settings.secret_key,
            max_network_retries=RETRIES,
            base_addresses={"api": settings.api_base} if settings.api_base else {},
            http_client=stripe.RequestsClient(timeout=TIMEOUT),
        )

    def open_session(self, request: SessionRequest, idempotency_key: str) -> SessionState:
        """Return the session for this key, the same one however often it is asked."""
        named = {"origin": ORIGIN, "attempt": request.attempt_reference, "order": request.order_public_id}
        metadata = {**request.details, **named}
        with _translated():
            session = self._client.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "client_reference_id": request.order_public_id,
                    "customer_email": request.email,
                    "locale": request.locale,
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": request.currency.lower(),
                                "unit_amount": request.amount_minor,
                                "product_data": {
                                    "name": request.product_name,
                                    "description": request.product_description,
                                },
                            },
                        }
                    ],
                    "metadata": metadata,
                    # Metadata of a session does not reach its payment; staff look there too.
                    "payment_intent_data": {"metadata": metadata},
                    "success_url": request.success_url,
                    "cancel_url": request.cancel_url,
                    "expires_at": int(request.expires_at.timestamp()),
                    "expand": INTENT,
                },
                {"idempotency_key": idempotency_key},
            )
        return _state(session)

    def get_session(self, session_id: str) -> SessionState:
        """Return the session as it is now; raises SessionNotFound."""
        with _translated():
            return _state(self._client.v1.checkout.sessions.retrieve(session_id, {"expand": INTENT}))

    def expire_session(self, session_id: str) -> SessionState:
        """Close an open session and return how it stands now, which may be `complete`; raises SessionNotFound."""
        try:
            with _translated():
                return _state(self._client.v1.checkout.sessions.expire(session_id, {"expand": INTENT}))
        except (GatewayRefused, AnswerReplayed):
            # Only an open session can be expired; this one was paid or has expired in the meantime. Or Stripe failed
            # over it and repeats that to the client's own second try: it may have expired all the same.
            return self.get_session(session_id)

    def list_sessions(self, since: datetime) -> Iterator[SessionState]:
        """Yield all sessions created since then, newest first."""
        with _translated():
            page = self._client.v1.checkout.sessions.list(
                {
                    "created": {"gte": int(since.timestamp())},
                    "limit": 100,
                    "expand": [f"data.{path}" for path in INTENT],
                }
            )
            for session in page.auto_paging_iter():
                yield _state(session)

    def refund(self, payment_reference: str, amount_minor: int, idempotency_key: str) -> RefundState:
        """Send money back once per key."""
        with _translated(session=False):
            refund = self._client.v1.refunds.create(
                {
                    "payment_intent": payment_reference,
                    "amount": amount_minor,
                    # By this its webhook finds the row that asked for it, even before our own answer is stored.
                    "metadata": {"origin": ORIGIN, "request": idempotency_key},
                },
                {"idempotency_key": idempotency_key},
            )
        return _refund_state(refund)

    def get_refund(self, reference: str) -> RefundState:
        """Return a refund as it is now."""
        with _translated(session=False):
            return _refund_state(self._client.v1.refunds.retrieve(reference))

    def list_refunds(self, since: datetime) -> Iterator[RefundState]:
        """Yield all refunds made since then, also those made in the Dashboard, newest first."""
        with _translated(session=False):
            page = self._client.v1.refunds.list({"created": {"gte": int(since.timestamp())}, "limit": 100})
            for refund in page.auto_paging_iter():
                yield _refund_state(refund)

    def list_refunds_of(self, payment_reference: str) -> list[RefundState]:
        """Return all refunds of one payment, oldest first."""
        with _translated(session=False):
            page = self._client.v1.refunds.list({"payment_intent": payment_reference, "limit": 100})
            return [_refund_state(refund) for refund in page.auto_paging_iter()][::-1]

    def get_dispute(self, reference: str) -> DisputeState:
        """Return a dispute as it is now."""
        with _translated(session=False):
            return _dispute_state(self._client.v1.disputes.retrieve(reference))

    def list_disputes(self, since: datetime) -> Iterator[DisputeState]:
        """Yield all disputes opened since then, newest first."""
        with _translated(session=False):
            page = self._client.v1.disputes.list({"created": {"gte": int(since.timestamp())}, "limit": 100})
            for dispute in page.auto_paging_iter():
                yield _dispute_state(dispute)

    def parse_event(self, payload: bytes, signature: str) -> PaymentEvent:
        """Return the event in a signed webhook; raises BadSignature for anything else.

        `construct_event` answers a signed JSON list with AttributeError and a body that is no UTF-8 with ValueError.
        """
        try:
            event = stripe.Webhook.construct_event(payload, signature, self._settings.webhook_secret)
            event_id, kind, livemode = str(event.id), str(event.type), bool(event.livemode)
            created_at = datetime.fromtimestamp(event.created, UTC)
            described = event.data.object
            object_id = str(described["id"]) if "id" in described else ""
        except (*UNREADABLE, stripe.SignatureVerificationError) as error:
            raise BadSignature(type(error).__name__) from error
        return PaymentEvent(
            event_id=event_id,
            type=kind,
            livemode=livemode,
            object_id=object_id,
            session_id=object_id if kind.startswith("checkout.session.") else None,
            created_at=created_at,
        )


@contextmanager
def _translated(session: bool = True) -> Iterator[None]:
    """Turn Stripe's errors into ours; logs Stripe's request id, never a body. An unknown id is that of a `session`."""
    try:
        yield
    except stripe.InvalidRequestError as error:
        log.warning("Stripe refused: %s %s (%s)", error.code, error.param, error.request_id)
        if error.code == "resource_missing" and session:
            raise SessionNotFound(str(error.code)) from error
        raise GatewayRefused(error.user_message or "refused", str(error.code or "")) from error
    except stripe.IdempotencyError as error:
        log.error("Stripe saw other parameters under a known key (%s)", error.request_id)
        raise AnswerReplayed("idempotency") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("Stripe does not accept our key (%s)", error.request_id)
        raise GatewayUnavailable("credentials") from error
    except stripe.APIConnectionError as error:
        raise GatewayUnavailable("no answer") from error
    except stripe.StripeError as error:
        log.warning("Stripe failed: HTTP %s (%s)", error.http_status, error.request_id)
        if (error.headers or {}).get("Idempotent-Replayed") == "true":
            raise AnswerReplayed(str(error.http_status)) from error
        raise GatewayUnavailable(str(error.http_status)) from error


def _state(session: Session) -> SessionState:
    intent = session.payment_intent
    intent_id: str | None = intent if isinstance(intent, str) or intent is None else intent.id
    charge = None if isinstance(intent, str) or intent is None else intent.latest_charge
    charged = None if isinstance(charge, str) or charge is None else charge
    metadata: dict[str, Any] = session.metadata.to_dict() if session.metadata else {}
    return SessionState(
        session_id=session.id,
        url=session.url,
        status=session.status or "open",
        payment_status=session.payment_status,
        currency=(session.currency or "").upper(),
        amount_minor=session.amount_total or 0,
        payment_reference=intent_id,
        intent_status=None if isinstance(intent, str) or intent is None else intent.status,
        livemode=session.livemode,
        attempt_reference=metadata.get("attempt") if metadata.get("origin") == ORIGIN else None,
        created_at=datetime.fromtimestamp(session.created, UTC),
        refunded_minor=charged.amount_refunded if charged is not None else 0,
        disputed=charged is not None and charged.disputed,
        paid_at=datetime.fromtimestamp(charged.created, UTC) if charged is not None else None,
        email=session.customer_email or (session.customer_details.email if session.customer_details else "") or "",
        details=metadata,
    )


def _refund_state(refund: stripe.Refund) -> RefundState:
    intent = refund.payment_intent
    return RefundState(
        reference=refund.id,
        status=refund.status or "pending",
        amount_minor=refund.amount,
        currency=refund.currency.upper(),
        payment_reference=_identity(intent),
        request_key=refund.metadata.to_dict().get("request") if refund.metadata else None,
    )


def _dispute_state(dispute: stripe.Dispute) -> DisputeState:
    due_by = dispute.evidence_details.due_by if dispute.evidence_details else None
    return DisputeState(
        reference=dispute.id,
        status=dispute.status,
        reason=dispute.reason,
        amount_minor=dispute.amount,
        currency=dispute.currency.upper(),
        payment_reference=_identity(dispute.payment_intent),
        opened_at=datetime.fromtimestamp(dispute.created, UTC),
        due_by=datetime.fromtimestamp(due_by, UTC) if due_by else None,
        open=dispute.status not in CLOSED_DISPUTES,
        withdrawn=dispute.status not in UNDISPUTED and not dispute.status.startswith("warning_"),
    )


def _identity(intent: str | stripe.PaymentIntent | None) -> str:
    return intent if isinstance(intent, str) else intent.id if intent else ""
