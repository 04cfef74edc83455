"""Which language a visitor is led to, which one is remembered, and whose habits prices and dates follow."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from services.languages import LANGUAGES, best_language, suggested_currency, visitor_locale
from services.money import CURRENCIES, format_moment, format_money
from tests.account_world import SHOP_URL, World, make_world
from tests.pages.front_world import make_shop


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_shop(tmp_path_factory.mktemp("instance"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def front_door(client: FlaskClient, accepted: str = "") -> str | None:
    """Return where the address without a language leads."""
    return client.get("/", base_url=SHOP_URL, headers={"Accept-Language": accepted}).location


def switch(client: FlaskClient, before: str, to: str) -> None:
    """Open a page and follow its menu to another language, as a browser does."""
    html = client.get(before, base_url=SHOP_URL).text
    address = re.search(rf'<li><a href="([^"]+)" lang="{LANGUAGES[to].html}"', html)
    assert address
    answer = client.get(address[1].replace("&amp;", "&"), base_url=SHOP_URL, headers={"Referer": SHOP_URL + before})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("accepted", "code"),
    [
        ("", "en"),
        ("nl", "en"),
        ("nl, de;q=0.5", "de"),
        ("de-CH, fr;q=0.9", "de"),
        ("pt-BR", "pt"),
        ("zh", "zh-hans"),
        ("zh-CN", "zh-hans"),
        ("zh-Hans-SG", "zh-hans"),
        ("zh-TW", "zh-hant"),
        ("zh-HK, en;q=0.5", "zh-hant"),
        ("zh-Hant-MO", "zh-hant"),
        ("ar-EG", "ar"),
        ("ja;q=0.3, ko;q=0.8", "ko"),
        ("*", "en"),
    ],
)
def test_the_front_door_leads_to_what_the_browser_asks_for(client: FlaskClient, accepted: str, code: str) -> None:
    assert front_door(client, accepted) == f"/{code}/"


def test_the_language_that_was_chosen_is_remembered(client: FlaskClient) -> None:
    switch(client, "/en/plans?country=MC", "ja")
    assert front_door(client, "fr") == "/ja/"
    assert 'lang="ja"' in client.get("/nowhere", base_url=SHOP_URL, headers={"Accept-Language": "fr"}).text
    switch(client, "/ja/plans", "ar")
    assert front_door(client, "fr") == "/ar/"


@pytest.mark.parametrize("page", ["", "plans", "help", "sign-in"])
def test_the_cookie_comes_with_kept_pages_and_others_alike(client: FlaskClient, page: str) -> None:
    for _once_more in range(2):
        answer = client.get(f"/it/{page}", base_url=SHOP_URL, headers={"Referer": f"{SHOP_URL}/en/{page}"})
        cookie = next(value for value in answer.headers.getlist("Set-Cookie") if value.startswith("language="))
        attributes = {part.strip() for part in cookie.split(";") if "Expires" not in part}
        assert attributes == {"language=it", "Secure", "HttpOnly", "Max-Age=31536000", "Path=/", "SameSite=Lax"}
        assert answer.headers.getlist("Cache-Control") == ["no-store"]


@pytest.mark.parametrize(
    ("path", "referrer"),
    [
        ("/it/", None),
        ("/it/", f"{SHOP_URL}/it/plans"),
        ("/it/", f"{SHOP_URL}/"),
        ("/it/", "https://elsewhere.example/en/"),
        ("/it/", "https://[broken/en/"),
        ("/robots.txt", f"{SHOP_URL}/en/"),
        ("/xx/", f"{SHOP_URL}/en/"),
    ],
)
def test_reading_a_page_chooses_nothing(client: FlaskClient, path: str, referrer: str | None) -> None:
    answer = client.get(path, base_url=SHOP_URL, headers={"Referer": referrer} if referrer else {})
    assert "language=" not in str(answer.headers.getlist("Set-Cookie"))


def test_an_unknown_language_in_the_cookie_is_nobody(client: FlaskClient) -> None:
    client.set_cookie("language", "tlh", domain="shop.example")
    assert front_door(client, "de") == "/de/"


def test_the_account_counts_more_than_the_cookie(tmp_path: Path) -> None:
    world: World = make_world(tmp_path)
    world.add_traveller()
    visitor = world.traveller()
    visitor.post("/en/account/settings/language", language="fr")
    visitor.get("/ko/help", Referer=f"{SHOP_URL}/en/help")
    assert visitor.leads_to("/", Accept_Language="de") == "/fr/"
    assert visitor.get("/ko/account").status_code == 200
    visitor.post("/ko/sign-out")
    assert visitor.leads_to("/", Accept_Language="de") == "/ko/"


@pytest.mark.parametrize(
    ("code", "accepted", "currency"),
    [
        ("en", "", "EUR"),
        ("en", "en-US", "USD"),
        ("en", "en-GB, en;q=0.8", "GBP"),
        ("en", "en-AU", "EUR"),
        ("en", "zh-CN, en-US;q=0.5", "USD"),
        ("de", "de-CH", "CHF"),
        ("de", "de-AT", "EUR"),
        ("de", "de, en-US;q=0.7", "EUR"),
        ("fr", "fr-CH", "CHF"),
        ("it", "it-CH", "CHF"),
        ("zh-hans", "", "CNY"),
        ("zh-hans", "zh-CN", "CNY"),
        ("zh-hant", "zh-TW", "USD"),
        ("ja", "ja-JP", "JPY"),
        ("ar", "ar-EG", "AED"),
        ("ar", "ar-AE", "AED"),
        ("fr", "de-CH", "EUR"),
    ],
)
def test_prices_are_first_shown_in_the_currency_of_the_visitor(
    client: FlaskClient, code: str, accepted: str, currency: str
) -> None:
    headers = {"Accept-Language": accepted}
    for page in ("plans", "plans/monaco-1gb-7-days"):
        html = client.get(f"/{code}/{page}", headers=headers).text
        assert re.search(rf'<option selected value="{currency}"', html), page
    locale = visitor_locale(code, accepted)
    amount = {"EUR": 1490, "USD": 1690, "GBP": 1290, "CHF": 1490, "CNY": 12200, "JPY": 2600, "AED": 6300}[currency]
    price = format_money(amount, currency, locale)
    for page in ("", "plans/monaco-1gb-7-days"):
        assert price in client.get(f"/{code}/{page}", headers=headers).text.replace("&#39;", "'")


def test_the_chosen_currency_counts_more_than_the_browser(client: FlaskClient) -> None:
    html = client.get("/de/plans/monaco-1gb-7-days?currency=JPY", headers={"Accept-Language": "de-CH"}).text
    assert re.search(r'<option selected value="JPY"', html)


def test_amounts_and_dates_are_written_as_in_the_visitors_country() -> None:
    moment = datetime(2026, 11, 25, 15, 30, tzinfo=UTC)
    assert format_money(149000, "CHF", visitor_locale("de", "de-CH")) == "CHF\u00a01’490.00"
    assert format_money(149000, "CHF", visitor_locale("de", "de")) == "1.490,00\u00a0CHF"
    assert format_moment(moment, visitor_locale("en", "en-US")) == "Nov 25, 2026, 4:30\u202fPM"
    assert format_moment(moment, visitor_locale("en", "en-GB")) == "25 Nov 2026, 16:30"
    assert format_moment(moment, visitor_locale("ko", "ko-KR")) == "2026. 11. 25. 오후 4:30"


def test_every_locale_of_every_language_can_be_used() -> None:
    for language in LANGUAGES.values():
        for locale in language.locales:
            territory = locale.removeprefix(language.locale).removeprefix("_")
            assert visitor_locale(language.code, f"{language.html}-{territory}" if territory else "") == locale
            assert suggested_currency(language.code, locale, CURRENCIES) in CURRENCIES
            assert format_money(100, "EUR", locale)


def test_a_kept_page_is_given_to_the_same_region_only(client: FlaskClient) -> None:
    seen = []
    for accepted in ("de-CH", "de", "de-CH", "de-AT", "de"):
        answer = client.get("/de/", headers={"Accept-Language": accepted})
        assert "Accept-Language" in answer.headers["Vary"]
        seen.append(answer.text)
    assert seen[0] == seen[2]
    assert seen[1] == seen[4]
    assert len({seen[0], seen[1], seen[3]}) == 3


def test_best_language_of_nothing_is_english() -> None:
    from werkzeug.datastructures import LanguageAccept

    assert best_language(LanguageAccept([])).code == "en"
