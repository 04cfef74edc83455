"""Staff: setting a password up, signing in, and the list of orders."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from models import FulfilmentStatus, OrderStatus
from tests import both_databases
from tests.clock import FakeClock
from tests.factories import PASSWORD, STATES, Factories
from tests.page_client import PageClient
from tests.page_rules import words
from tests.running import count_statements


def invite(app: Flask, *arguments: str) -> str:
    """Return the path of the set-up link that `flask create-staff` prints."""
    result = app.test_cli_runner().invoke(args=["create-staff", *arguments])
    assert result.exit_code == 0, result.output
    found = re.search(r"/staff/set-up/\S+", result.output)
    assert found is not None
    return found[0]


def test_a_new_member_sets_a_password_and_signs_in(app: Flask, client: PageClient) -> None:
    """The link that `create-staff` prints leads to a password, and that to what an operator looks at first."""
    client.get(invite(app, "Ann@Example.com", "--name", "Ann", "--role", "owner"))
    client.submit("staff-set-up", {"password": PASSWORD})
    client.follow()
    client.submit("staff-sign-in", {"email": "ann@example.com", "password": PASSWORD})
    assert client.follow().one("h1").text == "Today"


def test_a_set_up_link_works_once_and_for_two_days(app: Flask, client: PageClient, clock: FakeClock) -> None:
    """A used, an old, a replaced and an invented link all lead nowhere."""
    first = invite(app, "ann@example.com")
    second = invite(app, "ann@example.com")
    client.get(first, 404)
    client.get(second)
    client.submit("staff-set-up", {"password": PASSWORD})
    client.get(second, 404)
    third = invite(app, "ann@example.com")
    clock.advance(days=2)
    client.get(third, 404)
    client.get("/staff/set-up/invented", 404)


def test_a_second_invitation_keeps_name_role_and_password(app: Flask, factories: Factories, client: PageClient) -> None:
    """Running the command again prints a fresh link and changes nothing else."""
    member = factories.make_staff(email="ann@example.com", name="Ann")
    invite(app, "ann@example.com")
    client.get("/staff/sign-in")
    client.submit("staff-sign-in", {"email": member.email, "password": PASSWORD})
    assert "Sign out Ann" in client.follow().text


@pytest.mark.parametrize("password", ["short", "ann@example.com"])
def test_a_weak_password_is_refused_with_the_reason(app: Flask, client: PageClient, password: str) -> None:
    """The field says what is wrong, and the link still works."""
    link = invite(app, "ann@example.com")
    client.get(link)
    page = client.submit("staff-set-up", {"password": password}, 422)
    assert page.select("#password-error")
    client.get(link)


@pytest.mark.parametrize(("email", "password"), [("ann@example.com", "wrong"), ("bob@example.com", PASSWORD)])
def test_a_wrong_sign_in_tells_nothing(client: PageClient, factories: Factories, email: str, password: str) -> None:
    """Unknown address and wrong password get the same answer."""
    factories.make_staff(email="ann@example.com")
    client.get("/staff/sign-in")
    page = client.submit("staff-sign-in", {"email": email, "password": password}, 422)
    assert "E-mail and password do not belong together." in page.text


def test_sign_in_is_limited(client: PageClient, factories: Factories) -> None:
    """After ten tries in a minute the eleventh has to wait, even with the right password."""
    member = factories.make_staff()
    for _ in range(10):
        client.get("/staff/sign-in")
        client.submit("staff-sign-in", {"email": member.email, "password": "wrong"}, 422)
    client.get("/staff/sign-in")
    client.submit("staff-sign-in", {"email": member.email, "password": PASSWORD}, 429)


def test_strangers_and_travellers_are_sent_to_the_sign_in(client: PageClient, factories: Factories) -> None:
    """A traveller's session opens nothing here."""
    assert client.get("/staff/", 303).location == "/staff/sign-in"
    client.sign_in(factories.make_account())
    assert client.get("/staff/", 303).location == "/staff/sign-in"


def test_a_session_ends_by_time_by_sign_out_and_by_a_new_password(
    app: Flask, client: PageClient, factories: Factories, clock: FakeClock
) -> None:
    """Twelve hours, the button, or a used set-up link: each ends it."""
    member = factories.make_staff()
    client.sign_in_staff(member)
    client.get("/staff/")
    client.submit("staff-sign-out")
    client.get("/staff/", 303)
    client.sign_in_staff(member)
    clock.advance(hours=12, seconds=1)
    client.get("/staff/", 303)
    client.sign_in_staff(member)
    other = PageClient(app)
    other.get(invite(app, member.email))
    other.submit("staff-set-up", {"password": PASSWORD})
    client.get("/staff/", 303)


@both_databases
def test_every_state_of_an_order_is_shown(client: PageClient, factories: Factories) -> None:
    """Public id, address, amount and both states stand in the row; the filters find them."""
    orders = {state: factories.make_order(state) for state in STATES}
    client.sign_in_staff(factories.make_staff())
    page = client.get("/staff/")
    rows = {words(row.select("th")[0]): words(row) for row in page.select("tbody tr")}
    for state, order in orders.items():
        status, fulfilment = STATES[state]
        row = rows[order.public_id]
        assert order.email in row
        assert status.value in row
        assert (fulfilment.value if fulfilment else "not yet") in row
    client.submit("order-filter", {"status": OrderStatus.PAID, "fulfilment": FulfilmentStatus.HELD}, 200)
    assert client.page is not None
    assert [row.text for row in client.page.select("tbody th")] == [orders["held"].public_id]


def test_orders_come_fifty_at_a_time_newest_first(client: PageClient, factories: Factories) -> None:
    """The next page begins where this one ends, and says nothing twice."""
    account = factories.make_account()
    orders = [factories.make_order(account=account) for _ in range(53)]
    client.sign_in_staff(factories.make_staff())
    page = client.get("/staff/")
    shown = [row.text for row in page.select("tbody th")]
    page = client.get(page.link("Older orders"))
    shown += [row.text for row in page.select("tbody th")]
    assert shown == [order.public_id for order in reversed(orders)]
    assert not page.select('[rel="next"]')


def test_statements_do_not_grow_with_orders(client: PageClient, factories: Factories) -> None:
    """Three orders and thirty cost the same number of statements."""
    client.sign_in_staff(factories.make_staff())
    account = factories.make_account()
    counts = []
    for number in (3, 27):
        for _ in range(number):
            factories.make_order("paid", account)
        with count_statements() as statements:
            client.get("/staff/")
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 3


@pytest.mark.parametrize("query", ["status=nonsense", "fulfilment=nonsense"])
def test_a_state_that_does_not_exist_is_not_found(client: PageClient, factories: Factories, query: str) -> None:
    """An invented filter is a 404, not an error."""
    client.sign_in_staff(factories.make_staff())
    client.get(f"/staff/?{query}", 404)
    client.get("/staff/?before=nonsense")


@pytest.mark.parametrize("before", ["9" * 30, "-1", "x", "²"])
def test_an_address_that_holds_no_order_id_shows_the_first_page(
    client: PageClient, factories: Factories, before: str
) -> None:
    """A number that no database could hold is answered like no number."""
    client.sign_in_staff(factories.make_staff())
    client.get(f"/staff/?before={before}")
