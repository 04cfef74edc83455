"""The list of phones and the search in it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from typing import Any

import pytest

from services.countries import country_name
from services.phones import DATA, LONGEST_QUERY, MOST_FOUND, TrapEffect, all_phones, search

GROUPS: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))["groups"]
MODELS: list[dict[str, Any]] = [model for group in GROUPS for model in group["models"]]
# Known to take no eSIM, or for long not to be told from one that does.
NEVER = ("iPhone X", "iPhone 8", "iPhone 7 Plus", "iPhone SE (1st generation)", "Pixel", "Galaxy S10", "Galaxy S20 FE")


def names(query: str) -> list[str]:
    return [phone.name for phone in search(query).phones]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("iphone13", "iPhone 13"),
        ("IPHONE 13", "iPhone 13"),
        ("apple iphone 13 pro max", "iPhone 13 Pro Max"),
        ("13 pro max", "iPhone 13 Pro Max"),
        ("iphone-xs", "iPhone XS"),
        ("iPhone SE 2020", "iPhone SE (2nd generation)"),
        ("iphone se 3", "iPhone SE (3rd generation)"),
        ("s 23 ultra", "Galaxy S23 Ultra"),
        ("S23Ultra", "Galaxy S23 Ultra"),
        ("23 ultra", "Galaxy S23 Ultra"),
        ("ultra s23 samsung", "Galaxy S23 Ultra"),
        ("galaxy s25+", "Galaxy S25+"),
        ("galaxy s25 plus", "Galaxy S25+"),
        ("note 20", "Galaxy Note20"),
        ("z-flip 5", "Galaxy Z Flip5"),
        ("a 54", "Galaxy A54 5G"),
        ("Píxél 8", "Pixel 8"),
        ("  google   pixel 8  ", "Pixel 8"),
        ("xperia 1 iv", "Xperia 1 IV"),
        ("nothing phone 3", "Phone (3)"),
        ("razr+ 2023", "Razr 40 Ultra"),
        ("fairphone 6", "Fairphone (Gen. 6)"),
        ("ipad mini 6", "iPad mini (6th generation)"),
        ("小米14", "Xiaomi 14"),
        ("三星 S24", "Galaxy S24"),
        ("苹果15", "iPhone 15"),
        ("iPhone\u00a015", "iPhone 15"),
        ("\uff49\uff30\uff48\uff4f\uff4e\uff45\uff11\uff15", "iPhone 15"),  # full width, as Chinese keyboards type it
    ],
)
def test_a_phone_is_found_however_it_is_written(query: str, first: str) -> None:
    assert names(query)[0] == first


def test_the_name_in_full_comes_first_and_its_relatives_follow() -> None:
    assert names("iphone 13") == ["iPhone 13", "iPhone 13 mini", "iPhone 13 Pro", "iPhone 13 Pro Max"]
    assert names("Galaxy S23") == ["Galaxy S23", "Galaxy S23+", "Galaxy S23 Ultra", "Galaxy S23 FE"]


def test_a_beginning_finds_the_newest_first() -> None:
    years = [phone.since for phone in search("iphone").phones]
    assert years == sorted(years, reverse=True)
    assert all(phone.maker == "Xiaomi" for phone in search("redmi").phones)
    assert len(search("redmi").phones) >= 2


def test_at_most_eight_are_named_and_all_are_counted() -> None:
    found = search("iphone")
    assert len(found.phones) == MOST_FOUND
    assert found.total == sum(phone.name.startswith("iPhone") for phone in all_phones())
    assert len(search("iphone", most=100).phones) == found.total


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "-",
        "!!!",
        "\u200b",
        "\U0001f4f1",
        "%_%",
        "' or 1=1",
        "nokia 3310",
        "iphone 6",
        "galaxy s21 fe",
        "qwertz",
    ],
)
def test_what_is_not_on_the_list_is_simply_not_found(query: str) -> None:
    assert search(query).total == 0


@pytest.mark.parametrize(
    "query", ["x" * 100_000, "iphone " * 10_000, "\u0301" * 500, "()[]*+?\\", "\ud83d", "iPhone\n15"]
)
def test_long_and_odd_queries_are_answered(query: str) -> None:
    assert len(search(query).phones) <= MOST_FOUND


def test_only_the_beginning_of_a_query_counts() -> None:
    assert names("iphone 13".ljust(LONGEST_QUERY) + " nonsense") == names("iphone 13")


def test_every_phone_is_found_by_its_own_name() -> None:
    for phone in all_phones():
        assert phone in search(phone.full_name).phones, phone.full_name
        assert search(f"{phone.maker} {phone.name}").phones[0] == phone, phone.full_name


def test_no_model_is_listed_twice() -> None:
    listed = Counter(
        (group["maker"], name) for group in GROUPS for model in group["models"] for name in all_names(model)
    )
    assert [name for name, times in listed.items() if times > 1] == []


def all_names(model: dict[str, Any]) -> list[str]:
    return [model["name"], *model.get("also", [])]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group['maker']}, {group['models'][0]['name']}")
def test_a_group_says_where_it_is_from_and_when_that_was_looked_at(group: dict[str, Any]) -> None:
    assert set(group) == {"maker", "also", "source", "listed", "traps", "models"}
    assert group["maker"].strip()
    assert len(group["source"]) > 10
    assert date(2026, 11, 1) <= date.fromisoformat(group["listed"])
    assert group["models"]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["name"])
def test_a_model_is_complete(model: dict[str, Any]) -> None:
    assert {"name", "since"} <= set(model) <= {"name", "since", "also", "traps"}
    assert model["name"] == model["name"].strip() != ""
    assert 2017 <= model["since"] <= 2026


def test_traps_name_effects_and_countries_that_exist() -> None:
    traps = [trap for owner in (*GROUPS, *MODELS) for trap in owner.get("traps", [])]
    for trap in traps:
        assert set(trap) == {"effect", "places"}
        TrapEffect(trap["effect"])
        assert all(country_name(code, "en") != code for code in trap["places"])
    # What holds in some countries names them.
    placed = {"none", "two-cards", "some", "own-operators"}
    assert all(trap["places"] for trap in traps if trap["effect"] in placed)


def test_iphones_of_china_and_the_united_states_have_their_traps() -> None:
    phones = {phone.name: phone for phone in all_phones()}
    for phone in phones.values():
        if phone.name.startswith("iPhone"):
            assert any("CN" in trap.places for trap in phone.traps), phone.name
    assert [trap.effect.value for trap in phones["iPhone 14"].traps] == ["two-cards", "only"]
    assert phones["iPhone 14"].traps[1].places == ("US",)
    assert "HK" not in phones["iPhone XS"].traps[0].places


@pytest.mark.parametrize("name", NEVER)
def test_a_phone_without_esim_is_not_on_the_list(name: str) -> None:
    assert name not in {listed for model in MODELS for listed in all_names(model)}


def test_a_phone_whose_esim_takes_no_other_plan_is_limited() -> None:
    assert {phone.name for phone in all_phones() if phone.limited} == {"Pixel 2", "Pixel 2 XL"}
