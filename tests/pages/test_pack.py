"""What can be kept of an eSIM: who gets it, what is in it, what it never holds; and when a browser drops it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import icalendar
import pytest
from flask import Flask

from models import Esim, EsimStatus, Order
from services.links import order_key
from services.shop import Shop
from tests.factories import PASSWORD, Factories
from tests.page_client import Page, PageClient

PARTS = ("pack.html", "qr.png", "reminder.ics", "copy")
AREAS = ("orders", "account/esims")
KEPT = "This is the copy kept on this phone"


@pytest.fixture
def order(factories: Factories) -> Order:
    """Return an order that is delivered; its eSIM is in use."""
    return factories.make_order("verified")


def path(order: Order, area: str, part: str = "", language: str = "en") -> str:
    """Return an address below the order page or the eSIM's page, or that of the page."""
    assert order.esim is not None
    number = order.public_id if area == "orders" else order.esim.public_id
    return f"/{language}/{area}/{number}" + (f"/{part}" if part else "")


def change_esim(shop: Shop, order: Order, **columns: Any) -> Esim:
    """Set columns of an order's eSIM and return it."""
    assert order.esim is not None
    with shop.transaction():
        for name, value in columns.items():
            setattr(order.esim, name, value)
    return order.esim


def read_event(page: Page) -> Any:
    """Return the one event of a downloaded calendar file."""
    [event] = icalendar.Calendar.from_ical(page.response.data).walk("VEVENT")
    return event


@pytest.mark.parametrize("area", AREAS)
def test_the_owner_gets_all_of_it(client: PageClient, order: Order, area: str) -> None:
    client.sign_in(order.account)
    esim = order.esim
    assert esim is not None
    client.get(path(order, area))
    links = {str(tag["href"]) for tag in client.page.select("#keep a")} if client.page else set()
    assert links == {path(order, area, part) for part in PARTS if part != "copy"}
    for part, mimetype in zip(PARTS, ("text/html", "image/png", "text/calendar", "text/html"), strict=True):
        answer = client.get(path(order, area, part)).response
        assert answer.mimetype == mimetype
        assert answer.headers["Cache-Control"] == "no-store"
        if part != "copy":
            name = f'filename="esim-{esim.public_id}.{part.partition(".")[2]}"'
            assert answer.headers["Content-Disposition"].endswith(name)
    assert client.get(path(order, area, "pack.html")).response.headers["Content-Disposition"].startswith("attachment")
    assert client.get(path(order, area, "qr.png")).response.data.startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("area", AREAS)
def test_nobody_else_gets_any_of_it(
    client: PageClient, app: Flask, factories: Factories, order: Order, area: str, part: str
) -> None:
    signed_out = app.test_client().get(path(order, area, part))
    assert signed_out.status_code == (404 if area == "orders" else 303)
    client.sign_in(factories.make_account())
    client.get(path(order, area, part), status=404)


@pytest.mark.parametrize("state", ["pending", "cancelled", "paid", "ordered", "held", "refunded"])
def test_there_is_nothing_where_the_page_shows_no_codes(client: PageClient, factories: Factories, state: str) -> None:
    order = factories.make_order(state)
    client.sign_in(order.account)
    page = client.get(f"/en/orders/{order.public_id}")
    assert page.select("#keep") == []
    assert page.one("[data-keep]")["data-keep"] == ""
    for part in PARTS:
        client.get(f"/en/orders/{order.public_id}/{part}", status=404)


def test_there_is_nothing_once_the_esim_has_ended(client: PageClient, shop: Shop, order: Order) -> None:
    client.sign_in(order.account)
    change_esim(shop, order, status=EsimStatus.CANCELLED)
    page = client.get(path(order, "account/esims"))
    assert page.select("#keep") == []
    assert page.one("[data-keep]")["data-keep"] == ""
    for part in PARTS:
        client.get(path(order, "account/esims", part), status=404)


@pytest.mark.parametrize("part", ["pack.html", "copy"])
@pytest.mark.parametrize("language", ["en", "fr", "zh-hans", "ar"])
def test_the_page_needs_nothing_from_anywhere(client: PageClient, order: Order, language: str, part: str) -> None:
    client.sign_in(order.account)
    page = client.get(path(order, "orders", part, language))
    html = page.response.text
    assert page.select("[src], [srcset], iframe, object, form, [hx-get], [hx-post]") == []
    assert {str(tag["href"]) for tag in page.select("link")} == {"data:,"}
    assert not re.search(r"url\(|@import", html)
    assert len(page.select(".qr svg")) == 1
    for address in (str(tag["href"]) for tag in page.select("a")):
        parts = urlsplit(address)
        assert parts.scheme in ("http", "https", "mailto"), "a file has no page to be relative to"
    assert page.one("html")["lang"] == {"zh-hans": "zh-Hans"}.get(language, language)


def test_the_page_holds_codes_dates_steps_and_whom_to_ask(client: PageClient, shop: Shop, order: Order) -> None:
    client.sign_in(order.account)
    esim = change_esim(shop, order, confirmation_code="4711", apn="globaldata")
    page = client.get(path(order, "account/esims", "pack.html"))
    codes = {tag.get_text() for tag in page.select("#install .code")}
    lpa = f"LPA:1${esim.smdp_address}${esim.matching_id}$$1"
    assert codes == {esim.smdp_address, esim.matching_id, lpa, "4711", "globaldata"}
    assert len(page.select("#install .steps")) == 2
    for words in ("Ends", "Monaco time", order.public_id, "shop@example.com", "Installed, but no data?"):
        assert words in page.text
    assert "Whoever has this file can install your eSIM." in page.text
    assert KEPT not in page.text


