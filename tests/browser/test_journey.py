"""The whole way of a traveller on a phone: buy, install, take the account, see what is left, renew the same eSIM."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from babel.support import Translations
from playwright.sync_api import Page

from scripts.traveller import GIGABYTE, Traveller, read_sandbox, until
from services.languages import LANGUAGES, Language
from services.money import format_data, format_money
from tests.browser.conftest import PHONE, OpenPage
from tests.house.test_run import Demo

# Chromium takes plain Portuguese for that of Portugal, whose prices are written differently.
BROWSERS = {"pt": "pt-BR"}
MAILS = Path(__file__).parent / "renewal_mails"
TRANSLATIONS = Path(__file__).parent.parent.parent / "translations"
PAGES = ["home", "plans", "plan", "checkout", "order", "claim", "account", "panel-new", "panel", "renewal-first"]
PAGES += ["renewal", "renewed", "account", "panel-new", "guide"]


def checks(page: Page, shop_url: str, language: Language, seen: list[str]) -> Callable[[str], None]:
    """Return what has to hold for every page of the shop that a traveller comes to."""

    def check(name: str) -> None:
        seen.append(name)
        assert page.url.startswith(shop_url)
        root = page.locator("html")
        assert (root.get_attribute("lang"), root.get_attribute("dir")) == (language.html, language.direction), name
        assert page.locator("h1").count() == 1, name
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], f"{name} is {width} pixels wide"

    return check


def assert_installable(page: Page) -> str:
    """Check that the order page holds everything to install the eSIM with; return its activation code."""
    assert page.locator(".qr svg").is_visible()
    codes = page.locator("#install .code").all_inner_texts()
    [everything] = [code for code in codes if code.startswith("LPA:1$")]
    _lpa, address, matching_id = everything.split("$")
    assert {address, matching_id} <= set(codes)
    for host in ("esimsetup.apple.com", "esimsetup.android.com"):
        link = page.locator(f'#install a[href^="https://{host}/"]').get_attribute("href")
        assert link is not None
        assert matching_id in link
    return matching_id


@pytest.mark.parametrize(
    ("code", "javascript"),
    # Without scripts nothing depends on the language but the direction of writing.
    [*((code, True) for code in LANGUAGES), ("en", False), ("ar", False)],
)
def test_buy_install_watch_and_renew(open_demo_page: OpenPage, demo: Demo, code: str, javascript: bool) -> None:
    language = LANGUAGES[code]
    page = open_demo_page(javascript, locale=BROWSERS.get(code, language.html))
    seen: list[str] = []
    traveller = Traveller(
        page,
        f"http://127.0.0.1:{demo.port}",
        f"http://127.0.0.1:{demo.sandbox_port}",
        code,
        email=f"ana.{code}.{'js' if javascript else 'plain'}@example.org",
        javascript=javascript,
        seen=checks(page, f"http://127.0.0.1:{demo.port}", language, seen),
    )

    traveller.choose_plan()
    traveller.fill_in()
    price = page.locator("#summary .price").inner_text()
    bought = traveller.pay("order")
    matching_id = assert_installable(page)

    traveller.claim_account()
    traveller.open_panel()
    assert page.locator("#usage data").get_attribute("value") == str(GIGABYTE)
    traveller.use_half()

    traveller.choose_renewal()
    assert_previewed(page, language)
    renewed = traveller.pay("renewed")
    assert renewed != bought
    assert page.locator("#change").is_visible()
    ends = page.locator("#change time").all_inner_texts()
    traveller.open_panel()
    assert page.locator("#usage data").get_attribute("value") == str(GIGABYTE * 7 // 2)
    traveller.open("renew", "guide")
    assert seen == PAGES

    assert_mailed(traveller, language, price, matching_id)
    assert_confirmed_in_full(traveller, code, renewed, ends)
    assert_charged_once(traveller, bought, renewed, price, language)


def assert_previewed(page: Page, language: Language) -> None:
    """Check that the preview names the data that is left now and afterwards."""
    row = page.locator("#preview tbody tr").first
    expected = [format_data(size, language.locale) for size in (GIGABYTE // 2, GIGABYTE * 7 // 2)]
    assert row.locator("td").all_inner_texts() == expected


def assert_mailed(traveller: Traveller, language: Language, price: str, matching_id: str) -> None:
    """Check the four mails: in their order, in the traveller's language, with what they have to name."""
    mails = until(lambda: len(found := traveller.mails()) >= 4 and found)
    say = Translations.load(TRANSLATIONS, [language.locale]).gettext
    wanted = [
        (say("Your payment has arrived"), price),
        (say("Your eSIM is ready to install"), matching_id),
        (say("Your payment has arrived"), format_money(*charged(traveller)[-1], language.locale)),
        (say("Your eSIM is renewed"), format_data(GIGABYTE * 7 // 2, language.locale)),
    ]
    assert len(mails) == len(wanted), [mail["subject"] for mail in mails]
    for title, fact in wanted:
        assert [mail for mail in mails if title in mail["text"] and fact in mail["text"]], (title, fact)
    for mail in mails:
        assert dict(mail["headers"])["Content-Language"] == language.html
        assert f'lang="{language.html}"' in mail["html"]
        assert matching_id not in mail["subject"]


def assert_confirmed_in_full(traveller: Traveller, code: str, renewed: str, ends: list[str]) -> None:
    """Check every word of the mail that confirms the renewal, subject and text.

    What differs each time is the order's number and key, the eSIM, and when it ends, before and after.
    """
    # The receipt of the renewal comes first.
    _receipt, mail = (mail for mail in traveller.mails() if f"/{renewed}?key=" in mail["text"])
    key = re.search(r"\?key=(\S+)", mail["text"])
    digits = re.search(r"(?<!\d)\d{4}(?!\d)", mail["subject"])
    assert key
    assert digits
    before, after = ends
    wanted = (
        (MAILS / f"{code}.txt")
        .read_text(encoding="utf-8")
        .format(shop_url=traveller.shop_url, number=renewed, key=key[1], digits=digits[0], before=before, after=after)
    )
    assert f"{mail['subject']}\n\n{mail['text']}".strip() == wanted.strip()


def charged(traveller: Traveller) -> list[tuple[int, str]]:
    """Return amount and currency of the traveller's charges, oldest first."""
    sessions = read_sandbox(traveller.sandbox_url, "stripe/objects/cs")["objects"]
    mine = [session for session in sessions if session["customer_email"] == traveller.email]
    return [(session["amount_total"], session["currency"].upper()) for session in mine]


def assert_charged_once(traveller: Traveller, bought: str, renewed: str, price: str, language: Language) -> None:
    """Check that each order was charged once and carried out once at the supplier."""
    books = read_sandbox(traveller.sandbox_url, "stripe/summary")["by_metadata"]
    counters = read_sandbox(traveller.sandbox_url, "esim-access/counters")
    for number, kind in ((bought, "orders"), (renewed, "topups")):
        assert (books[number]["sessions"], books[number]["charges"], books[number]["refunded"]) == (1, 1, 0)
        assert [count for reference, count in counters[kind].items() if reference.startswith(number)] == [1]
    assert [books[number]["captured"] for number in (bought, renewed)] == [amount for amount, _ in charged(traveller)]
    assert price == format_money(*charged(traveller)[0], language.locale)
