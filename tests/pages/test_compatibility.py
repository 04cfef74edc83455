"""Looking a phone up: what is found, what is not, and that the page never says no."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from services.languages import LANGUAGES
from tests.page_client import Page, PageClient
from tests.pages.front_world import make_shop

PATH = "/en/compatibility"
HTMX = {"HX-Request": "true"}
ODD = [
    "!!!",
    "<script>alert(1)</script>",
    "x" * 5000,
    "' or 1=1 --",
    "💳",
    "%",
    "\t\n",
    "../../etc/passwd",
    "${qx}",
]


def found(page: Page) -> list[str]:
    """Return the names of the phones that a page shows."""
    return [name.get_text() for name in page.select("#phones li bdi")]


def status(page: Page) -> str:
    """Return what a screen reader is told about the results."""
    return " ".join(page.one("#phones [role=status]").get_text().split())


def test_without_a_query_there_is_a_form_and_an_example(client: PageClient) -> None:
    page = client.get(PATH)
    assert found(page) == []
    assert status(page).startswith("For example:")
    assert page.one("input[name=phone]")["value"] == ""


def test_a_phone_is_found_without_javascript(client: PageClient) -> None:
    client.get(PATH)
    page = client.submit("Look it up", {"phone": "iphone13"}, 200)
    assert found(page) == ["Apple iPhone 13", "Apple iPhone 13 mini", "Apple iPhone 13 Pro", "Apple iPhone 13 Pro Max"]
    assert status(page).startswith("4 models on our list fit.")
    assert page.one("input[name=phone]")["value"] == "iphone13"
    assert "eSIM: yes" in page.text
    assert "Two SIM cards and no eSIM if bought in: mainland China, Hong Kong, and Macau" in page.text
    assert "Apple: About eSIM on iPhone" in page.text
    assert "November 24, 2026" in page.text


def test_every_result_comes_with_its_traps(client: PageClient) -> None:
    for query, words in {
        "iphone 14": "eSIM only, without a card tray, if bought in: United States",
        "iphone 17": "United States, Canada, Japan, and 9 other countries",
        "iphone air": "Perhaps only eSIMs of operators there if bought in: mainland China",
        "galaxy s20": "Some have no eSIM if bought in: mainland China, Hong Kong, South Korea, and 2 other countries",
        "ipad mini": "Only the Wi-Fi + Cellular version.",
        "pixel 2": "Its eSIM only works with Google Fi.",
    }.items():
        text = re.sub(r"\s+", " ", client.get(f"{PATH}?phone={quote(query)}").one("#phones").get_text())
        assert words in text
    assert "eSIM: limited" in client.get(f"{PATH}?phone=pixel+2").text


def test_more_than_fit_are_counted(client: PageClient) -> None:
    page = client.get(f"{PATH}?phone=iphone")
    assert len(found(page)) == 8
    assert "type more of the name" in status(page)


@pytest.mark.parametrize("query", ["galaxy s21 fe", "nokia 3310", "iphone 6"])
def test_a_phone_that_is_not_on_the_list_is_not_refused(client: PageClient, query: str) -> None:
    page = client.get(f"{PATH}?phone={quote(query)}")
    assert found(page) == []
    assert status(page).startswith("Not on our list. That does not mean no: dial *#06#.")
    assert "not supported" not in page.text.lower()
    assert page.select('a[href="/en/plans"].button--primary') != []


@pytest.mark.parametrize("query", ODD)
def test_odd_queries_are_answered(client: PageClient, query: str) -> None:
    page = client.get(f"{PATH}?phone={quote(query)}")
    assert found(page) == []
    assert len(str(page.one("input[name=phone]")["value"])) <= 60
    assert "49" not in page.one("#phones").get_text()
    client.get(f"{PATH}?phone={quote(query)}&phone=iphone&other=1")


@pytest.mark.parametrize("query", ["", "iphone 15", "galaxy s21 fe"])
@pytest.mark.parametrize("code", LANGUAGES)
def test_the_checks_stand_below_in_every_language(client: PageClient, code: str, query: str) -> None:
    page = client.get(f"/{code}/compatibility?phone={quote(query)}")
    for words in ("*#06#", "EID", "CH/A", "ZA/A", "LL/A"):
        assert words in page.text


def test_htmx_gets_the_results_and_the_links_to_other_languages(client: PageClient) -> None:
    page = client.get(f"{PATH}?phone=pixel+8", headers=HTMX)
    assert page.select("h1") == []
    assert page.one("#phones") is not None
    assert page.select('#header a[href="/fr/compatibility?phone=pixel+8"]') != []
    assert "HX-Request" in page.response.headers["Vary"]


@pytest.fixture
def shop(tmp_path: Path) -> Flask:
    return make_shop(tmp_path)


@pytest.fixture
def visitor(shop: Flask) -> FlaskClient:
    return shop.test_client()


def test_the_page_is_kept_for_everybody_and_queries_are_not(visitor: FlaskClient) -> None:
    kept = visitor.get(PATH)
    assert kept.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
    assert not any(name.startswith("X-RateLimit") for name, _value in kept.headers)
    for query in ("?phone=iphone", "?phone=", "?phone=made+up"):
        assert "ETag" not in visitor.get(PATH + query).headers
    assert visitor.get(PATH, headers={"If-None-Match": kept.headers["ETag"]}).status_code == 304


def test_the_address_for_search_engines_has_no_query(visitor: FlaskClient) -> None:
    html = visitor.get(f"{PATH}?phone=iphone+15").text
    assert f'<link rel="canonical" href="https://shop.example{PATH}">' in html


def test_a_page_with_results_fits_into_the_first_round_trip(visitor: FlaskClient) -> None:
    for query in ("", "?phone=galaxy"):
        assert len(visitor.get(f"/zh-hans/compatibility{query}", headers={"Accept-Encoding": "br"}).data) < 14_000


def test_somebody_who_asks_without_end_is_slowed_down(visitor: FlaskClient) -> None:
    answers = [visitor.get(f"{PATH}?phone={number}", headers=HTMX).status_code for number in range(241)]
    assert (answers[0], answers[239], answers[240]) == (200, 200, 429)
    assert visitor.get(PATH).status_code == 200
