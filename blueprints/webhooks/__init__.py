"""Where Stripe and the supplier call: no session, no CSRF, no pages."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("webhooks", __name__)

from blueprints.webhooks import views  # noqa: E402, F401
