"""One order for staff: what its page shows and keeps to itself, and how money goes back."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from blueprints.staff.access import ALLOWED, Act
from models import (
    FindingKind,
    FulfilmentStatus,
    MailStatus,
    Order,
    OrderStatus,
    Refund,
    Staff,
    StaffRole,
    SupplierAttemptStatus,
    db,
)
from services.shop import Shop
from tests import both_databases
from tests.factories import STATES, Factories
from tests.money_world import PRICE, MoneyWorld
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.staff_world import SECRET, ask_supplier, change_fulfilment, dispute, hold, make_late, make_mail, notice

WHY = {"note": "Two days without network"}


@pytest.fixture
def member(client: PageClient, factories: Factories) -> Staff:
    """Return an owner, who is signed in."""
    member = factories.make_staff(name="Ann", role=StaffRole.OWNER)
    client.sign_in_staff(member)
    return member


def path(order: Order, query: str = "") -> str:
    return f"/staff/orders/{order.public_id}{query}"


def row(page: Page, ledger: str) -> str:
    """Return the words of the only row of a table."""
    (found,) = page.select(f"#{ledger} tbody tr")
    return words(found)


def refund(client: PageClient, order: Order, status: int = 303, **values: str) -> Page:
    """Open an order and send its refund form."""
    client.get(path(order))
    return client.submit("refund-form", {**WHY, **values}, status)


def test_strangers_and_unknown_orders(client: PageClient, factories: Factories) -> None:
    """Without signing in there is nothing to see, and an invented order is not found."""
    order = factories.make_order("verified")
    assert client.get(path(order), 303).location == "/staff/sign-in"
    client.sign_in(order.account)
    assert client.get(path(order), 303).location == "/staff/sign-in"
    client.sign_in_staff(factories.make_staff())
    token = {"csrf_token": str(client.get(path(order)).one("#staff-sign-out [name=csrf_token]")["value"])}
    client.get("/staff/orders/NOSUCHONE0", 404)
    for noun in ("delivery", "delivery-end", "refunds"):
        client.get(path(order))
        client.post(f"/staff/orders/NOSUCHONE0/{noun}", token, 404)


@both_databases
@pytest.mark.usefixtures("member")
@pytest.mark.parametrize("state", STATES)
def test_every_state_of_an_order_has_a_page(client: PageClient, factories: Factories, state: str) -> None:
    """The list leads to it, and it says what was ordered, by whom, and how far it is."""
    order = factories.make_order(state)
    page = client.get(client.get("/staff/").link(order.public_id))
    status, fulfilment = STATES[state]
    facts = words(page.one("#order-facts"))
    for text in (order.plan_name, order.email, "€14.90", "New eSIM", "English"):
        assert text in facts
    assert status.value in page.text
    assert (fulfilment.value if fulfilment else "Nothing is delivered before the payment.") in page.text


@both_databases
@pytest.mark.usefixtures("member")
def test_everything_on_the_books_is_shown(client: PageClient, factories: Factories, shop: Shop) -> None:
    """Attempts, payments, refunds, disputes, requests to the supplier, mails and findings."""
    order = factories.make_order("verified")
    ask_supplier(shop, order, SupplierAttemptStatus.ACCEPTED, supplier_order_id="B26112400001", error="Silent", sends=2)
    make_mail(shop, order)
    make_mail(shop, order, MailStatus.SENT, kind="receipt", sent_at=shop.clock.now())
    notice(shop, FindingKind.REFUND_FAILED, "refund 7", order, "re_7")
    refund(client, order, amount="4.90")
    dispute(shop, order, closed_at=shop.clock.now(), status="won")
    page = client.get(path(order))
    assert f"cs_test_{order.public_id}" in row(page, "attempts")
    assert row(page, "payments").startswith("€14.90 Pays the order")
    assert f"pi_{order.public_id}" in row(page, "payments")
    for text in ("€4.90", "requested", WHY["note"], "Ann"):
        assert text in row(page, "refunds")
    for text in ("€14.90", "won", "product not received", f"dp_{order.public_id}"):
        assert text in row(page, "disputes")
    for text in (f"{order.public_id}-1", "accepted", "Silent", "2×", "B26112400001"):
        assert text in row(page, "supplier-attempts")
    mails = [words(found) for found in page.select("#mails tbody tr")]
    assert [text.split()[0] for text in mails] == ["esim-ready", "receipt"]
    assert f"failed {order.email} 550 no such user 1" in mails[0]
    assert "A refund did not reach the buyer. refund 7 re_7" in row(page, "findings")
    assert order.esim is not None
    for text in (order.esim.iccid, order.esim.supplier_esim_id, order.esim.public_id):
        assert text in words(page.one("#delivery"))


@both_databases
@pytest.mark.usefixtures("member")
def test_nothing_secret_is_on_the_page(client: PageClient, money: MoneyWorld) -> None:
    """No activation code, key, address of a payment page, or text of a mail; in an order that was really delivered."""
    order = money.verified(money.order())
    make_mail(money.shop, order, kind="one-more")
    refund(client, order, amount="1")
    html = client.get(path(order)).response.text
    esim, (attempt,) = money.esim_of(order), money.attempts(order)
    (payment,), (refunded,) = money.payments(order), money.refunds(order)
    assert payment.reference in html
    assert attempt.session_id is not None
    assert attempt.session_id in html
    order = money.row(Order, order.id)
    secrets = [esim.matching_id, esim.smdp_address, attempt.session_url, attempt.idempotency_key, order.checkout_key]
    secrets += [refunded.idempotency_key, refunded.cause, SECRET, "LPA:1", "/set-up/", "key="]
    secrets += [str(order.account.password_hash), str(money.stripe.objects("pi")[0]["client_secret"])]
    assert [secret for secret in secrets if str(secret) in html] == []


@pytest.mark.usefixtures("member")
def test_a_held_order_says_why_and_can_be_retried(client: PageClient, factories: Factories, shop: Shop) -> None:
    """The words of the list stand here, too; a late one can be looked at, and one that is done has no button."""
    order = factories.make_order("held")
    hold(shop, order, "price_changed")
    page = client.get(path(order))
    assert "The supplier asks another price than the one we know; nothing was bought." in page.text
    client.submit("take-up-delivery")
    page = client.follow()
    assert "Back at work." in page.text
    assert "waiting" in words(page.one("#delivery"))
    make_late(shop, order, "not_ordered")
    page = client.get(path(order))
    assert "The supplier has not taken the order for an hour" in page.text
    assert client.submit("take-up-delivery").location == path(order, "?done=look")
    change_fulfilment(shop, order, status=FulfilmentStatus.VERIFIED)
    assert client.get(path(order)).select("#delivery form") == []
    assert "Back at work." not in client.get(path(order, "?done=nonsense")).text


@pytest.mark.usefixtures("member")
def test_a_finding_is_settled_from_its_order(client: PageClient, factories: Factories, shop: Shop) -> None:
    """And stays there with who settled it."""
    order = factories.make_order("verified")
    finding_id = notice(shop, FindingKind.TOPUP_UNKNOWN, "1", order)
    client.get(path(order))
    client.submit(f"settle-{finding_id}")
    assert row(client.get(path(order)), "findings").endswith("Ann")


@both_databases
def test_all_of_the_money_goes_back_by_default(client: PageClient, money: MoneyWorld, member: Staff) -> None:
    """The form is filled in with it, and says that the eSIM stays."""
    order = money.verified(money.order())
    page = client.get(path(order))
    assert page.one("#amount")["value"] == "14.90"
    said = words(page.one("#refund"))
    assert "€14.90 is left. What you send goes back the way it was paid" in said
    assert "The eSIM is not taken back." in said
    assert client.submit("refund-form", WHY).location == path(order, "?done=refund")
    assert "The refund is under way." in client.follow().text
    money.work()
    (made,) = money.refunds(order)
    assert (made.amount_minor, made.note, made.staff_id) == (PRICE, WHY["note"], member.id)
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    page = client.get(path(order))
    assert "All of it is back with the buyer or on its way there." in words(page.one("#refund"))
    assert page.select("#refund-form") == []
    money.check(order)


@both_databases
@pytest.mark.usefixtures("member")
def test_a_form_that_is_sent_twice_is_one_refund(client: PageClient, money: MoneyWorld) -> None:
    """A double click, or the browser's "send again"; even when it was all that was left."""
    order = money.verified(money.order())
    client.get(path(order))
    page = client.page
    client.submit("refund-form", {**WHY, "amount": "14.90"})
    client.page = page
    client.submit("refund-form", {**WHY, "amount": "14.90"})
    money.work()
    client.page = page
    client.submit("refund-form", {**WHY, "amount": "14.90"})
    money.work()
    assert len(money.stripe.objects("re")) == 1
    money.check(order)


