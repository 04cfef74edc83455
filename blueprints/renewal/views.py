"""Renewing an eSIM: choose a plan, see what will change, pay."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flask import Response, abort, request, url_for
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from blueprints._access import account_required
from blueprints._language import current_language
from blueprints._paying import finished_order, just_paid_page, order_and_pay, pay
from blueprints._rerun import repeatable
from blueprints._visitor import just_bought, open_checkout_key, sent_checkout_key
from blueprints._web import current_shop, is_htmx, limiter, now, private, render_page
from blueprints.renewal import blueprint
from blueprints.renewal.forms import RenewalForm
from models import Esim, OrderKind, db
from services import money, usage
from services.catalogue import PlanView
from services.orders import Wish
from services.renewals import RenewalPreview, list_offers, preview, refresh_topups
from services.usage_rules import renewability

CONSENTS = ("terms", "immediate_delivery")


@dataclass(frozen=True)
class Choice:
    """What the page shows: the eSIM, what it can be renewed with, and what the chosen plan would change."""

    esim: Esim
    currency: str
    offers: list[PlanView]
    preview: RenewalPreview | None

    @property
    def fingerprint(self) -> str:
        """Return a mark of the end that was promised, to notice that the eSIM has changed since it was shown."""
        assert self.preview is not None
        after = self.preview.after
        return hashlib.sha256(f"{self.preview.plan.slug} {after.ends_at} {after.days}".encode()).hexdigest()[:16]


@blueprint.get("/account/esims/<public_id>/renewal")
@account_required
def choose(public_id: str) -> Response:
    """The plans for this eSIM and, for the chosen one, what will change; htmx asks for these alone."""
    esim = _load(public_id)
    order = just_bought(_subject(public_id), now()) if "again" not in request.args and not is_htmx() else None
    if order is not None:
        another = url_for("renewal.choose", public_id=public_id, plan=request.args.get("plan"), again=1)
        return just_paid_page(order, another)
    shop = current_shop()
    db.session.commit()
    usage.read(shop, esim.id)
    refresh_topups(shop, esim, now())
    choice = _choice(_load(public_id), request.args.get("plan", ""), request.args.get("currency", ""))
    form = RenewalForm(formdata=None, checkout_key=open_checkout_key(_subject(public_id)))
    return _page(choice, form)


# Run again, it finds order and payment page of the first run by their keys, as the checkout does.
@blueprint.post("/account/esims/<public_id>/renewal")
@repeatable
@account_required
@limiter.limit("30 per minute")
def renew(public_id: str) -> Response:
    """Make the order and send the traveller to the payment page; sending the form twice is one order."""
    form = RenewalForm()
    choice = _choice(_load(public_id), form.plan.data or "", form.currency.data or "")
    form.checkout_key.data = sent_checkout_key(_subject(public_id), form.checkout_key.data)
    finished = finished_order(form.checkout_key.data)
    if finished is not None:
        return pay(finished)
    if choice.preview is None or choice.preview.plan.slug != form.plan.data:
        form.refuse_plan()
        return _page(choice, form, 422)
    if not form.validate():
        return _page(choice, form, 422)
    if not form.still_holds(choice.preview.plan.amount_minor, choice.fingerprint):
        return _page(choice, form, 422)
    return order_and_pay(_wish(choice, choice.preview, form), lambda _session: current_user._get_current_object())


def _load(public_id: str) -> Esim:
    """Return the visitor's own eSIM; 404 for everybody else's."""
    esim = db.session.scalars(
        select(Esim)
        .where(Esim.public_id == public_id, Esim.account_id == current_user.id)
        .options(joinedload(Esim.plan))
        .execution_options(populate_existing=True)
    ).one_or_none()
    if esim is None:
        abort(404)
    return esim


def _choice(esim: Esim, slug: str, currency: str) -> Choice:
    currency = currency if currency in money.CURRENCIES else current_user.currency
    if not renewability(esim, esim.plan.supplier_topup_code, now()).possible:
        return Choice(esim, currency, [], None)
    offers = list_offers(db.session(), esim, current_language().code, currency)
    chosen = next((plan for plan in offers if plan.slug == slug), offers[0] if offers else None)
    return Choice(esim, currency, offers, preview(esim, chosen) if chosen else None)


def _wish(choice: Choice, shown: RenewalPreview, form: RenewalForm) -> Wish:
    return Wish(
        checkout_key=form.checkout_key.data,
        kind=OrderKind.RENEWAL,
        plan=shown.plan,
        days=shown.plan.days_min,
        email=current_user.email,
        language=current_language().code,
        consents=CONSENTS,
        esim_id=choice.esim.id,
        shown_before=shown.before.to_json(),
        shown_after=shown.after.to_json(),
    )


def _subject(public_id: str) -> str:
    return f"renewal {public_id}"


def _page(choice: Choice, form: RenewalForm, status: int = 200) -> Response:
    reason = renewability(choice.esim, choice.esim.plan.supplier_topup_code, now()).reason
    response = render_page(
        "renewal/choose.html",
        "renewal/choose.htmx.html",
        status,
        choice=choice,
        esim=choice.esim,
        form=form,
        reason=reason,
        currencies=money.CURRENCIES,
    )
    return private(response)
