"""One eSIM: its remaining data, how to install it, its nickname."""

from __future__ import annotations

from flask import Response, abort, request, url_for

from blueprints._access import account_required, required_account, too_many_tries
from blueprints._language import current_language
from blueprints._pack import keep_of_esim
from blueprints._web import current_shop, is_htmx, limiter, now, render_page, see_other
from blueprints.account import blueprint
from blueprints.account.chart import Chart, draw
from blueprints.account.forms import NicknameForm
from models import Esim, EsimStatus, db
from services import overview, usage, usage_history
from services.delivery import InstallInfo, install_info
from services.usage_panel import Panel, build_panel

# In these states the eSIM is still to be put on a phone, so the page says how without being asked.
TO_INSTALL = (EsimStatus.NEW, EsimStatus.INSTALLED)


@blueprint.get("/account/esims/<public_id>")
@account_required
def esim(public_id: str) -> Response:
    """Show what is left of an eSIM, how old that figure is, and what can be done."""
    found = load_esim(public_id)
    if is_htmx():
        panel = _panel(found)
        return render_page("account/esim.html", "account/_usage.html", esim=found, panel=panel, chart=_chart(panel))
    return _page(found, NicknameForm(formdata=None, nickname=found.nickname))


@blueprint.post("/account/esims/<public_id>/usage-reading")
@account_required
@limiter.limit("60 per minute", on_breach=too_many_tries)
def read_usage(public_id: str) -> Response:
    """Ask the supplier, as often as it allows, and show what is known then."""
    found = load_esim(public_id)
    usage.read(current_shop(), found.id)
    if not is_htmx():
        install = request.args.get("install")
        return see_other(url_for("account.esim", public_id=public_id, install=install, _anchor="usage"))
    found = load_esim(public_id)
    return _page(found, NicknameForm(formdata=None, nickname=found.nickname))


@blueprint.post("/account/esims/<public_id>/nickname")
@account_required
def nickname(public_id: str) -> Response:
    """Give the eSIM a name of the traveller's own."""
    found = load_esim(public_id)
    form = NicknameForm()
    if not form.validate():
        return _page(found, form, 422)
    with current_shop().transaction():
        found.nickname = (form.nickname.data or "").strip()
    return see_other(url_for("account.esim", public_id=public_id, _anchor="nickname"))


def load_esim(public_id: str) -> Esim:
    """Return the visitor's own eSIM; 404 for everybody else's."""
    found = overview.find_esim(db.session(), required_account().id, public_id)
    if found is None:
        abort(404)
    return found


def _panel(found: Esim) -> Panel:
    packages = overview.list_packages(db.session(), found.id, current_language().code)
    # Before its activation an eSIM has used nothing, so there is nothing to ask for.
    known_days = usage_history.list_days(db.session(), found.id) if found.activated_at else []
    return build_panel(found, packages, known_days, current_shop().supplier.capabilities, now())


def _chart(panel: Panel) -> Chart | None:
    return draw(panel.per_day, from_the_right=current_language().direction == "rtl")


def _page(found: Esim, form: NicknameForm, status: int = 200) -> Response:
    panel = _panel(found)
    # A QR code takes longer to draw than all the rest of the page, so it is drawn where it is of use.
    wanted = found.status in TO_INSTALL or "install" in request.args
    return render_page(
        "account/esim.html",
        "account/esim.htmx.html",
        status,
        esim=found,
        panel=panel,
        chart=_chart(panel),
        form=form,
        plan_name=overview.plan_name(db.session(), found.plan_id, current_language().code),
        install=_install(found) if wanted and not panel.ended else None,
        keep=keep_of_esim(found),
        own_address=current_shop().settings.shop_url + url_for("account.esim", public_id=found.public_id),
    )


def _install(found: Esim) -> InstallInfo | None:
    order = overview.first_order(db.session(), found.id)
    return install_info(found, order.plan_facts) if order is not None else None
