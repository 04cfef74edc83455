"""The order page: who may open it, what it says in each state, who sees the codes; and the receipt."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from models import EsimStatus, FulfilmentStatus, Order, OrderKind, OrderStatus, Payment, Refund, RefundStatus, db
from sandbox.server import Sandbox
from services.identifiers import random_key
from services.links import order_key
from services.shop import Shop
from tests.clock import FakeClock
from tests.factories import STATES, Factories
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.pages.buying import (
    EMAIL,
    all_orders,
    check_out,
    checkout_path,
    only_order,
    pay_by_debit,
    pay_order,
    session_ids,
)
from tests.running import count_statements

pytestmark = pytest.mark.usefixtures("money")

NOT_PAID = "This order is not paid yet. Nothing was charged."
WAITING_FOR_STRIPE = "We are waiting for Stripe to confirm your payment."
BANK_CONFIRMS = "Your bank is still confirming the payment."
MOVES = {"paid", "ordered", "applied"}
SHOWN = {
    "pending": NOT_PAID,
    "cancelled": "This order was cancelled. Nothing was charged.",
    "paid": "This usually takes less than a minute.",
    "ordered": "This usually takes less than a minute.",
    "applied": "This usually takes less than a minute.",
    "verified": "Checked with the supplier",
    "held": "a person is looking at it. Your payment is safe.",
    "refunded": "The payment was returned to you.",
}
STEPS_DONE = {"paid": 1, "ordered": 2, "applied": 3, "verified": 4, "held": 1, "refunded": 1}


def order_path(order: Order, query: str = "") -> str:
    """Return the address of an order's page."""
    return f"/en/orders/{order.public_id}{query}"


def key_of(shop: Shop, order: Order) -> str:
    """Return the key that opens an order."""
    return order_key(shop.settings, order)


def open_as_owner(client: PageClient, order: Order, status: int = 200) -> Page:
    """Sign the order's account in and open the order."""
    client.sign_in(order.account)
    return client.get(order_path(order), status)


def polls(page: Page) -> bool:
    """Return whether the page goes on asking by itself."""
    return page.one("#order-state").has_attr("hx-get")


def change(shop: Shop, order: Order, **columns: Any) -> None:
    """Set columns of an order; those of its fulfilment are called fulfilment_…"""
    with shop.transaction():
        for name, value in columns.items():
            target: Any = order.fulfilment if name.startswith("fulfilment_") else order
            setattr(target, name.removeprefix("fulfilment_"), value)


def give_back(shop: Shop, order: Order, amount_minor: int, status: RefundStatus = RefundStatus.SUCCEEDED) -> None:
    """Let a part of an order's payment have gone back."""
    payment = db.session.scalars(select(Payment).where(Payment.order_id == order.id)).one()
    with shop.transaction() as session:
        session.add(
            Refund(
                payment_id=payment.id,
                status=status,
                source="staff",
                cause=random_key()[:20],
                idempotency_key=random_key(),
                amount_minor=amount_minor,
                currency=payment.currency,
                created_at=shop.clock.now(),
            )
        )


def test_a_stranger_finds_nothing(client: PageClient, factories: Factories) -> None:
    order = factories.make_order("verified")
    other = factories.make_order("verified")
    client.get(order_path(order), status=404)
    client.sign_in(other.account)
    for path in ("", "/receipt"):
        client.get(f"{order_path(order)}{path}", status=404)
    client.get(order_path(other))


def test_a_stranger_cannot_start_to_pay(client: PageClient, factories: Factories, sandbox: Sandbox) -> None:
    order = factories.make_order()
    page = client.get(checkout_path())
    token = str(page.one("input[name=csrf_token]")["value"])
    client.post(f"{order_path(order)}/payment", {"csrf_token": token}, status=404)
    assert sandbox.stripe.requests() == []


