"""The staff's first page: what waits, what was sold, what ends, and whether everything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from flask import Flask, Response, abort, current_app, request
from flask.blueprints import BlueprintSetupState

from blueprints._web import current_shop, is_htmx, now, render_page
from blueprints.staff import access, blueprint
from blueprints.staff.access import Act
from blueprints.staff.today_chart import Chart, draw
from models import db
from services import today_rules as rules
from services.csv_export import Cell, lines
from services.money import CURRENCIES, format_amount
from services.stuck import MOST, summarise_stuck
from services.supplier_balance import BalanceWatch
from services.today_esims import read_ending, read_ends, read_spending
from services.today_health import read_health
from services.today_sales import read_sales

USUAL_SPAN = 30
# A year and more is as good as for ever, and reckoned from two weeks it means nothing.
LONGEST_LEFT = 365
COUNTED = ("Day", "Currency", "Purchases", "Renewals")
PAID = ("Gross", "Refunded", "Net")


@blueprint.record
def _watch_the_balance(state: BlueprintSetupState) -> None:
    assert isinstance(state.app, Flask)
    state.app.extensions["supplier_balance"] = BalanceWatch()


@dataclass(frozen=True, kw_only=True)
class Charts:
    """What the charts show; `currency` is None where no money is shown."""

    currency: str | None
    currencies: list[str]
    counts: list[tuple[date, int, int]]
    orders: Chart | None
    amounts: list[tuple[date, rules.Sales]]
    revenue: Chart | None


@blueprint.get("/today")
@access.staff_required
def today() -> Response:
    """Show what an operator looks at first; htmx gets the charts alone."""
    span, currency = _span(), _currency()
    day = rules.day_of(now())
    books = _books(day, max(span, rules.LONGEST_PERIOD))
    context = {"charts": _charts(books, day, span, currency), "span": span, "spans": rules.SPANS}
    context["sees_money"] = access.may(Act.MONEY)
    if not is_htmx():
        context |= _whole_page(books, day)
    return render_page("staff/today.html", "staff/_today_charts.html", **context)


@blueprint.get("/today/balance")
@access.staff_required
def today_balance() -> Response:
    """Ask the supplier for the balance, unless it was just asked, and say how long it lasts."""
    watch: BalanceWatch = current_app.extensions["supplier_balance"]
    balance = watch.look(current_shop())
    spending = read_spending(db.session(), now())
    left = None
    if balance.amount is not None and not spending.unknown:
        left = rules.days_left(balance.amount, spending.cost)
    context = {"asked": True, "balance": balance, "spending": spending, "left": left, "longest_left": LONGEST_LEFT}
    context |= {"spending_days": rules.SPENDING_DAYS}
    return render_page("staff/today_balance.html", "staff/_today_balance.html", **context)


@blueprint.get("/today.csv")
@access.staff_required
def today_csv() -> Response:
    """Return the figures of the charts as CSV: one row for each day and each currency that was paid in."""
    span, with_money = _span(), access.may(Act.MONEY)
    day = rules.day_of(now())
    books, days = _books(day, span), rules.last_days(day, span)
    rows: list[list[Cell]] = []
    for each in days:
        for currency in sorted(rules.currencies_of(books, days)) or [""]:
            sales = books.get((each, currency), rules.Sales())
            amounts = (sales.gross_minor, sales.refunded_minor, sales.net_minor) if with_money else ()
            shown = [format_amount(amount, currency, "en") if currency else "" for amount in amounts]
            rows.append([each.isoformat(), currency, sales.purchases, sales.renewals, *shown])
    heads = (*COUNTED, *PAID) if with_money else COUNTED
    response = Response(lines(heads, rows), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="sales-{days[0]}-to-{days[-1]}.csv"'
    return response


def _books(day: date, number: int) -> rules.Books:
    return read_sales(db.session(), rules.last_days(day, number), refunds=access.may(Act.MONEY))


def _whole_page(books: rules.Books, day: date) -> Mapping[str, Any]:
    """Return what stands on the page beside its charts."""
    session, moment = db.session(), now()
    periods = rules.periods(day)
    ends = read_ends(session, rules.last_days(day, rules.LONGEST_PERIOD), moment)
    return {
        "now": moment,
        "stuck": summarise_stuck(session, moment),
        "most": MOST,
        "sales": [(period, rules.sales_of(books, period)) for period in periods],
        "renewals": [(period, rules.orders_in(books, period), rules.ends_of(ends, period)) for period in periods],
        "ending": read_ending(session, moment),
        "health": read_health(session, moment),
        "asked": False,
    }


def _charts(books: rules.Books, day: date, span: int, wanted: str | None) -> Charts:
    days = rules.last_days(day, span)
    counts = rules.orders_per_day(books, days)
    charts = Charts(counts=counts, orders=draw(counts), currency=None, currencies=[], amounts=[], revenue=None)
    if not access.may(Act.MONEY):
        return charts
    found = rules.currencies_of(books, days)
    currency = wanted or (found[0] if found else CURRENCIES[0])
    amounts = rules.sales_per_day(books, days, currency)
    revenue = draw([(each, sales.net_minor, sales.refunded_minor) for each, sales in amounts])
    choices = sorted({*found, currency}, key=CURRENCIES.index)
    return replace(charts, currency=currency, currencies=choices, amounts=amounts, revenue=revenue)


def _span() -> int:
    """Return how many days the address asks for; a span that does not exist is a 404."""
    spans = {str(span): span for span in rules.SPANS}
    try:
        return spans[request.args.get("days", str(USUAL_SPAN))]
    except KeyError:
        abort(404)


def _currency() -> str | None:
    """Return the currency that the address asks for, None for the one of most orders; an invented one is a 404."""
    currency = request.args.get("currency")
    if currency is not None and currency not in CURRENCIES:
        abort(404)
    return currency