@both_databases
@pytest.mark.usefixtures("member")
def test_two_forms_with_the_same_amount_are_two_refunds(client: PageClient, money: MoneyWorld) -> None:
    """Each rendering of the page is a form of its own."""
    order = money.verified(money.order())
    refund(client, order, amount="5")
    refund(client, order, amount="5.00")
    money.work()
    assert [made["amount"] for made in money.stripe.objects("re")] == [500, 500]
    money.check(order, kept=PRICE - 1000)


@pytest.mark.usefixtures("member")
def test_a_form_that_comes_back_with_another_amount_asks_first(client: PageClient, money: MoneyWorld) -> None:
    """As after the browser's "back"; sent once more it is a second refund."""
    order = money.verified(money.order())
    client.get(path(order))
    page = client.page
    client.submit("refund-form", {**WHY, "amount": "5"})
    client.page = page
    again = client.submit("refund-form", {**WHY, "amount": "7"}, 422)
    assert "This form has sent €5.00 back before." in words(again.one("#amount-error"))
    client.submit("refund-form")
    money.work()
    assert sorted(made["amount"] for made in money.stripe.objects("re")) == [500, 700]


@pytest.mark.usefixtures("member")
def test_more_than_is_left_is_refused_with_how_much_that_is(client: PageClient, factories: Factories) -> None:
    """The field is named, and what was entered stays."""
    order = factories.make_order("verified")
    refund(client, order, amount="4.90")
    page = refund(client, order, 422, amount="10.01")
    assert words(page.one("#amount-error")) == "That is more than what is left: €10.00."
    assert page.one('.error-summary a[href="#amount"]')
    assert page.one("#amount")["value"] == "10.01"
    assert page.one("#note")["value"] == WHY["note"]
    client.submit("refund-form", {"amount": "10"})


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize("amount", ["", "much", "14,90", "-1", "1.234", "0", "0.00", "1e2", "9" * 400])
def test_what_is_no_amount_is_refused(client: PageClient, factories: Factories, amount: str) -> None:
    """The field says what to enter, and nothing goes back."""
    page = refund(client, factories.make_order("verified"), 422, amount=amount)
    assert page.select("#amount-error")
    assert db.session.scalars(select(Refund)).all() == []


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize("note", ["", "   ", "x" * 201])
def test_a_reason_is_needed_and_short(client: PageClient, factories: Factories, note: str) -> None:
    """Whoever reads the books later wants to know why."""
    page = refund(client, factories.make_order("verified"), 422, note=note)
    assert page.select("#note-error")
    assert db.session.scalars(select(Refund)).all() == []


