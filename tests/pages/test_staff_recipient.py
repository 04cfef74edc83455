"""The address of an order, corrected by staff: what came back goes to the right one, and off the list of what waits."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from models import Mail, MailStatus, Order, StaffRole, db
from services.recipients import MOST_CORRECTIONS
from services.shop import Shop
from tests import both_databases
from tests.factories import Factories
from tests.money_world import MoneyWorld
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.staff_world import make_mail

RIGHT = "right@example.com"


@pytest.fixture(autouse=True)
def member(client: PageClient, factories: Factories) -> None:
    """Sign a member of the support in: everybody may correct an address."""
    client.sign_in_staff(factories.make_staff(role=StaffRole.SUPPORT))


def correct(client: PageClient, order: Order, email: str, status: int = 303) -> Page:
    """Open an order and send its form with an address."""
    client.get(f"/staff/orders/{order.public_id}")
    return client.submit("recipient-form", {"email": email}, status)


@both_databases
def test_what_came_back_goes_to_the_right_address(client: PageClient, money: MoneyWorld) -> None:
    """The buyer gets everything once, and nobody waits any more."""
    order = money.verified(money.order())
    with money.shop.transaction() as session:
        for mail in session.scalars(select(Mail)):
            mail.status, mail.error = MailStatus.FAILED, "550 no such user"
    assert "Correct the address of the order if it is mistyped" in client.get("/staff/stuck").text
    link = client.get("/staff/stuck").select("#stuck-list a.button")[0]
    client.get(str(link["href"]))
    client.submit("recipient-form", {"email": RIGHT})
    assert "The address is corrected" in client.follow().text
    money.work()
    assert money.row(Order, order.id).email == RIGHT
    assert "Nothing waits for a person" in client.get("/staff/stuck").text
    mails = db.session.execute(select(Mail.kind, Mail.recipient, Mail.status)).all()
    assert {(mail.recipient, mail.status) for mail in mails} == {(RIGHT, MailStatus.SENT)}
    assert {"receipt", "esim-ready"} <= {mail.kind for mail in mails}
    money.check(order)


def test_an_address_that_stays_is_tried_once_more(client: PageClient, factories: Factories, shop: Shop) -> None:
    """When there is something to send, and without a word to the buyer when there is not."""
    order = factories.make_order("verified")
    assert "The address stays as it was." in said_after(client, order, order.email)
    mail_id = make_mail(shop, order)
    assert "what came back from it is sent once more" in said_after(client, order, order.email)
    assert db.session.get_one(Mail, mail_id).status is MailStatus.QUEUED


def said_after(client: PageClient, order: Order, email: str) -> str:
    """Send the form, and return the words of the page that it leads to."""
    correct(client, order, email)
    return client.follow().text


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "two@example.com, three@example.com"])
def test_what_is_no_address_is_refused(client: PageClient, factories: Factories, email: str) -> None:
    """The field says what to enter, and the order keeps its address."""
    order = factories.make_order("verified")
    page = correct(client, order, email, 422)
    assert words(page.one("#email-error")) == "Enter an e-mail address like name@example.com."
    assert page.one('.error-summary a[href="#email"]')
    assert db.session.get_one(Order, order.id).email == order.email


def test_staff_corrects_what_the_buyer_may_not_correct_any_more(
    client: PageClient, factories: Factories, shop: Shop
) -> None:
    """The buyer's page sends them here after five times."""
    order = factories.make_order("verified")
    with shop.transaction() as session:
        session.get_one(Order, order.id).corrections = MOST_CORRECTIONS
    correct(client, order, RIGHT)
    assert db.session.get_one(Order, order.id).email == RIGHT


def test_an_unknown_order_is_not_found(client: PageClient, factories: Factories) -> None:
    """As everywhere."""
    order = factories.make_order("verified")
    page = client.get(f"/staff/orders/{order.public_id}")
    token = str(page.one("#recipient-form [name=csrf_token]")["value"])
    client.post("/staff/orders/NOSUCHONE0/recipient", {"csrf_token": token, "email": RIGHT}, 404)
