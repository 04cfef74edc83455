"""One signed POST to the webhook endpoint, and what became of it."""

from __future__ import annotations

import hashlib
import hmac
import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Delivery:
    """The answer to one POST: `status` is None when there was none, and `error` says why."""

    status: int | None
    error: str = ""
    body: str = ""

    @property
    def succeeded(self) -> bool:
        """Return whether it is delivered for Stripe: 2xx is, a redirect is not (docs.stripe.com/webhooks)."""
        return self.status is not None and 200 <= self.status < 300


def signature_header(payload: bytes, secrets: Sequence[str], timestamp: int, scheme: str = "v1") -> str:
    """Return the `Stripe-Signature` header, one signature per secret (two while a secret is being rolled).

    The signature is HMAC-SHA256 of `timestamp.payload` in hexadecimal (docs.stripe.com/webhooks/signature).
    """
    signed = str(timestamp).encode() + b"." + payload
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"{scheme}={digest}" for digest in digests)])


def post(url: str, payload: bytes, signature: str | None, timeout: float) -> Delivery:
    """Send `payload` and return the answer; never raises for what the network or the receiver does."""
    address = urlsplit(url)
    connection_type = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    if signature is not None:
        headers["Stripe-Signature"] = signature
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    connection = connection_type(address.hostname or "", address.port, timeout=timeout)
    try:
        connection.request("POST", target, body=payload, headers=headers)
        response = connection.getresponse()
        return Delivery(response.status, body=response.read(2000).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        return Delivery(None, error=f"{type(error).__name__}: {error}")
    finally:
        connection.close()
