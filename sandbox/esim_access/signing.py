"""Who may call the API: the access code alone, or a full signature."""

from __future__ import annotations

import hashlib
import hmac

from werkzeug.datastructures import Headers

from sandbox.esim_access.errors import ApiError

TOLERATED_SKEW_MILLISECONDS = 5 * 60 * 1000


def sign(secret_key: str, timestamp: str, request_id: str, access_code: str, body: bytes) -> str:
    """Return the signature of one request in lower-case hexadecimal.

    HMAC-SHA256 over timestamp, request id, access code and the raw body, as eSIM Access documents for RT-Signature.
    """
    message = f"{timestamp}{request_id}{access_code}".encode() + body
    return hmac.new(secret_key.encode(), message, hashlib.sha256).hexdigest()


def check(headers: Headers, body: bytes, access_code: str, secret_key: str, now_milliseconds: int) -> None:
    """Let a request with good credentials pass.

    Raises ApiError: 000101 for a missing header, 000102 for a timestamp that is no number, 101001 when it is more
    than five minutes off, 101003 for a wrong access code or signature. Signatures are compared ignoring case because
    the documentation prints them in capitals.
    """
    given_code = headers.get("RT-AccessCode", "")
    if not given_code:
        raise ApiError("000101", "The request header RT-AccessCode is missing")
    if not hmac.compare_digest(given_code.encode(), access_code.encode()):
        raise ApiError("101003", "The access code is unknown")
    signature = headers.get("RT-Signature", "")
    if not signature:
        return
    timestamp, request_id = headers.get("RT-Timestamp", ""), headers.get("RT-RequestID", "")
    if not timestamp or not request_id:
        raise ApiError("000101", "The request headers RT-Timestamp and RT-RequestID belong to a signature")
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise ApiError("000102", "RT-Timestamp must be milliseconds since 1970")
    if abs(int(timestamp) - now_milliseconds) > TOLERATED_SKEW_MILLISECONDS:
        raise ApiError("101001", "The timestamp has expired")
    expected = sign(secret_key, timestamp, request_id, access_code, body)
    if not hmac.compare_digest(signature.lower().encode(), expected.encode()):
        raise ApiError("101003", "The signature does not match")
