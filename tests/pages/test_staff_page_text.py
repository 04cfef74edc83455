"""The text of one page in one language, for staff: who may write it, and what saving, looking and taking back do."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from blueprints import _page_cache
from models import PageName, PageText, Staff, StaffRole, db
from services.languages import LANGUAGES
from services.page_texts import LONGEST_TEXT
from services.shop import Shop
from tests import both_databases
from tests.clock import FakeClock
from tests.factories import Factories
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.text_world import Writer

TERMS = PageName.TERMS
HARMFUL = "# Title\n\n<script>alert(1)</script> [x](javascript:alert(1)) ![p](https://example.com/p.png)"


@pytest.fixture(autouse=True)
def asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kept pages be compared with the catalogue at each request, not once a second."""
    monkeypatch.setattr(_page_cache, "VERSION_SECONDS", 0.0)


@pytest.fixture
def member(client: PageClient, factories: Factories) -> Staff:
    """Return a manager, who is signed in."""
    member = factories.make_staff(name="Ann", role=StaffRole.MANAGER)
    client.sign_in_staff(member)
    return member


@pytest.fixture
def writer(shop: Shop, factories: Factories) -> Writer:
    """Return a colleague."""
    return Writer(shop, factories.make_staff(name="Bob"))


def path(code: str = "en", name: str = "terms") -> str:
    return f"/staff/texts/{name}/{code}"


def save(client: PageClient, body: str, code: str = "en", status: int = 303) -> Page:
    """Open the terms in a language and send the form."""
    client.get(path(code))
    return client.submit("page-text", {"body": body}, status)


def versions() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(PageText)) or 0


def test_strangers_and_travellers_are_sent_to_the_sign_in(client: PageClient, factories: Factories) -> None:
    assert client.get(path(), 303).location == "/staff/sign-in"
    client.sign_in(factories.make_account())
    assert client.get(path(), 303).location == "/staff/sign-in"


@pytest.mark.parametrize(
    ("role", "may"), [(StaffRole.SUPPORT, False), (StaffRole.MANAGER, True), (StaffRole.OWNER, True)]
)
def test_managers_and_owners_write_and_support_reads(
    client: PageClient, factories: Factories, writer: Writer, role: StaffRole, may: bool
) -> None:
    """Who may not write sees neither form nor button, and is refused without them as well."""
    version = writer.write(TERMS, "en", "Words of Bob")
    client.sign_in_staff(factories.make_staff(role=role))
    page = client.get(f"{path()}?version={version}")
    assert bool(page.select("main form")) == may
    assert ("Only a manager or an owner can change this text." in page.text) != may
    assert words(page.one("#text-preview div")) == "Words of Bob"
    token = {"csrf_token": str(page.one("#staff-sign-out [name=csrf_token]")["value"])}
    client.post(path(), {**token, "body": "Mine", "seen": str(version)}, 303 if may else 403)
    client.post(f"{path()}/removal", token, 303 if may else 403)
    assert versions() == (3 if may else 1)


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize(
    "address",
    [
        *("/staff/texts/imprint/en", "/staff/texts/guide/en", "/staff/texts/Terms/en", "/staff/texts/terms/xx"),
        *("/staff/texts/terms", "/staff/texts/terms/EN", "/staff/texts/plans/en"),
        *(f"/staff/texts/terms/en?version={version}" for version in ("1", "", "x", "-1", "²", "9" * 30)),
    ],
)
def test_what_does_not_exist_is_not_found(client: PageClient, address: str) -> None:
    client.get(address, 404)


@pytest.mark.usefixtures("member")
def test_nothing_can_be_written_for_a_page_that_does_not_exist(client: PageClient) -> None:
    token = {"csrf_token": str(client.get(path()).one("#staff-sign-out [name=csrf_token]")["value"])}
    for address in ("/staff/texts/imprint/en", "/staff/texts/terms/xx", "/staff/texts/imprint/en/removal"):
        client.post(address, {**token, "body": "Words"}, 404)
    assert versions() == 0


