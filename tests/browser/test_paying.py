"""Paying as people do it: a card that is declined, two clicks, two tabs, a way back, a bank that asks. One charge."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from scripts.traveller import PLAN, Traveller, read_sandbox
from tests.browser.conftest import OpenPage
from tests.house.test_run import Demo

DECLINED, ASKED_BY_BANK = "4000000000000002", "4000000000003220"


@pytest.fixture
def buyer(open_demo_page: OpenPage, demo: Demo, request: pytest.FixtureRequest) -> Traveller:
    """Return somebody whose checkout is filled in."""
    buyer = visitor(open_demo_page(), demo, request.node.name)
    at_checkout(buyer)
    return buyer


def visitor(page: Page, demo: Demo, name: str) -> Traveller:
    """Return somebody at a window; `name` becomes the address."""
    shop, sandbox = f"http://127.0.0.1:{demo.port}", f"http://127.0.0.1:{demo.sandbox_port}"
    return Traveller(page, shop, sandbox, "en", email=f"{name.removeprefix('test_')[:60]}@example.org")


def at_checkout(traveller: Traveller) -> None:
    """Fill the checkout in."""
    traveller.open(f"checkout/{PLAN}", "checkout")
    traveller.fill_in()


def books(traveller: Traveller) -> list[dict[str, Any]]:
    """Return what Stripe holds for each order of the traveller."""
    sessions = read_sandbox(traveller.sandbox_url, "stripe/objects/cs")["objects"]
    mine = {session["metadata"]["order"] for session in sessions if session["customer_email"] == traveller.email}
    by_order = read_sandbox(traveller.sandbox_url, "stripe/summary")["by_metadata"]
    return [by_order[number] for number in mine]


def assert_paid_once(traveller: Traveller) -> None:
    """Check that there is one order with one payment page and one charge, which the shop kept."""
    assert books(traveller) == [{"sessions": 1, "charges": 1, "captured": 1490, "refunded": 0}]


def test_a_declined_card_and_then_a_good_one(buyer: Traveller) -> None:
    buyer.go_to_payment()
    buyer.use_card(DECLINED)
    buyer.page.locator(".problem").wait_for()
    buyer.use_card()
    buyer.come_back()
    buyer.wait_until_verified("order")
    assert_paid_once(buyer)


def test_a_double_click_on_pay(buyer: Traveller) -> None:
    buyer.page.locator('#summary button[type="submit"]').dblclick()
    buyer.page.wait_for_url(f"{buyer.sandbox_url}/c/pay/**")
    buyer.use_card()
    buyer.come_back()
    buyer.wait_until_verified("order")
    assert_paid_once(buyer)


def test_two_tabs_and_a_third_that_was_forgotten(buyer: Traveller, demo: Demo) -> None:
    others = []
    for _ in range(2):
        other = visitor(buyer.page.context.new_page(), demo, "")
        other.email = buyer.email
        at_checkout(other)
        others.append(other)
    buyer.go_to_payment()
    others[0].go_to_payment()
    assert others[0].page.url == buyer.page.url
    buyer.use_card()
    number = buyer.come_back()
    others[0].use_card()
    assert others[0].come_back() == number
    others[1].page.locator('#summary button[type="submit"]').click()
    assert others[1].come_back() == number
    assert_paid_once(buyer)


def test_a_bank_that_asks_is_left_alone_and_the_order_is_paid_later(buyer: Traveller) -> None:
    buyer.go_to_payment()
    payment_page = buyer.page.url
    buyer.use_card(ASKED_BY_BANK)
    buyer.page.wait_for_url("**/c/authenticate/**")
    at_checkout(buyer)
    buyer.go_to_payment()
    assert buyer.page.url == payment_page
    buyer.use_card(ASKED_BY_BANK)
    buyer.page.wait_for_url("**/c/authenticate/**")
    buyer.page.click('button[value="complete"]')
    buyer.come_back()
    buyer.wait_until_verified("order")
    assert_paid_once(buyer)


def test_a_finished_order_is_not_asked_about_any_more(buyer: Traveller) -> None:
    number = buyer.pay("order")
    assert buyer.page.locator("#order-state[hx-get]").count() == 0
    with (
        pytest.raises(PlaywrightTimeout),
        buyer.page.expect_request(lambda request: number in request.url, timeout=3000),
    ):
        pass


def test_going_back_without_paying_and_paying_from_the_order_page(buyer: Traveller) -> None:
    buyer.go_to_payment()
    buyer.page.click('button[value="back"]')
    number = buyer.come_back()
    assert buyer.page.locator("#unpaid form").is_visible()
    assert buyer.page.locator("#order-state[hx-get]").count() == 0
    buyer.page.click("#unpaid button")
    buyer.page.wait_for_url(f"{buyer.sandbox_url}/c/pay/**")
    buyer.use_card()
    assert buyer.come_back() == number
    buyer.wait_until_verified("order")
    assert_paid_once(buyer)
