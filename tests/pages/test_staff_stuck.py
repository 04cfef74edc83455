"""The list of what waits for a person: what it says, and what its buttons do."""

from __future__ import annotations

import pytest
from bs4 import Tag

from models import Finding, FindingKind, FulfilmentStatus, Order, Staff, StaffRole, db
from services.shop import Shop
from services.stuck import list_stuck
from tests import both_databases
from tests.clock import FakeClock
from tests.factories import Factories
from tests.money_world import MoneyWorld
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.staff_world import SECRET, change_fulfilment, dispute, hold, make_late, make_mail, notice

STUCK = "/staff/stuck"


@pytest.fixture
def member(client: PageClient, factories: Factories) -> Staff:
    """Return a member of the support, who is signed in: everybody may do what this page offers."""
    member = factories.make_staff(role=StaffRole.SUPPORT)
    client.sign_in_staff(member)
    return member


def cards(page: Page) -> list[Tag]:
    """Return what is listed, in its order."""
    return page.select("#stuck-list > ul > li")


def card(page: Page) -> Tag:
    """Return the only thing that is listed."""
    (found,) = cards(page)
    return found


def order_path(order: Order) -> str:
    return f"/staff/orders/{order.public_id}"


def test_strangers_and_travellers_do_not_see_it(client: PageClient, factories: Factories) -> None:
    """They are sent to the sign-in."""
    assert client.get(STUCK, 303).location == "/staff/sign-in"
    client.sign_in(factories.make_account())
    assert client.get(STUCK, 303).location == "/staff/sign-in"


@pytest.mark.usefixtures("member")
def test_an_empty_list_says_so(client: PageClient) -> None:
    """On the list, and on the orders page that leads to it."""
    page = client.get("/staff/")
    assert "Nothing waits for a person." in page.text
    page = client.get(page.link("Waiting"))
    assert "Nothing waits for a person: whatever was paid for is delivered, on its way, or paid back." in page.text
    assert cards(page) == []


@pytest.mark.usefixtures("member")
def test_the_orders_page_says_how_much_waits(client: PageClient, factories: Factories, shop: Shop) -> None:
    """And leads there."""
    hold(shop, factories.make_order("held"), "price_changed")
    assert client.get("/staff/").link("1 waits for a person") == STUCK
    make_late(shop, factories.make_order("paid"), "not_ordered")
    notice(shop, FindingKind.SESSION_UNKNOWN, "cs_test_1")
    assert client.get("/staff/").link("3 wait for a person") == STUCK


@both_databases
@pytest.mark.usefixtures("member")
def test_everything_that_waits_is_listed_with_words_age_and_order(
    client: PageClient, factories: Factories, shop: Shop, clock: FakeClock
) -> None:
    """The longest waiting first; what has an order leads to it."""
    order = factories.make_order("verified")
    dispute(shop, order)
    clock.advance(hours=1)
    make_mail(shop, order)
    clock.advance(hours=1)
    hold(shop, factories.make_order("held"), "outcome_unknown")
    make_late(shop, factories.make_order("ordered"), "not_allocated")
    for kind in FindingKind:
        notice(shop, kind, f"reference of {kind}", details=f"details of {kind}")
    clock.advance(hours=1)
    page = client.get(STUCK)
    items = list_stuck(db.session(), clock.now())
    assert len(cards(page)) == len(items) == 4 + len(FindingKind)
    for shown, item in zip(cards(page), items, strict=True):
        for text in (item.reason, item.advice, item.details, item.reference, item.kind.value):
            assert " ".join(text.split()) in words(shown)
        if item.order_public_id is not None:
            assert shown.select_one(f'h2 a[href="/staff/orders/{item.order_public_id}"]') is not None
    assert "3 hours ago" in words(cards(page)[0])
    assert "1 hour ago" in words(cards(page)[-1])
    assert SECRET not in page.response.text


@both_databases
@pytest.mark.usefixtures("member")
def test_retry_puts_a_held_order_back_to_work(client: PageClient, money: MoneyWorld) -> None:
    """It is delivered, and off the list."""
    order = money.paid(money.order())
    hold(money.shop, order, "price_changed", next_try_at=None)
    assert words(card(client.get(STUCK)).select_one("button")) == f"Retry : {order.public_id}"  # type: ignore[arg-type]
    assert client.submit(f"deliver-{order.id}").location == f"{order_path(order)}?done=retry"
    assert "Back at work." in client.follow().text
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert cards(client.get(STUCK)) == []
    money.check(order)


