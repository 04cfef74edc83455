"""Pages that explain, the guide to renewing, and what every page has: headers, languages, static files."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from services.languages import LANGUAGES
from tests.pages.front_world import make_shop

PAGES = ("", "plans", "plans/monaco-1gb-7-days", "compatibility", "install", "help", "terms", "privacy", "renew")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_shop(tmp_path_factory.mktemp("instance"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", list(LANGUAGES))
def test_a_page_has_one_heading_and_its_title_starts_with_it(client: FlaskClient, language: str, page: str) -> None:
    html = client.get(f"/{language}/{page}").text
    headings = re.findall(r"<h1>(.*?)</h1>", html)
    assert len(headings) == 1
    assert f"<title>{headings[0]} · " in html
    assert f'<html lang="{LANGUAGES[language].html}" dir="{LANGUAGES[language].direction}">' in html


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_itself_in_every_language(client: FlaskClient, page: str) -> None:
    html = client.get(f"/fr/{page}?currency=EUR").text
    assert f'<link rel="canonical" href="https://shop.example/fr/{page}">' in html
    for language in LANGUAGES.values():
        address = f"https://shop.example/{language.code}/{page}"
        assert f'<link rel="alternate" hreflang="{language.html}" href="{address}">' in html
    assert f'hreflang="x-default" href="https://shop.example/en/{page}"' in html


def test_the_language_menu_keeps_page_and_query(client: FlaskClient) -> None:
    html = client.get("/en/plans?country=MC&days=3").text
    assert 'href="/zh-hans/plans?country=MC&amp;days=3"' in html


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_into_the_first_round_trip(client: FlaskClient, page: str) -> None:
    answer = client.get(f"/zh-hans/{page}", headers={"Accept-Encoding": "br"})
    assert len(answer.data) < 14_000


@pytest.mark.parametrize("page", PAGES)
def test_the_browser_is_allowed_the_stylesheet_and_nothing_else_inline(client: FlaskClient, page: str) -> None:
    answer = client.get(f"/en/{page}")
    policy = answer.headers["Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "form-action 'self' https://checkout.stripe.com" in policy
    assert " style=" not in answer.text
    assert not re.search(r"<script(?![^>]* (?:src=|type=\"application/ld\+json\"))", answer.text)
    assert not re.search(r"\son\w+=", answer.text)


def test_every_answer_carries_the_security_headers(client: FlaskClient) -> None:
    for address in ("/en/", "/en/nowhere", "/nowhere"):
        headers = client.get(address).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Strict-Transport-Security"].startswith("max-age=")
        assert "Permissions-Policy" in headers


def test_static_files_may_be_kept_for_ever(client: FlaskClient) -> None:
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get("/en/").text)
    assert len(addresses) == 3
    for address in addresses:
        answer = client.get(address, headers={"Accept-Encoding": "br"})
        assert answer.status_code == 200
        assert answer.headers["Content-Encoding"] == "br"
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("page", PAGES)
def test_no_link_leads_nowhere(client: FlaskClient, page: str) -> None:
    html = client.get(f"/en/{page}").text
    for address in sorted(set(re.findall(r'href="(/[^"#]*)', html))):
        answer = client.get(address.replace("&amp;", "&"))
        assert answer.status_code in (200, 302, 303), address


def test_help_reaches_a_person(client: FlaskClient) -> None:
    assert 'href="mailto:help@shop.example"' in client.get("/en/help").text


def test_the_compatibility_page_never_says_no(client: FlaskClient) -> None:
    html = client.get("/en/compatibility").text
    assert "*#06#" in html
    assert "not supported" not in html.lower()


def test_the_guide_shows_what_can_be_renewed_and_its_price(client: FlaskClient) -> None:
    html = client.get("/en/renew?currency=USD").text
    assert "$16.90" in html
    assert "$114.00" not in html  # Monaco 10 GB cannot be renewed


def test_your_esims_of_a_stranger_ask_to_sign_in(client: FlaskClient) -> None:
    answer = client.get("/en/renew/esims", headers={"HX-Request": "true"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert "/en/sign-in" in answer.text
    plain = client.get("/en/renew/esims")
    assert plain.status_code == 303
    assert plain.headers["Location"] == "/en/account"
