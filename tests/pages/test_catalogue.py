"""Start page, plans, one plan: what is shown, what is refused, and that a fragment is a part of its page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models import Plan, PlanState, db
from services.catalogue import PlanFilter, PlanNotFound, get_plan, list_plans, list_topup_plans
from services.demo_catalogue import seed_catalogue
from services.money import CURRENCIES, GIGABYTE
from tests.pages.front_world import counted_statements, make_shop, squeezed

HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return make_shop(tmp_path_factory.mktemp("instance"))


@pytest.fixture
def in_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.usefixtures("in_app")
def test_seeding_twice_adds_nothing() -> None:
    assert seed_catalogue(db.session()) == 0


@pytest.mark.usefixtures("in_app")
def test_plans_are_found_by_country_days_and_data() -> None:
    def slugs(wanted: PlanFilter) -> list[str]:
        return [plan.slug for plan in list_plans(db.session(), wanted, "en", "EUR")]

    assert slugs(PlanFilter(country="MC", days=30, data_bytes=5 * GIGABYTE)) == [
        "monaco-1gb-a-day",
        "monaco-5gb-30-days",
        "monaco-10gb-30-days",
    ]
    assert "monaco-1gb-a-day" not in slugs(PlanFilter(country="MC", days=3, data_bytes=5 * GIGABYTE))
    assert slugs(PlanFilter(country="ES")) == ["europe-5gb-30-days", "europe-10gb-30-days"]
    assert slugs(PlanFilter(country="MC", days=31)) == []


@pytest.mark.usefixtures("in_app")
def test_every_plan_has_a_price_in_every_currency_and_no_supplier_cost() -> None:
    counts = {len(list_plans(db.session(), PlanFilter(), "en", currency)) for currency in CURRENCIES}
    assert counts == {len(list(db.session().query(Plan)))}
    assert {plan.supplier_cost for plan in list_plans(db.session(), PlanFilter(), "en", "EUR")} == {None}


@pytest.mark.usefixtures("in_app")
def test_the_europe_plans_cover_thirty_countries_without_monaco() -> None:
    plan = get_plan(db.session(), "europe-5gb-30-days", "fr", "EUR")
    assert len(plan.countries) >= 30
    assert not plan.covers_monaco
    assert plan.name == "Europe 5 Go, 30 jours"


@pytest.mark.usefixtures("in_app")
def test_a_language_without_texts_reads_english() -> None:
    assert get_plan(db.session(), "monaco-1gb-7-days", "xx", "EUR").name == "Monaco 1 GB, 7 days"


@pytest.mark.usefixtures("in_app")
def test_topups_are_found_by_the_suppliers_codes() -> None:
    found = list_topup_plans(db.session(), {"TOPUP_SIM-MC-1-7", "TOPUP_SIM-FR-1-7", "TOPUP_ELSE"}, "en", "EUR")
    assert [plan.slug for plan in found] == ["monaco-1gb-7-days", "france-1gb-7-days"]
    assert list_topup_plans(db.session(), (), "en", "EUR") == []


@pytest.mark.usefixtures("in_app")
@pytest.mark.parametrize("state", [PlanState.HIDDEN, PlanState.RETIRED])
def test_a_plan_off_the_shelf_is_not_found(state: PlanState) -> None:
    db.session().query(Plan).filter_by(slug="monaco-1gb-7-days").update({"state": state})
    with pytest.raises(PlanNotFound):
        get_plan(db.session(), "monaco-1gb-7-days", "en", "EUR")
    assert "monaco-1gb-7-days" not in [plan.slug for plan in list_plans(db.session(), PlanFilter(), "en", "EUR")]


def test_the_number_of_statements_does_not_grow_with_the_plans(app: Flask, client: FlaskClient) -> None:
    with counted_statements(app) as few:
        client.get("/en/plans?country=ES")
    with counted_statements(app) as many:
        client.get("/en/plans?country=")
    assert len(many) <= len(few) <= 8


def test_the_list_says_every_fact(client: FlaskClient) -> None:
    html = squeezed(client.get("/en/plans?country=MC").text)
    for fact in (
        "3 GB",
        "30 days",
        "Monaco: yes",
        "Monaco Telecom",
        "Days start at the first connection",
        "Install within 180 days of buying",
        "Can be renewed on the same eSIM",
        "Cannot be renewed",
        "Data only",
        "€36.90",
    ):
        assert fact in html, fact


def test_a_europe_plan_warns_that_monaco_is_not_included(client: FlaskClient) -> None:
    assert "Monaco is not included" in client.get("/en/plans/europe-5gb-30-days").text
    assert "Monaco is not included" not in client.get("/en/plans/riviera-5gb-15-days").text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("country=XX", "Country"),
        ("days=0", "Days"),
        ("days=seven", "Days"),
        ("days=99999999999999999999", "Days"),
        ("days=%C2%B2", "Days"),
        ("data=7", "Data"),
        ("currency=XXX", "Currency"),
        ("currency=eur", "Currency"),
    ],
)
def test_a_choice_that_does_not_exist_is_named(client: FlaskClient, query: str, field: str) -> None:
    for headers in ({}, HTMX):
        answer = client.get(f"/en/plans?{query}", headers=headers)
        assert answer.status_code == 422
        assert f"{field}: please" in answer.text


def test_no_plan_that_fits_is_no_mistake(client: FlaskClient) -> None:
    answer = client.get("/en/plans?country=MC&days=200")
    assert answer.status_code == 200
    assert "No plan fits all of this." in answer.text


def test_the_price_follows_the_days(client: FlaskClient) -> None:
    html = client.get("/en/plans/monaco-1gb-a-day?days=3&currency=GBP").text
    assert "£41.70" in html
    assert "/en/checkout/monaco-1gb-a-day?currency=GBP&amp;days=3" in html


@pytest.mark.parametrize("days", ["0", "31", "-1", "", "two"])
def test_days_that_are_not_sold_are_refused(client: FlaskClient, days: str) -> None:
    answer = client.get(f"/en/plans/monaco-1gb-a-day?days={days}")
    assert answer.status_code == 422
    assert "whole number from 1 to 30" in answer.text
    assert "/en/checkout/" not in answer.text


def test_an_unknown_plan_is_not_found(client: FlaskClient) -> None:
    assert client.get("/en/plans/monaco-1tb").status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "/en/plans?country=FR&days=&data=&currency=USD",
        "/zh-hans/plans?days=0",
        "/fr/plans/monaco-1gb-a-day?days=4&currency=CHF",
        "/en/plans/monaco-1gb-a-day?days=0",
    ],
)
def test_a_fragment_is_a_part_of_the_page_at_the_same_address(client: FlaskClient, address: str) -> None:
    page = squeezed(client.get(address).text)
    answer = squeezed(client.get(address, headers=HTMX).text)
    # What else changes with the address comes behind the fragment, each part for its own place.
    for part in re.split(r'(?=<header class="top"|<p id="all-plans")', answer):
        assert part.replace(' hx-swap-oob="true"', "").strip() in page


def test_the_chosen_currency_goes_along(client: FlaskClient) -> None:
    assert "/en/plans/monaco-1gb-7-days?currency=JPY" in client.get("/en/?currency=JPY").text
    assert "¥2,600" in client.get("/en/plans/monaco-1gb-7-days?currency=JPY").text
    assert client.get("/en/?currency=XXX").status_code == 200


def test_each_language_starts_with_its_own_currency(client: FlaskClient) -> None:
    assert "€14.90" in client.get("/en/").text
    assert "14,90\u00a0€" in client.get("/fr/").text
    assert "¥122.00" in client.get("/zh-hans/").text
    assert "63.00\u00a0د.إ." in client.get("/ar/").text