@pytest.mark.usefixtures("member")
def test_look_again_makes_a_late_order_due_now(client: PageClient, money: MoneyWorld) -> None:
    """What the supplier has handed out meanwhile is delivered without waiting for the next look."""
    money.supplier.set_allocation(held=True)
    order = money.paid(money.order())
    money.work()
    make_late(money.shop, order, "not_allocated")
    money.supplier.set_allocation(held=False)
    client.get(STUCK)
    assert client.submit(f"deliver-{order.id}").location == f"{order_path(order)}?done=look"
    assert "The shop looks again now." in client.follow().text
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert cards(client.get(STUCK)) == []


def test_a_finding_is_marked_as_done(client: PageClient, shop: Shop, member: Staff) -> None:
    """By whoever is signed in, and it stays off the list however often it is noticed again."""
    finding_id = notice(shop, FindingKind.TOPUP_UNKNOWN, "25112418300001")
    page = client.get(STUCK)
    assert "Mark as done" in words(card(page))
    assert client.submit(f"settle-{finding_id}").location == f"{STUCK}?done=finding"
    assert "Marked as done." in client.follow().text
    assert db.session.get_one(Finding, finding_id).settled_by == member.id
    notice(shop, FindingKind.TOPUP_UNKNOWN, "25112418300001")
    assert cards(client.get(STUCK)) == []


def test_a_finding_that_a_colleague_has_settled_meanwhile_is_done_all_the_same(
    client: PageClient, shop: Shop, member: Staff, factories: Factories
) -> None:
    """The second click changes nothing; a number that no database holds is unknown."""
    finding_id = notice(shop, FindingKind.TOPUP_UNKNOWN, "25112418300001")
    client.get(STUCK)
    page = client.page
    client.submit(f"settle-{finding_id}")
    client.sign_in_staff(factories.make_staff())
    client.page = page
    client.submit(f"settle-{finding_id}")
    assert db.session.get_one(Finding, finding_id).settled_by == member.id
    token = {"csrf_token": str(client.get(STUCK).one("#staff-sign-out [name=csrf_token]")["value"])}
    client.post("/staff/findings/4711/settlement", token)
    client.get(STUCK)
    client.post(f"/staff/findings/{2**31}/settlement", token, 404)


@both_databases
@pytest.mark.usefixtures("member")
def test_a_refunded_order_that_may_be_at_the_supplier_is_marked_as_done(
    client: PageClient, factories: Factories, shop: Shop
) -> None:
    """It ends as refunded, and is off the list."""
    order = factories.make_order("held")
    hold(shop, order, "refunded")
    client.get(STUCK)
    assert client.submit(f"close-{order.id}").location == f"{order_path(order)}?done=close"
    assert "Marked as done: this order is not delivered any more." in client.follow().text
    assert cards(client.get(STUCK)) == []


@pytest.mark.parametrize("kind", ["dispute", "mail", "disputed"])
@pytest.mark.usefixtures("member")
def test_what_is_decided_elsewhere_only_leads_to_the_order(
    client: PageClient, factories: Factories, shop: Shop, kind: str
) -> None:
    """A dispute, a mail, an order that a dispute holds."""
    order = factories.make_order("held" if kind == "disputed" else "verified")
    if kind == "dispute":
        dispute(shop, order)
    elif kind == "mail":
        make_mail(shop, order)
    else:
        hold(shop, order, "disputed")
    shown = card(client.get(STUCK))
    assert shown.select("form") == []
    link = shown.select("a.button")[0]
    assert words(link) == f"Open the order : {order.public_id}"
    client.get(str(link["href"]))


@pytest.mark.usefixtures("member")
def test_a_button_that_comes_too_late_changes_nothing(client: PageClient, factories: Factories, shop: Shop) -> None:
    """The order has gone on since the list was shown; its page says where it is."""
    order = factories.make_order("held")
    hold(shop, order, "price_changed")
    client.get(STUCK)
    change_fulfilment(shop, order, status=FulfilmentStatus.VERIFIED, reason="")
    assert client.submit(f"deliver-{order.id}").location == order_path(order)
    assert "verified" in client.follow().text