@pytest.mark.usefixtures("member")
def test_a_form_without_its_key_is_not_taken(client: PageClient, factories: Factories) -> None:
    """Two of them could not be told apart."""
    order = factories.make_order("verified")
    page = client.get(path(order))
    token = str(page.one("#refund-form [name=csrf_token]")["value"])
    for key in ("", "x", "x" * 33):
        values = {"csrf_token": token, "amount": "1", **WHY, "form_key": key}
        client.post(path(order, "/refunds"), values, 422)
    assert db.session.scalars(select(Refund)).all() == []


@pytest.mark.usefixtures("member")
def test_yen_have_no_decimals(client: PageClient, factories: Factories) -> None:
    """1,490 yen are 1490 of the smallest unit, and 14.90 yen are nothing."""
    order = factories.make_order("verified", currency="JPY")
    page = client.get(path(order))
    assert page.one("#amount")["value"] == str(order.amount_minor)
    assert "Amount in JPY" in page.text
    client.submit("refund-form", {**WHY, "amount": "14.90"}, 422)
    client.submit("refund-form", {**WHY, "amount": "149"})
    assert db.session.scalars(select(Refund.amount_minor)).all() == [149]


@both_databases
@pytest.mark.usefixtures("member")
@pytest.mark.parametrize("state", ["paid", "held", "ordered"])
def test_all_of_the_money_stops_what_waits_for_delivery(
    client: PageClient, factories: Factories, shop: Shop, state: str
) -> None:
    """Held or late or just paid; the page says so before, and a part stops nothing."""
    order = factories.make_order(state)
    if state == "ordered":
        make_late(shop, order, "not_allocated")
    said = words(client.get(path(order)).one("#refund"))
    assert "Nothing has been delivered yet: sending back all of it stops the delivery, a part of it does not." in said
    client.submit("refund-form", {**WHY, "amount": "4.90"})
    assert str(STATES[state][1]) in words(client.follow().one("#delivery"))
    client.submit("refund-form", WHY)
    assert "refused refunded" in words(client.follow().one("#delivery"))


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("verified", "The eSIM is not taken back."),
        ("refunded", "The delivery has ended already"),
        ("pending", "Nothing was paid for this order, so nothing can be sent back."),
        ("unknown", "Nobody knows yet whether the supplier has carried the order out."),
    ],
)
def test_the_page_says_what_will_happen(
    client: PageClient, factories: Factories, shop: Shop, state: str, said: str
) -> None:
    """To the delivery, when all of the money goes back."""
    order = factories.make_order("paid" if state == "unknown" else state)
    if state == "unknown":
        ask_supplier(shop, order, SupplierAttemptStatus.UNKNOWN)
    assert said in words(client.get(path(order)).one("#refund"))


