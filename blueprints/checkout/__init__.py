"""Buying a new eSIM."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("checkout", __name__)

from blueprints.checkout import views  # noqa: E402, F401
