"""The audit's page and file: who reads them, what they say, what the filters find."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models import Order, PageName, Staff, StaffRole
from services import audit_log
from services.audit import COMMAND, Action, Subject, SubjectKind
from services.csv_export import BYTE_ORDER_MARK
from services.shop import Shop
from tests import both_databases
from tests.audit_world import ANN, write
from tests.clock import FakeClock
from tests.factories import Factories
from tests.page_client import Page, PageClient
from tests.page_rules import words
from tests.running import count_statements

AUDIT = "/staff/audit"
FILE = "/staff/audit.csv"


@pytest.fixture
def member(client: PageClient, factories: Factories) -> Staff:
    """Return a manager, who is signed in."""
    member = factories.make_staff(name="Mia", role=StaffRole.MANAGER)
    client.sign_in_staff(member)
    return member


@pytest.fixture
def order(factories: Factories) -> Order:
    return factories.make_order("verified")


def rows(page: Page) -> list[str]:
    """Return the words of each row, in their order."""
    return [words(row) for row in page.select("#audit-table tbody tr")]


def cells(text: str) -> list[list[str]]:
    """Return the rows of a file without its header."""
    assert text.startswith(BYTE_ORDER_MARK)
    return list(csv.reader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline="")))[1:]


def test_strangers_and_travellers_do_not_see_it(client: PageClient, factories: Factories) -> None:
    for path in (AUDIT, FILE):
        assert client.get(path, 303).location == "/staff/sign-in"
    client.sign_in(factories.make_account())
    for path in (AUDIT, FILE):
        assert client.get(path, 303).location == "/staff/sign-in"


@pytest.mark.parametrize("role", StaffRole)
def test_managers_and_owners_read_it(client: PageClient, factories: Factories, order: Order, role: StaffRole) -> None:
    """Support sees neither the page, nor the way there, nor the part of an order's page, and is told whom to ask."""
    allowed = role is not StaffRole.SUPPORT
    client.sign_in_staff(factories.make_staff(role=role))
    path = f"/staff/orders/{order.public_id}"
    client.get(path)
    client.submit("recipient-form", {"email": "right@example.com"})
    page = client.get(path)
    assert bool(page.select("#order-audit")) is allowed
    assert ("Audit" in [words(link) for link in page.select("#top nav a")]) is allowed
    page = client.get(AUDIT, 200 if allowed else 403)
    client.get(FILE, 200 if allowed else 403)
    assert ("It takes the role manager or owner, and yours is support: ask a colleague." in page.text) is not allowed


@pytest.mark.usefixtures("member")
def test_the_navigation_leads_there_and_an_empty_one_says_so(client: PageClient) -> None:
    page = client.get(client.get("/staff/stuck").link("Audit"))
    assert words(page.one("#top [aria-current]")) == words(page.one("h1")) == "Audit"
    assert "Nothing was done yet." in page.text
    assert "Nothing was done that fits." in client.get(f"{AUDIT}?subject=x").text
    assert not page.select("a[download]")


