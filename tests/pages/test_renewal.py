"""Renewing an eSIM: which plans, what will change, and that every way through the form leads to one order."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from models import Account, Esim, EsimStatus, FulfilmentStatus, Order, OrderKind, Plan, PlanPrice, db
from tests.factories import PASSWORD, Factories
from tests.forms import SentForm, fill
from tests.money_world import MONACO_1GB, MONACO_3GB, MoneyWorld
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.pages.buying import all_orders, pay_button, pay_order, session_ids
from tests.running import count_statements

CONSENTS = {"terms": True, "immediate_delivery": True}


@pytest.fixture
def esim(money: MoneyWorld, client: PageClient) -> Esim:
    """Return an eSIM that was bought at the supplier; its owner is signed in."""
    esim = money.esim()
    client.sign_in(money.row(Account, esim.account_id))
    return money.row(Esim, esim.id)


def renewal_path(esim: Esim, query: str = "") -> str:
    """Return the address where an eSIM is renewed."""
    return f"/en/account/esims/{esim.public_id}/renewal{query}"


def filled(page: Page, **values: Any) -> SentForm:
    """Return what the page sends with its consents given, but for `values`."""
    return fill(page.soup, pay_button(page), {**CONSENTS, **values})


def renew(client: PageClient, esim: Esim, query: str = "", status: int = 303, **values: Any) -> Page:
    """Open the page, consent, send it."""
    sent = filled(client.get(renewal_path(esim, query)), **values)
    return client.post(sent.action, sent.values, status)


def renewals() -> list[Order]:
    """Return all renewals, oldest first."""
    return [order for order in all_orders() if order.kind is OrderKind.RENEWAL]


def errors(page: Page) -> dict[str, str]:
    """Return what the summary of mistakes says, by the element that each line leads to."""
    return {str(tag["href"]): words(tag) for tag in page.select(".error-summary a")}


def shown(page: Page) -> dict[str, tuple[str, str]]:
    """Return the lines of the preview: what is now, and what will be."""
    return {
        words(row.select("th")[0]): (words(row.select("td")[0]), words(row.select("td")[1]))
        for row in page.select("#preview tbody tr")
    }


def change(money: MoneyWorld, esim: Esim, **columns: Any) -> None:
    """Set columns of an eSIM."""
    with money.shop.transaction() as session:
        session.execute(update(Esim).where(Esim.id == esim.id).values(**columns))


def test_who_is_not_signed_in_signs_in_first_and_comes_back(client: PageClient, factories: Factories) -> None:
    esim = factories.make_esim()
    path = renewal_path(esim, "?plan=monaco-3gb-30-days")
    location = urlsplit(client.get(path, status=303).location)
    assert location.path == "/en/sign-in"
    assert parse_qs(location.query) == {"next": [path]}
    client.follow()
    client.submit("Sign in", {"email": esim.account.email, "password": PASSWORD})
    assert client.page is not None
    assert client.page.location.removesuffix("#fresh") == path


def test_a_form_that_is_sent_after_signing_out_orders_nothing(client: PageClient, esim: Esim) -> None:
    sent = filled(client.get(renewal_path(esim)))
    client.get("/en/account")
    client.submit("Sign out")
    token = client.get("/en/sign-in").one("input[name=csrf_token]")["value"]
    answer = client.post(sent.action, {**sent.values, "csrf_token": token})
    assert answer.location.startswith("/en/sign-in")
    assert renewals() == []


def test_the_esim_of_another_account_is_not_found(client: PageClient, factories: Factories, esim: Esim) -> None:
    other = factories.make_esim()
    client.get(renewal_path(other), status=404)
    sent = filled(client.get(renewal_path(esim)))
    client.post(renewal_path(other), sent.values, status=404)
    assert renewals() == []


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"status": EsimStatus.EXPIRED}, "This eSIM has ended."),
        ({"status": EsimStatus.CANCELLED}, "This eSIM was cancelled and cannot be renewed."),
        ({"status": EsimStatus.SUSPENDED}, "This eSIM is paused. Please write to shop@example.com"),
        ({"topups": []}, "The supplier offers no renewal for this eSIM any more."),
    ],
)
def test_an_esim_that_cannot_be_renewed_says_why(
    client: PageClient, money: MoneyWorld, factories: Factories, columns: dict[str, Any], said: str
) -> None:
    now = money.clock.now()
    esim = factories.make_esim(
        **{"topups": [{"code": "TOPUP_SIM-MC-1-7", "cost": 1}], "topups_read_at": now, **columns}
    )
    client.sign_in(money.row(Account, esim.account_id))
    page = client.get(renewal_path(esim))
    assert said in page.text
    assert page.select("#preview") == []
    assert page.link("See the plans") == "/en/plans"


def test_the_plan_of_an_esim_may_not_allow_renewing(
    client: PageClient, money: MoneyWorld, factories: Factories
) -> None:
    plan = db.session.query(Plan).filter(Plan.supplier_topup_code.is_(None)).first()
    esim = factories.make_esim(plan=plan, total_bytes=1)
    client.sign_in(money.row(Account, esim.account_id))
    assert "The plan of this eSIM cannot be topped up." in client.get(renewal_path(esim)).text


def test_only_what_the_supplier_accepts_is_offered(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    offered = [str(tag["value"]) for tag in client.get(renewal_path(esim)).select("input[name=plan][type=radio]")]
    assert offered == [MONACO_1GB, MONACO_3GB, "monaco-5gb-30-days"]
    money.supplier.make_non_rechargeable(esim.supplier_esim_id)
    money.clock.advance(minutes=11)
    assert "The supplier offers no renewal for this eSIM any more." in client.get(renewal_path(esim)).text


def test_the_preview_of_a_new_esim_counts_days_from_the_first_connection(client: PageClient, esim: Esim) -> None:
    assert shown(client.get(renewal_path(esim))) == {
        "Data left": ("1 GB", "2 GB"),
        "Ends": ("7 days after the first connection", "14 days after the first connection"),
    }
    assert shown(client.get(renewal_path(esim, f"?plan={MONACO_3GB}"))) == {
        "Data left": ("1 GB", "4 GB"),
        "Ends": ("7 days after the first connection", "37 days after the first connection"),
    }


def test_the_preview_of_an_esim_in_use_adds_to_what_is_left(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    money.supplier.burn(esim.supplier_esim_id, percent=50)
    money.clock.advance(minutes=1)
    page = client.get(renewal_path(esim))
    assert shown(page)["Data left"] == ("512 MB", "1.5 GB")
    ends = [str(tag["datetime"]) for tag in page.select("#preview time")]
    expires_at = money.row(Esim, esim.id).expires_at
    assert expires_at is not None
    assert ends[0] == expires_at.isoformat()
    assert int(ends[1][8:10]) != int(ends[0][8:10])
    assert "The supplier's figures are from" in page.text


def test_the_preview_of_an_esim_that_is_used_up_starts_from_nothing(
    client: PageClient, money: MoneyWorld, esim: Esim
) -> None:
    money.supplier.burn(esim.supplier_esim_id, percent=100)
    money.clock.advance(minutes=1)
    assert shown(client.get(renewal_path(esim)))["Data left"] == ("0 MB", "1 GB")
    assert money.row(Esim, esim.id).status is EsimStatus.DEPLETED


def test_without_javascript_plan_and_currency_are_chosen_with_a_button(client: PageClient, esim: Esim) -> None:
    client.get(renewal_path(esim))
    page = client.submit("Show what will change", {"plan": MONACO_3GB, "currency": "USD"}, status=200)
    assert page.one("#preview input[name=plan]")["value"] == MONACO_3GB
    assert pay_button(page).startswith("Pay $")
    assert all("$" in words(tag) for tag in page.select(".choices .price"))


def test_a_confirmed_renewal_leads_to_the_payment_page(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    answer = renew(client, esim)
    assert answer.location.startswith(f"{money.sandbox.url}/c/pay/")
    [order] = renewals()
    assert (order.esim_id, order.amount_minor, order.days) == (esim.id, 1490, 7)
    assert order.shown_before is not None
    assert order.shown_after is not None
    gained = order.shown_after["data_left"] - order.shown_before["data_left"]
    assert (gained, order.shown_after["days"] - order.shown_before["days"]) == (1024**3, 7)
    assert {(row.kind, row.language) for row in order.consents} == {(kind, "en") for kind in CONSENTS}


@pytest.mark.parametrize("consent", CONSENTS)
def test_a_missing_consent_is_named(client: PageClient, esim: Esim, consent: str) -> None:
    page = renew(client, esim, f"?plan={MONACO_3GB}", status=422, **{consent: False})
    assert list(errors(page)) == [f"#{consent}"]
    assert page.one("#preview input[name=plan]")["value"] == MONACO_3GB
    assert renewals() == []


def test_a_price_that_changed_is_shown_and_nothing_is_ordered(
    client: PageClient, money: MoneyWorld, esim: Esim
) -> None:
    sent = filled(client.get(renewal_path(esim)))
    with money.shop.transaction() as session:
        session.execute(update(PlanPrice).values(amount_minor=1690))
    page = client.post(sent.action, sent.values, status=422)
    assert "The price has changed" in errors(page)["#preview"]
    assert renewals() == []
    client.submit("Pay €16.90")
    assert [order.amount_minor for order in renewals()] == [1690]


def test_an_esim_that_changed_while_the_page_was_open_is_shown_anew(
    client: PageClient, money: MoneyWorld, esim: Esim
) -> None:
    sent = filled(client.get(renewal_path(esim)))
    change(money, esim, total_days=14)
    page = client.post(sent.action, sent.values, status=422)
    assert "Your eSIM has changed" in errors(page)["#preview"]
    assert shown(page)["Ends"][0] == "14 days after the first connection"
    assert renewals() == []
    client.submit(pay_button(page))
    assert len(renewals()) == 1


def test_data_that_was_used_meanwhile_does_not_stand_in_the_way(
    client: PageClient, money: MoneyWorld, esim: Esim
) -> None:
    sent = filled(client.get(renewal_path(esim)))
    change(money, esim, used_bytes=1000)
    client.post(sent.action, sent.values)
    assert len(renewals()) == 1


def test_an_esim_that_ended_while_the_page_was_open_is_not_renewed(
    client: PageClient, money: MoneyWorld, esim: Esim
) -> None:
    sent = filled(client.get(renewal_path(esim)))
    change(money, esim, status=EsimStatus.EXPIRED)
    page = client.post(sent.action, sent.values, status=422)
    assert "This plan cannot be added to this eSIM." in errors(page)["#renewal"]
    assert "This eSIM has ended." in page.text
    assert renewals() == []


@pytest.mark.parametrize("plan", ["italy-1gb-7-days", "monaco-10gb-30-days", "no-such-plan", ""])
def test_a_plan_that_the_supplier_does_not_accept_is_refused(client: PageClient, esim: Esim, plan: str) -> None:
    sent = filled(client.get(renewal_path(esim)))
    page = client.post(sent.action, {**sent.values, "plan": plan}, status=422)
    assert "This plan cannot be added to this eSIM." in errors(page)["#renewal"]
    assert renewals() == []


@pytest.mark.parametrize("tampered", [{"amount": "1"}, {"currency": "CNY"}, {"plan": MONACO_3GB}, {"shown": ""}])
def test_a_form_that_was_tampered_with_orders_nothing(client: PageClient, esim: Esim, tampered: dict[str, str]) -> None:
    sent = filled(client.get(renewal_path(esim)))
    page = client.post(sent.action, {**sent.values, **tampered}, status=422)
    assert list(errors(page)) == ["#preview"]
    assert renewals() == []


def test_while_the_supplier_is_silent_the_last_figures_are_called_so(
    client: PageClient, money: MoneyWorld, esim: Esim
) -> None:
    client.get(renewal_path(esim))
    money.supplier.fault("*", "500", count=None)
    money.clock.advance(minutes=11)
    page = client.get(renewal_path(esim))
    assert "The supplier does not answer at the moment; this is the last known state." in page.text
    assert shown(page)["Data left"] == ("1 GB", "2 GB")


def test_while_the_supplier_is_silent_nothing_is_made_up(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    money.supplier.fault("*", "500", count=None)
    page = client.get(renewal_path(esim))
    assert "The supplier does not answer, so we do not know what this eSIM can be renewed with." in page.text
    assert page.select("#preview") == []
    money.supplier.faults.clear()
    assert client.get(renewal_path(esim)).select("#preview") != []


def test_the_supplier_is_not_asked_again_at_once(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    client.get(renewal_path(esim))
    before = len(money.supplier.log())
    client.get(renewal_path(esim))
    assert len(money.supplier.log()) == before


def test_sending_the_form_twice_is_one_order_and_one_payment_page(
    client: PageClient, money: MoneyWorld, esim: Esim
) -> None:
    sent = filled(client.get(renewal_path(esim)))
    assert client.post(sent.action, sent.values).location == client.post(sent.action, sent.values).location
    [order] = renewals()
    assert len(session_ids(order)) == 1


def test_two_tabs_are_one_order_and_the_last_one_counts(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    tabs = [filled(client.get(renewal_path(esim, f"?plan={plan}"))) for plan in (MONACO_1GB, MONACO_3GB)]
    for tab in tabs:
        client.post(tab.action, tab.values)
    [order] = renewals()
    assert order.plan.slug == MONACO_3GB
    sessions = [session for session in money.stripe.objects("cs") if session["metadata"]["order"] == order.public_id]
    assert [session["status"] for session in sessions] == ["expired", "open"]


def test_a_stale_tab_is_led_to_the_order_that_is_paid_and_applied(
    client: PageClient, money: MoneyWorld, esim: Esim
) -> None:
    stale = filled(client.get(renewal_path(esim)))
    renew(client, esim)
    pay_order(money.shop, money.sandbox, renewals()[0])
    money.work()
    [order] = renewals()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert client.post(stale.action, stale.values).location == f"/en/orders/{order.public_id}"
    money.check(money.row(Order, order.id))
    page = client.follow()
    assert "Your eSIM is renewed" in page.text


def test_the_same_esim_can_be_renewed_again_afterwards(client: PageClient, money: MoneyWorld, esim: Esim) -> None:
    for query in ("", "?again=1"):
        renew(client, esim, query)
        pay_order(money.shop, money.sandbox, renewals()[-1])
        money.work()
        money.clock.advance(minutes=1)
        page = client.get(renewal_path(esim))
        assert words(page.one("h1")) == "You have just paid for this"
        assert page.link("Go to the order") == f"/en/orders/{renewals()[-1].public_id}"
        assert page.link("Renew it once more") == renewal_path(esim, "?again=1")
    assert len(renewals()) == 2
    assert money.at_supplier(esim).total_days == 21


def test_the_number_of_statements_does_not_grow_with_what_there_is(
    client: PageClient, money: MoneyWorld, factories: Factories, esim: Esim
) -> None:
    path = renewal_path(esim)
    account = money.row(Account, esim.account_id)
    client.get(path)

    def statements() -> int:
        with count_statements() as counted:
            client.get(path)
        return len(counted)

    few = statements()
    for _ in range(5):
        factories.make_plan()
        factories.make_esim(account)
        factories.make_order("verified", account)
    assert statements() == few
    assert few <= 12
