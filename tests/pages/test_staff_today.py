"""The staff's first page: what it says, to whom, and what it costs."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from models import FindingKind, MailStatus, OrderKind, Staff, StaffRole
from services.shop import Shop
from services.today_rules import SPANS
from tests import both_databases
from tests.clock import FakeClock
from tests.factories import Factories
from tests.htmx_swap import apply_swap, assert_same_page
from tests.money_world import MoneyWorld
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.running import count_statements
from tests.staff_world import SECRET, change_fulfilment, dispute, hold, make_mail, make_refund, notice

TODAY = "/staff/today"
BALANCE = "/staff/today/balance"
FILE = "/staff/today.csv"
MONEY = ("€", "Gross", "Refunded", "Net", "Revenue", "Balance")
NOON = datetime(2026, 11, 25, 11, tzinfo=UTC)
EVERYTHING = ["Today", "Yesterday", "Last 7 days", "Last 30 days"]


@pytest.fixture
def owner(client: PageClient, factories: Factories) -> Staff:
    """Return an owner, who is signed in."""
    member = factories.make_staff(role=StaffRole.OWNER)
    client.sign_in_staff(member)
    return member


@pytest.fixture
def noon(clock: FakeClock) -> None:
    """Let it be noon in Monaco."""
    clock.set(NOON)


def rows(page: Page, ledger: str) -> list[list[str]]:
    """Return the cells of a table, row by row."""
    return [[words(cell) for cell in row.select("th, td")] for row in page.select(f"#{ledger} tbody tr")]


def facts(page: Page, card: str) -> dict[str, str]:
    """Return the facts of a card by their names."""
    return {words(row.select("dt")[0]): words(row.select("dd")[0]) for row in page.select(f"#{card} .facts > div")}


def table(client: PageClient, query: str = "") -> list[list[str]]:
    """Return the CSV file, row by row."""
    response = client.get(f"{FILE}{query}").response
    assert response.mimetype == "text/csv"
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.headers["Cache-Control"] == "no-store"
    return list(csv.reader(io.StringIO(response.get_data().decode("utf-8-sig"))))


@pytest.mark.parametrize("path", [TODAY, BALANCE, FILE])
def test_strangers_and_travellers_do_not_see_it(client: PageClient, factories: Factories, path: str) -> None:
    """They are sent to the sign-in."""
    assert client.get(path, 303).location == "/staff/sign-in"
    client.sign_in(factories.make_account())
    assert client.get(path, 303).location == "/staff/sign-in"


@both_databases
@pytest.mark.usefixtures("owner")
def test_an_empty_shop_says_so_in_words(client: PageClient) -> None:
    """Everywhere, and nothing is drawn."""
    page = client.get(client.get("/staff/").link("Today"))
    assert page.url == TODAY
    for text in (
        "Nothing waits for a person: no order, no finding, no dispute and no mail.",
        "No order was paid today yet.",
        "No order was paid yesterday.",
        "No order was paid in the last 7 days.",
        "No order was paid in these 30 days.",
        "Nothing was paid in EUR in these 30 days.",
        "No eSIM in use ends within 7 days.",
    ):
        assert text in page.text, text
    assert [row[0] for row in rows(page, "renewals")] == EVERYTHING
    assert {row[-1] for row in rows(page, "renewals")} == {"no eSIM ended"}
    assert facts(page, "today-health") == {
        "Mails waiting": "none",
        "Mails that failed": "none in 30 days",
        "Last event from Stripe": "none has arrived yet",
        "Events that failed": "none",
    }
    assert page.select("svg.chart") == []


@pytest.mark.usefixtures("owner", "noon")
def test_what_waits_comes_first_and_leads_to_the_list(client: PageClient, factories: Factories, shop: Shop) -> None:
    """Orders with the age of the oldest, findings, disputes with the next deadline, mails."""
    hold(shop, factories.make_order("held"), "price_changed", held_at=NOON - timedelta(hours=3))
    hold(shop, factories.make_order("held"), "price_changed")
    dispute(shop, factories.make_order("verified"), due_by=NOON + timedelta(days=2))
    make_mail(shop, factories.make_order("verified"))
    notice(shop, FindingKind.SESSION_UNKNOWN, "cs_test_1")
    page = client.get(TODAY)
    assert facts(page, "today-waiting") == {
        "Orders": "2, the oldest for 3 hours",
        "Findings": "1",
        "Disputes": "1, next answer due by Nov 27, 2026, 12:00 PM",
        "Mails that failed": "1",
    }
    assert {str(link["href"]) for link in page.select("#today-waiting a")} == {"/staff/stuck"}
    assert page.select("main section")[0]["id"] == "today-waiting"
    assert facts(page, "today-health")["Mails that failed"] == "1 in 30 days"
    assert SECRET not in page.response.text


@both_databases
@pytest.mark.usefixtures("owner", "noon")
def test_paid_orders_stand_by_period_and_currency(client: PageClient, factories: Factories, shop: Shop) -> None:
    """Never added across currencies; what went back is subtracted where it was paid."""
    make_refund(shop, factories.make_order("refunded"))
    factories.make_order("verified")
    factories.make_order("paid", currency="JPY", amount_minor=2400)
    week = NOON - timedelta(days=6)
    factories.make_order("paid", paid_at=week, created_at=week)
    page = client.get(TODAY)
    assert rows(page, "sales") == [
        ["Today", "EUR", "2", "€29.80", "€14.90", "€14.90"],
        ["Today", "JPY", "1", "¥2,400", "¥0", "¥2,400"],
        ["Yesterday", "No order was paid yesterday."],
        ["Last 7 days", "EUR", "3", "€44.70", "€14.90", "€29.80"],
        ["Last 7 days", "JPY", "1", "¥2,400", "¥0", "¥2,400"],
        ["Last 30 days", "EUR", "3", "€44.70", "€14.90", "€29.80"],
        ["Last 30 days", "JPY", "1", "¥2,400", "¥0", "¥2,400"],
    ]


@pytest.mark.usefixtures("owner", "noon")
def test_renewals_and_what_ends_soon(client: PageClient, factories: Factories) -> None:
    """Counts, the rate with its definition, and the first to end with a link to their order."""
    order = factories.make_order("verified")
    factories.make_order("paid", kind=OrderKind.RENEWAL, esim_id=order.esim_id)
    factories.make_esim(expires_at=NOON - timedelta(days=1))
    page = client.get(TODAY)
    assert rows(page, "renewals") == [
        ["Today", "1", "1", "0", "0", "no eSIM ended"],
        ["Yesterday", "0", "0", "1", "0", "0%"],
        ["Last 7 days", "1", "1", "1", "0", "0%"],
        ["Last 30 days", "1", "1", "1", "0", "0%"],
    ]
    assert "Renewal rate: of the eSIMs in use whose end fell into the period" in page.text
    assert "1 eSIM ends within 7 days, of which 1 can be renewed." in page.text
    assert order.esim is not None
    ((ends, digits, public_id, renewable),) = rows(page, "ending")
    assert (digits, public_id, renewable) == (f"…{order.esim.iccid[-4:]}", order.public_id, "yes")
    assert ends.startswith("Dec 1, 2026")
    assert order.esim.iccid not in page.response.text
    assert page.link(order.public_id) == f"/staff/orders/{order.public_id}"


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.usefixtures("owner", "noon")
def test_the_charts_have_a_table_with_the_same_figures(client: PageClient, factories: Factories, span: int) -> None:
    """As many days as are asked for, the file has the same, and both are named for those who do not see them."""
    order = factories.make_order("verified")
    factories.make_order("paid", kind=OrderKind.RENEWAL, esim_id=order.esim_id)
    page = client.get(f"{TODAY}?days={span}")
    orders, revenue = page.select("#today-charts .card")
    for card in (orders, revenue):
        assert str(card.select("svg.chart")[0]["aria-label"]).endswith("The figures are in the table below.")
        assert len(card.select("tbody tr")) == span
    assert [words(cell) for cell in orders.select("tbody tr")[-1].select("th, td")] == ["Nov 25", "1", "1"]
    assert len(orders.select("svg rect")) == 2 + 2
    assert "€29.80" in words(revenue.select("tbody tr")[-1])
    head, *found = table(client, page.link(f"CSV of {span} days").removeprefix(FILE))
    assert head == ["Day", "Currency", "Purchases", "Renewals", "Gross", "Refunded", "Net"]
    assert len(found) == span
    assert found[-1] == ["2026-11-25", "EUR", "1", "1", "29.80", "0.00", "29.80"]
    assert found[0][2:] == ["0", "0", "0.00", "0.00", "0.00"]


@pytest.mark.usefixtures("owner", "noon")
def test_the_revenue_is_in_one_currency_at_a_time(client: PageClient, factories: Factories) -> None:
    """By default that of most orders; each other one is a link, and stays chosen."""
    factories.make_order("paid")
    factories.make_order("paid")
    factories.make_order("paid", currency="CHF", amount_minor=1400)
    page = client.get(f"{TODAY}?days=7")
    assert "Revenue per day in EUR" in page.text
    page = client.get(page.link("CHF"))
    assert "Revenue per day in CHF" in page.text
    assert "CHF14.00" in page.text
    page = client.get(page.link("90 days"))
    assert "Revenue per day in CHF" in page.text
    assert [row[1] for row in table(client, "?days=7")[-2:]] == ["CHF", "EUR"]


@pytest.mark.usefixtures("owner", "noon")
def test_a_file_of_a_shop_that_has_sold_nothing_has_its_days(client: PageClient) -> None:
    """Without currency and without amounts; thirty days when none are asked for."""
    head, *found = table(client)
    assert len(found) == 30
    assert found[-1] == ["2026-11-25", "", "0", "0", "", "", ""]
    assert len(head) == len(found[-1])


@pytest.mark.parametrize("query", ["days=8", "days=", "days=x", "days=7&currency=XXX", "currency=", "days=%C2%B2"])
@pytest.mark.usefixtures("owner")
def test_what_does_not_exist_is_not_found(client: PageClient, query: str) -> None:
    """Spans and currencies that nobody can choose."""
    client.get(f"{TODAY}?{query}", 404)
    if not query.startswith(("currency", "days=7")):
        client.get(f"{FILE}?{query}", 404)


@pytest.mark.parametrize("link", ["7 days", "90 days", "CHF"])
@pytest.mark.usefixtures("owner", "noon")
def test_charts_are_swapped_in_place(client: PageClient, factories: Factories, link: str) -> None:
    """What htmx makes of the page is what a fresh load of its address shows."""
    factories.make_order("paid")
    factories.make_order("paid", currency="CHF")
    page = client.get(TODAY)
    asked = next(tag for tag in page.select("#today-charts a[hx-get]") if words(tag) == link)
    assert str(asked["href"]) == f"{asked['hx-get']}#today-charts"
    answer = client.hx_get(str(asked["hx-get"]))
    assert answer.select("h1") == []
    swapped = apply_swap(page, f'#today-charts a[hx-get="{asked["hx-get"]}"]', answer)
    assert_same_page(swapped, client.get(answer.url))


@pytest.mark.parametrize("role", list(StaffRole))
@pytest.mark.usefixtures("noon")
def test_support_sees_all_but_the_money(client: PageClient, factories: Factories, shop: Shop, role: StaffRole) -> None:
    """No revenue, no refund, no balance: neither on the page nor in its fragment nor in the file."""
    make_refund(shop, factories.make_order("refunded"))
    client.sign_in_staff(factories.make_staff(role=role))
    page = client.get(TODAY)
    may = role is not StaffRole.SUPPORT
    for shown in (page.response.text, client.hx_get(f"{TODAY}?currency=EUR").response.text):
        assert any(word in shown for word in MONEY) == may
    assert rows(page, "sales")[0][:3] == ["Today", "EUR", "1"]
    assert len(page.select("svg.chart")) == 1 + may
    assert len(page.select("#today-balance")) == may
    client.get(BALANCE, 200 if may else 403)
    head, *found = table(client, "?days=7")
    assert len(head) == len(found[-1]) == (7 if may else 4)
    assert found[-1][:4] == ["2026-11-25", "EUR", "1", "0"]


@both_databases
@pytest.mark.usefixtures("owner")
def test_the_balance_is_asked_for_and_says_how_long_it_lasts(client: PageClient, money: MoneyWorld) -> None:
    """By htmx once the page is there, or by a link; what it was last says when that was."""
    money.supplier.set_balance(1_400_000)
    page = client.get(TODAY)
    answer = client.hx_get(str(page.one("#today-balance")["hx-get"]))
    assert "$140.00" in answer.text
    assert "nothing was bought from the supplier in the last 14 days" in answer.text
    assert not answer.one("#today-balance").has_attr("hx-get"), "it would ask for ever"
    plan = money.factories.make_plan(supplier_cost=50_000)
    orders = [money.factories.make_order("verified", plan=plan) for _ in range(2)]
    page = client.get(page.link("Ask the supplier"))
    assert "Lasts more than a year" not in page.text
    assert "Lasts about 196 days at the average of the last 14 days: $0.71 a day for 2 orders in all" in page.text
    for order in orders:
        change_fulfilment(money.shop, order, ordered_at=money.clock.now() - timedelta(days=15))
    money.factories.make_order("verified", plan=money.factories.make_plan(supplier_cost=None))
    assert "of 1 of the orders of the last 14 days nobody knows what their plan costs" in client.get(BALANCE).text
    assert money.requests("/balance/query") == 1


@pytest.mark.usefixtures("owner")
def test_a_silent_supplier_does_not_hold_the_page_up(client: PageClient, money: MoneyWorld) -> None:
    """The page is there; where the balance stands it says that it is not known, or what it was."""
    money.supplier.fault("/balance/query", "500", count=None)
    client.get(TODAY)
    assert money.requests("/balance/query") == 0
    assert "Not known: the supplier does not answer." in client.get(BALANCE).text
    money.supplier.faults.clear()
    money.clock.advance(minutes=1)
    money.supplier.set_balance(1_400_000)
    assert "$140.00" in client.get(BALANCE).text
    money.supplier.fault("/balance/query", "500", count=None)
    money.clock.advance(minutes=5)
    page = client.get(BALANCE)
    assert "$140.00" in page.text
    assert "The supplier was asked again since, and did not answer." in page.text


@both_databases
@pytest.mark.usefixtures("owner")
def test_statements_do_not_grow(client: PageClient, factories: Factories, shop: Shop) -> None:
    """Three of everything and thirty cost the same number of statements: the page, the fragment, the file."""
    account = factories.make_account()
    counts = []
    for number in (3, 27):
        for index in range(number):
            order = factories.make_order("verified", account, currency=("EUR", "CHF", "JPY")[index % 3])
            make_refund(shop, factories.make_order("refunded", account))
            hold(shop, factories.make_order("held", account), "price_changed")
            make_mail(shop, order)
            make_mail(shop, order, MailStatus.QUEUED, kind="receipt", next_try_at=shop.clock.now())
            notice(shop, FindingKind.TOPUP_UNKNOWN, f"{number}-{index}")
        for ask in (client.get, client.hx_get):
            for path in (TODAY, f"{TODAY}?days=90", f"{FILE}?days=90"):
                with count_statements() as statements:
                    ask(path)
                counts.append(len(statements))
    half = len(counts) // 2
    assert counts[:half] == counts[half:]
    assert max(counts) <= 8
