"""A mistake of ours: the visitor sees a page of the house, the log has the story, the next request notices nothing."""

from __future__ import annotations

import logging

import pytest
from babel.support import Translations
from flask import Flask

from models import Account, db
from services.languages import LANGUAGES, Language
from tests import both_databases
from tests.factories import Factories
from tests.page_client import PageClient

SECRET = "whoever-reads-the-log"


@pytest.fixture
def app(app: Flask) -> Flask:
    """Return a shop with two mistakes in it."""

    def fail() -> str:
        raise RuntimeError("a mistake")

    def collide() -> str:
        account = db.session.query(Account).one()
        db.session.add(Account(email=account.email, language="en", currency="EUR", password_hash=SECRET))
        db.session.flush()
        return "never"

    app.add_url_rule("/<lang:lang>/mistake", "mistake", fail)
    app.add_url_rule("/<lang:lang>/collision", "collision", collide)
    return app


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_the_page_is_one_of_the_house(client: PageClient, language: Language, caplog: pytest.LogCaptureFixture) -> None:
    page = client.get(f"/{language.code}/mistake", 500)
    texts = Translations.load("translations", [language.locale])
    assert page.one("html")["lang"] == language.html
    assert page.one("h1").get_text() == texts.gettext("That did not work")
    assert page.response.headers["Cache-Control"] == "no-store"
    assert "a mistake" not in page.text
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert "RuntimeError: a mistake" in caplog.text


@both_databases
def test_an_error_of_the_database_that_is_ours_is_no_fault_of_it(
    client: PageClient, factories: Factories, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not run again, its values stay out of the log, and the session is clean afterwards."""
    client.sign_in(factories.make_account())
    client.get("/en/collision", 500)
    assert "IntegrityError" in caplog.text
    assert SECRET not in caplog.text
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == ["app"]
    client.get("/en/account")
