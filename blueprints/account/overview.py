"""The overview of an account: its eSIMs and its orders."""

from __future__ import annotations

from flask import Response, make_response, render_template, request

from blueprints._access import account_required, required_account
from blueprints._language import current_language
from blueprints._web import now
from blueprints.account import blueprint
from models import db
from services.overview import list_esims, list_orders

# Further back nobody pages by hand, and a number without a limit is an expensive question to the database.
LAST_PAGE = 1000


@blueprint.get("/account")
@account_required
def overview() -> Response:
    """Show what the traveller owns; orders by pages."""
    account = required_account()
    page = min(max(request.args.get("page", 1, type=int), 1), LAST_PAGE)
    session = db.session()
    orders, older = list_orders(session, account.id, page)
    return make_response(
        render_template(
            "account/overview.html",
            account=account,
            esims=list_esims(session, account.id, current_language().code, now()),
            orders=orders,
            page=page,
            older=older,
        )
    )
