"""The list of texts: which page and which plan has one of its own in which language."""

from __future__ import annotations

import pytest

from models import PageName, PlanState, Staff, StaffRole
from services.languages import LANGUAGES
from services.shop import Shop
from tests import both_databases
from tests.factories import Factories
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.running import count_statements
from tests.text_world import Writer

TEXTS = "/staff/texts"
SLUG = "monaco-1gb-7-days"


@pytest.fixture
def member(client: PageClient, factories: Factories) -> Staff:
    """Return a member of the support, who is signed in: everybody may look."""
    member = factories.make_staff(role=StaffRole.SUPPORT)
    client.sign_in_staff(member)
    return member


@pytest.fixture
def writer(shop: Shop, member: Staff) -> Writer:
    return Writer(shop, member)


def states(page: Page, name: PageName) -> dict[str, str]:
    """Return what the list says of a page, by the name of the language."""
    rows = page.select(f"#texts-{name} li")
    return {words(row.select("bdi")[0]): words(row.select(".badge")[0]) for row in rows}


def plan_row(page: Page, name: str) -> str:
    """Return what the list says of a plan."""
    (found,) = [row for row in page.select("#plan-states tbody tr") if words(row.select("th a")[0]) == name]
    return words(found.select("td")[0])


def test_strangers_and_travellers_do_not_see_it(client: PageClient, factories: Factories) -> None:
    """They are sent to the sign-in."""
    assert client.get(TEXTS, 303).location == "/staff/sign-in"
    client.sign_in(factories.make_account())
    assert client.get(TEXTS, 303).location == "/staff/sign-in"


@pytest.mark.usefixtures("member")
def test_the_navigation_leads_there(client: PageClient) -> None:
    page = client.get(client.get("/staff/").link("Texts"))
    assert words(page.one("h1")) == "Texts"
    assert words(page.one("#top [aria-current]")) == "Texts"


@pytest.mark.usefixtures("member")
def test_before_anybody_has_written_all_is_built_in(client: PageClient) -> None:
    page = client.get(TEXTS)
    for name in PageName:
        assert states(page, name) == {language.name: "built-in" for language in LANGUAGES.values()}
    rows = page.select("#plan-states tbody td")
    assert {words(row) for row in rows} == {"none: all 12 have their own"}


@both_databases
def test_each_page_says_what_it_shows_in_each_language(client: PageClient, writer: Writer) -> None:
    """And leads to that text."""
    writer.write(PageName.TERMS, "fr", "Conditions")
    writer.write(PageName.TERMS, "en", "Terms")
    writer.write(PageName.TERMS, "ar", "شروط")
    page = client.get(TEXTS)
    found = states(page, PageName.TERMS)
    assert found["English"] == found["العربية"] == "own text"
    assert found["Français"] == "older than English"
    others = {state for name, state in found.items() if name not in ("English", "Français", "العربية")}
    assert others == {"shows English"}
    assert set(states(page, PageName.HELP).values()) == {"built-in"}
    page = client.get(page.link("Terms in Français : older than English"))
    assert words(page.one("h1")) == "Terms in Français"


def test_a_plan_names_the_languages_that_show_its_english_name(
    client: PageClient, writer: Writer, factories: Factories
) -> None:
    """And leads to their texts; what is not sold any more is marked."""
    writer.remove_plan_text(SLUG, "de")
    writer.remove_plan_text(SLUG, "ar")
    retired = factories.make_plan(state=PlanState.RETIRED)
    page = client.get(TEXTS)
    assert plan_row(page, "Monaco 1 GB, 7 days") == "Monaco 1 GB, 7 days in Deutsch Monaco 1 GB, 7 days in العربية"
    assert page.link("Monaco 1 GB, 7 days") == f"/staff/texts/plans/{SLUG}/en"
    assert page.link("Monaco 1 GB, 7 days in Deutsch") == f"/staff/texts/plans/{SLUG}/de"
    (row,) = [row for row in page.select("#plan-states tbody tr") if retired.slug in str(row)]
    assert words(row.select("th .badge")[0]) == "retired"


@pytest.mark.usefixtures("member")
def test_statements_do_not_grow_with_plans(client: PageClient, factories: Factories) -> None:
    counts = []
    for number in (1, 20):
        for _ in range(number):
            factories.make_plan()
        with count_statements() as statements:
            client.get(TEXTS)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 4
