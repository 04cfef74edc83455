"""What a phone keeps of the order page and the eSIM page: shown when the shop is away, gone after signing out."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Error, Page, Route, expect

from models import Account, Order, OrderStatus, db
from sandbox.server import Sandbox
from scripts.traveller import until
from services.clock import SystemClock
from services.links import order_key
from services.shop import Shop
from tests.browser.conftest import OpenPage, windows
from tests.factories import PASSWORD, Factories
from tests.running import run_jobs, serve

KEPT = "This is the copy kept on this phone, from "
IS_KEPT = """async () => {
  const kept = await caches.has("kept") && await caches.open("kept");
  return Boolean(kept && await kept.match(location.pathname, {ignoreVary: true}));
}"""
IS_WATCHED = "async () => (await navigator.serviceWorker.getRegistration())?.active?.state === 'activated'"


class Line:
    """The way to the shop, which can be cut: nothing listens on its address then, so a worker's questions fail, too."""

    def __init__(self, app: Flask, port: int) -> None:
        self._app, self._port = app, port
        self._server = ExitStack()

    def mend(self) -> None:
        """Let the shop answer."""
        self._server.enter_context(serve(self._app, self._port))

    def cut(self, page: Page) -> None:
        """Let nothing answer; `page` is left first, or it would complain of an icon that was still on its way."""
        page.goto("about:blank")
        self.close()

    def close(self) -> None:
        """Stop the server."""
        self._server.close()


@pytest.fixture
def line(app: Flask, shop_port: int) -> Iterator[Line]:
    """Give the way to the shop, which is open."""
    line = Line(app, shop_port)
    line.mend()
    yield line
    line.close()


@pytest.fixture
def open_page(browser: Browser, line: Line, shop_port: int) -> Iterator[OpenPage]:
    """Return the function that opens a fresh visitor's window on a shop that has no worker beside it."""
    with windows(browser, f"http://127.0.0.1:{shop_port}") as open_window:
        yield open_window


@pytest.fixture
def order(factories: Factories) -> Order:
    """Return an order that is delivered."""
    return factories.make_order("verified")


def order_path(order: Order) -> str:
    """Return the address of the order page."""
    return f"/en/orders/{order.public_id}"


def esim_path(order: Order) -> str:
    """Return the address of the eSIM's page."""
    assert order.esim is not None
    return f"/en/account/esims/{order.esim.public_id}"


def sign_in(page: Page, account: Account) -> None:
    """Sign in by the form."""
    page.goto("/en/sign-in")
    page.fill("#email", account.email)
    page.fill("#password", PASSWORD)
    page.click("main form button[type=submit]")
    page.wait_for_url(re.compile(r"/en/account(#fresh)?$"))


def visit(page: Page, path: str) -> None:
    """Open a page and wait until the phone has kept it."""
    page.goto(path)
    until(lambda: page.evaluate(IS_KEPT) and page.evaluate(IS_WATCHED))


def assert_kept(page: Page, path: str, order: Order) -> None:
    """Check that a page opens with everything to install the eSIM with and whom to ask, and says what it is."""
    page.goto(path)
    expect(page.locator("#kept")).to_contain_text(KEPT)
    expect(page.locator(".qr svg")).to_be_visible()
    assert order.esim is not None
    codes = page.locator("#install .code").all_inner_texts()
    assert {order.esim.smdp_address, order.esim.matching_id} <= set(codes)
    expect(page.locator("#install .steps").first).to_be_visible()
    expect(page.locator("#contact")).to_contain_text("shop@example.com")


def assert_unreachable(page: Page, path: str) -> None:
    """Check that an address is as dead as the line to it."""
    # In a tab of its own: the browser's error page would still be arriving when this one goes on.
    tab = page.context.new_page()
    with pytest.raises(Error, match="ERR_CONNECTION_REFUSED|ERR_FAILED"):
        tab.goto(path)
    tab.close()


def sign_out(page: Page) -> None:
    """Sign out as a traveller does, and arrive on the start page."""
    page.goto("/en/account")
    page.click("form[action$='/sign-out'] button")
    page.wait_for_url(re.compile(r"/en/(#fresh)?$"))


def end_sessions(shop: Shop, account: Account) -> None:
    """Sign an account out everywhere, as a new password on another phone does."""
    with shop.transaction():
        account.session_version += 1


def test_both_pages_open_without_network_until_signed_out(open_page: OpenPage, line: Line, order: Order) -> None:
    page = open_page()
    sign_in(page, order.account)
    for path in (order_path(order), esim_path(order)):
        visit(page, path)

    line.cut(page)
    assert_unreachable(page, "/en/help")
    for path in (order_path(order), f"{esim_path(order)}?install=1#install", esim_path(order)):
        assert_kept(page, path, order)

    line.mend()
    page.click("#kept a")
    expect(page.locator("#usage")).to_be_visible()
    sign_out(page)
    line.cut(page)
    for path in (order_path(order), esim_path(order)):
        assert_unreachable(page, path)