def test_its_owner_opens_it_by_signing_in(client: PageClient, factories: Factories) -> None:
    order = factories.make_order("verified")
    page = open_as_owner(client, order)
    assert order.public_id in page.text
    assert page.response.headers["Cache-Control"] == "no-store"


def test_the_key_opens_it_and_leaves_the_address(client: PageClient, factories: Factories, shop: Shop) -> None:
    order = factories.make_order("verified")
    answer = client.get(order_path(order, f"?key={key_of(shop, order)}"), status=303)
    assert answer.location == order_path(order)
    assert answer.response.headers["Referrer-Policy"] == "no-referrer"
    assert answer.response.headers["Cache-Control"] == "no-store"
    client.follow()
    client.get("/fr" + order_path(order).removeprefix("/en"))


def test_a_wrong_key_opens_nothing(client: PageClient, factories: Factories, shop: Shop) -> None:
    order, other = factories.make_order("verified"), factories.make_order("verified")
    for key in ("", "wrong", "é", key_of(shop, other), key_of(shop, order)[:-1]):
        client.get(order_path(order), query_string={"key": key}, status=404)
    client.get(order_path(order), status=404)
    client.get(f"/en/orders/NOSUCHONE1?key={key_of(shop, order)}", status=404)


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_said_and_asked_about_only_while_it_moves(
    client: PageClient, factories: Factories, state: str
) -> None:
    page = open_as_owner(client, factories.make_order(state))
    assert SHOWN[state] in page.text
    assert polls(page) == (state in MOVES)
    assert len(page.select(".timeline .done")) == STEPS_DONE.get(state, 0)
    assert bool(page.select(".no-script a")) == (state in MOVES), "without JavaScript, a link looks again"
    for other in {SHOWN["pending"], SHOWN["cancelled"], SHOWN["held"], SHOWN["refunded"]} - {SHOWN[state]}:
        assert other not in page.text


def test_a_silent_supplier_is_called_slow(client: PageClient, factories: Factories, shop: Shop) -> None:
    order = factories.make_order("paid")
    change(shop, order, fulfilment_reason="supplier_silent")
    page = open_as_owner(client, order)
    assert "The supplier is slow to answer. We keep asking" in page.text
    assert polls(page)


def test_a_refusal_says_that_the_money_is_on_its_way_until_it_is_back(
    client: PageClient, factories: Factories, shop: Shop
) -> None:
    order = factories.make_order("paid")
    change(shop, order, fulfilment_status=FulfilmentStatus.REFUSED, fulfilment_reason="PlanUnavailable")
    page = open_as_owner(client, order)
    assert "The full amount is on its way back to you" in page.text
    assert not polls(page)
    change(shop, order, status=OrderStatus.REFUNDED)
    page = client.get(order_path(order))
    assert "The payment was returned to you." in page.text
    assert "on its way back" not in page.text


def test_an_unpaid_order_leads_to_its_payment_page(client: PageClient, sandbox: Sandbox) -> None:
    location = check_out(client).location
    page = client.get(order_path(only_order()))
    assert NOT_PAID in page.text
    assert not polls(page)
    assert client.submit("Continue to payment: €14.90").location == location
    assert len(sandbox.stripe.objects("cs")) == 1


@pytest.mark.parametrize("state", ["cancelled", "verified"])
def test_an_order_that_cannot_be_paid_any_more_leads_back_to_itself(
    client: PageClient, factories: Factories, shop: Shop, sandbox: Sandbox, state: str
) -> None:
    order = factories.make_order()
    open_as_owner(client, order)
    change(shop, order, status=STATES[state][0])
    assert client.submit("Continue to payment: €14.90").location == order_path(order)
    assert sandbox.stripe.requests("POST") == []


def test_who_comes_back_from_stripe_is_told_that_the_payment_is_looked_for(client: PageClient, shop: Shop) -> None:
    check_out(client)
    client.get(order_path(only_order(), f"?key={key_of(shop, only_order())}"), status=303)
    page = client.follow()
    assert WAITING_FOR_STRIPE in page.text
    assert NOT_PAID not in page.text
    assert polls(page)
    assert page.link("Look again") == order_path(only_order())
    assert client.submit("Continue to payment: €14.90").status == 303


