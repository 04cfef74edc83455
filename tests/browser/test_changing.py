"""What changes on a page without a reload, and what the way back leads to."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage

PLAN = "monaco-1gb-a-day"
CHECKOUT = f"/en/checkout/{PLAN}"


def test_the_total_follows_days_and_currency_and_the_way_back(open_page: OpenPage) -> None:
    page = open_page()
    page.goto(CHECKOUT)
    expect(page.locator("#summary .price")).to_have_text("€15.90")
    page.select_option("#days-choice", "5")
    expect(page.locator("#summary .price")).to_have_text("€79.50")
    page.select_option("#currency-choice", "USD")
    expect(page.locator("#summary input[name=currency]")).to_have_value("USD")
    expect(page.locator("#summary input[name=days]")).to_have_value("5")
    expect(page).to_have_url(re.compile(r"\?days=5&currency=USD$"))
    french = page.locator(".languages a[lang=fr]")
    expect(french).to_have_attribute("href", f"/fr/checkout/{PLAN}?days=5&currency=USD")
    page.go_back()
    expect(page.locator("#summary .price")).to_have_text("€79.50")
    expect(page.locator("#days-choice")).to_have_value("5")


def test_a_mistyped_address_is_asked_about_while_it_is_typed(open_page: OpenPage) -> None:
    page = open_page()
    page.goto(CHECKOUT)
    page.fill("#email", "ana@gmial.com")
    page.check("#terms")
    expect(page.locator("#email-field [role=status]")).to_contain_text("ana@gmail.com")
    expect(page.locator("#email")).to_have_value("ana@gmial.com")
    expect(page.locator("#terms")).to_be_checked()
    page.fill("#email", "ana@gmail.com")
    page.check("#immediate_delivery")
    expect(page.locator("#email-field [role=status]")).to_have_count(0)
    page.reload()
    expect(page.locator("#email")).to_have_value("ana@gmail.com")


def test_what_was_forgotten_is_in_sight(open_page: OpenPage) -> None:
    page = open_page()
    page.goto(CHECKOUT)
    page.click("#summary button[type=submit]")
    expect(page.locator(".error-summary a")).to_have_count(4)
    page.click('.error-summary a[href="#terms"]')
    expect(page.locator("#terms")).to_be_in_viewport()
