"""Pages that explain: phones, installing, help, terms, privacy."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("pages", __name__)

from blueprints.pages import views  # noqa: E402, F401 - the views need the blueprint
