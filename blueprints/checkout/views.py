"""From a plan to the payment page."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, abort, make_response, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy.orm import Session

from blueprints._language import current_language, first_currency
from blueprints._paying import finished_order, just_paid_page, order_and_pay, pay
from blueprints._rerun import repeatable
from blueprints._visitor import just_bought, known_email, open_checkout_key, remember_email, sent_checkout_key
from blueprints._web import is_htmx, limiter, now, private, see_other
from blueprints.checkout import blueprint
from blueprints.checkout.forms import CheckoutForm
from models import Account, Esim, OrderKind, db
from services import money
from services.accounts import get_or_create_for_purchase
from services.catalogue import DaysNotOffered, PlanNotFound, PlanView, get_plan, quote
from services.orders import CONSENTS, Wish
from services.renewals import renewable_esim_for

LONGEST_DAYS = 4


@dataclass(frozen=True)
class Choice:
    """What is about to be bought, as the summary shows it; `amount_minor` in minor units of the plan's currency."""

    plan: PlanView
    days: int
    amount_minor: int


@blueprint.get("/checkout/<slug>")
def checkout(slug: str) -> Response:
    """The form that leads to paying; htmx asks for the summary alone when days or currency change."""
    choice = _choice(slug, request.args.get("days", ""), request.args.get("currency", ""))
    if is_htmx():
        return _summary(choice)
    order = just_bought(slug, now()) if "new" not in request.args else None
    if order is not None:
        another = url_for("checkout.checkout", slug=slug, days=choice.days, currency=choice.plan.currency, new=1)
        return just_paid_page(order, another)
    esim = _esim_to_renew(choice.plan)
    if esim is not None and "new" not in request.args:
        page = render_template("checkout/renew_instead.html", choice=choice, esim=esim)
        return private(make_response(page))
    form = CheckoutForm(formdata=None, email=known_email(), checkout_key=open_checkout_key(slug))
    return _page(choice, form)


# Run again, it finds the order that the first run may have made under the checkout key, which the visitor's cookie
# keeps, and the payment page that the first run may have opened under the attempt's key.
@blueprint.post("/checkout/<slug>")
@repeatable
@limiter.limit("30 per minute")
def place(slug: str) -> Response:
    """Make the order and send the buyer to the payment page; sending the form twice is one order."""
    form = CheckoutForm()
    choice = _choice(slug, form.days.data or "", form.currency.data or "")
    form.checkout_key.data = sent_checkout_key(slug, form.checkout_key.data)
    finished = finished_order(form.checkout_key.data)
    if finished is not None:
        return pay(finished)
    remember_email(form.email.data)
    if not form.validate():
        return _page(choice, form, 422)
    if form.amount.data != str(choice.amount_minor):
        form.amount.errors = [
            _("The price has changed while this page was open. Nothing was paid; please check the new total.")
        ]
        return _page(choice, form, 422)
    return order_and_pay(_wish(choice, form), lambda database: _buyer(database, choice, form))


@blueprint.post("/checkout/<slug>/email")
@limiter.limit("60 per minute")
def email(slug: str) -> Response:
    """Look at the e-mail address while the form is being filled in, and remember it for this browser."""
    remember_email(CheckoutForm().email.data)
    if not is_htmx():
        return see_other(url_for("checkout.checkout", slug=slug))
    form = CheckoutForm(formdata=None, email=known_email())
    return private(make_response(render_template("checkout/_email_field.html", form=form, slug=slug)))


def _choice(slug: str, days: str, currency: str) -> Choice:
    """Return what the address or the form asks for; a currency or days that are not offered fall back to the plan's."""
    if currency not in money.CURRENCIES:
        currency = current_user.currency if current_user.is_authenticated else first_currency()
    try:
        plan = get_plan(db.session(), slug, current_language().code, currency)
    except PlanNotFound:
        abort(404)
    wanted = int(days) if days.isascii() and days.isdecimal() and len(days) < LONGEST_DAYS else plan.days_min
    try:
        return Choice(plan, wanted, quote(plan, wanted))
    except DaysNotOffered as error:
        nearest = min(max(wanted, error.days_min), error.days_max)
        return Choice(plan, nearest, quote(plan, nearest))


def _wish(choice: Choice, form: CheckoutForm) -> Wish:
    return Wish(
        checkout_key=form.checkout_key.data,
        kind=OrderKind.PURCHASE,
        plan=choice.plan,
        days=choice.days,
        email=form.email.data,
        language=current_language().code,
        consents=CONSENTS,
    )


def _buyer(database: Session, choice: Choice, form: CheckoutForm) -> Account:
    if current_user.is_authenticated:
        account: Account = current_user._get_current_object()
        return account
    return get_or_create_for_purchase(database, form.email.data, current_language().code, choice.plan.currency, now())


def _esim_to_renew(plan: PlanView) -> Esim | None:
    if not current_user.is_authenticated:
        return None
    return renewable_esim_for(db.session(), current_user.id, plan.countries, now())


def _summary(choice: Choice) -> Response:
    response = make_response(render_template("checkout/checkout.htmx.html", choice=choice))
    response.vary.add("HX-Request")
    return private(response)


def _page(choice: Choice, form: CheckoutForm, status: int = 200) -> Response:
    page = render_template("checkout/checkout.html", choice=choice, form=form, currencies=money.CURRENCIES)
    response = make_response(page, status)
    response.vary.add("HX-Request")
    return private(response)