@both_databases
@pytest.mark.usefixtures("member")
def test_a_saved_text_is_what_travellers_see(client: PageClient) -> None:
    """At once and in that language; the page says so, and who wrote it when."""
    save(client, "# Nos conditions\r\n\r\nDes mots", "fr")
    page = client.follow()
    state = words(page.one("#text-state[role=status]"))
    assert state.startswith("The text is saved. Travellers see the text of ")
    assert page.one("textarea").get_text().strip() == "# Nos conditions\n\nDes mots"
    assert words(page.one("#text-history tbody")).endswith("Ann 26")
    seen = client.get(page.link("Open the page as travellers see it"))
    assert seen.url == "/fr/terms"
    assert words(seen.one("#staff-text")) == "Nos conditions Des mots"


@both_databases
@pytest.mark.usefixtures("member")
def test_a_saved_english_text_says_which_languages_it_leaves_behind(client: PageClient, writer: Writer) -> None:
    """Those that show it, and those whose own text is older."""
    writer.write(TERMS, "fr", "Conditions")
    save(client, "Terms")
    state = client.follow().one("#text-state")
    english, older = state.select("ul")
    names = [language.name for code, language in LANGUAGES.items() if code not in ("en", "fr")]
    assert [words(tag) for tag in english.select("bdi")] == names
    assert [words(tag) for tag in older.select("bdi")] == ["Français"]
    assert [tag["href"] for tag in older.select("a")] == [path("fr")]
    page = client.get(path("fr"))
    assert "the English one has changed since. If it still fits, save it once more." in page.text
    client.submit("page-text")
    assert "has changed since" not in client.follow().text
    assert "Travellers see the English text of" in client.get(path("it")).text


@pytest.mark.usefixtures("member")
def test_a_preview_saves_nothing(client: PageClient) -> None:
    """It shows what was typed, set as on the page and harmless, and keeps it in the form."""
    client.get(path())
    page = client.submit("Preview", {"body": HARMFUL}, 200)
    preview = page.one("#text-preview")
    assert "Not saved yet" in words(preview)
    assert words(preview.select("div h2")[0]) == "Title"
    assert "<script>alert(1)</script> [x](javascript:alert(1))" in words(preview)
    assert not preview.select("script, img, a[href^=javascript]")
    assert page.one("textarea").get_text().strip() == HARMFUL
    assert versions() == 0
    assert "Price and payment" in client.get("/en/terms").text
    client.page = page
    client.submit("page-text")
    assert versions() == 1


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize("button", ["Save", "Preview"])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "Enter a text. To be without one, take it back."),
        (" \r\n ", "Enter a text. To be without one, take it back."),
        ("x" * (LONGEST_TEXT + 1), "Use at most 20,000 characters; these are 20,001."),
        ("🏎" * (LONGEST_TEXT + 1), "Use at most 20,000 characters; these are 20,001."),
    ],
    ids=["empty", "blank", "long", "long and heavy"],
)
def test_a_text_that_cannot_be_kept_is_refused_at_its_field(
    client: PageClient, button: str, body: str, said: str
) -> None:
    """What was typed stays in the form."""
    client.get(path())
    page = client.submit(button, {"body": body}, 422)
    assert words(page.one("#body-error")) == said
    assert page.one(".error-summary a")["href"] == "#body"
    assert page.one("textarea").get_text().strip() == body.strip()
    assert versions() == 0


@pytest.mark.usefixtures("member")
def test_the_longest_text_fits_in_every_script(client: PageClient) -> None:
    """Characters that weigh four bytes weigh twelve in a form."""
    save(client, "🏎" * LONGEST_TEXT, "ja")
    assert versions() == 1


@pytest.mark.usefixtures("member")
def test_a_form_without_its_field_is_refused(client: PageClient) -> None:
    token = {"csrf_token": str(client.get(path()).one("#page-text [name=csrf_token]")["value"])}
    page = client.post(path(), token, 422)
    assert "Enter a text." in words(page.one("#body-error"))


@pytest.mark.usefixtures("member")
def test_a_colleague_who_was_faster_is_named(client: PageClient, writer: Writer) -> None:
    """Nothing is replaced unseen; the second time it is meant."""
    client.get(path())
    writer.write(TERMS, "en", "Words of Bob")
    page = client.submit("page-text", {"body": "Words of Ann"}, 422)
    assert words(page.one("#body-error")).startswith("Bob has changed this text since you opened it")
    assert "Words of Bob" in client.get(str(page.select("#text-history tbody a")[0]["href"])).text
    client.page = page
    client.submit("page-text")
    assert words(client.get("/en/terms").one("#staff-text")) == "Words of Ann"
    assert versions() == 2