def test_the_page_stops_looking_for_a_payment_after_a_while(client: PageClient, shop: Shop, clock: FakeClock) -> None:
    check_out(client)
    client.get(order_path(only_order(), f"?key={key_of(shop, only_order())}"), status=303)
    clock.advance(minutes=11)
    page = client.get(order_path(only_order()))
    assert NOT_PAID in page.text
    assert not polls(page)


def test_the_link_of_a_mail_does_not_make_an_unpaid_order_look_paid(
    client: PageClient, factories: Factories, shop: Shop
) -> None:
    order = factories.make_order()
    client.get(order_path(order, f"?key={key_of(shop, order)}"), status=303)
    page = client.follow()
    assert NOT_PAID in page.text
    assert not polls(page)


def test_a_buyer_who_is_faster_than_the_webhook_sees_the_payment(
    client: PageClient, shop: Shop, sandbox: Sandbox
) -> None:
    check_out(client)
    sandbox.stripe.pay(session_ids(only_order())[0])
    client.get(order_path(only_order(), f"?key={key_of(shop, only_order())}"), status=303)
    page = client.follow()
    assert words(page.one(".timeline .done span")) == "Paid"
    assert polls(page)


def test_stripe_is_not_asked_more_often_than_every_three_seconds(
    client: PageClient, sandbox: Sandbox, clock: FakeClock
) -> None:
    check_out(client)
    order = only_order()
    for _ in range(3):
        client.get(order_path(order))
    assert len(sandbox.stripe.requests("GET")) == 1
    clock.advance(seconds=3)
    client.get(order_path(order))
    assert len(sandbox.stripe.requests("GET")) == 2


@pytest.mark.parametrize("fault", ["503", "drop_before", "bad_json"])
def test_while_stripe_is_down_the_page_is_still_there(
    client: PageClient, shop: Shop, sandbox: Sandbox, fault: str
) -> None:
    check_out(client)
    sandbox.stripe.fault(fault, count=None)
    client.get(order_path(only_order(), f"?key={key_of(shop, only_order())}"), status=303)
    assert WAITING_FOR_STRIPE in client.follow().text
    client.submit("Continue to payment: €14.90", status=303)


def test_a_payment_that_a_bank_confirms_later_is_not_asked_for_again(
    client: PageClient, shop: Shop, sandbox: Sandbox, clock: FakeClock
) -> None:
    check_out(client)
    pay_by_debit(sandbox, session_ids(only_order())[0])
    page = client.get(order_path(only_order()))
    assert BANK_CONFIRMS in page.text
    assert polls(page)
    assert page.select("main form") == []
    sandbox.stripe.settle_async_payment(session_ids(only_order())[0], succeeded=False)
    clock.advance(seconds=3)
    page = client.get(order_path(only_order()))
    assert NOT_PAID in page.text
    assert page.select("main form") != []


@pytest.mark.parametrize(
    ("status", "shown"),
    [(OrderStatus.PAID, True), (OrderStatus.PART_REFUNDED, True), (OrderStatus.REFUNDED, False)],
)
def test_the_codes_are_shown_until_all_the_money_went_back(
    client: PageClient, factories: Factories, shop: Shop, status: OrderStatus, shown: bool
) -> None:
    order = factories.make_order("verified")
    change(shop, order, status=status)
    page = open_as_owner(client, order)
    assert order.esim is not None
    for secret in (order.esim.matching_id, order.esim.smdp_address):
        assert (secret in page.response.text) == shown
    assert bool(page.select(".qr svg")) == shown
    assert bool(page.select('a[href^="https://esimsetup.apple.com/"]')) == shown


