"""Correcting the address on the order page: who may, what the form says and takes, and what the page says of mails."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import select

from models import FulfilmentStatus, Mail, MailStatus, Order, OrderKind
from services.languages import LANGUAGES
from services.links import order_key
from services.recipients import MOST_CORRECTIONS
from tests.factories import STATES, Factories
from tests.htmx_swap import apply_swap, assert_same_page
from tests.money_world import MoneyWorld
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.pages.buying import check_out, checkout_path, only_order, pay_order

WRONG = "anna@example.com"
RIGHT = "ana@gmail.com"
MISTYPED = "ana@gmial.com"
LINK = "Wrong address? Correct it"
BUTTON = "Correct and send again"
REFUSED = f"Our e-mail to {WRONG} was not accepted."
LATE = f"Our e-mail to {WRONG} is late."
ONLY_HERE = "Until an e-mail reaches you, only this browser opens this page."


@pytest.fixture
def order(money: MoneyWorld, client: PageClient) -> Order:
    """Return an order that this browser bought as a guest with a wrong address, delivered and mailed."""
    check_out(client, email=WRONG)
    pay_order(money.shop, money.sandbox, only_order())
    money.work()
    return only_order()


def order_path(order: Order, language: str = "en", below: str = "") -> str:
    return f"/{language}/orders/{order.public_id}{below}"


def link_of(money: MoneyWorld, order: Order) -> str:
    """Return the link of a mail that is written now."""
    order = money.row(Order, order.id)
    return order_path(order, below=f"?key={order_key(money.shop.settings, order)}")


def correct(client: PageClient, order: Order, email: str = RIGHT, status: int = 303) -> Page:
    """Go from the order to the form, fill it in and send it."""
    client.get(client.get(order_path(order)).link(LINK))
    return client.submit(BUTTON, {"email": email}, status)


def errors(page: Page) -> dict[str, str]:
    return {str(tag["href"]): words(tag) for tag in page.select(".error-summary a")}


def subjects(money: MoneyWorld, email: str) -> list[str]:
    return [message.subject for message in money.sandbox.inbox.messages(to=email)]


def set_mails(money: MoneyWorld, order: Order, status: MailStatus) -> None:
    """Let every mail about an order stand so, as if it had been written just now."""
    with money.shop.transaction() as session:
        for mail in session.scalars(select(Mail).where(Mail.subject_key == f"order:{order.id}")):
            mail.status, mail.created_at, mail.next_try_at = status, money.clock.now(), None


def test_the_buyer_corrects_the_address_and_gets_all_mails_again(
    client: PageClient, money: MoneyWorld, order: Order
) -> None:
    page = client.get(client.get(order_path(order)).link(LINK))
    assert page.one("input[name=email]")["value"] == WRONG
    assert [words(item) for item in page.select("main form li")] == ["your receipt", "the e-mail with your eSIM"]
    assert f"So far we have written to {WRONG}." in page.text
    answer = client.submit(BUTTON, {"email": RIGHT})
    assert answer.location == order_path(order, below="?mail=corrected")
    page = client.follow()
    assert f"From now on we write to {RIGHT}. What you should have by now, we send there again." in page.text
    assert WRONG not in page.text
    money.work()
    assert len(subjects(money, RIGHT)) == 2
    assert only_order().account.email == RIGHT


def test_the_same_form_sent_twice_sends_nothing_twice(client: PageClient, money: MoneyWorld, order: Order) -> None:
    client.get(order_path(order, below="/recipient"))
    client.submit(BUTTON, {"email": RIGHT})
    client.get(order_path(order, below="/recipient"))
    client.submit(BUTTON, {"email": RIGHT})
    assert f"We write to {RIGHT} already." in client.follow().text
    money.work()
    assert len(subjects(money, RIGHT)) == 2


def test_it_works_from_the_link_of_a_mail_and_ends_that_link(
    client: PageClient, money: MoneyWorld, order: Order, app: Flask
) -> None:
    """Who has the link of the newest mail may correct it; the link in a stranger's mailbox opens nothing afterwards."""
    buyer, stranger, other = client, PageClient(app), PageClient(app)
    old_link = link_of(money, order)
    for visitor in (stranger, other):
        visitor.get(old_link, status=303)
        visitor.follow()
    correct(other, order)
    other.follow()
    stranger.get(order_path(order), status=404)
    page = stranger.get(old_link, status=410)
    assert "This link has ended" in page.text
    assert page.response.headers["Cache-Control"] == "no-store"
    buyer.get(order_path(order))
    # Who may see the order is not turned away for an old link.
    buyer.get(old_link, status=303)
    buyer.follow()
    new_link = link_of(money, order)
    assert new_link != old_link
    stranger.get(new_link, status=303)
    stranger.follow()


