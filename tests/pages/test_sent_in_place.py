"""Forms that htmx sends without leaving the page: what comes back is what a browser without scripts is shown."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from models import Account
from sandbox.server import Sandbox
from services.shop import Shop
from tests.factories import PASSWORD, Factories
from tests.forms import fill
from tests.money_world import MoneyWorld
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.pages.buying import all_orders, check_out, checkout_path, filled, only_order, pay_order

pytestmark = pytest.mark.usefixtures("money")

TEMPLATES = Path(__file__).parent.parent.parent / "templates"
IN_PLACE = {"HX-Request": "true", "HX-Request-Type": "full", "HX-Target": "main#main"}
# What the tests below send; a new form that is sent in place fails until it is here.
SENT = {
    "checkout.place",
    "renewal.renew",
    "orders.start_payment",
    "orders.correct_recipient",
    "account.sign_in",
    "account.sign_up",
    "account.password_reset",
    "account.sign_in_link",
    # Whose address holds a token: choosing a password and confirming an address.
    "",
}


def test_every_form_that_is_sent_in_place_is_tried() -> None:
    found = set()
    for file in TEMPLATES.rglob("*.html"):
        for form in re.findall(r"<form [^>]*\{\{ sent_in_place\(.*?\) \}\}", file.read_text()):
            action = re.search(
                r' action="\{\{ url_for\("([\w.]+)"(.*?)\) \}\}" \{\{ sent_in_place\(url_for\("\1"\2\)\)', form
            )
            assert action or "sent_in_place(" + '"")' in form, f"{file.name}: {form}"
            found.add(action[1] if action else "")
    assert found == SENT


def main_of(page: Page) -> str:
    """Return the content of a page without what differs each time."""
    return re.sub(r'value="[^"]{40,}"', "", str(page.one("#main")))


@pytest.mark.parametrize(
    ("path", "button", "values"),
    [
        (checkout_path(), "Pay €14.90", {"email": "nobody"}),
        ("/en/sign-in", "Sign in", {"email": "nobody@example.com", "password": "something else"}),
        ("/en/sign-up", "Send me a link", {"email": "nobody"}),
        ("/en/password-reset", "Send me a link", {"email": "nobody"}),
        ("/en/sign-in/link", "Send me a link", {"email": "nobody"}),
    ],
)
def test_mistakes_come_back_as_the_same_content(
    client: PageClient, path: str, button: str, values: dict[str, str]
) -> None:
    sent = fill(client.get(path).soup, button, values)
    plain = client.post(path, sent.values, 422)
    assert plain.select(".error-summary")
    assert main_of(client.post(path, sent.values, 422, headers=IN_PLACE)) == main_of(plain)


def test_the_checkout_leads_to_the_payment_page(client: PageClient, sandbox: Sandbox) -> None:
    """A whole page is left behind, so it is htmx that goes there; a script may not read Stripe's page."""
    page = client.get(checkout_path())
    sent = filled(page)
    answer = client.post(checkout_path(), sent.values, 204, headers=IN_PLACE)
    assert answer.response.headers["HX-Redirect"].startswith(f"{sandbox.url}/c/pay/")
    order = only_order()
    again = client.post(f"/en/orders/{order.public_id}/payment", sent.values, 204, headers=IN_PLACE)
    assert again.response.headers["HX-Redirect"] == answer.response.headers["HX-Redirect"]


def test_a_silent_stripe_is_said_in_place(client: PageClient, sandbox: Sandbox) -> None:
    """htmx shows no answer of 5xx, so this one is none: it says what happened to the order."""
    sandbox.stripe.fault("503", path="/v1/checkout/sessions*", count=None)
    page = client.get(checkout_path())
    sent = filled(page)
    page = client.post(checkout_path(), sent.values, 200, headers=IN_PLACE)
    assert "This attempt has not charged you anything, and your order is kept." in words(page.one("#main"))