def test_the_copy_says_what_it_is_and_leads_back(client: PageClient, order: Order) -> None:
    client.sign_in(order.account)
    page = client.get(path(order, "orders", "copy"))
    assert KEPT in page.one("#kept").get_text()
    assert str(page.one("#kept a")["href"]).endswith(path(order, "orders"))


def test_the_address_of_the_copy_changes_with_what_it_says(client: PageClient, shop: Shop, order: Order) -> None:
    client.sign_in(order.account)

    def copies() -> list[str]:
        return [str(client.get(path(order, area)).one("[data-keep]")["data-keep"]) for area in AREAS]

    before = copies()
    assert copies() == before
    esim = change_esim(shop, order, expires_at=shop.clock.now() + timedelta(days=20))
    assert not set(copies()) & set(before)
    for address in copies():
        assert esim.matching_id not in address
        client.get(address)


def test_the_reminder_is_of_the_end(client: PageClient, order: Order, shop: Shop) -> None:
    client.sign_in(order.account)
    esim = change_esim(shop, order, nickname="Ana; 安")
    events = [read_event(client.get(path(order, area, "reminder.ics"))) for area in AREAS]
    for event in events:
        assert event["SUMMARY"] == "eSIM ends: Ana; 安"
        assert event.decoded("DTSTART") == (esim.expires_at or shop.clock.now()).replace(microsecond=0)
        [alarm] = event.walk("VALARM")
        assert alarm["DESCRIPTION"].startswith("Renew your eSIM by")
        assert alarm.decoded("TRIGGER") == timedelta(days=-2)
    assert events[0]["UID"] == events[1]["UID"] == f"{esim.public_id}-end@127.0.0.1"
    for secret in (esim.matching_id, esim.smdp_address, "key="):
        assert secret not in client.get(path(order, "orders", "reminder.ics")).response.text.replace("\r\n ", "")


def test_before_the_days_count_the_reminder_is_of_the_last_day_to_install(
    client: PageClient, order: Order, shop: Shop
) -> None:
    client.sign_in(order.account)
    install_by = shop.clock.now().replace(microsecond=0) + timedelta(days=90)
    change_esim(shop, order, status=EsimStatus.NEW, activated_at=None, expires_at=None, install_by=install_by)
    event = read_event(client.get(path(order, "orders", "reminder.ics")))
    assert event.decoded("DTSTART") == install_by
    assert event["SUMMARY"].startswith("Last day to install the eSIM: ")
    assert event["UID"].endswith("-install@127.0.0.1")


def test_without_a_date_there_is_no_reminder(client: PageClient, order: Order, shop: Shop) -> None:
    client.sign_in(order.account)
    change_esim(shop, order, status=EsimStatus.NEW, activated_at=None, expires_at=None, install_by=None)
    for area in AREAS:
        page = client.get(path(order, area))
        assert len(page.select("#keep a")) == 2
        client.get(path(order, area, "reminder.ics"), status=404)


def sign_in(client: PageClient, email: str) -> Page:
    """Sign in by the form."""
    page = client.get("/en/sign-in")
    token = str(page.select("main input[name=csrf_token]")[0]["value"])
    return client.post("/en/sign-in", {"csrf_token": token, "email": email, "password": PASSWORD})


def forgets(page: Page) -> bool:
    """Return whether an answer lets the browser drop what it kept; the header and the address agree."""
    header = page.response.headers.get("Clear-Site-Data") == '"storage"'
    assert header == page.location.endswith("#fresh")
    return header


def test_signing_out_drops_what_was_kept(client: PageClient, order: Order) -> None:
    client.sign_in(order.account)
    page = client.get("/en/account")
    token = str(page.select("form[action$=sign-out] input[name=csrf_token]")[0]["value"])
    assert forgets(client.post("/en/sign-out", {"csrf_token": token}))


def test_signing_in_drops_what_another_account_kept(
    client: PageClient, factories: Factories, shop: Shop, order: Order
) -> None:
    other = factories.make_account()
    assert forgets(sign_in(client, order.account.email)), "nobody knows whose copies a browser without a cookie has"
    with shop.transaction():
        order.account.session_version += 1
    assert not forgets(sign_in(client, order.account.email))
    with shop.transaction():
        order.account.session_version += 1
    assert forgets(sign_in(client, other.email))


@pytest.mark.parametrize("owner", ["buyer", "another"])
def test_a_buyer_who_takes_the_account_keeps_the_copy(
    client: PageClient, factories: Factories, shop: Shop, order: Order, owner: str
) -> None:
    client.get(f"/en/orders/{order.public_id}", status=303, query_string={"key": order_key(shop.settings, order)})
    account = order.account if owner == "buyer" else factories.make_account()
    assert forgets(sign_in(client, account.email)) == (owner == "another")


def test_the_service_worker_is_small_and_never_stale(app: Flask) -> None:
    client = app.test_client()
    answer = client.get("/worker.js")
    assert answer.mimetype == "text/javascript"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert len(answer.data) <= 2048
    assert b"//" not in answer.data
    again = client.get("/worker.js", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