def test_a_stranger_corrects_nothing(client: PageClient, factories: Factories, money: MoneyWorld) -> None:
    order, other = factories.make_order("verified"), factories.make_order("verified")
    path = order_path(order, below="/recipient")
    client.sign_in(other.account)
    client.get(path, status=404)
    page = client.get(order_path(other, below="/recipient"))
    token = str(page.select("input[name=csrf_token]")[-1]["value"])
    client.post(path, {"csrf_token": token, "email": RIGHT}, status=404)
    assert money.row(Order, order.id).email != RIGHT


def test_an_owner_changes_where_the_mails_go_and_keeps_the_order(
    client: PageClient, factories: Factories, money: MoneyWorld
) -> None:
    order = factories.make_order("verified")
    account_id = order.account_id
    client.sign_in(order.account)
    assert "in the account of the new address" not in client.get(order_path(order, below="/recipient")).text
    correct(client, order)
    client.follow()
    money.work()
    assert len(subjects(money, RIGHT)) == 2
    assert money.row(Order, order.id).account_id == account_id


@pytest.mark.parametrize("email", ["", "ana", "ana@", "ana@gmail", "a b@gmail.com", f"{'a' * 250}@gmail.com"])
def test_what_is_no_address_is_named(client: PageClient, money: MoneyWorld, order: Order, email: str) -> None:
    page = correct(client, order, email, status=422)
    assert errors(page) == {"#email": "Enter an e-mail address like name@example.com."}
    assert page.one("#email")["value"] == email
    assert money.row(Order, order.id).email == WRONG


def test_the_address_that_was_meant_is_taken_with_one_tap(client: PageClient, money: MoneyWorld, order: Order) -> None:
    page = correct(client, order, MISTYPED, status=422)
    assert errors(page) == {"#email": "This address looks mistyped. Please check it below."}
    assert f"Did you mean {RIGHT}?" in page.text
    client.submit(f"Yes, use {RIGHT}")
    assert money.row(Order, order.id).email == RIGHT


def test_an_address_that_looks_mistyped_is_taken_when_the_buyer_insists(
    client: PageClient, money: MoneyWorld, order: Order
) -> None:
    correct(client, order, MISTYPED, status=422)
    client.submit(BUTTON, status=422)
    client.submit(BUTTON, {"kept_email": True})
    assert money.row(Order, order.id).email == MISTYPED


def test_after_some_corrections_a_person_is_asked(client: PageClient, money: MoneyWorld, order: Order) -> None:
    for number in range(MOST_CORRECTIONS):
        form = client.get(order_path(order, below="/recipient"))
        correct(client, order, f"ana{number}@gmail.com")
    token = str(form.select("main input[name=csrf_token]")[0]["value"])
    path = order_path(order, below="/recipient")
    client.post(path, {"csrf_token": token, "email": RIGHT}, status=409)
    page = client.get(path)
    assert "This address was corrected 5 times, and more is not possible here." in page.text
    assert page.select("main form") == []
    assert order.public_id in page.text
    assert money.row(Order, order.id).email == f"ana{MOST_CORRECTIONS - 1}@gmail.com"


def test_over_the_limit_nothing_is_corrected(client: PageClient, money: MoneyWorld, order: Order) -> None:
    client.get(order_path(order, below="/recipient"))
    for _ in range(20):
        client.submit(BUTTON, {"email": "ana"}, status=422)
    page = client.submit(BUTTON, {"email": RIGHT}, status=429)
    assert int(page.response.headers["Retry-After"]) > 0
    assert money.row(Order, order.id).email == WRONG


def test_an_unpaid_order_is_corrected_and_paid(client: PageClient, money: MoneyWorld) -> None:
    check_out(client, email=WRONG)
    client.get(client.get(order_path(only_order())).link(LINK))
    assert (
        "Everything about this order then goes to the new address."
        in client.submit("Correct the address", {"email": "ana"}, status=422).text
    )
    client.submit("Correct the address", {"email": RIGHT})
    assert f"From now on we write to {RIGHT}." in client.follow().text
    location = client.submit("Continue to payment: €14.90").location
    [open_session] = [each for each in money.stripe.objects("cs") if each["status"] == "open"]
    assert (open_session["url"], open_session["customer_email"]) == (location, RIGHT)
    pay_order(money.shop, money.sandbox, only_order())
    money.work()
    assert subjects(money, WRONG) == []
    assert len(subjects(money, RIGHT)) == 2


def test_a_cancelled_order_has_no_address_to_correct(client: PageClient, factories: Factories) -> None:
    order = factories.make_order("cancelled")
    client.sign_in(order.account)
    assert LINK not in client.get(order_path(order)).text


