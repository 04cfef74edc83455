"""Refusals in the shape in which Stripe's API answers them."""

from __future__ import annotations

from typing import Any

from sandbox.store import Document


class ApiError(Exception):
    """A refusal that the API answers with `status` and `{"error": {...}}`.

    `saved` says whether the refusal is replayed for the same idempotency key: Stripe saves the outcome once execution
    began and not when validation failed (docs.stripe.com/api/idempotent_requests).
    """

    def __init__(self, status: int, message: str, *, saved: bool = False, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.saved = saved
        self.fields = fields

    def body(self) -> Document:
        """Return the document that Stripe answers."""
        error = {"type": "invalid_request_error", "message": self.message, **self.fields}
        code = error.get("code")
        if code:
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{str(code).replace('_', '-')}"
        return {"error": {key: value for key, value in error.items() if value is not None}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the refusal of a request that is wrong in itself; never saved for an idempotency key."""
    return ApiError(400, message, param=param, code=code)


def conflict_with_state(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the refusal of a valid request that the object's state forbids; saved for an idempotency key."""
    return ApiError(400, message, saved=True, param=param, code=code)


def missing(kind: str, identity: str, param: str = "id") -> ApiError:
    """Return the 404 for an object that does not exist; `kind` is the object's name in words."""
    return ApiError(404, f"No such {kind}: '{identity}'", param=param, code="resource_missing")


def card_error(message: str, code: str, **fields: Any) -> ApiError:
    """Return the 402 for a payment that the buyer's bank did not allow."""
    return ApiError(402, message, saved=True, type="card_error", code=code, **fields)