@pytest.mark.usefixtures("member")
def test_a_dispute_that_arrives_meanwhile_stops_a_refund(client: PageClient, factories: Factories, shop: Shop) -> None:
    """The bank has the money; the page says so instead of the form."""
    order = factories.make_order("verified")
    client.get(path(order))
    dispute(shop, order)
    page = client.submit("refund-form", WHY, 422)
    assert "The buyer's bank has the money" in words(page.one(".error-summary"))
    assert page.select("#refund-form") == []
    assert db.session.scalars(select(Refund)).all() == []


@pytest.mark.usefixtures("member")
def test_what_has_gone_back_meanwhile_cannot_go_back_again(client: PageClient, factories: Factories) -> None:
    """Two windows: the second one is told that nothing is left."""
    order = factories.make_order("verified")
    client.get(path(order))
    page = client.page
    refund(client, order)
    client.page = page
    again = client.submit("refund-form", {**WHY, "amount": "5"}, 422)
    assert again.select("#refund-form") == []
    assert "All of it is back with the buyer or on its way there." in words(again.one(".error-summary"))


@pytest.mark.usefixtures("member")
def test_an_order_that_is_not_paid_has_nothing_to_send_back(client: PageClient, factories: Factories) -> None:
    """Neither on the page nor by a form that was made up."""
    order = factories.make_order()
    page = client.get(path(order))
    assert page.select("#refund-form") == []
    token = str(page.one("#staff-sign-out [name=csrf_token]")["value"])
    values = {"csrf_token": token, "amount": "1", **WHY, "form_key": "x" * 32}
    page = client.post(path(order, "/refunds"), values, 422)
    assert "Nothing was paid for this order" in words(page.one(".error-summary"))


@pytest.mark.parametrize("role", StaffRole)
def test_who_may_do_what(client: PageClient, factories: Factories, shop: Shop, role: StaffRole) -> None:
    """Everybody sees, retries and marks as done; money is sent back by a manager or an owner."""
    order, held = factories.make_order("verified"), factories.make_order("held")
    finding_id = notice(shop, FindingKind.TOPUP_UNKNOWN, "1", order)
    client.sign_in_staff(factories.make_staff(role=role))
    page = client.get(path(order))
    client.submit(f"settle-{finding_id}")
    client.get(path(held))
    client.submit("take-up-delivery")
    token = str(page.one("#staff-sign-out [name=csrf_token]")["value"])
    values = {"csrf_token": token, "amount": "1", **WHY, "form_key": "x" * 32}
    allowed = role is not StaffRole.SUPPORT
    assert bool(page.select("#refund-form")) is allowed
    assert ("Only a manager or an owner can send it" in page.text) is not allowed
    client.get(path(order))
    client.post(path(order, "/refunds"), values, 303 if allowed else 403)
    assert len(db.session.scalars(select(Refund)).all()) == int(allowed)


def test_every_act_is_somebodys() -> None:
    """The table names each act once, and an owner may do them all."""
    assert set(ALLOWED) == set(Act)
    assert all(StaffRole.OWNER in roles for roles in ALLOWED.values())
