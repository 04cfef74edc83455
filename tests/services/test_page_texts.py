"""Which text a page shows: staff's own, the English one, or what comes with the shop; and what is kept of it."""

from __future__ import annotations

import threading

import pytest
from flask import Flask
from sqlalchemy import func, select

from models import PageName, PageText, Staff, db
from services import page_texts
from services.audit import Actor
from services.catalogue import catalogue_version
from services.languages import LANGUAGES
from services.page_texts import LONGEST_TEXT, TextState
from services.shop import Shop
from tests import both_databases
from tests.clock import FakeClock
from tests.factories import Factories
from tests.running import count_statements
from tests.text_world import Writer

TERMS = PageName.TERMS

# What is done in this order, with what French then shows, and the state that staff is told of French.
RULES: dict[str, tuple[tuple[str, ...], str | None, TextState]] = {
    "nobody wrote anything": ((), None, TextState.BUILT_IN),
    "its own text": (("fr",), "fr", TextState.OWN),
    "the English one in its place": (("en",), "en", TextState.ENGLISH),
    "its own beside an older English one": (("en", "fr"), "fr", TextState.OWN),
    "its own, and English has changed since": (("fr", "en"), "fr", TextState.OUTDATED),
    "outdated, then confirmed": (("fr", "en", "fr"), "fr", TextState.OWN),
    "its own, and English was taken back since": (("en", "fr", "-en"), "fr", TextState.OUTDATED),
    "taken back, without an English one": (("fr", "-fr"), None, TextState.BUILT_IN),
    "taken back, with an English one": (("en", "fr", "-fr"), "en", TextState.ENGLISH),
    "taken back and written again": (("fr", "-fr", "fr"), "fr", TextState.OWN),
    "the English one, taken back": (("en", "-en"), None, TextState.BUILT_IN),
    "another language's own text": (("it",), None, TextState.BUILT_IN),
}


@pytest.fixture
def member(factories: Factories) -> Staff:
    return factories.make_staff(name="Ann")


@pytest.fixture
def writer(shop: Shop, member: Staff) -> Writer:
    return Writer(shop, member)


def versions() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(PageText)) or 0


@both_databases
@pytest.mark.parametrize("name", RULES)
def test_the_rule(writer: Writer, name: str) -> None:
    """The page and the overview follow the same one."""
    acts, shown, state = RULES[name]
    for act in acts:
        if act.startswith("-"):
            writer.take_back(TERMS, act.removeprefix("-"))
        else:
            writer.write(TERMS, act, f"Words in {act}")
    text = page_texts.shown_text(db.session(), TERMS, "fr")
    assert (text.language.code if text else None) == shown
    assert text is None or text.body == f"Words in {shown}"
    found = page_texts.overview(db.session())[TERMS]["fr"]
    assert found.state is state
    assert (found.since is None) == (state is TextState.BUILT_IN)
    assert found.needs_work == (state in (TextState.ENGLISH, TextState.OUTDATED))


def test_pages_know_nothing_of_one_another(writer: Writer) -> None:
    writer.write(PageName.HELP, "en", "Help yourself")
    assert page_texts.shown_text(db.session(), TERMS, "en") is None
    assert set(page_texts.overview(db.session())) == set(PageName)
    assert {found.state for found in page_texts.overview(db.session())[TERMS].values()} == {TextState.BUILT_IN}


def test_english_is_its_own_or_built_in(writer: Writer) -> None:
    """It never stands in for itself, and is never older than itself."""
    writer.write(TERMS, "en", "One")
    writer.write(TERMS, "en", "Two")
    states = page_texts.overview(db.session())[TERMS]
    assert states["en"].state is TextState.OWN
    assert {states[code].state for code in LANGUAGES if code != "en"} == {TextState.ENGLISH}


@both_databases
def test_a_text_moves_the_catalogue(writer: Writer) -> None:
    """Or kept pages would go on saying the old words; so does taking it back."""
    before = catalogue_version(db.session())
    writer.write(TERMS, "en", "Words")
    saved = catalogue_version(db.session())
    writer.take_back(TERMS, "en")
    assert before < saved < catalogue_version(db.session())


def test_a_text_is_kept_clean(writer: Writer) -> None:
    writer.write(TERMS, "en", "\r\n  # One\r\nTwo\rThree  \n\n")
    text = page_texts.shown_text(db.session(), TERMS, "en")
    assert text is not None
    assert text.body == "# One\nTwo\nThree"
    assert "<h2>One</h2>" in text.html


@pytest.mark.parametrize("body", ["", " \r\n\t "])
def test_an_empty_text_is_refused(writer: Writer, body: str) -> None:
    with pytest.raises(page_texts.TextEmpty):
        writer.write(TERMS, "en", body)
    assert versions() == 0


