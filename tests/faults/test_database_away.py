"""The database is away, hangs or is locked: visitors are told in their language, machines come again, all goes on."""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

import pytest
from babel.support import Translations
from flask import Flask
from sqlalchemy import event, func, make_url, select

from blueprints import _page_cache
from config import Settings
from models import Account, Base, Mail, Plan, db
from sandbox.stripe.delivery import signature_header
from services.catalogue import move_catalogue_version
from services.languages import LANGUAGES, Language
from services.shop import Shop
from services.supplier_webhooks import webhook_url
from tests.factories import Factories
from tests.faults.broken_line import Line
from tests.faults.saboteur import Rival
from tests.page_client import Page, PageClient
from tests.running import count_statements
from tests.servers import POSTGRESQL_URL

TITLE = "We cannot reach our books right now"
on_postgresql = pytest.mark.parametrize(
    "database", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
Away = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def query() -> dict[str, str]:
    """Return what DATABASE_URL says beside where the database is."""
    return {}


@pytest.fixture
def line(database: str) -> Iterator[Line | None]:
    """Give the line between the shop and its database, where there is one."""
    if database == "sqlite":
        yield None
        return
    with Line(make_url(POSTGRESQL_URL)) as line:
        yield line


@pytest.fixture
def settings(settings: Settings, line: Line | None, query: dict[str, str]) -> Settings:
    """Return the settings of a shop that speaks to its database over the line, or waits less for a lock."""
    if line is None:
        return replace(settings, database_url=f"{settings.database_url}?timeout=0.05")
    return replace(settings, database_url=line.lead(settings.database_url, **query))


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test whose fault is logged as if it were a mistake of ours."""
    caplog.set_level(logging.WARNING)
    yield
    assert [record for record in caplog.get_records("call") if record.exc_info] == []


def count(model: type[Base]) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def translated(language: Language, text: str) -> str:
    """Return a text as a page in this language says it."""
    return str(Translations.load("translations", [language.locale]).gettext(text))


def sign_up(client: PageClient, status: int) -> Page:
    """Send the form of the page that is open."""
    return client.submit("Send me a link", {"email": "ana@example.com"}, status)


# Away.


@pytest.fixture(params=["refuses connections", "takes no sessions"])
def away(request: pytest.FixtureRequest, settings: Settings, line: Line) -> Iterator[Away]:
    """Give the function that takes the database away for a block, in one of the two ways in which a restart does."""
    with ExitStack() as stack:

        @contextmanager
        def cut() -> Iterator[None]:
            line.cut()
            yield
            line.mend()

        @contextmanager
        def close() -> Iterator[None]:
            rival = Rival(settings.database_url, stack)
            rival.set_database("allow_connections false")
            rival.end_all()
            yield
            rival.set_database("allow_connections true")

        yield {"refuses connections": cut, "takes no sessions": close}[request.param]


@on_postgresql
def test_visitors_are_told_in_their_language_and_go_on_afterwards(
    client: PageClient, factories: Factories, away: Away
) -> None:
    client.sign_in(account := factories.make_account())
    order = factories.make_order("verified", account)
    paths = ("account", f"orders/{order.public_id}", "plans")
    client.get("/en/account")
    with away():
        for code, language in LANGUAGES.items():
            for path in paths:
                page = client.get(f"/{code}/{path}", 503)
                assert page.one("html")["lang"] == language.html
                assert page.one("h1").get_text() == translated(language, TITLE)
                assert page.one("main a.button--primary").get_text() == translated(language, "Try again")
                headers = page.response.headers
                assert (headers["Retry-After"], headers["Cache-Control"]) == ("5", "no-store")
    for code in LANGUAGES:
        for path in paths:
            client.get(f"/{code}/{path}")


@on_postgresql
def test_a_form_is_sent_again_when_the_database_is_back(client: PageClient, away: Away) -> None:
    """By going back: the page that was open is still good for it."""
    form = client.get("/en/sign-up")
    with away():
        page = sign_up(client, 503)
        assert "Nothing was lost and nothing was paid twice." in page.text
        assert [tag.get_text() for tag in page.select("main a")] == ["To the start page", "Get help"]
    client.page = form
    sign_up(client, 303)
    assert (count(Account), count(Mail)) == (1, 1)


@on_postgresql
def test_a_fragment_leaves_the_page_that_is_open_as_it_is(client: PageClient, factories: Factories, away: Away) -> None:
    """htmx swaps nothing in for an answer of 5xx, and a page that polls goes on polling."""
    client.sign_in(account := factories.make_account())
    order = factories.make_order("paid", account)
    page = client.get(f"/en/orders/{order.public_id}")
    assert '"5xx"' in str(page.one("meta[name=htmx-config]")["content"])
    with away():
        answer = client.hx_get(page.url, 503)
        assert answer.response.mimetype == "text/plain"
        assert answer.response.headers["Retry-After"] == "5"
    client.hx_get(page.url)


@on_postgresql
def test_a_person_can_be_reached_without_the_database(client: PageClient, away: Away) -> None:
    """On the page that visitors are sent to; it is not kept as it is now, and the terms are not guessed."""
    client.get("/en/")
    with away():
        assert client.get("/en/help").select('a[href="mailto:shop@example.com"]')
        client.get("/en/terms", 503)
    with count_statements() as statements:
        client.get("/en/help")
    assert len(statements) == 1


@on_postgresql
def test_kept_pages_are_served_all_the_while(
    client: PageClient, shop: Shop, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are made anew as soon as the catalogue can be asked again."""
    monkeypatch.setattr(_page_cache, "VERSION_SECONDS", 0.0)
    monkeypatch.setattr(_page_cache, "VERSION_SECONDS_WHEN_AWAY", 0.0)
    kept = {f"/{code}/": client.get(f"/{code}/").response.data for code in LANGUAGES}
    with away():
        for path, body in kept.items():
            assert client.get(path).response.data == body
        client.get("/en/plans/monaco-1gb-7-days", 503)
    with shop.transaction() as session:
        plan = session.scalars(select(Plan).where(Plan.slug == "monaco-1gb-7-days")).one()
        plan.prices[0].amount_minor = plan.prices[1].amount_minor = plan.prices[2].amount_minor = 77700
        move_catalogue_version(session)
    assert "777" in client.get("/en/plans/monaco-1gb-7-days").text
    assert client.get("/en/").response.data != kept["/en/"]


@on_postgresql
def test_machines_are_told_to_come_again(app: Flask, shop: Shop, client: PageClient, away: Away) -> None:
    """Stripe and the supplier send again whatever is not answered with 2xx; a balancer looks at /readyz."""
    payload = json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": "checkout.session.completed",
            "livemode": False,
            "created": int(time.time()),
            "data": {"object": {"id": "cs_test_1", "object": "checkout.session"}},
        }
    ).encode()
    signed = {"Stripe-Signature": signature_header(payload, [shop.settings.stripe.webhook_secret], int(time.time()))}
    told = json.dumps({"notifyType": "ORDER_STATUS", "notifyId": "1", "content": {"orderNo": "B1"}})
    supplier = webhook_url(shop.settings, "esim_access").removeprefix(shop.settings.shop_url)
    browser = app.test_client()
    client.get("/readyz")
    with away():
        answers = [
            browser.post("/webhooks/stripe", data=payload, headers=signed),
            browser.post(supplier, data=told, content_type="application/json"),
        ]
        for answer in answers:
            assert (answer.status_code, answer.mimetype, answer.headers["Retry-After"]) == (503, "text/plain", "5")
        client.get("/healthz")
        client.get("/readyz", 503)
    client.get("/readyz")
    assert browser.post(supplier, data=told, content_type="application/json").status_code == 200


