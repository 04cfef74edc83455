"""Every request that htmx makes: after its swap, the open page is the one that a fresh load of its address shows."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models import Account, Esim, EsimStatus, FulfilmentStatus, OrderStatus
from services.links import order_key
from tests.factories import STATES, Factories
from tests.forms import fill
from tests.htmx_swap import apply_swap, assert_same_page
from tests.money_world import MONACO_3GB, MoneyWorld
from tests.page_client import Page, PageClient
from tests.page_rules import parse
from tests.pages.buying import DAILY_PLAN, check_out, checkout_path, filled, only_order, session_ids

pytestmark = pytest.mark.usefixtures("money")

TEMPLATES = Path(__file__).parent.parent.parent / "templates"
# What the tests below ask for, each by a test or more; a new hx-get or hx-post fails until it is walked here.
WALKED = {
    "get catalogue.plans",
    "get catalogue.plan",
    "get checkout.checkout",
    "post checkout.email",
    "get orders.order",
    "post account.read_usage",
    "get renewal.choose",
    "get renewal.your_esims",
    "get pages.compatibility",
    # In tests/pages/test_staff_today.py.
    "get staff.today",
    "get staff.today_balance",
}


def test_every_htmx_request_of_the_templates_is_walked() -> None:
    asked = set()
    for file in TEMPLATES.rglob("*.html"):
        for method, address in re.findall(r'hx-(get|post|put|patch|delete|query)="([^"]*"[^"]*)', file.read_text()):
            if file.name == "forms.html":
                # A whole form that is sent in place: tests/pages/test_sent_in_place.py.
                continue
            endpoint = re.match(r'\{\{ url_for\("([\w.]+)', address)
            assert endpoint is not None, f"{file.name}: hx-{method}={address}"
            asked.add(f"{method} {endpoint[1]}")
    assert asked == WALKED


def entered(page: Page, **values: str | bool) -> Page:
    """Return the page after its visitor has entered something, which is still there after a swap elsewhere."""
    soup = parse(str(page.soup))
    for name, value in values.items():
        for control in soup.select(f'main [name="{name}"]'):
            if control.name == "select":
                for option in control.select("option"):
                    option.attrs.pop("selected", None)
                    if option["value"] == value:
                        option["selected"] = ""
            elif control.get("type") == "search":
                control["value"] = str(value)
            elif control.get("type") == "radio":
                control.attrs.pop("checked", None)
                if control["value"] == value:
                    control["checked"] = ""
    return replace(page, soup=soup)


def assert_swap_of_form(client: PageClient, path: str, button: str, values: dict[str, str], status: int = 200) -> None:
    """Change a form that asks by itself, and compare; its answer becomes the address of the page."""
    page = client.get(path)
    form = next(tag.find_parent("form") for tag in page.select("form[hx-get] button") if tag.get_text() == button)
    assert form is not None
    form["id"] = str(form.get("id", "asking"))
    answer = client.submit(button, values, status, htmx=True)
    swapped = apply_swap(entered(page, **values), f"#{form['id']}", answer)
    if form["id"] == "asking":
        for tag in swapped.select("#asking"):
            del tag["id"]
    assert_same_page(swapped, client.get(answer.url, status))


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"country": "IT", "currency": "USD"}, 200),
        ({"days": "7", "data": "5"}, 200),
        ({"country": "MC", "days": "31"}, 200),
        ({"days": "no"}, 422),
    ],
)
def test_plan_list(client: PageClient, values: dict[str, str], status: int) -> None:
    assert_swap_of_form(client, "/en/plans", "Show plans", values, status)


@pytest.mark.parametrize(("values", "status"), [({"days": "5", "currency": "USD"}, 200), ({"days": "99"}, 422)])
def test_plan_price(client: PageClient, values: dict[str, str], status: int) -> None:
    assert_swap_of_form(client, f"/en/plans/{DAILY_PLAN}", "Update the price", values, status)


@pytest.mark.parametrize("before", ["", "?phone=pixel", "?phone=nothing+at+all"])
@pytest.mark.parametrize("phone", ["iphone 13", "nokia 3310", "", "galaxy"])
def test_phones(client: PageClient, before: str, phone: str) -> None:
    assert_swap_of_form(client, f"/en/compatibility{before}", "Look it up", {"phone": phone})


@pytest.mark.parametrize("query", ["", "?days=3&currency=CHF", "?days=3&new=1"])
def test_checkout_summary(client: PageClient, query: str) -> None:
    assert_swap_of_form(client, checkout_path(DAILY_PLAN, query=query), "Update", {"days": "5", "currency": "USD"})


def test_checkout_summary_in_another_language(client: PageClient) -> None:
    path = checkout_path("europe-5gb-30-days", language="zh-hans")
    button = client.get(path).one("form[method=get] button").get_text()
    assert_swap_of_form(client, path, button, {"currency": "EUR"})


@pytest.mark.parametrize("signed_in", [False, True])
def test_email_field(client: PageClient, factories: Factories, signed_in: bool) -> None:
    if signed_in:
        client.sign_in(factories.make_account())
    page = client.get(checkout_path())
    for email in ("ana@gmial.com", "not an address", "ana@gmail.com", "ana@gmial.com"):
        answer = client.hx_post(str(page.one("#email-field")["hx-post"]), filled(page, email=email).values)
        fresh = client.get(page.url)
        assert_same_page(apply_swap(page, "#email-field", answer), fresh)
        page = fresh


def test_email_field_without_javascript_leads_back(client: PageClient) -> None:
    page = client.get(checkout_path())
    client.post(str(page.one("#email-field")["hx-post"]), filled(page, email="ana@gmial.com").values)
    assert "Did you mean ana@gmail.com?" in client.follow().text


@pytest.mark.parametrize("after", [state for state in STATES if state not in ("pending", "cancelled")])
@pytest.mark.parametrize("before", ["paid", "applied"])
def test_order_state(client: PageClient, money: MoneyWorld, factories: Factories, before: str, after: str) -> None:
    order = factories.make_order(before)
    client.sign_in(order.account)
    page = client.get(f"/en/orders/{order.public_id}")
    with money.shop.transaction():
        order.status, fulfilment = STATES[after]
        assert order.fulfilment is not None
        assert isinstance(fulfilment, FulfilmentStatus)
        order.fulfilment.status = fulfilment
    answer = client.hx_get(str(page.one("#order-state")["hx-get"]))
    assert_same_page(apply_swap(page, "#order-state", answer), client.get(page.url))


@pytest.mark.parametrize("paid", [False, True])
def test_order_state_of_a_payment_that_is_looked_for(client: PageClient, money: MoneyWorld, paid: bool) -> None:
    check_out(client)
    order = only_order()
    client.get(f"/en/orders/{order.public_id}?key={order_key(money.shop.settings, order)}", status=303)
    page = client.follow()
    if paid:
        money.stripe.pay(session_ids(order)[0], wait=False)
    money.clock.advance(minutes=1 if paid else 30)
    answer = client.hx_get(str(page.one("#order-state")["hx-get"]))
    fresh = client.get(page.url)
    assert_same_page(apply_swap(page, "#order-state", answer), fresh)
    assert fresh.one("#order-state").has_attr("hx-get") == paid
    assert (only_order().status is OrderStatus.PAID) == paid


@pytest.fixture
def esim(money: MoneyWorld, client: PageClient) -> Esim:
    """Return an eSIM that was bought at the supplier; its owner is signed in."""
    esim = money.esim()
    client.sign_in(money.row(Account, esim.account_id))
    money.clock.advance(minutes=20)
    return money.row(Esim, esim.id)


def assert_swap_of_usage(client: PageClient, page: Page) -> None:
    """Let the panel ask the supplier, and compare."""
    form = page.one("#usage form")
    form["id"] = "asking"
    sent = fill(page.soup, "asking", {})
    answer = client.hx_post(sent.action, sent.values)
    assert_same_page(apply_swap(page, "#asking", answer), client.get(page.url))


@pytest.mark.parametrize("query", ["", "?install=1"])
def test_usage_panel(client: PageClient, money: MoneyWorld, esim: Esim, query: str) -> None:
    path = f"/en/account/esims/{esim.public_id}{query}"
    assert_swap_of_usage(client, client.get(path))
    money.clock.advance(minutes=20)
    page = client.get(path)
    money.supplier.connect(esim.supplier_esim_id)
    assert_swap_of_usage(client, page)


@pytest.mark.parametrize("percent", [0, 50, 90, 100])
def test_usage_panel_of_an_esim_that_was_used(
    client: PageClient, money: MoneyWorld, esim: Esim, percent: float
) -> None:
    page = client.get(f"/en/account/esims/{esim.public_id}")
    money.supplier.burn(esim.supplier_esim_id, percent=percent)
    assert_swap_of_usage(client, page)


def test_usage_panel_of_an_esim_that_has_ended(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    money.supplier.connect(esim.supplier_esim_id)
    page = client.get(f"/en/account/esims/{esim.public_id}")
    money.supplier.advance(days=8)
    assert_swap_of_usage(client, page)


def test_usage_panel_while_the_supplier_is_silent(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    page = client.get(f"/en/account/esims/{esim.public_id}")
    money.supplier.fault("*", "500", count=None)
    assert_swap_of_usage(client, page)


@pytest.mark.parametrize("values", [{"plan": MONACO_3GB}, {"currency": "USD"}, {"plan": MONACO_3GB, "currency": "CHF"}])
def test_renewal_preview(client: PageClient, esim: Esim, values: dict[str, str]) -> None:
    path = f"/en/account/esims/{esim.public_id}/renewal"
    assert_swap_of_form(client, path, "Show what will change", values)


@pytest.mark.parametrize("change", [{"status": EsimStatus.SUSPENDED}, {"topups": []}, {"expires_at": "past"}])
def test_renewal_preview_of_an_esim_that_cannot_be_renewed_any_more(
    client: PageClient, money: MoneyWorld, esim: Esim, change: dict[str, Any]
) -> None:
    page = client.get(f"/en/account/esims/{esim.public_id}/renewal")
    with money.shop.transaction() as session:
        row = session.get_one(Esim, esim.id)
        for name, value in change.items():
            setattr(row, name, money.clock.now() - timedelta(days=1) if value == "past" else value)
    answer = client.submit("Show what will change", {"plan": MONACO_3GB}, status=200, htmx=True)
    assert_same_page(apply_swap(page, "form[hx-get]", answer), client.get(answer.url))


@pytest.mark.parametrize("esims", [None, 0, 2])
def test_your_esims(client: PageClient, factories: Factories, esims: int | None) -> None:
    if esims is not None:
        account = factories.make_account()
        client.sign_in(account)
        for _ in range(esims):
            factories.make_esim(account)
    page = client.get("/en/renew")
    answer = client.hx_get(str(page.one("#your-esims")["hx-get"]))
    swapped = apply_swap(page, "#your-esims", answer)
    assert len(swapped.select("#your-esims")) == 1
    assert not swapped.select("#your-esims[hx-get]"), "it would ask for ever"
    assert_same_page(swapped, replace(page, soup=apply_swap(client.get("/en/renew"), "#your-esims", answer)))


@pytest.mark.parametrize("path", ["/en/plans", f"/en/plans/{DAILY_PLAN}", checkout_path(DAILY_PLAN)])
def test_a_page_from_the_history_is_asked_for_whole(client: PageClient, path: str) -> None:
    page = client.get(path, headers={"HX-Request": "true", "HX-Request-Type": "full"})
    assert page.select("main h1") != []
    assert "HX-Request" in page.response.headers["Vary"]