def test_the_codes_are_not_on_the_page_before_there_is_an_esim(client: PageClient, factories: Factories) -> None:
    for state in ("pending", "paid", "ordered", "held", "cancelled"):
        assert open_as_owner(client, factories.make_order(state)).select("#install") == []


def test_a_renewal_shows_what_it_changes_and_no_codes(
    client: PageClient, factories: Factories, shop: Shop, clock: FakeClock
) -> None:
    account = factories.make_account()
    esim = factories.make_esim(account, status=EsimStatus.ACTIVE)
    order = factories.make_order("pending", account, esim_id=esim.id, kind=OrderKind.RENEWAL)
    states = {"data_left": 0, "ends_at": None, "days": 7, "as_of": None}
    change(shop, order, shown_before=states, shown_after={**states, "data_left": 1024**3, "days": 14})
    client.sign_in(account)
    page = client.get(order_path(order))
    assert page.select("#install") == []
    assert esim.matching_id not in page.response.text


def test_the_receipt_is_there_once_the_order_is_paid(client: PageClient, shop: Shop, sandbox: Sandbox) -> None:
    check_out(client)
    order = only_order()
    client.get(f"{order_path(order)}/receipt", status=404)
    assert "Receipt" not in client.get(order_path(order)).text
    pay_order(shop, sandbox, order)
    page = client.get(client.get(order_path(order)).link("Receipt for printing"))
    for fact in (order.public_id, EMAIL, "€14.90", "Monaco 1 GB, 7 days", "New eSIM"):
        assert fact in page.text
    assert "Refunded" not in page.text


def test_a_cancelled_order_has_no_receipt(client: PageClient, factories: Factories) -> None:
    order = factories.make_order("cancelled")
    open_as_owner(client, order)
    client.get(f"{order_path(order)}/receipt", status=404)


@pytest.mark.parametrize(
    ("status", "returned", "shown"),
    [(OrderStatus.REFUNDED, 1490, "€14.90"), (OrderStatus.PART_REFUNDED, 500, "€5.00")],
)
def test_order_and_receipt_say_how_much_went_back(
    client: PageClient, factories: Factories, shop: Shop, status: OrderStatus, returned: int, shown: str
) -> None:
    order = factories.make_order("verified")
    change(shop, order, status=status)
    give_back(shop, order, returned)
    give_back(shop, order, 1, RefundStatus.FAILED)
    for page in (open_as_owner(client, order), client.get(f"{order_path(order)}/receipt")):
        rows = {words(row.select("dt")[0]): words(row.select("dd")[0]) for row in page.select(".facts > div")}
        assert rows["Refunded"] == shown


def test_a_receipt_keeps_what_was_bought_when_the_plan_changes(
    client: PageClient, factories: Factories, shop: Shop
) -> None:
    plan = factories.make_plan()
    order = factories.make_order("verified", plan=plan)
    with shop.transaction():
        for text in plan.texts:
            text.name = "Another plan"
    open_as_owner(client, order)
    page = client.get(f"{order_path(order)}/receipt")
    assert "Another plan" not in page.text
    assert order.plan_name in page.text


def test_over_the_limit_nothing_is_asked_of_stripe(client: PageClient, sandbox: Sandbox) -> None:
    check_out(client)
    client.get(order_path(only_order()))
    for _ in range(20):
        client.submit("Continue to payment: €14.90")
        client.get(order_path(only_order()))
    page = client.submit("Continue to payment: €14.90", status=429)
    assert int(page.response.headers["Retry-After"]) > 0
    assert len(sandbox.stripe.objects("cs")) == 1


def test_the_number_of_statements_does_not_grow_with_what_there_is(client: PageClient, factories: Factories) -> None:
    order = factories.make_order("verified")
    path = open_as_owner(client, order).url

    def statements() -> int:
        with count_statements() as counted:
            client.get(path)
        return len(counted)

    few = statements()
    for _ in range(5):
        factories.make_order("verified", order.account)
    assert len(all_orders()) == 6
    assert statements() == few
    assert few <= 4