@both_databases
@pytest.mark.usefixtures("member")
def test_a_form_that_is_sent_twice_is_one_version(client: PageClient) -> None:
    form = client.get(path())
    client.submit("page-text", {"body": "Words"})
    client.page = form
    client.submit("page-text", {"body": "Words"})
    assert versions() == 1


@both_databases
@pytest.mark.usefixtures("member")
def test_a_text_that_is_taken_back_leaves_what_stood_behind_it(client: PageClient) -> None:
    """English where there is an English text, the built-in one otherwise; the button says which."""
    save(client, "Terms")
    save(client, "Conditions", "fr")
    page = client.follow()
    assert "travellers see the English text instead" in words(page.one("#text-form"))
    client.submit("Take this text back : Français")
    page = client.follow()
    assert words(page.one("#text-state")).startswith("The text is taken back. Travellers see the English text of")
    assert words(client.get("/fr/terms").one("#staff-text [lang=en]")) == "Terms"
    client.get(path())
    client.submit("Back to the built-in text : English")
    assert "The text is taken back. Travellers see the text that comes with the shop." in client.follow().text
    assert not client.get("/fr/terms").select("#staff-text")
    assert words(client.get(path("fr")).one("#text-history tbody")).count("taken back") == 1
    assert not client.get(path("fr")).select("#take-back")


@both_databases
@pytest.mark.usefixtures("member")
def test_an_old_version_can_be_looked_at_and_saved_again(client: PageClient, writer: Writer, clock: FakeClock) -> None:
    writer.write(TERMS, "fr", "# Un")
    clock.advance(hours=1)
    writer.write(TERMS, "fr", "Deux")
    rows = client.get(path("fr")).select("#text-history tbody tr")
    assert [words(row.select("td")[0]) for row in rows] == ["Bob", "Bob"]
    newest, oldest = (str(row.select("a")[0]["href"]) for row in rows)
    assert "This is what travellers see now." in client.get(newest).text
    page = client.get(oldest)
    assert "This is not what travellers see now." in page.text
    assert words(page.one("#text-preview div h2")) == "Un"
    assert page.one("textarea").get_text().strip() == "# Un"
    client.submit("page-text")
    assert words(client.get("/fr/terms").one("#staff-text")) == "Un"
    assert versions() == 3


@pytest.mark.usefixtures("member")
def test_a_translation_begins_from_the_english_text(client: PageClient, writer: Writer) -> None:
    """Which stands below, in its own direction, and in the form when that is wanted."""
    page = client.get(path("ar"))
    assert page.link("Read it on its page") == "/en/terms"
    writer.write(TERMS, "en", "# Terms")
    page = client.get(path("ar"))
    english = page.one("#text-english [lang=en][dir=ltr]")
    assert words(english) == "Terms"
    page = client.get(page.link("Begin from the English text"))
    assert page.one("textarea").get_text().strip() == "# Terms"
    assert (page.one("#text-preview div")["lang"], page.one("#text-preview div")["dir"]) == ("en", "ltr")
    client.submit("page-text", {"body": "# شروط"})
    assert words(client.get("/ar/terms").one("#staff-text")) == "شروط"


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize("code", LANGUAGES)
def test_fields_and_previews_are_in_their_language(client: PageClient, code: str) -> None:
    """For the direction, and for the spelling that a browser checks; the page around them is English."""
    client.get(path(code))
    page = client.submit("Preview", {"body": "Words"}, 200)
    for tag in (page.one("textarea"), page.one("#text-preview div")):
        assert (tag["lang"], tag["dir"]) == (LANGUAGES[code].html, LANGUAGES[code].direction)
    assert page.one("html")["lang"] == "en"
    assert [tag["href"] for tag in page.select("#text-languages a")] == [path(other) for other in LANGUAGES]
    assert words(page.one("#text-languages [aria-current=page]")) == LANGUAGES[code].name
