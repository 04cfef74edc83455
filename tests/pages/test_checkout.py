"""The checkout: what is refused and how that is said, and that every way through it leads to one order."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select, update

from models import Account, Attempt, AttemptStatus, OrderStatus, Payment, PaymentKind, Plan, PlanPrice, PlanState, db
from sandbox.server import Sandbox
from services.shop import Shop
from tests.clock import FakeClock
from tests.factories import Factories
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.pages.buying import (
    CONSENTS,
    DAILY_PLAN,
    EMAIL,
    PLAN,
    all_orders,
    check_out,
    checkout_path,
    filled,
    only_order,
    pay_button,
    pay_by_debit,
    pay_order,
    session_ids,
)
from tests.running import count_statements

pytestmark = pytest.mark.usefixtures("money")


def set_price(shop: Shop, amount_minor: int) -> None:
    """Let every plan cost this much."""
    with shop.transaction() as session:
        session.execute(update(PlanPrice).values(amount_minor=amount_minor))


def errors(page: Page) -> dict[str, str]:
    """Return what the summary of mistakes says, by the element that each line leads to."""
    return {str(tag["href"]): words(tag) for tag in page.select(".error-summary a")}


def test_a_filled_in_form_leads_to_the_payment_page(client: PageClient, sandbox: Sandbox) -> None:
    answer = check_out(client)
    assert answer.location.startswith(f"{sandbox.url}/c/pay/")
    order = only_order()
    assert (order.email, order.amount_minor, order.currency, order.status) == (EMAIL, 1490, "EUR", OrderStatus.PENDING)
    [session] = sandbox.stripe.objects("cs")
    assert (session["amount_total"], session["currency"], session["customer_email"]) == (1490, "eur", EMAIL)
    assert session["metadata"]["order"] == order.public_id


def test_opening_the_checkout_orders_nothing(client: PageClient, sandbox: Sandbox) -> None:
    client.get(checkout_path())
    assert all_orders() == []
    assert sandbox.stripe.requests() == []


def test_consents_are_kept_with_time_and_language(client: PageClient, clock: FakeClock) -> None:
    check_out(client, checkout_path(language="fr"))
    kept = {(row.kind, row.language, row.given_at) for row in only_order().consents}
    assert kept == {(kind, "fr", clock.now()) for kind in CONSENTS}


@pytest.mark.parametrize("email", ["", "ana", "ana@", "@example.com", "ana@example", "ana @example.com", "a" * 400])
def test_what_is_no_address_is_refused(client: PageClient, email: str) -> None:
    page = check_out(client, status=422, email=email)
    assert errors(page) == {"#email": "Enter an e-mail address like name@example.com."}
    field = page.one("#email")
    assert field["aria-invalid"] == "true"
    assert "email-error" in str(field["aria-describedby"])
    assert all_orders() == []


def test_a_mistyped_address_is_asked_about_once(client: PageClient) -> None:
    page = check_out(client, status=422, email="ana@gmial.com")
    assert "#email" in errors(page)
    assert "Did you mean ana@gmail.com?" in page.text
    assert {str(tag["id"]) for tag in page.select("fieldset input[checked]")} == set(CONSENTS)
    client.submit(pay_button(page), {"kept_email": True})
    assert only_order().email == "ana@gmial.com"


def test_keeping_one_mistyped_address_does_not_keep_another(client: PageClient) -> None:
    page = check_out(client, status=422, email="ana@gmial.com")
    page = client.submit(pay_button(page), {"kept_email": True, "email": "ana@hotmial.com"}, status=422)
    assert "Did you mean ana@hotmail.com?" in page.text
    assert all_orders() == []


def test_a_kept_address_stays_kept_while_something_else_is_wrong(client: PageClient) -> None:
    page = check_out(client, status=422, email="ana@gmial.com", terms=False)
    page = client.submit(pay_button(page), {"kept_email": True}, status=422)
    assert errors(page) == {"#terms": "Please accept the terms of sale."}
    client.submit(pay_button(page), {"terms": True})
    assert only_order().email == "ana@gmial.com"


@pytest.mark.parametrize("consent", CONSENTS)
def test_a_missing_consent_is_named(client: PageClient, consent: str) -> None:
    sent = filled(client.get(checkout_path()), **{consent: False})
    page = client.post(sent.action, sent.values, status=422)
    assert list(errors(page)) == [f"#{consent}"]
    assert page.one(f"#{consent}")["aria-invalid"] == "true"
    assert page.one("#email")["value"] == EMAIL
    assert all_orders() == []


def test_a_plan_that_is_not_on_the_shelf_is_not_found(client: PageClient, shop: Shop, factories: Factories) -> None:
    client.get("/en/checkout/moon-1gb", status=404)
    plan = factories.make_plan(slug="gone")
    sent = filled(client.get(checkout_path("gone")))
    with shop.transaction():
        plan.state = PlanState.RETIRED
    client.get(checkout_path("gone"), status=404)
    client.post(sent.action, sent.values, status=404)
    assert all_orders() == []


@pytest.mark.parametrize(
    ("asked", "days"), [("0", "1"), ("30", "30"), ("31", "30"), ("999", "30"), ("-3", "1"), ("2.5", "1"), ("٣", "1")]
)
def test_days_that_are_not_offered_fall_back(client: PageClient, asked: str, days: str) -> None:
    page = client.get(checkout_path(DAILY_PLAN, query=f"?days={asked}"))
    assert page.one("#summary input[name=days]")["value"] == days
    assert words(page.one("#days-choice option[selected]")) == days


def test_the_currency_is_that_of_the_language_unless_another_one_is_asked_for(client: PageClient) -> None:
    def currency(path: str) -> str:
        return str(client.get(path).one("#summary input[name=currency]")["value"])

    assert currency(checkout_path(language="zh-hans")) == "CNY"
    assert currency(checkout_path(language="zh-hans", query="?currency=USD")) == "USD"
    assert currency(checkout_path(query="?currency=XXX")) == "EUR"


@pytest.mark.parametrize(
    "tampered",
    [{"amount": "1"}, {"amount": ""}, {"amount": "1590.0"}, {"days": "30"}, {"days": "365"}, {"currency": "CNY"}],
)
def test_a_form_that_was_tampered_with_orders_nothing(client: PageClient, tampered: dict[str, str]) -> None:
    sent = filled(client.get(checkout_path(DAILY_PLAN, query="?days=7")))
    page = client.post(sent.action, {**sent.values, **tampered}, status=422)
    assert "#summary" in errors(page)
    assert all_orders() == []


@pytest.mark.parametrize("key", ["", "guessed", "k" * 2000])
def test_a_checkout_key_that_this_browser_was_not_given_is_not_used(app: Flask, key: str) -> None:
    for email in ("first@example.com", "second@example.com"):
        client = PageClient(app)
        sent = filled(client.get(checkout_path()), email=email)
        client.post(sent.action, {**sent.values, "checkout_key": key})
    assert [order.email for order in all_orders()] == ["first@example.com", "second@example.com"]


def test_the_checkout_key_of_another_browser_opens_nothing(app: Flask, client: PageClient) -> None:
    check_out(client)
    first = only_order()
    thief = PageClient(app)
    sent = filled(thief.get(checkout_path()), email="thief@example.com")
    thief.post(sent.action, {**sent.values, "checkout_key": first.checkout_key})
    thief.get(f"/en/orders/{first.public_id}", status=404)
    assert [order.email for order in all_orders()] == [EMAIL, "thief@example.com"]


def test_a_price_that_changed_under_the_buyer_is_shown_and_nothing_is_ordered(client: PageClient, shop: Shop) -> None:
    sent = filled(client.get(checkout_path()))
    set_price(shop, 1690)
    page = client.post(sent.action, sent.values, status=422)
    assert "The price has changed" in errors(page)["#summary"]
    assert pay_button(page) == "Pay €16.90"
    assert all_orders() == []
    client.submit("Pay €16.90")
    assert only_order().amount_minor == 1690


def test_sending_the_form_twice_is_one_order_and_one_payment_page(client: PageClient, sandbox: Sandbox) -> None:
    sent = filled(client.get(checkout_path()))
    first = client.post(sent.action, sent.values)
    second = client.post(sent.action, sent.values)
    assert first.location == second.location
    only_order()
    assert len(sandbox.stripe.objects("cs")) == 1


def test_two_tabs_are_one_order_and_the_last_one_counts(client: PageClient, sandbox: Sandbox) -> None:
    tabs = [filled(client.get(checkout_path(DAILY_PLAN, query=f"?days={days}"))) for days in (3, 5)]
    for tab in tabs:
        client.post(tab.action, tab.values)
    assert (only_order().days, only_order().amount_minor) == (5, 5 * 1590)
    sessions = {session["amount_total"]: session["status"] for session in sandbox.stripe.objects("cs")}
    assert sessions == {3 * 1590: "expired", 5 * 1590: "open"}


@pytest.mark.parametrize("price", [1490, 1690])
def test_a_stale_tab_is_led_to_the_order_that_is_paid(
    client: PageClient, shop: Shop, sandbox: Sandbox, price: int
) -> None:
    stale = filled(client.get(checkout_path()))
    check_out(client)
    pay_order(shop, sandbox, only_order())
    set_price(shop, price)
    client.get(checkout_path())
    answer = client.post(stale.action, stale.values)
    assert answer.location == f"/en/orders/{only_order().public_id}"
    assert len(sandbox.stripe.objects("cs")) == 1


def test_a_payment_that_is_not_recorded_yet_is_found_by_the_next_click(client: PageClient, sandbox: Sandbox) -> None:
    stale = filled(client.get(checkout_path(DAILY_PLAN, query="?days=3")))
    check_out(client, checkout_path(DAILY_PLAN, query="?days=5"))
    sandbox.stripe.pay(session_ids(only_order())[0])
    answer = client.post(stale.action, stale.values)
    assert answer.location == f"/en/orders/{only_order().public_id}"
    assert only_order().status is OrderStatus.PAID
    assert only_order().days == 5, "what was paid for must not change"


def test_while_stripe_is_down_an_order_with_an_open_payment_page_does_not_change(
    client: PageClient, shop: Shop, sandbox: Sandbox
) -> None:
    check_out(client, checkout_path(DAILY_PLAN, query="?days=1"))
    sandbox.stripe.fault("503", path="/v1/checkout/sessions*", count=None)
    check_out(client, checkout_path(DAILY_PLAN, query="?days=30"), status=503)
    assert (only_order().days, only_order().amount_minor) == (1, 1590)
    sandbox.stripe.faults.clear()
    pay_order(shop, sandbox, only_order())
    assert (only_order().days, only_order().status) == (1, OrderStatus.PAID)


def test_paying_the_old_price_of_an_order_that_has_changed_does_not_settle_it(
    client: PageClient, shop: Shop, sandbox: Sandbox
) -> None:
    check_out(client, checkout_path(DAILY_PLAN, query="?days=1"))
    with shop.transaction():
        only_order().days, only_order().amount_minor = 30, 30 * 1590
    pay_order(shop, sandbox, only_order())
    assert only_order().status is OrderStatus.PENDING
    assert db.session.scalars(select(Payment)).one().kind is PaymentKind.SURPLUS


def test_an_order_whose_payment_a_bank_is_confirming_does_not_change(
    client: PageClient, shop: Shop, sandbox: Sandbox
) -> None:
    check_out(client, checkout_path(DAILY_PLAN, query="?days=3"))
    pay_by_debit(sandbox, session_ids(only_order())[0])
    for _ in range(2):
        answer = check_out(client, checkout_path(DAILY_PLAN, query="?days=5"))
        assert answer.location == f"/en/orders/{only_order().public_id}"
    assert only_order().days == 3
    assert db.session.scalars(select(Attempt)).one().status is AttemptStatus.PROCESSING


def test_a_second_esim_can_be_bought_afterwards(client: PageClient, shop: Shop, sandbox: Sandbox) -> None:
    check_out(client)
    pay_order(shop, sandbox, only_order())
    check_out(client, checkout_path(query="?new=1"))
    first, second = all_orders()
    assert (first.status, second.status) == (OrderStatus.PAID, OrderStatus.PENDING)
    assert len(sandbox.stripe.objects("cs")) == 2


@pytest.mark.parametrize("fault", ["503", "drop_before", "drop_after", "bad_json"])
def test_while_stripe_is_down_the_order_is_kept_and_can_be_tried_again(
    client: PageClient, sandbox: Sandbox, fault: str
) -> None:
    sandbox.stripe.fault(fault, path="/v1/checkout/sessions*", count=None)
    page = check_out(client, status=503)
    assert int(page.response.headers["Retry-After"]) >= 30
    assert "This attempt has not charged you anything" in page.text
    sandbox.stripe.faults.clear()
    answer = client.submit("Try again")
    assert answer.location.startswith(f"{sandbox.url}/c/pay/")
    assert only_order().status is OrderStatus.PENDING
    assert len(sandbox.stripe.objects("cs")) == 1


def test_a_buyer_with_a_renewable_esim_is_asked_first(client: PageClient, factories: Factories) -> None:
    account = factories.make_account()
    esim = factories.make_esim(account)
    client.sign_in(account)
    page = client.get(checkout_path(DAILY_PLAN, query="?days=5&currency=USD"))
    assert page.link("Renew this eSIM") == f"/en/account/esims/{esim.public_id}/renewal?currency=USD"
    page = client.get(page.link("Buy a new eSIM, for example for another phone"))
    assert page.one("#summary input[name=days]")["value"] == "5"
    assert page.one("#summary input[name=currency]")["value"] == "USD"
    assert page.one("form[method=get] input[name=new]")["value"] == "1"
    client.submit(pay_button(page), CONSENTS)
    assert only_order().account_id == account.id


def test_a_buyer_whose_esim_cannot_be_renewed_there_is_not_asked(
    client: PageClient, factories: Factories, clock: FakeClock
) -> None:
    account = factories.make_account()
    factories.make_esim(account, db.session.scalars(select(Plan).where(Plan.slug == "italy-1gb-7-days")).one())
    factories.make_esim(account, expires_at=clock.now())
    factories.make_esim()
    client.sign_in(account)
    assert client.get(checkout_path()).one("#email")["value"] == account.email


def test_a_signed_in_buyer_owns_the_order_whatever_address_it_is_sent_to(
    client: PageClient, factories: Factories
) -> None:
    account = factories.make_account()
    client.sign_in(account)
    check_out(client, email="companion@example.com")
    assert (only_order().account_id, only_order().email) == (account.id, "companion@example.com")
    assert db.session.query(Account).count() == 1


def test_an_order_belongs_to_the_account_of_the_address(client: PageClient, factories: Factories) -> None:
    account = factories.make_account(email=EMAIL)
    check_out(client, email=EMAIL.upper())
    assert only_order().account_id == account.id


def test_a_buyer_without_javascript_updates_days_and_currency(client: PageClient) -> None:
    client.get(checkout_path(DAILY_PLAN))
    page = client.submit("Update", {"days": "4", "currency": "CHF"}, status=200)
    assert page.one("#summary input[name=days]")["value"] == "4"
    assert words(page.one("#currency-choice option[selected]")) == "CHF"


def test_a_form_without_the_right_token_changes_nothing(client: PageClient) -> None:
    sent = filled(client.get(checkout_path()))
    page = client.post(sent.action, {**sent.values, "csrf_token": "wrong"}, status=400)
    assert "Nothing was changed and nothing was paid." in page.text
    client.post(sent.action, {key: value for key, value in sent.values.items() if key != "csrf_token"}, status=400)
    assert all_orders() == []


def test_over_the_limit_a_buyer_is_told_when_to_come_back(client: PageClient) -> None:
    sent = filled(client.get(checkout_path()), terms=False)
    for _ in range(30):
        client.post(sent.action, sent.values, status=422)
    page = client.post(sent.action, sent.values, status=429)
    assert 0 < int(page.response.headers["Retry-After"]) <= 60


def test_the_number_of_statements_does_not_grow_with_what_there_is(client: PageClient, factories: Factories) -> None:
    account = factories.make_account()
    client.sign_in(account)

    def statements() -> int:
        with count_statements() as counted:
            client.get(checkout_path(query="?new=1"))
        return len(counted)

    statements()
    few = statements()
    for _ in range(5):
        factories.make_plan()
        factories.make_esim(account)
        factories.make_order("verified", account)
    assert statements() == few
    assert few <= 8


def test_the_plan_is_the_one_of_the_address(client: PageClient) -> None:
    check_out(client)
    assert only_order().plan.slug == PLAN


@pytest.mark.settings(REDIS_URL="redis://127.0.0.1:1/0")
def test_while_redis_is_away_buyers_reach_the_payment_page(client: PageClient) -> None:
    """It holds the queue and the counts of the rate limits: neither is worth turning somebody away."""
    assert "/c/pay/" in check_out(client).location
    client.get(f"/en/orders/{only_order().public_id}")
