"""What a traveller can keep of one eSIM: a page in one file, its QR code, a reminder, and the copy on the phone.

The order page and the eSIM's page offer the same, each below its own address: `pack`, `qr`, `reminder` and `copy` are
views of both blueprints.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from flask import Response, abort, make_response, render_template, url_for
from flask_babel import gettext as _

from blueprints._language import current_language
from blueprints._web import current_shop, now, private
from models import Esim, EsimStatus, Order
from services import usage_rules
from services.calendar import Reminder, write_calendar
from services.delivery import InstallInfo, install_info
from services.money import format_moment
from services.order_progress import codes_are_shown

ALARM_BEFORE = timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class Keep:
    """The addresses of what can be kept; `reminder` is None where there is no date to be reminded of.

    That of the copy changes with what the copy says, so that shop.js knows an old one (ADR 14).
    """

    file: str
    qr: str
    reminder: str | None
    copy: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Pack:
    """An eSIM with the order that bought it, as it goes into what is kept; `page` is the address it belongs to.

    Has no repr because it holds the activation code.
    """

    esim: Esim
    order: Order
    install: InstallInfo
    page: str

    @property
    def name(self) -> str:
        """Return what the traveller calls the eSIM."""
        return self.esim.nickname or self.order.plan_name

    @property
    def ends_at(self) -> datetime | None:
        """Return when the eSIM ends, in UTC; None while its days do not count yet."""
        return _ends_at(self.esim)


def keep_of_order(order: Order) -> Keep | None:
    """Return what the order page offers; None where it shows no codes."""
    if order.esim is None or not codes_are_shown(order):
        return None
    return _keep("orders", order.public_id, order.esim)


def keep_of_esim(esim: Esim) -> Keep | None:
    """Return what the eSIM's page offers; None once it has ended."""
    return None if _has_ended(esim) else _keep("account", esim.public_id, esim)


def pack_of_order(order: Order) -> Pack:
    """Return what is kept below the order page; 404 where that shows no codes."""
    if order.esim is None or not codes_are_shown(order):
        abort(404)
    return _pack(order.esim, order, url_for("orders.order", public_id=order.public_id))


def pack_of_esim(esim: Esim, order: Order | None) -> Pack:
    """Return what is kept below the page of an eSIM that `order` bought; 404 once it has ended."""
    if order is None or _has_ended(esim):
        abort(404)
    return _pack(esim, order, url_for("account.esim", public_id=esim.public_id))


def send_file(pack: Pack) -> Response:
    """Return the page in one file, which opens without this shop."""
    page = render_template("orders/pack.html", pack=pack, install=pack.install, kept_at=None)
    return _download(page, "text/html; charset=utf-8", f"esim-{pack.esim.public_id}.html")


def send_copy(pack: Pack) -> Response:
    """Return the page as the browser keeps it for when the shop cannot be reached; it says so and names the time."""
    page = render_template("orders/pack.html", pack=pack, install=pack.install, kept_at=now())
    return private(make_response(page))


def send_qr(pack: Pack) -> Response:
    """Return the QR code as a picture."""
    return _download(pack.install.qr_png, "image/png", f"esim-{pack.esim.public_id}.png")


def send_reminder(pack: Pack) -> Response:
    """Return the calendar file with the end of the eSIM, or before its days count the last day to install it.

    404 where neither is known or it has passed.
    """
    at = _reminder_at(pack.esim)
    if at is None:
        abort(404)
    calendar = write_calendar(_reminder(pack, at), now())
    # Not as an attachment: phones then open it in their calendar.
    return _download(calendar, "text/calendar; charset=utf-8", f"esim-{pack.esim.public_id}.ics", "inline")


def _pack(esim: Esim, order: Order, page: str) -> Pack:
    return Pack(esim=esim, order=order, install=install_info(esim, order.plan_facts), page=_absolute(page))


def _keep(area: str, public_id: str, esim: Esim) -> Keep:
    said = f"{esim.public_id} {esim.nickname} {esim.apn} {esim.status} {esim.install_by} {_ends_at(esim)}"
    edition = hashlib.sha256(said.encode()).hexdigest()[:8]
    return Keep(
        file=url_for(f"{area}.pack", public_id=public_id),
        qr=url_for(f"{area}.qr", public_id=public_id),
        reminder=url_for(f"{area}.reminder", public_id=public_id) if _reminder_at(esim) else None,
        copy=url_for(f"{area}.copy", public_id=public_id, edition=edition),
    )


def _has_ended(esim: Esim) -> bool:
    return usage_rules.effective_status(esim.status, esim.install_by, esim.expires_at, now()) in usage_rules.ENDED


def _ends_at(esim: Esim) -> datetime | None:
    return esim.expires_at if esim.activated_at else None


def _reminder_at(esim: Esim) -> datetime | None:
    """Return the moment to be reminded of, if there is one to come."""
    at = _ends_at(esim) or (esim.install_by if esim.status is EsimStatus.NEW else None)
    return at if at is not None and at > now() else None


def _reminder(pack: Pack, at: datetime) -> Reminder:
    moment = format_moment(at, current_language().locale)
    if not pack.ends_at:
        kind, title = "install", _("Last day to install the eSIM: %(name)s", name=pack.name)
        details = _("The codes and the steps are on this page: %(address)s", address=pack.page)
        alarm = _("Install your eSIM by %(moment)s, Monaco time.", moment=moment)
    elif pack.install.renewable:
        kind, title = "end", _("eSIM ends: %(name)s", name=pack.name)
        details = _("Renew it before and the same eSIM goes on: %(address)s", address=pack.page)
        alarm = _("Renew your eSIM by %(moment)s, Monaco time.", moment=moment)
    else:
        kind, title = "end", _("eSIM ends: %(name)s", name=pack.name)
        details = _("It cannot be renewed; afterwards a new eSIM is needed: %(address)s", address=pack.page)
        alarm = _("Your eSIM ends on %(moment)s, Monaco time.", moment=moment)
    host = urlsplit(current_shop().settings.shop_url).hostname
    uid = f"{pack.esim.public_id}-{kind}@{host}"
    return Reminder(uid=uid, at=at, title=title, details=details, url=pack.page, alarm=alarm, alarm_before=ALARM_BEFORE)


def _absolute(path: str) -> str:
    return current_shop().settings.shop_url + path


def _download(body: str | bytes, content_type: str, name: str, disposition: str = "attachment") -> Response:
    response = private(make_response(body))
    response.headers["Content-Type"] = content_type
    response.headers["Content-Disposition"] = f'{disposition}; filename="{name}"'
    return response