def test_what_is_delivered_while_the_page_is_open_is_kept(
    open_page: OpenPage, line: Line, app: Flask, clock: SystemClock, factories: Factories, sandbox: Sandbox
) -> None:
    order = factories.pay(sandbox, factories.make_order())
    page = open_page()
    sign_in(page, order.account)
    page.goto(order_path(order))
    expect(page.locator("#order-state")).to_have_attribute("data-keep", "")
    run_jobs(app, clock.now())
    expect(page.locator(".qr svg")).to_be_visible()
    until(lambda: page.evaluate(IS_KEPT) and page.evaluate(IS_WATCHED))

    line.cut(page)
    assert_kept(page, order_path(order), db.session.get_one(Order, order.id, populate_existing=True))
    sign_of_life = page.locator("[hx-get], [hx-post], script")
    expect(sign_of_life).to_have_count(0)


@pytest.mark.parametrize("without", ["header", "script"])
def test_signing_out_needs_one_of_header_and_script(
    open_page: OpenPage, line: Line, order: Order, without: str
) -> None:
    """Safari before 17 knows no Clear-Site-Data; and where scripts are off by now, the header does it."""
    page = open_page()
    sign_in(page, order.account)
    visit(page, order_path(order))

    def strip(route: Route) -> None:
        answer = route.fetch(max_redirects=0)
        assert answer.headers["clear-site-data"] == '"storage"'
        headers = {name: value for name, value in answer.headers.items() if name != "clear-site-data"}
        route.fulfill(status=answer.status, headers=headers)

    if without == "header":
        page.route("**/sign-out", strip)
    else:
        page.route("**/js/shop.*", lambda route: route.fulfill(content_type="text/javascript", body=""))
    sign_out(page)
    line.cut(page)
    assert_unreachable(page, order_path(order))


def test_another_account_on_the_same_phone_finds_nothing(
    open_page: OpenPage, line: Line, shop: Shop, factories: Factories, order: Order
) -> None:
    page = open_page()
    sign_in(page, order.account)
    visit(page, esim_path(order))
    end_sessions(shop, order.account)
    other = factories.make_order("verified")
    sign_in(page, other.account)
    visit(page, esim_path(other))

    line.cut(page)
    assert_unreachable(page, esim_path(order))
    assert_kept(page, esim_path(other), other)


def test_signing_in_again_loses_nothing(open_page: OpenPage, line: Line, shop: Shop, order: Order) -> None:
    page = open_page()
    sign_in(page, order.account)
    visit(page, esim_path(order))
    end_sessions(shop, order.account)
    sign_in(page, order.account)
    line.cut(page)
    assert_kept(page, esim_path(order), order)


@pytest.mark.parametrize("reason", ["refunded", "somebody else's", "signed out elsewhere"])
def test_a_page_that_shows_no_codes_any_more_is_dropped(
    open_page: OpenPage, line: Line, shop: Shop, factories: Factories, order: Order, reason: str
) -> None:
    page = open_page()
    sign_in(page, order.account)
    path = esim_path(order) if reason == "signed out elsewhere" else order_path(order)
    visit(page, path)
    if reason == "signed out elsewhere":
        end_sessions(shop, order.account)
    else:
        account = factories.make_account()
        with shop.transaction():
            if reason == "refunded":
                order.status = OrderStatus.REFUNDED
            else:
                order.account_id = account.id
    page.goto(path)
    until(lambda: not page.evaluate(IS_KEPT.replace("location.pathname", f"'{path}'")))
    line.cut(page)
    assert_unreachable(page, path)


def test_the_mailed_link_opens_the_copy(open_page: OpenPage, line: Line, shop: Shop, order: Order) -> None:
    page = open_page()
    link = f"{order_path(order)}?key={order_key(shop.settings, order)}"
    page.goto(link)
    visit(page, order_path(order))
    page.goto(link)
    assert page.evaluate(IS_KEPT), "taking the key out of the address is no reason to drop the copy"
    line.cut(page)
    assert_kept(page, link, order)


def test_a_shop_that_does_not_answer_is_not_waited_for(
    open_page: OpenPage, line: Line, shop_port: int, order: Order
) -> None:
    page = open_page()
    sign_in(page, order.account)
    visit(page, order_path(order))
    line.cut(page)
    with socket.create_server(("127.0.0.1", shop_port)):
        assert_kept(page, order_path(order), order)


@pytest.mark.parametrize("missing", ["scripts", "service workers"])
def test_without_them_the_page_is_what_it_was(
    open_page: OpenPage, shop: Shop, order: Order, tmp_path: Path, missing: str
) -> None:
    page = open_page(javascript=missing != "scripts")
    page.add_init_script("delete Navigator.prototype.serviceWorker")
    page.goto(f"{order_path(order)}?key={order_key(shop.settings, order)}")
    expect(page.locator(".qr svg")).to_be_visible()
    with page.expect_download() as download:
        page.click("#keep a[href$='/pack.html']")
    download.value.save_as(tmp_path / download.value.suggested_filename)
    page.goto((tmp_path / download.value.suggested_filename).as_uri())
    expect(page.locator(".qr svg")).to_be_visible()
    expect(page.locator("#kept")).to_have_count(0)
