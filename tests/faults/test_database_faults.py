"""The database ends a transaction or a connection in the middle of a request: it happens once, or it is told.

The faults are real ones, on PostgreSQL. What becomes of a shop whose database is away: test_database_away.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import func, make_url, select

from config import Settings
from models import Account, AccountToken, Attempt, Base, Mail, Order, OrderKind, OrderStatus, db
from sandbox.server import Sandbox
from services.shop import Shop
from tests.factories import Factories
from tests.faults.broken_line import Line
from tests.faults.saboteur import Rival, at_commit, at_statement, end_connection
from tests.forms import fill
from tests.money_world import MoneyWorld
from tests.page_client import Page, PageClient
from tests.pages.buying import (
    DAILY_PLAN,
    EMAIL,
    all_orders,
    check_out,
    checkout_path,
    filled,
    only_order,
    pay_button,
    pay_order,
    session_ids,
)
from tests.servers import POSTGRESQL_URL

pytestmark = pytest.mark.postgresql

CONTINUE = "Continue to payment: €14.90"
AWAY = "We cannot reach our books right now"
# Of a run that was begun anew, and of a request that was answered with 503.
Said = Callable[[], list[str]]


@pytest.fixture
def line() -> Iterator[Line]:
    """Give the line between the shop and its database."""
    with Line(make_url(POSTGRESQL_URL)) as line:
        yield line


@pytest.fixture
def query() -> dict[str, str]:
    """Return what DATABASE_URL says beside where the database is."""
    return {}


@pytest.fixture
def settings(settings: Settings, line: Line, query: dict[str, str]) -> Settings:
    """Return the settings of a shop that speaks to its database over the line."""
    return replace(settings, database_url=line.lead(settings.database_url, **query))


@pytest.fixture
def rival(settings: Settings) -> Iterator[Rival]:
    """Give somebody else who writes to the database."""
    with ExitStack() as stack:
        yield Rival(settings.database_url, stack)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    """Return the function that says what the shop has logged of the database's faults, in the order of the log."""
    caplog.set_level(logging.WARNING)
    loggers = ("services.database_faults", "blueprints._rerun", "jobs")

    def messages() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name in loggers]

    return messages


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test whose fault is logged as if it were a mistake of ours."""
    yield
    assert [record for record in caplog.get_records("call") if record.exc_info] == []


def count(model: type[Base]) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def sign_up(client: PageClient, status: int = 303, email: str = EMAIL) -> Page:
    """Ask for a link: two of these are two mails, so nobody but the visitor may repeat it."""
    client.get("/en/sign-up")
    return client.submit("Send me a link", {"email": email}, status)


def check_one_sale(shop: Shop, sandbox: Sandbox) -> None:
    """Check that there is one order, of one account, with one payment page, and that it can be paid."""
    order = only_order()
    assert (count(Account), count(Attempt), len(session_ids(order))) == (1, 1, 1)
    pay_order(shop, sandbox, order)
    assert only_order().status is OrderStatus.PAID
    assert sandbox.stripe.summary()["charges"] == {"succeeded": 1}


# Transactions that PostgreSQL undoes.


def test_the_loser_of_a_deadlock_is_run_again(
    client: PageClient, shop: Shop, sandbox: Sandbox, factories: Factories, rival: Rival, said: Said
) -> None:
    """Checkout and rival each hold what the other one wants: the account here, the checkout key there."""
    elsewhere = factories.make_order()
    sent = filled(client.get(checkout_path()))
    (key,) = sent.values["checkout_key"]
    rival.run("update orders set checkout_key = %s where id = %s", key, elsewhere.id)

    def want_the_account(_connection: object) -> None:
        rival.run_until_blocked(
            "insert into accounts (email, language, currency, session_version, created_at)"
            " values (%s, 'en', 'EUR', 1, now())",
            EMAIL,
        )

    with at_statement("INSERT INTO orders", want_the_account) as happened:
        client.post(sent.action, sent.values)
    assert happened
    assert said() == ["run 1 of 3 ended by the database: undone DeadlockDetected 40P01"]
    order = db.session.scalars(select(Order).where(Order.id != elsewhere.id)).one()
    assert (order.checkout_key, order.account.email) == (key, EMAIL)
    pay_order(shop, sandbox, order)
    assert db.session.get_one(Order, order.id, populate_existing=True).status is OrderStatus.PAID


def test_what_cannot_be_serialised_is_run_again(
    app: Flask, client: PageClient, factories: Factories, rival: Rival, said: Said
) -> None:
    """PostgreSQL's own default never says that; an operator may have chosen another one."""
    rival.set_database("set default_transaction_isolation = 'repeatable read'")
    esim = factories.make_esim(account := factories.make_account())
    db.session.commit()
    db.engine.dispose()
    client.sign_in(account)
    client.get(f"/en/account/esims/{esim.public_id}")
    rival.run("update esims set apn = 'changed' where id = %s", esim.id)
    rival.commit_when_in_the_way()
    client.submit("Save the name", {"nickname": "Anna"})
    assert said() == ["run 1 of 3 ended by the database: undone SerializationFailure 40001"]
    db.session.refresh(esim)
    assert (esim.nickname, esim.apn) == ("Anna", "changed")