def test_the_next_purchase_begins_with_the_right_address(client: PageClient, order: Order) -> None:
    correct(client, order)
    assert client.get(checkout_path(query="?new=1")).one("#email")["value"] == RIGHT


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_refused_mail_is_said_where_the_esim_is(
    client: PageClient, money: MoneyWorld, order: Order, signed_in: bool
) -> None:
    if signed_in:
        client.sign_in(order.account)
    set_mails(money, order, MailStatus.FAILED)
    page = client.get(order_path(order))
    notice = page.one("#mail-state")
    assert REFUSED in words(notice)
    assert "Your eSIM is on this page all the same: you can install it now." in words(notice)
    assert (ONLY_HERE in words(notice)) != signed_in
    assert page.one("#order-state").find(True) == notice, "before everything else"
    page = client.get(page.link("Correct the address"))
    assert "Our last e-mail was not accepted there." in page.text
    client.submit(BUTTON, {"email": RIGHT})
    assert client.follow().select("#mail-state") == []
    money.work()
    assert subjects(money, RIGHT) == subjects(money, WRONG)


def test_a_refused_mail_to_a_right_address_is_sent_once_more(
    client: PageClient, money: MoneyWorld, order: Order
) -> None:
    set_mails(money, order, MailStatus.FAILED)
    client.get(order_path(order, below="/recipient"))
    client.submit(BUTTON, {"email": WRONG})
    page = client.follow()
    assert f"We try once more to reach {WRONG}." in page.text
    assert REFUSED not in page.text
    money.work()
    assert len(subjects(money, WRONG)) == 4


@pytest.mark.parametrize(
    ("state", "kind", "sentence"),
    [
        ("paid", OrderKind.PURCHASE, "Your order goes on all the same: your eSIM will be on this page."),
        ("paid", OrderKind.RENEWAL, "Your renewal goes on all the same: this page shows how far it is."),
        ("held", OrderKind.PURCHASE, None),
        ("pending", OrderKind.PURCHASE, None),
    ],
)
def test_a_refused_mail_says_what_goes_on_without_it(
    client: PageClient, money: MoneyWorld, order: Order, state: str, kind: OrderKind, sentence: str | None
) -> None:
    esim_id = order.esim_id
    with money.shop.transaction() as session:
        row = session.get_one(Order, order.id)
        row.status, fulfilment = STATES[state]
        row.kind, row.esim_id = kind, esim_id if kind is OrderKind.RENEWAL else None
        assert row.fulfilment is not None
        row.fulfilment.status = fulfilment or FulfilmentStatus.HELD
        row.fulfilment.verified_at = None
    set_mails(money, order, MailStatus.FAILED)
    notice = client.get(order_path(order)).one("#mail-state")
    assert REFUSED in words(notice)
    assert ("goes on" in words(notice)) == (sentence is not None)
    assert (sentence or "") in words(notice)


def test_a_mail_that_waits_is_called_late_after_ten_minutes(
    client: PageClient, money: MoneyWorld, order: Order
) -> None:
    set_mails(money, order, MailStatus.QUEUED)
    for minutes, late, polls in ((0, False, True), (2, False, False), (7.9, False, False), (0.1, True, False)):
        money.clock.advance(minutes=minutes)
        page = client.get(order_path(order))
        assert (LATE in page.text, page.one("#order-state").has_attr("hx-get")) == (late, polls)
    assert "You need not wait for it: what it says is on this page, too." in page.text
    assert ONLY_HERE in page.text


def test_what_was_refused_earlier_is_forgotten_once_a_mail_is_taken(
    client: PageClient, money: MoneyWorld, order: Order
) -> None:
    set_mails(money, order, MailStatus.SENT)
    with money.shop.transaction() as session:
        session.scalars(select(Mail).where(Mail.kind == "receipt")).one().status = MailStatus.FAILED
    assert client.get(order_path(order)).select("#mail-state") == []


@pytest.mark.parametrize("after", [MailStatus.QUEUED, MailStatus.FAILED, MailStatus.SENT])
def test_the_state_of_the_mails_comes_with_the_state_of_the_order(
    client: PageClient, money: MoneyWorld, order: Order, after: MailStatus
) -> None:
    set_mails(money, order, MailStatus.QUEUED)
    page = client.get(order_path(order))
    set_mails(money, order, after)
    money.clock.advance(minutes=10)
    answer = client.hx_get(str(page.one("#order-state")["hx-get"]))
    fresh = client.get(page.url)
    assert_same_page(apply_swap(page, "#order-state", answer), fresh)
    assert bool(fresh.select("#mail-state")) == (after is not MailStatus.SENT)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_there_in_every_language(
    client: PageClient, money: MoneyWorld, order: Order, app: Flask, language: str
) -> None:
    old_link = re.sub("^/en", f"/{language}", link_of(money, order))
    set_mails(money, order, MailStatus.FAILED)
    client.get(order_path(order, language))
    page = client.get(order_path(order, language, "/recipient"))
    page = client.submit(words(page.select("main form button")[-1]), {"email": MISTYPED}, 422)
    client.submit(words(page.select("main form button")[0]))
    client.follow()
    PageClient(app).get(old_link, status=410)
