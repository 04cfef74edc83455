"""Start page, plans and one plan: the same for everybody, so they come from the page cache nearly always."""

from __future__ import annotations

from flask import Response, abort, make_response, render_template

from blueprints._language import current_language, first_currency
from blueprints._page import chosen_currency
from blueprints._page_cache import public_page
from blueprints._web import render_page
from blueprints.catalogue import blueprint
from blueprints.catalogue.forms import NEIGHBOURS, SIZES_GB, PlanForm, PlansForm
from models import db
from services.catalogue import (
    MONACO,
    PlanFilter,
    PlanNotFound,
    PlanView,
    get_plan,
    list_countries,
    list_plans,
    quote,
)
from services.countries import by_name, country_name
from services.money import GIGABYTE, format_data


def _currency() -> str:
    return chosen_currency() or first_currency()


@blueprint.get("/")
@public_page("currency")
def home() -> Response:
    """Show what the shop sells."""
    plans = list_plans(db.session(), PlanFilter(country=MONACO), current_language().code, _currency())
    return make_response(render_template("catalogue/home.html", plans=plans))


@blueprint.get("/plans")
@public_page("country", "days", "data", "currency")
def plans() -> Response:
    """Show the plans that fit, or say which choice does not exist (422)."""
    locale = current_language().locale
    sizes = [(str(size), format_data(size * GIGABYTE, locale)) for size in SIZES_GB]
    form = PlansForm(_country_choices(locale), sizes, locale)
    form.currency.data = form.currency.data or first_currency()
    valid = form.validate()
    found: list[PlanView] = []
    if valid:
        found = list_plans(db.session(), form.wanted(), current_language().code, form.currency.data)
    return render_page(
        "catalogue/plans.html", "catalogue/plans.htmx.html", 200 if valid else 422, form=form, plans=found, valid=valid
    )


def _country_choices(locale: str) -> list[tuple[str, str]]:
    covered = set(list_countries(db.session()))
    first = [code for code in NEIGHBOURS if code in covered]
    others = by_name(covered - set(first), locale)
    return [(code, country_name(code, locale)) for code in (*first, *others)]


@blueprint.get("/plans/<slug>")
@public_page("days", "currency")
def plan(slug: str) -> Response:
    """Show one plan with its price for the chosen days and currency; 404 when it is not on the shelf."""
    language = current_language()
    try:
        shown = get_plan(db.session(), slug, language.code, _currency())
    except PlanNotFound:
        abort(404)
    form = PlanForm(shown, language.locale)
    valid = form.validate()
    days = form.number("days") if valid and shown.days_choosable else shown.days_min
    assert days is not None
    return render_page(
        "catalogue/plan.html",
        "catalogue/plan.htmx.html",
        200 if valid else 422,
        plan=shown,
        form=form,
        days=days,
        total=quote(shown, days) if valid else None,
    )
