"""Which texts staff has written, in which languages, and what travellers see where there is none."""

from __future__ import annotations

from flask import Response, make_response, render_template, url_for

from blueprints.staff import access, blueprint
from models import db
from services.languages import LANGUAGES
from services.page_texts import overview
from services.plan_texts import list_plan_texts


@blueprint.get("/texts")
@access.staff_required
def texts() -> Response:
    """Show every page and every plan with the state of its text in each language."""
    session = db.session()
    plans = list_plan_texts(session)
    addresses = {
        plan.slug: {code: url_for("staff.plan_text", slug=plan.slug, language=code) for code in LANGUAGES}
        for plan in plans
    }
    page = render_template("staff/texts.html", pages=overview(session), plans=plans, addresses=addresses)
    return make_response(page)
