"""The headers that tell a browser what a page of this shop may do: nearly nothing."""

from __future__ import annotations

import base64
import hashlib

from flask import Flask, Response

from blueprints._static import inline_stylesheet
from config import Settings

TWO_YEARS = 2 * 365 * 24 * 60 * 60


def prepare_security(app: Flask, settings: Settings) -> None:
    """Put the security headers on every answer."""
    headers = security_headers(settings)

    @app.after_request
    def add(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response


def security_headers(settings: Settings) -> dict[str, str]:
    """Return the headers; the same for every page, so that a cached page may carry them."""
    headers = {
        "Content-Security-Policy": _content_security_policy(settings),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if settings.secure_cookies:
        headers["Strict-Transport-Security"] = f"max-age={TWO_YEARS}"
    return headers


def _content_security_policy(settings: Settings) -> str:
    digest = hashlib.sha256(inline_stylesheet().encode()).digest()
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src 'sha256-{base64.b64encode(digest).decode()}'",
            "script-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            # Browsers check the redirect to the payment page against this, too.
            f"form-action 'self' {settings.stripe.checkout_origin}",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )
