"""`Idempotency-Key`: the first answer is kept and given again (docs.stripe.com/api/idempotent_requests)."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

from sandbox.stripe.account import Account
from sandbox.stripe.errors import ApiError, invalid

# Stripe keeps keys for at least 24 hours.
_KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Saved:
    """An answer given before; `request_id` is that of the request that was executed."""

    status: int
    body: str
    request_id: str


class Idempotency:
    """The answers by key, and the keys whose first request is still being executed."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def begin(self, key: str, method: str, path: str, body: bytes) -> Saved | None:
        """Return the saved answer for `key`, or None when the request is to be executed and then `end`ed.

        Raises ApiError 400 when the key was used with something else and 409 while its first request is executed.
        """
        if len(key) > 255:
            raise invalid("Idempotency keys can be at most 255 characters long.")
        fingerprint = _fingerprint(method, path, body)
        with self._lock:
            if key in self._running:
                raise ApiError(
                    409,
                    "There is currently another in-progress request using this Idempotent Key (that probably means you "
                    "submitted twice, and the other request is still going through). Please try again later.",
                    code="idempotency_key_in_use",
                )
            entry = self._account.idempotency.get(key)
            if entry is not None and entry["created"] > self._account.now() - _KEPT_SECONDS:
                if entry["fingerprint"] != fingerprint:
                    raise ApiError(
                        400,
                        "Keys for idempotent requests can only be used with the same parameters they were first used "
                        f"with. Try using a key other than '{key}' if you meant to execute a different request.",
                        type="idempotency_error",
                    )
                return Saved(entry["status"], entry["body"], entry["request_id"])
            self._running.add(key)
        return None

    def save(self, key: str, method: str, path: str, body: bytes, saved: Saved) -> None:
        """Keep the answer that `key` gets from now on."""
        entry = {
            "id": key,
            "created": self._account.now(),
            "fingerprint": _fingerprint(method, path, body),
            "status": saved.status,
            "body": saved.body,
            "request_id": saved.request_id,
        }
        self._account.idempotency.put(key, entry)

    def end(self, key: str) -> None:
        """Say that the request with `key` is no longer being executed."""
        with self._lock:
            self._running.discard(key)


def _fingerprint(method: str, path: str, body: bytes) -> str:
    return hashlib.sha256(b"\n".join([method.encode(), path.encode(), body])).hexdigest()