@pytest.mark.parametrize("query", [{"options": "-c lock_timeout=200ms"}], ids=["a short lock_timeout"])
def test_a_lock_that_does_not_come_free_is_told(client: PageClient, rival: Rival, said: Said) -> None:
    """After three tries; and the visitor goes on as soon as it is free."""
    payment_page = check_out(client).location
    order = only_order()
    client.get(f"/en/orders/{order.public_id}")
    rival.run("select from orders where id = %s for update", order.id)
    page = client.submit(CONTINUE, status=503)
    assert AWAY in page.text
    assert [line.rpartition(": ")[2] for line in said()] == ["undone LockNotAvailable 55P03"] * 3
    rival.give_way()
    client.get(f"/en/orders/{order.public_id}")
    assert client.submit(CONTINUE).location == payment_page


# Connections that end in the middle.


def test_a_page_whose_connection_ends_is_made_again(client: PageClient, factories: Factories, said: Said) -> None:
    client.sign_in(account := factories.make_account())
    order = factories.make_order("verified", account)
    with at_statement("FROM orders", end_connection) as happened:
        page = client.get("/en/account")
    assert happened
    assert order.plan_name in page.text
    assert said() == ["run 1 of 3 ended by the database: undone AdminShutdown 57P01"]


@pytest.mark.parametrize(
    "words",
    ["FROM plans", "INSERT INTO accounts", "INSERT INTO orders", "INSERT INTO consents", "INSERT INTO attempts"],
)
def test_a_checkout_whose_connection_ends_before_a_statement_is_one_sale(
    client: PageClient, shop: Shop, sandbox: Sandbox, said: Said, words: str
) -> None:
    sent = filled(client.get(checkout_path()))
    with at_statement(words, end_connection) as happened:
        client.post(sent.action, sent.values)
    assert happened
    (message,) = said()
    assert message.startswith("run 1 of 3 ended by the database: undone")
    check_one_sale(shop, sandbox)


@pytest.mark.parametrize("words", ["FROM accounts", "INSERT INTO accounts", "INSERT INTO mails"])
def test_nothing_that_was_undone_is_lost_where_repeating_is_not_safe(
    client: PageClient, said: Said, words: str
) -> None:
    """A connection that ends before COMMIT has committed nothing, so running again is safe everywhere."""
    with at_statement(words, end_connection) as happened:
        sign_up(client)
    assert happened
    assert len(said()) == 1
    assert (count(Account), count(AccountToken), count(Mail)) == (1, 1, 1)


def test_a_reading_transaction_that_ended_is_no_loss(client: PageClient, factories: Factories, said: Said) -> None:
    """What was only read can be left behind before writing begins."""
    esim = factories.make_esim(account := factories.make_account())
    client.sign_in(account)
    client.get(f"/en/account/esims/{esim.public_id}")
    with at_commit("FROM esims", end_connection) as happened:
        client.submit("Save the name", {"nickname": "Anna"})
    assert happened
    assert said() == []
    db.session.refresh(esim)
    assert esim.nickname == "Anna"


def test_the_next_request_finds_a_clean_session(client: PageClient, factories: Factories, said: Said) -> None:
    """Every connection of the pool has ended, and nobody notices."""
    client.sign_in(account := factories.make_account())
    for _time in range(3):
        with at_statement("FROM orders", end_connection):
            client.get("/en/account")
        client.get("/en/account")
    assert db.session.get_one(Account, account.id).email == account.email
    assert len(said()) == 3


# Connections that end at COMMIT, when nobody can know whether it took place.


@contextmanager
def lost_commit(line: Line, words: str, committed: bool) -> Iterator[None]:
    """Lose the connection at the COMMIT after the first statement with these words: before it is carried out, or after.

    Fails when it did not come to that.
    """
    with ExitStack() as stack:
        if committed:
            line.lose_answer(words.encode(), b"COMMIT")
            yield
            assert line.has_lost_answer()
        else:
            happened = stack.enter_context(at_commit(words, end_connection))
            yield
            assert happened


both_fates = pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])


