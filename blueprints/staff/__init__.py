"""The pages of those who run the shop: sign in, today, the orders, what waits for a person, the texts. English only."""

from __future__ import annotations

from flask import Blueprint, g

from services.languages import LANGUAGES

blueprint = Blueprint("staff", __name__)


@blueprint.before_request
def speak_english() -> None:
    """Write dates and money as English does, whatever the browser asks for."""
    g.language = LANGUAGES["en"]


@blueprint.context_processor
def tell_permissions() -> dict[str, object]:
    """Let every template of the staff ask which addresses whoever is signed in may use."""
    return {"may_use": access.may_use}


from blueprints.staff import (  # noqa: E402 - they add their addresses
    access,
    audit,  # noqa: F401
    order,  # noqa: F401
    page_text,  # noqa: F401
    plan_text,  # noqa: F401
    stuck,  # noqa: F401
    texts,  # noqa: F401
    today,  # noqa: F401
    views,  # noqa: F401
)
