"""What mails say about orders, plans and eSIMs, as pairs of label and value in the language in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import flask_babel

from models import ClockStart, Esim, Order, OrderKind
from services import money
from services.activation_codes import last_four
from services.countries import country_name, join_names
from services.languages import get_language

Facts = list[tuple[str, str]]

_: Callable[..., str] = flask_babel.gettext
ngettext: Callable[..., str] = flask_babel.ngettext


def receipt_facts(order: Order, esim: Esim | None) -> Facts:
    """Return what a receipt states; raises ValueError for an order that is not paid."""
    if order.paid_at is None:
        raise ValueError("a receipt needs a payment")
    facts = [
        (_("Order"), order.public_id),
        (_("Plan"), order.plan_name),
        (_("Data"), _plan_data(order.plan_facts)),
        (_("Days"), ngettext("%(num)s day", "%(num)s days", order.days)),
        (_("Works in"), _countries(order.plan_facts)),
        (_("Calls and SMS"), _talk(order.plan_facts)),
    ]
    if order.kind is OrderKind.RENEWAL and esim is not None:
        facts.append((_("For"), esim_name(esim)))
    else:
        facts.append((_("For"), _("a new eSIM")))
    facts += [
        (_("Paid"), money.format_money(order.amount_minor, order.currency, _locale())),
        (_("Currency"), money.currency_name(order.currency, _locale())),
        (_("Paid on"), moment(order.paid_at)),
        (_("Language of the contract"), get_language(order.language).name),
        (_("Seller"), _("Monaco travel card")),
    ]
    return facts


def usage_facts(esim: Esim) -> Facts:
    """Return what is left on an eSIM and how old that knowledge is."""
    facts = [(_("Data left"), _data_left(esim.total_bytes, esim.used_bytes, unlimited=False))]
    if esim.expires_at is not None:
        facts.append((_("Valid until"), moment(esim.expires_at)))
    if esim.usage_as_of is not None:
        facts.append((_("As of"), moment(esim.usage_as_of)))
    return facts


def reading_facts(reading: Mapping[str, Any], *, unlimited: bool) -> Facts:
    """Return data left and end of a reading in the form that `Reading.to_json` writes."""
    expires_at = reading.get("expires_at")
    if expires_at is not None:
        ends = moment(datetime.fromisoformat(expires_at))
    else:
        ends = _("unknown") if reading.get("activated_at") else _("not started")
    return [
        (_("Data left"), _data_left(reading.get("total_bytes"), reading.get("used_bytes"), unlimited=unlimited)),
        (_("Valid until"), ends),
    ]


def clock_rule(plan_facts: Mapping[str, Any]) -> str:
    """Return the sentence that says what starts the days of a plan."""
    days = int(plan_facts["days"])
    if plan_facts["clock_start"] == ClockStart.INSTALLATION:
        return ngettext(
            "The %(num)s day starts when you install the eSIM.",
            "The %(num)s days start when you install the eSIM.",
            days,
        )
    return ngettext(
        "The %(num)s day starts when the eSIM first connects to a network it covers, not when you install it.",
        "The %(num)s days start when the eSIM first connects to a network it covers, not when you install it.",
        days,
    )


def esim_name(esim: Esim) -> str:
    """Return the name by which its owner knows an eSIM."""
    digits = last_four(esim.iccid)
    if esim.nickname:
        return _("%(nickname)s, eSIM ending in %(digits)s", nickname=esim.nickname, digits=digits)
    return _("eSIM ending in %(digits)s", digits=digits)


def moment(value: datetime) -> str:
    """Return a moment to the minute with its zone named."""
    return _("%(moment)s (Monaco time)", moment=money.format_moment(value, _locale()))


def _locale() -> str:
    return str(flask_babel.get_locale())


def _plan_data(plan_facts: Mapping[str, Any]) -> str:
    if plan_facts["data_bytes"] is None:
        return _("Unlimited")
    data = money.format_data(plan_facts["data_bytes"], _locale())
    return _("%(data)s a day", data=data) if plan_facts["per_day"] else data


def _talk(plan_facts: Mapping[str, Any]) -> str:
    minutes, messages = plan_facts["voice_minutes"], plan_facts["sms_count"]
    if minutes and messages:
        return _("%(minutes)s minutes of calls and %(messages)s SMS", minutes=minutes, messages=messages)
    if minutes:
        return _("%(minutes)s minutes of calls, no SMS", minutes=minutes)
    if messages:
        return _("%(messages)s SMS, no calls", messages=messages)
    return _("Data only: no phone number, no calls, no SMS")


def _countries(plan_facts: Mapping[str, Any]) -> str:
    return join_names(tuple(country_name(code, _locale()) for code in plan_facts["countries"]), _locale())


def _data_left(total: int | None, used: int | None, *, unlimited: bool) -> str:
    if unlimited:
        return _("Unlimited")
    if total is None or used is None:
        return _("unknown")
    return money.format_data(max(total - used, 0), _locale())