@both_fates
@pytest.mark.parametrize("words", ["INSERT INTO orders", "INSERT INTO attempts", "UPDATE attempts"])
def test_a_checkout_that_lost_its_commit_is_one_sale(
    client: PageClient, shop: Shop, sandbox: Sandbox, line: Line, said: Said, words: str, committed: bool
) -> None:
    """The second run finds what the first one has left under its keys."""
    sent = filled(client.get(checkout_path()))
    with lost_commit(line, words, committed):
        client.post(sent.action, sent.values)
    (message,) = said()
    assert message.startswith("run 1 of 3 ended by the database: unknown")
    check_one_sale(shop, sandbox)


@both_fates
def test_a_checkout_with_the_key_of_another_browser_is_one_sale_as_well(
    app: Flask, client: PageClient, shop: Shop, sandbox: Sandbox, line: Line, committed: bool
) -> None:
    """That key counts for nothing here, so the first run makes one up: the second has to go on with it."""
    sent = filled(PageClient(app).get(checkout_path()))
    sent.values["csrf_token"] = filled(client.get(checkout_path(DAILY_PLAN))).values["csrf_token"]
    with lost_commit(line, "INSERT INTO orders", committed):
        client.post(sent.action, sent.values)
    assert only_order().checkout_key not in sent.values["checkout_key"]
    check_one_sale(shop, sandbox)


@both_fates
def test_a_renewal_that_lost_its_commit_is_one_order(
    client: PageClient, money: MoneyWorld, line: Line, committed: bool
) -> None:
    esim = money.esim()
    client.sign_in(money.row(Account, esim.account_id))
    page = client.get(f"/en/account/esims/{esim.public_id}/renewal")
    sent = fill(page.soup, pay_button(page), {"terms": True, "immediate_delivery": True})
    with lost_commit(line, "INSERT INTO orders", committed):
        client.post(sent.action, sent.values)
    (renewal,) = [order for order in all_orders() if order.kind is OrderKind.RENEWAL]
    assert len(session_ids(renewal)) == 1


@both_fates
def test_the_way_back_to_the_payment_page_is_found_once(
    client: PageClient, factories: Factories, line: Line, committed: bool
) -> None:
    client.sign_in(account := factories.make_account())
    order = factories.make_order(account=account)
    client.get(f"/en/orders/{order.public_id}")
    with lost_commit(line, "INSERT INTO attempts", committed):
        client.submit(CONTINUE)
    assert (count(Attempt), len(session_ids(order))) == (1, 1)


@both_fates
def test_a_page_that_lost_its_commit_is_made_again(
    client: PageClient, money: MoneyWorld, line: Line, said: Said, committed: bool
) -> None:
    """The order page records a payment that no webhook has told of yet, at the latest when it is looked at again."""
    check_out(client)
    order = only_order()
    money.stripe.pay(session_ids(order)[0], wait=False)
    with lost_commit(line, "INSERT INTO payments", committed):
        client.get(f"/en/orders/{order.public_id}")
    assert len(said()) == 1
    money.clock.advance(seconds=3)
    assert "Paid" in client.get(f"/en/orders/{order.public_id}").text
    money.check(order)


@both_fates
@pytest.mark.parametrize("words", ["INSERT INTO stripe_events", "INSERT INTO payments", "UPDATE stripe_events"])
def test_a_webhook_that_lost_its_commit_is_dealt_with_once(
    client: PageClient, money: MoneyWorld, live_shop: str, line: Line, words: str, committed: bool
) -> None:
    order = money.order()
    money.stripe.webhooks.hold()
    money.stripe.pay(money.open(order))
    (event_id,) = [each["id"] for each in money.stripe.objects("evt") if each["type"] == "checkout.session.completed"]
    with lost_commit(line, words, committed):
        assert money.stripe.resend(event_id)[0].status == 200
    assert money.stripe.resend(event_id)[0].body == "repeated"
    money.check(order)


@both_fates
def test_a_form_that_may_not_be_repeated_is_answered_with_what_is_known(
    client: PageClient, line: Line, said: Said, committed: bool
) -> None:
    """It is changed once or not at all; the visitor decides about asking again, and can."""
    with lost_commit(line, "INSERT INTO mails", committed):
        page = sign_up(client, 503)
    done = int(committed)
    assert (count(Account), count(AccountToken), count(Mail)) == (done, done, done)
    assert "Nothing was lost and nothing was paid twice." in page.text
    assert page.one("h1").get_text() == AWAY
    assert page.response.headers["Retry-After"] == "5"
    assert page.response.headers["Cache-Control"] == "no-store"
    assert len(said()) == 1
    sign_up(client)
    assert count(Account) == 1
    assert count(Mail) == done + 1
