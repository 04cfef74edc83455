"""Public pages with a text of staff's: which it is, how it is set, and what it takes the place of."""

from __future__ import annotations

import json

import pytest

from blueprints import _page_cache
from models import PageName, Staff
from services.languages import LANGUAGES
from services.shop import Shop
from tests import both_databases
from tests.factories import Factories
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.running import count_statements
from tests.text_world import Writer

# What stands on a page as it comes with the shop, and nowhere else on it.
BUILT_IN = {
    PageName.HELP: "Before you buy",
    PageName.TERMS: "Price and payment",
    PageName.PRIVACY: "What we keep",
}
NOT_TRANSLATED = "This text has not been translated yet. It is shown in English."
TEXT = "# Our own words\n\nWrite to <shop@example.com>.\n\n- one\n- two"


@pytest.fixture
def writer(shop: Shop, factories: Factories) -> Writer:
    member: Staff = factories.make_staff()
    return Writer(shop, member)


@pytest.fixture(autouse=True)
def asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kept pages be compared with the catalogue at each request, not once a second."""
    monkeypatch.setattr(_page_cache, "VERSION_SECONDS", 0.0)


def questions(page: Page) -> list[object]:
    """Return what search engines are told about the page, of its questions."""
    graph = json.loads(page.one('script[type="application/ld+json"]').string or "")["@graph"]
    return [node for node in graph if node["@type"] == "FAQPage"]


@both_databases
@pytest.mark.parametrize("name", PageName)
def test_a_saved_text_is_on_the_page_at_once_and_gone_when_taken_back(
    client: PageClient, writer: Writer, name: PageName
) -> None:
    """Although the page was kept before; below the title, in place of what comes with the shop."""
    before = client.get(f"/en/{name}")
    assert BUILT_IN[name] in before.text
    assert not before.select("#staff-text")
    writer.write(name, "en", TEXT)
    page = client.get(f"/en/{name}")
    text = page.one("#staff-text")
    assert words(text) == "Our own words Write to shop@example.com . one two"
    assert [tag.name for tag in page.select("h1, #staff-text h2")] == ["h1", "h2"]
    assert BUILT_IN[name] not in page.text
    assert not text.select("[lang]")
    writer.take_back(name, "en")
    assert client.get(f"/en/{name}").text == before.text


@pytest.mark.parametrize("name", PageName)
@pytest.mark.parametrize("code", LANGUAGES)
def test_a_text_in_each_language(client: PageClient, writer: Writer, name: PageName, code: str) -> None:
    """It runs in the direction of its page, which needs no word about it."""
    writer.write(name, code, "# Title\n\nWords")
    page = client.get(f"/{code}/{name}")
    assert words(page.one("#staff-text")) == "Title Words"
    assert not page.select("#staff-text [lang], #staff-text [dir], #staff-text .note")


@pytest.mark.parametrize("name", PageName)
def test_english_stands_in_and_says_so(client: PageClient, writer: Writer, name: PageName) -> None:
    """In the language of the page, with the English words marked as such, also among Arabic."""
    writer.write(name, "en", TEXT)
    page = client.get(f"/ar/{name}")
    html = page.one("html")
    assert (html["lang"], html["dir"]) == ("ar", "rtl")
    note, text = page.select("#staff-text > *")
    assert note["class"] == ["note"]
    assert words(note) not in ("", NOT_TRANSLATED)
    assert (text["lang"], text["dir"]) == ("en", "ltr")
    assert words(text).startswith("Our own words")
    assert NOT_TRANSLATED not in client.get(f"/en/{name}").text


def test_a_text_in_one_language_leaves_the_others_alone(client: PageClient, writer: Writer) -> None:
    writer.write(PageName.TERMS, "fr", "Nos conditions")
    assert "Nos conditions" in client.get("/fr/terms").text
    for code in ("en", "de", "ar"):
        assert not client.get(f"/{code}/terms").select("#staff-text")


def test_the_terms_of_a_demonstration_still_say_that_it_is_one(client: PageClient, writer: Writer) -> None:
    writer.write(PageName.TERMS, "en", TEXT)
    assert "This is a demonstration. Nothing is sold here." in client.get("/en/terms").text


def test_help_keeps_the_way_to_a_person_and_the_links(client: PageClient, writer: Writer) -> None:
    """What is asked is staff's to say; search engines are not told of questions that are not there."""
    assert questions(client.get("/en/help"))
    writer.write(PageName.HELP, "en", TEXT)
    page = client.get("/en/help")
    headings = [words(tag) for tag in page.select("main h2")]
    assert headings == ["Reach a person", "Our own words", "More"]
    assert page.select("a.button--primary")[0]["href"] == "mailto:shop@example.com"
    assert questions(page) == []
    assert questions(client.get("/fr/help")) == []


def test_a_text_can_do_no_harm(client: PageClient, writer: Writer) -> None:
    """The client checks every page for scripts, handlers and broken markup, too."""
    body = "<script>alert(1)</script>\n\n[x](javascript:alert(1)) <img src=x onerror=alert(1)>\n\n</div></main>"
    writer.write(PageName.HELP, "en", body)
    text = client.get("/en/help").one("#staff-text")
    assert "<script>alert(1)</script>" in words(text)
    assert words(text).endswith("</div></main>")
    assert not text.select("script, img, a")


def test_a_page_costs_one_statement_when_it_is_made_and_none_when_it_is_kept(
    client: PageClient, writer: Writer
) -> None:
    writer.write(PageName.TERMS, "en", TEXT)
    with count_statements() as statements:
        client.get("/fr/terms")
    assert len(statements) == 1
    with count_statements() as statements:
        client.get("/fr/terms")
    assert len(statements) == 0