@on_postgresql
@pytest.mark.parametrize("query", [{"connect_timeout": "2"}], ids=["two seconds to connect"])
def test_a_database_that_does_not_answer_is_given_up(client: PageClient, factories: Factories, line: Line) -> None:
    """A server behind a firewall that drops everything neither takes nor refuses a connection."""
    client.sign_in(factories.make_account())
    kept = client.get("/en/")
    line.cut()
    with socket.create_server(("127.0.0.1", line.port)):
        begun = time.monotonic()
        client.get("/en/account", 503)
        assert client.get("/en/").response.data == kept.response.data
        # Once for the version of the catalogue, once for the page.
        assert time.monotonic() - begun < 30
    line.mend()
    client.get("/en/account")


# Locked.


@contextmanager
def writer(settings: Settings) -> Iterator[sqlite3.Connection]:
    """Hold SQLite's one lock for writing, as a backup or another program may."""
    path = make_url(settings.database_url).database
    assert path is not None
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")
    yield other
    if other.in_transaction:
        other.execute("rollback")
    other.close()


def test_a_locked_sqlite_is_tried_three_times_and_then_told(
    client: PageClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading goes on all the while."""
    form = client.get("/en/sign-up")
    with writer(settings):
        page = sign_up(client, 503)
        assert page.one("h1").get_text() == TITLE
        client.get("/en/plans")
    faults = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert faults == ["undone OperationalError SQLITE_BUSY"] * 3
    client.page = form
    sign_up(client, 303)
    assert (count(Account), count(Mail)) == (1, 1)


def test_a_lock_that_comes_free_meanwhile_is_not_noticed(
    client: PageClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/en/sign-up")
    with writer(settings) as other:

        def release(_context: object) -> None:
            if other.in_transaction:
                other.execute("rollback")

        event.listen(db.engine, "handle_error", release)
        sign_up(client, 303)
    assert len(caplog.records) == 1
    assert (count(Account), count(Mail)) == (1, 1)


def test_running_again_counts_once_against_a_limit(app: Flask, client: PageClient, settings: Settings) -> None:
    """Three of the 5 that one address may ask for in an hour, though each was run three times."""
    form = client.get("/en/sign-up")
    with writer(settings):
        for _time in range(3):
            client.page = form
            sign_up(client, 503)
    for status in (303, 303, 429):
        client.page = form
        sign_up(client, status)
