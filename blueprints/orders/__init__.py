"""One order: how far it is, its eSIM, its receipt."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("orders", __name__)

from blueprints.orders import pack, views  # noqa: E402, F401
