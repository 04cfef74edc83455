"""The pages of those who run the shop: sign in, today, the orders, what waits for a person, the texts. English only."""

from __future__ import annotations

from flask import Blueprint, g

from services.languages import LANGUAGES

blueprint = Blueprint("staff", __name__)


@blueprint.before_request
def speak_english() -> None:
    """Write dates and money as English does, whatever the browser asks for."""
    g.language = LANGUAGES["en"]


from blueprints.staff import order, page_text, plan_text, stuck, texts, today, views  # noqa: E402, F401 - they add their addresses
