"""What search engines and messengers are told about a page, in every language.

The properties of each type are those of schema.org that we use; which are required is what Google says of each
(developers.google.com/search/docs/appearance/structured-data).
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from services.languages import LANGUAGES
from tests.page_client import Page, PageClient
from tests.page_rules import words

# Type: (required, allowed beside them).
TYPES = {
    "Organization": ({"name", "url", "logo"}, {"@id", "alternateName", "contactPoint"}),
    "ContactPoint": ({"contactType", "email", "availableLanguage"}, set()),
    "BreadcrumbList": ({"itemListElement"}, set()),
    "ListItem": ({"position", "name", "item"}, set()),
    "FAQPage": ({"mainEntity"}, {"inLanguage"}),
    "Question": ({"name", "acceptedAnswer"}, set()),
    "Answer": ({"text"}, set()),
    "Product": ({"name", "image", "offers"}, {"@id", "description", "sku", "category", "brand"}),
    "Brand": ({"name"}, set()),
    "Offer": ({"price", "priceCurrency", "availability", "url"}, {"itemCondition"}),
}
ABSOLUTE = {"url", "logo", "item", "image", "availability", "itemCondition", "@id"}
PAGES = [
    "",
    "plans",
    "plans/monaco-1gb-7-days",
    "renew",
    "guide",
    "help",
    "compatibility",
    "install",
    "terms",
    "privacy",
]


def graph_of(page: Page) -> list[dict[str, Any]]:
    """Return everything that the data of a page describes."""
    nodes: list[dict[str, Any]] = []
    for script in page.select('script[type="application/ld+json"]'):
        data = json.loads(str(script.string))
        assert data.pop("@context") == "https://schema.org"
        nodes += data.pop("@graph", None) or [data]
    return nodes


def one(page: Page, kind: str) -> dict[str, Any]:
    """Return the one node of a type."""
    [node] = [node for node in graph_of(page) if node["@type"] == kind]
    return node


def assert_valid(node: dict[str, Any]) -> None:
    """Check a node and all that is in it: known type, nothing missing, nothing invented, nothing empty."""
    kind = node["@type"]
    required, allowed = TYPES[kind]
    names = set(node) - {"@type"}
    assert required <= names <= required | allowed, f"{kind}: {names}"
    for name, value in node.items():
        for each in value if isinstance(value, list) else [value]:
            assert each not in ("", None), f"{kind}.{name} is empty"
            if isinstance(each, dict):
                assert_valid(each)
            elif isinstance(each, str):
                assert "&#" not in each, f"{kind}.{name} is escaped twice: {each}"
                assert not re.search(r"<[a-z]", each), f"{kind}.{name} holds markup: {each}"
                if name in ABSOLUTE:
                    assert urlsplit(each).scheme in ("http", "https"), f"{kind}.{name}: {each}"


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("path", PAGES)
def test_the_data_is_valid_and_says_what_the_page_says(client: PageClient, code: str, path: str) -> None:
    page = client.get(f"/{code}/{path}")
    for node in graph_of(page):
        assert_valid(node)
    assert one(page, "Organization")["name"] in words(page.select("title")[0])
    shown = " ".join(page.text.split())
    for node in graph_of(page):
        if node["@type"] == "FAQPage":
            assert node["inLanguage"] == LANGUAGES[code].html
            for question in node["mainEntity"]:
                assert " ".join(question["name"].split()) in shown
                assert " ".join(question["acceptedAnswer"]["text"].split()) in shown


def test_questions_are_told_where_there_are_some(client: PageClient) -> None:
    for path in ("renew", "guide", "help"):
        page = client.get(f"/en/{path}")
        assert len(one(page, "FAQPage")["mainEntity"]) == len(page.select(".questions summary")) > 4
    assert not [node for node in graph_of(client.get("/en/terms")) if node["@type"] == "FAQPage"]


def test_the_way_to_a_page_begins_at_the_start_page(client: PageClient) -> None:
    assert not [node for node in graph_of(client.get("/fr/")) if node["@type"] == "BreadcrumbList"]
    crumbs = one(client.get("/fr/plans/monaco-1gb-7-days"), "BreadcrumbList")["itemListElement"]
    assert [crumb["position"] for crumb in crumbs] == [1, 2, 3]
    paths = [urlsplit(crumb["item"]).path for crumb in crumbs]
    assert paths == ["/fr/", "/fr/plans", "/fr/plans/monaco-1gb-7-days"]
    assert crumbs[-1]["name"] == "Monaco 1 Go, 7 jours"
    for path, crumb in zip(paths, crumbs, strict=True):
        assert client.get(path).text.count(crumb["name"]) >= 1


@pytest.mark.parametrize(
    ("query", "currency", "price"),
    [("", "EUR", "14.90"), ("?currency=JPY", "JPY", "2600"), ("?currency=CHF", "CHF", "14.90")],
)
def test_a_plan_is_offered_at_the_price_on_the_page(client: PageClient, query: str, currency: str, price: str) -> None:
    page = client.get(f"/en/plans/monaco-1gb-7-days{query}")
    offer = one(page, "Product")["offers"]
    assert (offer["priceCurrency"], offer["price"]) == (currency, price)
    shown = re.sub(r"[^\d.]", "", words(page.select(".price--large")[0]))
    assert Decimal(shown) == Decimal(price)


def test_a_plan_by_the_day_is_offered_for_the_days_that_are_chosen(client: PageClient) -> None:
    page = client.get("/en/plans/monaco-1gb-a-day?days=5")
    assert one(page, "Product")["offers"]["price"] == "79.50"
    refused = client.get("/en/plans/monaco-1gb-a-day?days=99", 422)
    assert not [node for node in graph_of(refused) if node["@type"] == "Product"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_link_to_the_shop_is_shown_with_its_own_title_and_picture(app: Flask, client: PageClient, code: str) -> None:
    seen = set()
    for path in PAGES:
        page = client.get(f"/{code}/{path}")
        said = {str(tag["property"]): str(tag["content"]) for tag in page.select('meta[property^="og:"]')}
        assert words(page.select("title")[0]).startswith(" ".join(said["og:title"].split()))
        assert said["og:description"] == page.one('meta[name="description"]')["content"]
        assert said["og:url"] == page.one('link[rel="canonical"]')["href"]
        assert said["og:locale"] == LANGUAGES[code].locale
        picture = urlsplit(said["og:image"]).path
        assert f"/{code}." in picture
        seen.add((said["og:title"], said["og:description"]))
        answer = app.test_client().get(picture)
        assert answer.status_code == 200
        assert answer.mimetype == "image/png"
        assert png_size(answer.data) == (int(said["og:image:width"]), int(said["og:image:height"]))
    assert len({title for title, _description in seen}) == len(PAGES)
    assert len({description for _title, description in seen}) == len(PAGES)


def test_the_logo_is_large_enough(app: Flask, client: PageClient) -> None:
    logo = urlsplit(one(client.get("/en/"), "Organization")["logo"]).path
    assert min(png_size(app.test_client().get(logo).data)) >= 112


def png_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG (its IHDR, RFC 2083, section 4.1.1)."""
    stream = BytesIO(data)
    assert stream.read(8) == b"\x89PNG\r\n\x1a\n"
    stream.read(8)
    return int.from_bytes(stream.read(4)), int.from_bytes(stream.read(4))


def test_personal_pages_tell_nothing(client: PageClient) -> None:
    for path in ("sign-in", "sign-in/link", "checkout/monaco-1gb-7-days"):
        page = client.get(f"/en/{path}")
        assert graph_of(page) == []
        assert not page.select('meta[property^="og:"]')
        assert page.one('meta[name="robots"]')["content"] == "noindex"
