"""How to install an eSIM, by the phone that reads the page: what comes first, and that everything is always there."""

from __future__ import annotations

import pytest
from flask import Flask

from models import Order
from services.links import order_url
from services.shop import Shop
from tests.factories import Factories
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.unit.test_devices import CHROME, IN_ANDROID_APP, IN_IOS_APP, MAC, SAFARI

pytestmark = pytest.mark.usefixtures("money")

IPHONE = SAFARI.format("18_6", "26.0")
OLD_IPHONE = SAFARI.format("16_7", "16.6")
APPLE, GOOGLE = "https://esimsetup.apple.com/", "https://esimsetup.android.com/"


@pytest.fixture
def order(factories: Factories) -> Order:
    return factories.make_order("verified")


def open_with(client: PageClient, order: Order, user_agent: str) -> Page:
    """Open the order's page with a browser."""
    client.sign_in(order.account)
    return client.get(f"/en/orders/{order.public_id}", headers={"User-Agent": user_agent})


def headings(page: Page) -> list[str]:
    """Return the headings of the section, in their order."""
    return [words(tag) for tag in page.select("#install h3")]


def primary_links(page: Page) -> list[str]:
    """Return where the buttons lead that stand out in the section."""
    return [str(tag.get("href")) for tag in page.select("#install a.button--primary")]


def assert_complete(page: Page) -> None:
    """Check that QR code, both links and all codes are there."""
    assert page.one("#install .qr svg")
    assert page.one("#install .qr")["aria-describedby"] == page.one("#install figcaption")["id"]
    for host in (APPLE, GOOGLE):
        assert len(page.select(f'#install a[href^="{host}"]')) == 1
    codes = [words(tag) for tag in page.select("#install dl .code")]
    assert [code for code in codes if code.startswith("LPA:1$")]
    assert "smdp.example.com" in codes


@pytest.mark.parametrize(
    ("user_agent", "first", "lead"),
    [
        (IPHONE, "On this iPhone", APPLE),
        (CHROME, "On this phone", GOOGLE),
        (OLD_IPHONE, "On this iPhone", None),
        (MAC, "Scan this with the phone", None),
        ("", "Scan this with the phone", None),
    ],
)
def test_the_way_for_this_phone_comes_first(
    client: PageClient, order: Order, user_agent: str, first: str, lead: str | None
) -> None:
    page = open_with(client, order, user_agent)
    assert headings(page)[0] == first
    assert [link[: len(lead or "")] for link in primary_links(page)] == ([lead] if lead else [])
    assert_complete(page)


def test_an_old_iphone_is_told_to_type_the_codes(client: PageClient, order: Order) -> None:
    page = open_with(client, order, OLD_IPHONE)
    assert "version of iOS before 17.4" in page.text
    assert headings(page)[:2] == ["On this iPhone", "By hand"]


def test_the_steps_for_this_phone_are_open(client: PageClient, order: Order) -> None:
    page = open_with(client, order, CHROME)
    assert [words(tag) for tag in page.select("#install details[open] > summary")] == ["Steps on Android"]
    assert "Steps on an iPhone" in [words(tag) for tag in page.select("#install details:not([open]) > summary")]


@pytest.mark.parametrize(
    ("user_agent", "named", "way_out"),
    [
        (f"{IN_IOS_APP} MicroMessenger/8.0.56", "inside WeChat", "Open in Safari"),
        (f"{IN_ANDROID_APP} Instagram 350.0.0.46.85 Android", "inside Instagram", "Open in Chrome"),
        (f"{CHROME} WhatsApp/2.25", "inside WhatsApp", "Open in Chrome"),
        (f"{IN_ANDROID_APP} Telegram-Android/11.5", "inside Telegram", "Open in Chrome"),
        (IN_IOS_APP, "inside another app", "Open in Safari"),
    ],
)
def test_an_app_shows_the_way_to_the_phones_browser(
    client: PageClient, shop: Shop, order: Order, user_agent: str, named: str, way_out: str
) -> None:
    """The address to copy opens the order there, where nobody was let in yet."""
    page = open_with(client, order, user_agent)
    note = page.one("#open-in-browser")
    assert named in words(note)
    assert way_out in words(note)
    address = order_url(shop, order)
    assert page.one("#open-in-browser [data-copy]")["data-copy"] == address
    # The link that does not work here does not stand out.
    assert primary_links(page) == []
    assert_complete(page)


def test_the_copied_address_opens_the_order_in_another_browser(
    app: Flask, client: PageClient, shop: Shop, order: Order
) -> None:
    page = open_with(client, order, f"{IN_IOS_APP} MicroMessenger/8.0.56")
    address = str(page.one("#open-in-browser [data-copy]")["data-copy"])
    safari = PageClient(app)
    safari.get(address.removeprefix(shop.settings.shop_url), 303, headers={"User-Agent": IPHONE})
    assert_complete(safari.follow())


def test_a_browser_of_its_own_sees_no_such_note(client: PageClient, order: Order) -> None:
    assert open_with(client, order, IPHONE).select("#open-in-browser") == []


def test_no_data_is_a_list_of_questions(client: PageClient, order: Order) -> None:
    """The same on the order page and on the page for everybody, which never has an APN."""
    questions = ["Is the eSIM switched on?", "Is it the line for data?", "Is roaming on for the eSIM?"]
    questions += ["Is it on the right network?", "Is the APN right?", "All yes, and still no data?"]
    own = open_with(client, order, IPHONE)
    public = client.get("/en/install")
    for page in (own, public):
        assert [words(tag) for tag in page.select(".questions summary")] == questions
