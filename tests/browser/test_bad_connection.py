"""Buying and renewing on a bad connection: nothing that was typed is lost, nothing is bought or paid twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.traveller import BIGGER_PLAN, GOOD_CARD, PASSWORD, PLAN, Traveller, read_sandbox, until
from tests.browser.bad_connection import NOTE, Line, Losses, Stubborn
from tests.browser.conftest import PHONE
from tests.browser.test_paying import books
from tests.house.test_run import Demo

PAY = '#summary button[type="submit"]'
RENEW = '#preview button[type="submit"]'
SUBMIT = 'main form button[type="submit"]'
STRIPE = "button[name=card]"


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    """Give a window on a slow connection; what it complains about is what these tests are for."""
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{demo.port}", viewport=PHONE, has_touch=True, service_workers="block"
    )
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


@pytest.fixture(autouse=True)
def line(page: Page) -> Line:
    """Give the slow line of the window."""
    return Line(page)


def traveller_at(page: Page, demo: Demo, name: str) -> Traveller:
    return Traveller(
        page,
        f"http://127.0.0.1:{demo.port}",
        f"http://127.0.0.1:{demo.sandbox_port}",
        "en",
        email=f"{name}@example.org",
    )


def test_buying_and_renewing_while_requests_are_lost_at_every_step(page: Page, demo: Demo) -> None:
    """Each kind of request is lost once before the shop has it and once after; one eSIM, one renewal, two charges."""
    traveller, somebody, losses = traveller_at(page, demo, "one-bar"), Stubborn(page), Losses(page)
    shop = f"{traveller.shop_url}/en"

    somebody.open(f"{shop}/", ".bar a.button--primary")
    somebody.follow(".bar a.button--primary", "#plan-list")
    somebody.follow(f'article a.button[href*="/plans/{PLAN}"]', "#plan-price")
    somebody.reach(
        lambda: page.select_option("#plan-price select[name=currency]", "USD"),
        lambda: "$" in page.locator("#plan-price .price").inner_text(),
        page.reload,
    )
    somebody.follow(".bar a.button--primary", PAY)
    page.fill("#email", traveller.email)
    for name in ("phone_supports_esim", "terms", "immediate_delivery"):
        page.check(f"#{name}")
    somebody.send(PAY, lambda: page.locator(STRIPE).count() > 0)
    bought = pay_on_stripe(somebody, traveller, lambda: page.goto(f"{shop}/checkout/{PLAN}?currency=USD"))
    traveller.wait_until_verified("order")
    expect(page.locator("#install .qr svg")).to_be_visible()

    sign_in(somebody, traveller)
    somebody.open(f"{shop}/account", "#esims a.button")
    somebody.follow("#esims a.button", "#usage")
    somebody.follow("#usage a.button--primary", "#preview")
    somebody.reach(
        lambda: page.check(f'input[name="plan"][value="{BIGGER_PLAN}"]'),
        lambda: page.locator(f'#preview input[name="plan"][value="{BIGGER_PLAN}"]').count() > 0,
        page.reload,
    )
    for name in ("terms", "immediate_delivery"):
        page.check(f"#{name}")
    renewal_page = page.url
    somebody.send(RENEW, lambda: page.locator(STRIPE).count() > 0)
    renewed = pay_on_stripe(somebody, traveller, lambda: page.goto(renewal_page))
    traveller.wait_until_verified("renewed")

    assert renewed != bought
    assert sorted(book["charges"] for book in books(traveller)) == [1, 1]
    assert all(book["refunded"] == 0 for book in books(traveller))
    counters = read_sandbox(traveller.sandbox_url, "esim-access/counters")
    carried_out = {**counters["orders"], **counters["topups"]}
    assert [n for reference, n in carried_out.items() if reference.startswith((bought, renewed))] == [1, 1]
    # A receipt and a result for either.
    assert len(until(lambda: len(mails := traveller.mails()) >= 4 and mails)) == 4
    # It was as bad as this test says.
    for step in ("POST /en/checkout/", "GET /en/plans/", "POST /c/pay/", "POST /en/account/", "/renewal fetch"):
        assert {lost.rsplit(" ", 1)[1] for lost in losses.lost if step in lost} == {"before", "after"}, step


def test_the_order_page_goes_on_when_the_connection_is_back(page: Page, demo: Demo, line: Line) -> None:
    """While nobody answers the page says so once, and it needs no hand to go on."""
    traveller = traveller_at(page, demo, "tunnel")
    control(traveller, "esim-access/allocation", seconds=0, polls=0, held=True)
    traveller.open(f"checkout/{PLAN}", "checkout")
    traveller.fill_in()
    traveller.go_to_payment()
    traveller.use_card()
    traveller.come_back()
    expect(page.locator("#order-state[hx-get]")).to_be_visible()
    line.cut()
    expect(page.get_by_text("This page goes on by itself.")).to_have_count(1)
    expect(page.locator(NOTE)).to_have_count(0)
    control(traveller, "esim-access/allocation", seconds=0, polls=0, held=False)
    line.mend()
    traveller.wait_until_verified("order")
    expect(page.locator("main [role=alert]")).to_have_count(0)


def test_a_form_without_an_answer_keeps_what_was_typed(page: Page, line: Line) -> None:
    """Also a mistyped password is still there, and the answer comes when the connection does, without a click."""
    page.goto("/en/sign-in")
    page.fill("#email", "nobody@example.org")
    page.fill("#password", "something long enough")
    line.cut()
    page.click(SUBMIT)
    expect(page.locator(NOTE)).to_be_visible()
    expect(page.locator("#password")).to_have_value("something long enough")
    expect(page.locator(SUBMIT)).to_be_enabled()
    line.mend()
    expect(page.locator(".error-summary")).to_be_focused()
    expect(page.locator("#email")).to_have_value("nobody@example.org")
    expect(page.locator("main [role=alert]:not(.error-summary)")).to_have_count(0)


def test_the_checkout_goes_on_after_the_browser_was_closed(page: Page, demo: Demo, browser: Browser) -> None:
    """The same address, opened again, still has the e-mail and is the same order."""
    traveller = traveller_at(page, demo, "closed")
    traveller.open(f"checkout/{PLAN}", "checkout")
    traveller.fill_in()
    traveller.go_to_payment()
    payment_page = page.url
    kept = page.context.storage_state()
    assert all(cookie["expires"] > 0 for cookie in kept["cookies"]), "a cookie ends with the browser"
    later = browser.new_context(base_url=traveller.shop_url, viewport=PHONE, storage_state=kept)
    traveller.page = later.new_page()
    traveller.open(f"checkout/{PLAN}", "checkout")
    expect(traveller.page.locator("#email")).to_have_value(traveller.email)
    traveller.fill_in()
    traveller.go_to_payment()
    assert traveller.page.url == payment_page
    later.close()


def control(traveller: Traveller, name: str, **parameters: object) -> None:
    """Tell the sandbox to behave differently."""
    httpx.post(f"{traveller.sandbox_url}/_control/{name}", json=parameters, timeout=10).raise_for_status()


def pay_on_stripe(somebody: Stubborn, traveller: Traveller, back_to_shop: Callable[[], object]) -> str:
    """Pay with a good card; when the answer is lost, go back to where the order began, which knows what happened."""
    page, card = somebody.page, f'{STRIPE}[value="{GOOD_CARD}"]'

    def again() -> None:
        back_to_shop()
        if page.locator(f"{PAY}, {RENEW}").count() == 0:
            # The shop knows that this is paid, and leads there.
            page.locator("main a.button--primary").click()
            return
        for name in ("phone_supports_esim", "terms", "immediate_delivery"):
            if page.locator(f"#{name}").count():
                page.check(f"#{name}")
        page.locator(f"{PAY}, {RENEW}").click()
        page.wait_for_url(re.compile("/c/pay/|/orders/"))
        if page.locator(card).count():
            page.locator(card).click()

    somebody.reach(lambda: page.locator(card).click(), lambda: page.locator("#order-state").count() > 0, again)
    return page.url.partition("?")[0].rsplit("/", 1)[1]


def sign_in(somebody: Stubborn, traveller: Traveller) -> None:
    """Choose a password by the link in the mail; when the answer to that is lost, the password works all the same."""
    page = somebody.page
    found = until(lambda: [url for mail in traveller.mails() for url in re.findall(r"http\S+/claim/\S+", mail["text"])])
    somebody.open(found[0], "#password")
    page.fill("#password", PASSWORD)
    somebody.send(SUBMIT, lambda: page.locator("#esims").count() > 0 or page.locator("#password").count() == 0)
    if not page.locator("#esims").count():
        somebody.open(f"{traveller.shop_url}/en/sign-in", "#password")
        page.fill("#email", traveller.email)
        page.fill("#password", PASSWORD)
        somebody.send(SUBMIT, lambda: page.locator("#esims").count() > 0)
