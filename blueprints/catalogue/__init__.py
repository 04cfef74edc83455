"""The shelf: start page, plans, one plan."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("catalogue", __name__)

from blueprints.catalogue import views  # noqa: E402, F401 - the views need the blueprint