@both_databases
@pytest.mark.usefixtures("member")
def test_a_row_says_everything(
    client: PageClient, factories: Factories, shop: Shop, clock: FakeClock, order: Order
) -> None:
    """When in Monaco, who in which role, what to what, before and after, why, from where."""
    clock.set(datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    client.sign_in_staff(factories.make_staff())
    before = {"left_minor": 1490, "currency": "EUR"}
    after = {"amount_minor": 500, "left_minor": 990, "currency": "EUR"}
    subject = Subject.order(order.public_id)
    write(shop, Action.REFUND_REQUESTED, subject=subject, before=before, after=after, note="No network")
    page = client.get(AUDIT)
    (row,) = page.select("#audit-table tbody tr")
    told = [words(cell) for cell in row.select("th, td")]
    assert told[0].startswith("Jul 2, 2026, 12:30")
    assert told[1:] == [
        "Ann owner",
        f"Sent money back {order.public_id} order",
        "left to send back: €14.90 → became €9.90 amount: €5.00 “No network”",
        "192.0.2.7 r-1",
    ]
    assert page.link(order.public_id) == f"/staff/orders/{order.public_id}"


@pytest.mark.usefixtures("member")
def test_subjects_lead_to_their_pages(client: PageClient, shop: Shop) -> None:
    """Those that have one; what is not there any more, or never was, is words."""
    write(shop, subject=Subject.page_text(PageName.TERMS, "fr"))
    write(shop, subject=Subject.plan_text("monaco-1gb-7-days", "de"))
    write(shop, subject=Subject.staff("ann@example.com"))
    for key in ("imprint/fr", "terms/xx", "terms"):
        write(shop, subject=Subject(SubjectKind.PAGE_TEXT, key))
    links = {str(link["href"]) for link in client.get(AUDIT).select("#audit-table a")}
    assert links == {"/staff/texts/terms/fr", "/staff/texts/plans/monaco-1gb-7-days/de"}


@both_databases
def test_the_filters_find_what_they_say(client: PageClient, shop: Shop, member: Staff, order: Order) -> None:
    """And stay filled in; a number of an order and an address may be typed large or small."""
    write(shop, by=replace(ANN, staff_id=member.id, name="Mia"), key="mia@example.com")
    write(shop, Action.DELIVERY_RETRIED, subject=Subject.order(order.public_id), by=COMMAND)
    client.get(AUDIT)
    for values, found in (
        ({"who": str(member.id)}, ["Signed in"]),
        ({"who": "nobody"}, ["Retried the delivery"]),
        ({"action": "staff.signed_in"}, ["Signed in"]),
        ({"subject": order.public_id.lower()}, ["Retried the delivery"]),
        ({"subject": " Mia@Example.com "}, ["Signed in"]),
        ({"subject": "nobody@example.com"}, []),
        ({"first": "2000-01-01", "last": "2000-01-02"}, []),
        ({"who": "nobody", "action": "staff.signed_in"}, []),
    ):
        client.get(AUDIT)
        page = client.submit("audit-filter", values, 200)
        deeds = [
            row.select("td")[1].get_text("|", strip=True).split("|")[0]
            for row in page.select("#audit-table tr:has(td)")
        ]
        assert deeds == found, values
        for name in set(values) - {"subject"}:
            chosen = page.select(f"#{name} option[selected]") or page.select(f"#{name}")
            assert chosen[0]["value"] == values[name]


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("first=yesterday", "first"),
        ("last=2026-02-30", "last"),
        ("first=0001-01-01", "first"),
        ("last=9999-12-31", "last"),
        ("first=2026-11-25&last=2026-11-24", "last"),
        ("who=99999", "who"),
        ("who=-1", "who"),
        ("action=esim.melted", "action"),
        (f"subject={'x' * 301}", "subject"),
    ],
)
def test_what_cannot_be_asked_names_its_field(client: PageClient, query: str, field: str) -> None:
    page = client.get(f"{AUDIT}?{query}", 422)
    assert page.select(f"#{field}-error")
    assert page.one(f'.error-summary a[href="#{field}"]')
    assert not page.select("#audit-table")
    client.get(f"{FILE}?{query}", 422)


@pytest.mark.usefixtures("member")
@pytest.mark.parametrize("before", ["x", "-1", "1", "1-", f"{'9' * 17}-1", f"1-{'9' * 19}", "²-1"])
def test_a_place_that_is_none_is_the_first_page(client: PageClient, shop: Shop, before: str) -> None:
    write(shop)
    assert len(rows(client.get(f"{AUDIT}?before={before}"))) == 1


