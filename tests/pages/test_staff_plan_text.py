"""What one plan is called in one language, for staff: writing it, and removing it in favour of English."""

from __future__ import annotations

import pytest

from blueprints import _page_cache
from models import PlanState, Staff, StaffRole
from services.languages import LANGUAGES
from services.plan_texts import DESCRIPTION_LENGTH, NAME_LENGTH
from tests import both_databases
from tests.factories import Factories
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.text_world import plan_text

SLUG = "monaco-1gb-7-days"
ENGLISH = "Monaco 1 GB, 7 days"


@pytest.fixture(autouse=True)
def asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kept pages be compared with the catalogue at each request, not once a second."""
    monkeypatch.setattr(_page_cache, "VERSION_SECONDS", 0.0)


@pytest.fixture
def member(client: PageClient, factories: Factories) -> Staff:
    """Return a manager, who is signed in."""
    member = factories.make_staff(role=StaffRole.MANAGER)
    client.sign_in_staff(member)
    return member


def path(code: str, slug: str = SLUG) -> str:
    return f"/staff/texts/plans/{slug}/{code}"


def save(client: PageClient, code: str, status: int = 303, **values: str) -> Page:
    """Open the text of the plan in a language and send the form."""
    client.get(path(code))
    return client.submit("plan-text", values, status)


def test_strangers_and_travellers_are_sent_to_the_sign_in(client: PageClient, factories: Factories) -> None:
    assert client.get(path("fr"), 303).location == "/staff/sign-in"
    client.sign_in(factories.make_account())
    assert client.get(path("fr"), 303).location == "/staff/sign-in"


@pytest.mark.parametrize(
    ("role", "may"), [(StaffRole.SUPPORT, False), (StaffRole.MANAGER, True), (StaffRole.OWNER, True)]
)
def test_managers_and_owners_write_and_support_reads(
    client: PageClient, factories: Factories, role: StaffRole, may: bool
) -> None:
    """Who may not write sees neither form nor button, and is refused without them as well."""
    client.sign_in_staff(factories.make_staff(role=role))
    page = client.get(path("fr"))
    assert bool(page.select("main form")) == may
    assert ("Only a manager or an owner can change this text." in page.text) != may
    token = {"csrf_token": str(page.one("#staff-sign-out [name=csrf_token]")["value"])}
    client.post(path("de"), {**token, "name": "Ein Name"}, 303 if may else 403)
    client.post(f"{path('fr')}/removal", token, 303 if may else 403)
    german = plan_text(SLUG, "de")
    assert german is not None
    assert (german.name == "Ein Name") == may
    assert (plan_text(SLUG, "fr") is None) == may


@pytest.mark.usefixtures("member")
def test_what_does_not_exist_is_not_found(client: PageClient) -> None:
    """Nor is the English text anything that could be removed."""
    token = {"csrf_token": str(client.get(path("en")).one("#staff-sign-out [name=csrf_token]")["value"])}
    for address in (path("fr", "no-such-plan"), path("xx"), "/staff/texts/plans"):
        client.get(address, 404)
    for address in (path("fr", "no-such-plan"), f"{path('fr', 'no-such-plan')}/removal", path("xx")):
        client.post(address, {**token, "name": "x"}, 404)
    assert not client.get(path("en")).select("#remove-text")
    client.post(f"{path('en')}/removal", token, 404)
    assert plan_text(SLUG, "en") is not None


@both_databases
@pytest.mark.usefixtures("member")
def test_a_saved_text_is_what_travellers_see(client: PageClient) -> None:
    """At once and in that language."""
    assert "Une semaine" not in client.get(f"/fr/plans/{SLUG}").text
    save(client, "fr", name="  Une   semaine à Monaco ", description="Un gigaoctet <b>net</b>.")
    page = client.follow()
    assert words(page.one("#plan-state")).startswith("The text is saved. Travellers see: Une semaine à Monaco Un giga")
    seen = client.get(page.link("Open the page as travellers see it"))
    assert seen.url == f"/fr/plans/{SLUG}"
    assert words(seen.one("h1")) == "Une semaine à Monaco"
    assert "Un gigaoctet <b>net</b>." in seen.text
    assert "Une semaine à Monaco" in client.get("/fr/plans").text
    assert words(client.get(f"/en/plans/{SLUG}").one("h1")) == ENGLISH


@both_databases
@pytest.mark.usefixtures("member")
def test_a_removed_text_falls_back_to_english_and_says_so(client: PageClient) -> None:
    """There, on the page of the English text, and on the list."""
    page = client.get(path("ar"))
    assert "travellers see the English text instead" in words(page.one("#plan-form"))
    client.submit("Remove this text : العربية")
    page = client.follow()
    state = words(page.one("#plan-state"))
    assert state.startswith("The text is removed. There is no text in this language. Travellers see the English one:")
    assert not page.select("#remove-text")
    assert words(client.get(f"/ar/plans/{SLUG}").one("h1")) == ENGLISH
    english = client.get(path("en")).one("#plan-state")
    assert [words(tag) for tag in english.select("ul bdi")] == ["العربية"]
    assert f"{ENGLISH} in العربية" in words(client.get("/staff/texts").one("#plan-states"))
    save(client, "ar", name="موناكو 1 غيغابايت")
    assert words(client.get(f"/ar/plans/{SLUG}").one("h1")) == "موناكو 1 غيغابايت"


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "Enter a name."),
        ("name", "  ", "Enter a name."),
        ("name", "x" * (NAME_LENGTH + 1), "Use at most 120 characters."),
        ("description", "x" * (DESCRIPTION_LENGTH + 1), "Use at most 2,000 characters; these are 2,001."),
    ],
)
def test_a_text_that_cannot_be_kept_is_refused_at_its_field(
    client: PageClient, field: str, value: str, said: str
) -> None:
    """Nothing of it is saved, and what was typed stays."""
    before = plan_text(SLUG, "fr")
    assert before is not None
    known = (before.name, before.description)
    page = save(client, "fr", 422, **{"name": "Un nom", "description": "Des mots", field: value})
    assert words(page.one(f"#{field}-error")) == said
    assert page.one(".error-summary a")["href"] == f"#{field}"
    assert page.one("#description").get_text().strip() == (value if field == "description" else "Des mots")
    after = plan_text(SLUG, "fr")
    assert after is not None
    assert (after.name, after.description) == known


@pytest.mark.usefixtures("member")
def test_the_longest_texts_fit(client: PageClient) -> None:
    save(client, "ja", name="約" * NAME_LENGTH, description="約" * DESCRIPTION_LENGTH)
    assert words(client.get(f"/ja/plans/{SLUG}").one("h1")) == "約" * NAME_LENGTH


@pytest.mark.usefixtures("member")
def test_a_form_without_its_fields_is_refused(client: PageClient) -> None:
    token = {"csrf_token": str(client.get(path("fr")).one("#plan-text [name=csrf_token]")["value"])}
    assert words(client.post(path("fr"), token, 422).one("#name-error")) == "Enter a name."


@pytest.mark.usefixtures("member")
def test_a_plan_that_is_not_sold_any_more_keeps_its_names(client: PageClient, factories: Factories) -> None:
    """Whoever bought it reads them; there is no page to open."""
    plan = factories.make_plan(state=PlanState.RETIRED)
    page = client.get(path("en", plan.slug))
    assert "The plan is not on the shelf; whoever has bought it sees its name." in page.text
    client.submit("plan-text", {"name": "As it was called"})
    assert words(client.follow().one("h1")) == "As it was called in English"


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize("code", LANGUAGES)
def test_fields_are_in_their_language(client: PageClient, code: str) -> None:
    """For the direction, and for the spelling that a browser checks."""
    page = client.get(path(code))
    for tag in page.select("#plan-text :is(#name, #description)"):
        assert (tag["lang"], tag["dir"]) == (LANGUAGES[code].html, LANGUAGES[code].direction)
    assert words(page.one("#text-languages [aria-current=page]")) == LANGUAGES[code].name
