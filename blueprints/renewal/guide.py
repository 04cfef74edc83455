"""What renewing is, for everybody; and, as a fragment of its own, the visitor's eSIMs."""

from __future__ import annotations

from flask import Response, make_response, render_template, url_for
from flask_login import current_user

from blueprints._language import current_language, first_currency
from blueprints._page import chosen_currency
from blueprints._page_cache import public_page
from blueprints._web import is_htmx, now, private, see_other
from blueprints.renewal import blueprint
from models import Account, db
from services.catalogue import PlanFilter, list_plans
from services.owned_esims import list_owned_esims


@blueprint.get("/renew")
@public_page("currency")
def guide() -> str:
    """Show what renewing is, how it goes, and what it costs."""
    language = current_language()
    plans = list_plans(db.session(), PlanFilter(), language.code, chosen_currency() or first_currency())
    return render_template("renewal/guide.html", plans=[plan for plan in plans if plan.topup])


@blueprint.get("/renew/esims")
def your_esims() -> Response:
    """Show the visitor's own eSIMs inside the guide; without htmx, lead to the account, which shows them, too."""
    if not is_htmx():
        return private(see_other(url_for("account.overview")))
    signed_in = isinstance(current_user, Account)
    esims = list_owned_esims(db.session(), current_user.id, current_language().code, now()) if signed_in else []
    return private(make_response(render_template("renewal/_your_esims.html", signed_in=signed_in, esims=esims)))