@both_databases
@pytest.mark.usefixtures("member")
def test_pages_follow_each_other_and_keep_the_filters(client: PageClient, shop: Shop) -> None:
    """Fifty at a time, nothing twice, nothing left out; the largest place that an address can name is one."""
    for number in range(103):
        write(shop, key=f"{number}@example.com", now=datetime(2026, 11, 25, 12, number % 3, tzinfo=UTC))
    write(shop, Action.SIGNED_OUT)
    page = client.get(f"{AUDIT}?action=staff.signed_in&first=2026-11-25")
    found = [row.split("Signed in ")[1] for row in rows(page)]
    while page.select('a[rel="next"]'):
        page = client.get(page.link("Older"))
        found += [row.split("Signed in ")[1] for row in rows(page)]
    assert len(found) == len(set(found)) == 103
    client.get(f"{AUDIT}?before={'9' * 16}-{'9' * 18}")


@both_databases
@pytest.mark.usefixtures("member")
def test_statements_do_not_grow(client: PageClient, shop: Shop) -> None:
    counts = []
    for number in (3, 60):
        for _ in range(number):
            write(shop)
        with count_statements() as statements:
            client.get(f"{AUDIT}?subject=ann@example.com&first=2026-01-01")
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 3


@both_databases
@pytest.mark.usefixtures("member")
def test_the_file_holds_the_filtered_rows(
    client: PageClient, factories: Factories, shop: Shop, clock: FakeClock
) -> None:
    """All of them, sent as they are read."""
    clock.set(datetime(2026, 1, 1, 23, 30, tzinfo=UTC))
    client.sign_in_staff(factories.make_staff(role=StaffRole.OWNER))
    for number in range(5):
        write(shop, key=f"{number}@example.com", after={"role": "owner"}, note="a, b")
    write(shop, Action.SIGNED_OUT)
    page = client.get(f"{AUDIT}?action=staff.signed_in")
    answer = client.get(page.link("Download these rows as CSV")).response
    # Nobody knows yet how long it is.
    assert "Content-Length" not in answer.headers
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit-2026-01-02.csv"'
    assert answer.headers["Cache-Control"] == "no-store"
    found = cells(answer.text)
    assert [row[7] for row in found] == [f"{number}@example.com" for number in reversed(range(5))]
    assert found[0] == [
        *("2026-01-02 00:30:00", "2026-01-01T23:30:00+00:00", "Ann", "owner", "Signed in", "staff.signed_in"),
        *("member of staff", "4@example.com", "role: – → owner", "a, b", "192.0.2.7", "r-1"),
    ]


@pytest.mark.usefixtures("member")
def test_no_cell_of_the_file_runs(client: PageClient, shop: Shop) -> None:
    """Names and reasons are what somebody typed."""
    write(shop, by=replace(ANN, name="=1+1"), note='@SUM(1)","=2', key="-3")
    (row,) = cells(client.get(FILE).response.text)
    assert (row[2], row[7], row[9]) == ("'=1+1", "'-3", '\'@SUM(1)","=2')


def test_what_was_typed_is_escaped(client: PageClient, shop: Shop, member: Staff) -> None:
    write(shop, by=replace(ANN, name="<b>Ann"), after={"<i>": "<script>"}, note="<u>")
    html = client.get(AUDIT).response.text
    assert not re.search(r"<b>Ann|<i>|<script>|<u>", html)


@both_databases
@pytest.mark.usefixtures("member")
def test_an_order_shows_what_was_done_about_it(
    client: PageClient, shop: Shop, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "EVENTS_OF_AN_ORDER", 1)
    path = f"/staff/orders/{order.public_id}"
    assert not client.get(path).select("#order-audit")
    client.submit("recipient-form", {"email": "right@example.com"})
    (row,) = client.get(path).select("#audit tbody tr")
    assert "Mia manager Corrected the address" in words(row)
    assert "…@example.com" in words(row)
    client.get(path)
    client.submit("refund-form", {"amount": "1", "note": "No network"})
    page = client.get(path)
    (row,) = page.select("#audit tbody tr")
    assert "Sent money back" in words(row)
    assert len(rows(client.get(page.link("All of it in the audit")))) == 2
