"""Typing the name of a phone: the results follow, the field keeps its focus, and the address leads back to them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage


def test_results_follow_what_is_typed(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/en/compatibility")
    field, names, told = page.locator("#phone"), page.locator("#phones li bdi"), page.locator("#phones [role=status]")
    told.evaluate("element => { window.told = element }")
    field.press_sequentially("iphone 1", delay=20)
    expect(names).to_have_count(8)
    field.press_sequentially("3 mini", delay=20)
    expect(names).to_have_text(["Apple iPhone 13 mini"])
    expect(told).to_contain_text("1 model on our list fits.")
    assert told.evaluate("element => element === window.told"), "a screen reader hears only what stays on the page"
    expect(field).to_be_focused()
    expect(field).to_have_value("iphone 13 mini")
    expect(page).to_have_url(re.compile(r"\?phone=iphone\+13\+mini$"))
    expect(page.locator(".languages a[lang=fr]")).to_have_attribute(
        "href", re.compile(r"^/fr/compatibility\?phone=iphone")
    )
    page.reload()
    expect(names).to_have_text(["Apple iPhone 13 mini"])
    expect(field).to_have_value("iphone 13 mini")


def test_what_is_not_on_the_list_is_told_and_clearing_the_field_clears_it(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/en/compatibility")
    page.locator("#phone").press_sequentially("galaxy s21 fe", delay=20)
    expect(page.locator("#phones [role=status]")).to_contain_text("Not on our list.")
    page.fill("#phone", "")
    expect(page.locator("#phones [role=status]")).to_contain_text("For example:")
    page.fill("#phone", "pixel 8")
    page.press("#phone", "Enter")
    expect(page.locator("#phones li bdi")).to_have_count(3)


@pytest.mark.parametrize("code", ["en", "zh-hans"])
def test_without_javascript_a_button_does_it(open_page: OpenPage, code: str) -> None:
    page = open_page(javascript=False)
    page.goto(f"/{code}/compatibility")
    page.fill("#phone", "iphone")
    page.click("main form button")
    expect(page.locator("#phones li bdi")).to_have_count(8)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