def test_the_length_is_counted_in_characters(writer: Writer) -> None:
    """As a reader counts them, whatever they weigh, and without what is around them."""
    writer.write(TERMS, "ja", "約" * LONGEST_TEXT + "\r\n")
    with pytest.raises(page_texts.TextTooLong) as refused:
        writer.write(TERMS, "ja", "約" * (LONGEST_TEXT + 1))
    assert refused.value.length == LONGEST_TEXT + 1
    assert versions() == 1


@both_databases
def test_the_same_text_is_kept_once(writer: Writer) -> None:
    """So that a form that is sent twice is one version; a text that English has overtaken is confirmed by it."""
    first = writer.write(TERMS, "fr", "Mots")
    assert writer.write(TERMS, "fr", " Mots\r\n") == first
    writer.write(TERMS, "en", "Words")
    confirmed = writer.write(TERMS, "fr", "Mots")
    assert confirmed > first
    assert writer.write(TERMS, "fr", "Mots") == confirmed
    writer.take_back(TERMS, "fr")
    writer.take_back(TERMS, "fr")
    writer.take_back(TERMS, "it")
    assert versions() == 4


def test_a_text_that_somebody_else_wrote_meanwhile_is_not_replaced_unseen(
    shop: Shop, member: Staff, writer: Writer
) -> None:
    """Not the first one either; what was taken back meanwhile counts as well."""
    opened = writer.write(TERMS, "en", "One")
    writer.write(TERMS, "en", "Two")
    for seen in (None, opened):
        with pytest.raises(page_texts.TextMovedOn) as refused, shop.transaction() as session:
            page_texts.save_text(session, TERMS, "en", "Mine", seen=seen, by=Actor.of(member), now=shop.clock.now())
        assert refused.value.newest.body == "Two"
    opened = writer.newest_id(TERMS, "en")
    writer.take_back(TERMS, "en")
    with pytest.raises(page_texts.TextMovedOn), shop.transaction() as session:
        page_texts.save_text(session, TERMS, "en", "Mine", seen=opened, by=Actor.of(member), now=shop.clock.now())
    assert page_texts.shown_text(db.session(), TERMS, "en") is None


@both_databases
def test_of_two_who_save_at_once_one_is_told(app: Flask, shop: Shop, member: Staff) -> None:
    """Both have opened the page when nobody had written anything."""
    barrier, came, member_id = threading.Barrier(2), [], member.id

    def save(body: str) -> None:
        with app.app_context():
            barrier.wait()
            try:
                with shop.transaction() as session:
                    now = shop.clock.now()
                    page_texts.save_text(session, TERMS, "en", body, seen=None, by=Actor(staff_id=member_id), now=now)
                came.append("saved")
            except page_texts.TextMovedOn:
                came.append("told")
            finally:
                db.session.remove()

    threads = [threading.Thread(target=save, args=(body,)) for body in ("One", "Two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == ["saved", "told"]
    assert versions() == 1


@both_databases
def test_every_version_stays(writer: Writer, clock: FakeClock) -> None:
    """With its day, its writer and its length, the newest first."""
    first = writer.write(TERMS, "fr", "Un")
    clock.advance(days=1)
    writer.take_back(TERMS, "fr")
    clock.advance(days=1)
    writer.write(TERMS, "fr", "Trois")
    writer.write(TERMS, "it", "Uno")
    rows = page_texts.history(db.session(), TERMS, "fr")
    assert [(row.staff, row.length) for row in rows] == [("Ann", 5), ("Ann", None), ("Ann", 2)]
    assert [(rows[0].created_at - row.created_at).days for row in rows] == [0, 1, 2]
    assert page_texts.find_version(db.session(), TERMS, first).body == "Un"


def test_a_version_is_found_on_its_page_alone(writer: Writer) -> None:
    """And only one that says something."""
    version = writer.write(TERMS, "fr", "Un")
    writer.take_back(TERMS, "fr")
    page_texts.find_version(db.session(), TERMS, version)
    for page, number in ((PageName.HELP, version), (TERMS, version + 1), (TERMS, version + 2)):
        with pytest.raises(page_texts.VersionNotFound):
            page_texts.find_version(db.session(), page, number)


@both_databases
def test_reading_costs_one_statement(writer: Writer) -> None:
    """However many versions there are."""
    for number in range(5):
        for code in ("en", "fr", "de"):
            writer.write(TERMS, code, f"Words {number}")
    for read in (lambda: page_texts.shown_text(db.session(), TERMS, "fr"), lambda: page_texts.overview(db.session())):
        with count_statements() as statements:
            assert read()
        assert len(statements) == 1
