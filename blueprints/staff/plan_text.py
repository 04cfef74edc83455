"""What one plan is called and says in one language."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, abort, make_response, render_template, request, url_for

from blueprints._rerun import repeatable
from blueprints._web import current_shop, now, see_other
from blueprints.staff import access, blueprint
from blueprints.staff.forms import PlanTextForm
from models import db
from services import plan_texts
from services.catalogue import PlanNotFound
from services.languages import DEFAULT_LANGUAGE, LANGUAGES

# What an action leads back with, so that the page can say what was done.
DONE: Mapping[str, str] = {"saved": "The text is saved.", "removed": "The text is removed."}


@blueprint.get("/texts/plans/<slug>/<lang:language>")
@access.staff_required
def plan_text(slug: str, language: str) -> Response:
    """Show name and description of a plan in a language; empty where it shows the English ones."""
    found = _load(slug).texts.get(language)
    values = {"name": found.name, "description": found.description} if found is not None else {}
    return _page(slug, language, PlanTextForm(LANGUAGES[language], formdata=None, **values))


# Run again, it writes the same text once more.
@blueprint.post("/texts/plans/<slug>/<lang:language>")
@repeatable
@access.staff_required
def save_plan_text(slug: str, language: str) -> Response:
    """Save name and description of a plan in a language."""
    _load(slug)
    form = PlanTextForm(LANGUAGES[language])
    if not form.validate_on_submit():
        return _page(slug, language, form)
    with current_shop().transaction() as session:
        plan_texts.save_plan_text(
            session, slug, language, form.name.data, form.description.data, by=access.actor(), now=now()
        )
    return _to_text(slug, language, "saved")


# Run again, it finds no text any more.
@blueprint.post("/texts/plans/<slug>/<lang:language>/removal")
@repeatable
@access.staff_required
def remove_plan_text(slug: str, language: str) -> Response:
    """Let a plan fall back to English in a language; the English text itself stays, and has no such button."""
    _load(slug)
    try:
        with current_shop().transaction() as session:
            plan_texts.remove_plan_text(session, slug, language, by=access.actor(), now=now())
    except plan_texts.EnglishNeeded:
        abort(404)
    return _to_text(slug, language, "removed")


def _load(slug: str) -> plan_texts.PlanTexts:
    try:
        return plan_texts.read_plan_texts(db.session(), slug)
    except PlanNotFound:
        abort(404)


def _to_text(slug: str, language: str, done: str) -> Response:
    return see_other(url_for("staff.plan_text", slug=slug, language=language, done=done))


def _page(slug: str, language: str, form: PlanTextForm) -> Response:
    plan = _load(slug)
    page = render_template(
        "staff/plan_text.html",
        plan=plan,
        language=LANGUAGES[language],
        own=plan.texts.get(language),
        english=plan.texts.get(DEFAULT_LANGUAGE),
        addresses={code: url_for("staff.plan_text", slug=slug, language=code) for code in LANGUAGES},
        lacking=[missing.code for missing in plan.missing],
        form=form,
        may_write=access.may(access.Act.WRITE),
        done=DONE.get(request.args.get("done", "")),
    )
    return make_response(page, 422 if form.errors else 200)