def test_a_renewal_leads_to_the_payment_page(client: PageClient, money: MoneyWorld, sandbox: Sandbox) -> None:
    esim = money.esim()
    client.sign_in(money.row(Account, esim.account_id))
    path = f"/en/account/esims/{esim.public_id}/renewal"
    page = client.get(path)
    button = words(page.one('#preview button[type="submit"]'))
    refused = client.post(path, fill(page.soup, button, {}).values, 422, headers=IN_PLACE)
    assert refused.one("#main .error-summary")
    sent = fill(page.soup, button, {"terms": True, "immediate_delivery": True})
    answer = client.post(path, sent.values, 204, headers=IN_PLACE)
    assert answer.response.headers["HX-Redirect"].startswith(f"{sandbox.url}/c/pay/")


def test_signing_in_leads_to_the_account(client: PageClient, factories: Factories) -> None:
    account = factories.make_account()
    sent = fill(client.get("/en/sign-in").soup, "Sign in", {"email": account.email, "password": PASSWORD})
    answer = client.post("/en/sign-in", sent.values, 204, headers=IN_PLACE)
    assert answer.response.headers["HX-Redirect"].startswith("/en/account")


def test_a_corrected_address_leads_to_the_order(client: PageClient, factories: Factories) -> None:
    order = factories.make_order("verified")
    client.sign_in(order.account)
    path = f"/en/orders/{order.public_id}/recipient"
    sent = fill(client.get(path).soup, "Correct and send again", {"email": "right@example.com"})
    answer = client.post(path, sent.values, 204, headers=IN_PLACE)
    assert answer.response.headers["HX-Redirect"] == f"/en/orders/{order.public_id}?mail=corrected"


def test_who_was_signed_out_meanwhile_is_led_to_signing_in(client: PageClient, money: MoneyWorld) -> None:
    """From another phone, by a new password: the page that is open comes back after signing in."""
    esim = money.esim()
    client.sign_in(money.row(Account, esim.account_id))
    path = f"/en/account/esims/{esim.public_id}/renewal"
    page = client.get(path)
    sent = fill(page.soup, words(page.one('#preview button[type="submit"]')), {})
    with money.shop.transaction() as session:
        session.get_one(Account, esim.account_id).session_version += 1
    headers = {**IN_PLACE, "HX-Current-URL": f"http://127.0.0.1{path}"}
    answer = client.post(path, sent.values, 401, headers=headers)
    assert answer.response.headers["HX-Redirect"] == f"/en/sign-in?next={path}"


def test_an_error_takes_the_place_of_the_content(client: PageClient) -> None:
    """Wherever a fragment was to go: a page inside a panel would be of no use."""
    page = client.get("/en/checkout/no-such-plan", 404, headers=IN_PLACE)
    headers = page.response.headers
    assert (headers["HX-Retarget"], headers["HX-Reselect"], headers["HX-Reswap"]) == ("#main", "#main", "outerHTML")
    assert page.one("#main h1")


# Whoever comes back after the answer to a payment was lost.


def test_what_was_just_paid_is_not_sold_again_unasked(client: PageClient, shop: Shop, sandbox: Sandbox) -> None:
    check_out(client)
    order = only_order()
    pay_order(shop, sandbox, order)
    page = client.get(checkout_path())
    assert words(page.one("h1")) == "You have just paid for this"
    assert page.link("Go to the order") == f"/en/orders/{order.public_id}"
    check_out(client, page.link("Buy one more, for another phone"))
    assert len(all_orders()) == 2


def test_after_an_hour_it_is_a_plan_like_any_other(client: PageClient, money: MoneyWorld) -> None:
    check_out(client)
    pay_order(money.shop, money.sandbox, only_order())
    money.clock.advance(seconds=timedelta(hours=1, seconds=1).total_seconds())
    assert client.get(checkout_path()).select("#email")


def test_another_browser_is_not_told(client: PageClient, shop: Shop, sandbox: Sandbox) -> None:
    check_out(client)
    pay_order(shop, sandbox, only_order())
    assert PageClient(client._app).get(checkout_path()).select("#email")
    assert client.get(checkout_path(plan="monaco-3gb-30-days")).select("#email")


def test_an_order_that_is_open_or_cancelled_stands_in_nobodys_way(client: PageClient, shop: Shop) -> None:
    check_out(client)
    assert client.get(checkout_path()).select("#email")
