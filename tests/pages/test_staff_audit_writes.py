"""What staff does is in the audit: every POST below /staff is named here with what it writes, and really sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from models import FindingKind, Order, PageName, Staff, StaffRole, db
from services import audit
from services.audit import Action
from services.shop import Shop
from tests import both_databases
from tests.audit_world import actions, events
from tests.clock import FakeClock
from tests.factories import PASSWORD, Factories
from tests.page_client import PageClient
from tests.staff_world import hold, make_late, make_mail, make_refund, notice
from tests.text_world import Writer

SLUG = "monaco-1gb-7-days"
TERMS = "/staff/texts/terms/fr"
PLAN = f"/staff/texts/plans/{SLUG}/fr"


@dataclass(frozen=True)
class Desk:
    """A member of staff at work, and what there is to work on."""

    app: Flask
    client: PageClient
    factories: Factories
    shop: Shop
    member: Staff

    def open(self, path: str) -> None:
        self.client.get(path)

    def send(self, form: str, status: int = 303, **values: str) -> None:
        self.client.submit(form, values, status)


Deed = Callable[[Desk], str]


def signs_in(desk: Desk) -> str:
    desk.open("/staff/sign-in")
    desk.send("staff-sign-in", email=desk.member.email, password=PASSWORD)
    return desk.member.email


def signs_out(desk: Desk) -> str:
    desk.open("/staff/stuck")
    desk.send("staff-sign-out")
    return desk.member.email


def sets_up(desk: Desk) -> str:
    result = desk.app.test_cli_runner().invoke(args=["create-staff", desk.member.email])
    found = re.search(r"/staff/set-up/\S+", result.output)
    assert found is not None
    desk.open(found[0])
    desk.send("staff-set-up", password=PASSWORD)
    return desk.member.email


def retries(desk: Desk) -> str:
    order = desk.factories.make_order("held")
    hold(desk.shop, order, "price_changed")
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("take-up-delivery")
    return order.public_id


def has_looked_at(desk: Desk) -> str:
    order = desk.factories.make_order("paid")
    make_late(desk.shop, order, "not_ordered")
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("take-up-delivery")
    return order.public_id


def ends_delivery(desk: Desk) -> str:
    order = desk.factories.make_order("held")
    make_refund(desk.shop, order)
    hold(desk.shop, order, "refunded")
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("end-delivery")
    return order.public_id


def refunds(desk: Desk) -> str:
    order = desk.factories.make_order("verified")
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("refund-form", amount="4.90", note="No network")
    return order.public_id


def corrects(desk: Desk) -> str:
    order = desk.factories.make_order("verified")
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("recipient-form", email="right@example.com")
    return order.public_id


def has_sent_again(desk: Desk) -> str:
    order = desk.factories.make_order("verified")
    make_mail(desk.shop, order)
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("recipient-form", email=order.email)
    return order.public_id


def settles(desk: Desk) -> str:
    finding_id = notice(desk.shop, FindingKind.SESSION_UNKNOWN, "cs_1")
    desk.open("/staff/stuck")
    desk.send(f"settle-{finding_id}")
    return "session_unknown cs_1"


def settles_for_an_order(desk: Desk) -> str:
    order = desk.factories.make_order("verified")
    finding_id = notice(desk.shop, FindingKind.TOPUP_UNKNOWN, "1", order)
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send(f"settle-{finding_id}")
    return order.public_id


def saves_page_text(desk: Desk) -> str:
    desk.open(TERMS)
    desk.send("page-text", body="Nos conditions")
    return "terms/fr"


def takes_page_text_back(desk: Desk) -> str:
    Writer(desk.shop, desk.member).write(PageName.TERMS, "fr", "Nos conditions")
    desk.open(TERMS)
    desk.send("take-back")
    return "terms/fr"


def saves_plan_text(desk: Desk) -> str:
    desk.open(PLAN)
    desk.send("plan-text", name="Le rocher", description="Tout Monaco")
    return f"{SLUG}/fr"


def removes_plan_text(desk: Desk) -> str:
    desk.open(PLAN)
    desk.send("remove-text")
    return f"{SLUG}/fr"


# Each POST of staff's, what somebody does to send it, and what that writes.
DEEDS: Mapping[str, tuple[tuple[Deed, Action], ...]] = {
    "staff.sign_in": ((signs_in, Action.SIGNED_IN),),
    "staff.sign_out": ((signs_out, Action.SIGNED_OUT),),
    "staff.set_up": ((sets_up, Action.SET_UP),),
    "staff.take_up_delivery": ((retries, Action.DELIVERY_RETRIED), (has_looked_at, Action.DELIVERY_LOOKED_AT)),
    "staff.end_delivery": ((ends_delivery, Action.DELIVERY_CLOSED),),
    "staff.refund": ((refunds, Action.REFUND_REQUESTED),),
    "staff.correct_recipient": ((corrects, Action.RECIPIENT_CORRECTED), (has_sent_again, Action.RECIPIENT_RETRIED)),
    "staff.settle_finding": ((settles, Action.FINDING_SETTLED), (settles_for_an_order, Action.FINDING_SETTLED)),
    "staff.save_page_text": ((saves_page_text, Action.PAGE_TEXT_SAVED),),
    "staff.take_back_page_text": ((takes_page_text_back, Action.PAGE_TEXT_TAKEN_BACK),),
    "staff.save_plan_text": ((saves_plan_text, Action.PLAN_TEXT_SAVED),),
    "staff.remove_plan_text": ((removes_plan_text, Action.PLAN_TEXT_REMOVED),),
}
ALL = [pytest.param(deed, action, id=deed.__name__) for deeds in DEEDS.values() for deed, action in deeds]


@pytest.fixture
def desk(app: Flask, client: PageClient, factories: Factories, shop: Shop) -> Desk:
    member = factories.make_staff(name="Ann", role=StaffRole.OWNER)
    client.sign_in_staff(member)
    return Desk(app, client, factories, shop, member)


def test_every_post_of_staffs_says_what_it_writes(app: Flask) -> None:
    """Whoever adds one adds a line to DEEDS, and what it writes to the audit."""
    posts = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/staff") and "POST" in (rule.methods or ())
    }
    assert posts == set(DEEDS)


@both_databases
@pytest.mark.parametrize(("deed", "action"), ALL)
def test_each_deed_is_written_once(desk: Desk, deed: Deed, action: Action) -> None:
    """With who did it in which role, to what, when, and from where."""
    key = deed(desk)
    row = events()[-1]
    assert actions().count(action.value) == 1
    assert (row.action, row.subject_key) == (action.value, key)
    assert (row.staff_id, row.staff_name, row.role) == (desk.member.id, "Ann", "owner")
    assert (row.at, row.from_address, row.request_id) == (desk.shop.clock.now(), "127.0.0.1", "")


BEFORE_AND_AFTER: Mapping[Deed, tuple[object, object, str]] = {
    retries: ({"delivery": "held", "reason": "price_changed"}, {"delivery": "waiting", "reason": ""}, ""),
    ends_delivery: ({"delivery": "held", "reason": "refunded"}, {"delivery": "refused", "reason": "refunded"}, ""),
    refunds: (
        {"left_minor": 1490, "currency": "EUR"},
        {"amount_minor": 490, "left_minor": 1000, "currency": "EUR"},
        "No network",
    ),
    corrects: ({"address": "tr…@example.com"}, {"address": "ri…@example.com"}, ""),
    settles: (None, {"finding": "session_unknown", "reference": "cs_1"}, ""),
    saves_page_text: (None, {"version": 1, "characters": 14}, ""),
    takes_page_text_back: ({"version": 1, "characters": 14}, {"version": 2, "characters": None}, ""),
}


@pytest.mark.parametrize("deed", BEFORE_AND_AFTER, ids=lambda deed: deed.__name__)
def test_before_and_after_are_written_with_the_reason(desk: Desk, deed: Deed) -> None:
    deed(desk)
    row = events()[-1]
    assert (row.before, row.after, row.note) == BEFORE_AND_AFTER[deed]


def test_a_plan_keeps_its_old_text_in_the_audit(desk: Desk) -> None:
    """There is no other history of it."""
    saves_plan_text(desk)
    removes_plan_text(desk)
    saved, removed = events()
    assert saved.before is not None
    assert saved.after == {"name": "Le rocher", "description": "Tout Monaco"}
    assert (removed.before, removed.after) == (saved.after, None)


@pytest.mark.parametrize(
    ("path", "form", "values"),
    [
        (TERMS, "page-text", {"body": "Nos conditions"}),
        (PLAN, "plan-text", {"name": "Le rocher", "description": ""}),
        ("", "refund-form", {"amount": "4.90", "note": "No network"}),
        ("", "recipient-form", {"email": "right@example.com"}),
    ],
)
def test_a_form_that_is_sent_twice_is_one_row(desk: Desk, path: str, form: str, values: dict[str, str]) -> None:
    """As it is one change."""
    desk.open(path or f"/staff/orders/{desk.factories.make_order('verified').public_id}")
    opened = desk.client.page
    desk.client.submit(form, values)
    desk.client.page = opened
    desk.client.submit(form, values)
    assert len(events()) == 1


def test_what_changes_nothing_writes_nothing(desk: Desk) -> None:
    """A look, a mistake in a form, an address that stays."""
    order = desk.factories.make_order("verified")
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("refund-form", 422, amount="much", note="")
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("recipient-form", email=order.email)
    desk.open(TERMS)
    desk.send("page-text", 422, body="")
    assert actions() == []


@both_databases
def test_what_cannot_be_written_down_is_not_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change and its row are one transaction."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("no words")

    monkeypatch.setattr(audit, "record", fail)
    order = desk.factories.make_order("verified")
    desk.open(f"/staff/orders/{order.public_id}")
    desk.send("recipient-form", 500, email="right@example.com")
    db.session.refresh(db.session.merge(order))
    assert db.session.merge(order).email != "right@example.com"


@pytest.mark.parametrize(
    ("email", "subject"),
    [("ANN@example.com", "ann@example.com"), ("stranger@gmail.com", "st…@gmail.com"), (PASSWORD, "(no address)")],
)
def test_a_refused_sign_in_is_written_without_a_name(
    client: PageClient, factories: Factories, email: str, subject: str
) -> None:
    """Whom somebody claimed to be, in full for one of the staff only; a password in the wrong field is not kept."""
    factories.make_staff(email="ann@example.com")
    client.get("/staff/sign-in")
    client.submit("staff-sign-in", {"email": email, "password": "wrong"}, 422)
    (row,) = events()
    assert (row.action, row.staff_id, row.staff_name, row.role) == ("staff.sign_in_refused", None, "", "")
    assert (row.subject_key, row.from_address) == (subject, "127.0.0.1")


def test_who_goes_on_guessing_is_written_once_in_a_while(
    client: PageClient, factories: Factories, clock: FakeClock
) -> None:
    """Ten tries that were looked at, and one row for all that were not, until ten minutes later."""
    factories.make_staff(email="ann@example.com")

    def guess(status: int) -> None:
        client.get("/staff/sign-in")
        client.submit("staff-sign-in", {"email": "ann@example.com", "password": "wrong"}, status)

    for _ in range(10):
        guess(422)
    for _ in range(3):
        guess(429)
    assert actions() == ["staff.sign_in_refused"] * 10 + ["staff.sign_in_blocked"]
    clock.advance(minutes=11)
    guess(429)
    assert actions()[10:] == ["staff.sign_in_blocked"] * 2
    assert {row.subject_key for row in events()} == {"ann@example.com"}


def test_an_unwritten_blocked_sign_in_stays_blocked(
    client: PageClient, factories: Factories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gets in because the audit cannot be reached."""
    member = factories.make_staff()
    for _ in range(10):
        client.get("/staff/sign-in")
        client.submit("staff-sign-in", {"email": member.email, "password": "wrong"}, 422)

    def fail(*_arguments: object, **_options: object) -> None:
        raise OperationalError("insert", None, Exception("no space left"))

    monkeypatch.setattr(audit, "record", fail)
    client.get("/staff/sign-in")
    client.submit("staff-sign-in", {"email": member.email, "password": PASSWORD}, 429)


@pytest.mark.settings(TRUSTED_PROXIES="1")
@pytest.mark.parametrize(("sent", "kept"), [("7f3a:1.2-x", "7f3a:1.2-x"), ("a b", ""), ("x" * 65, ""), ("", "")])
def test_a_proxy_of_ours_names_request_and_visitor(
    client: PageClient, factories: Factories, sent: str, kept: str
) -> None:
    factories.make_staff()
    client.get("/staff/sign-in")
    assert client.page is not None
    token = str(client.page.one("#staff-sign-in [name=csrf_token]")["value"])
    headers = {"X-Forwarded-For": "2001:db8::7", "X-Request-Id": sent}
    values = {"csrf_token": token, "email": "x@example.com", "password": "wrong"}
    client.post("/staff/sign-in", values, 422, headers=headers)
    (row,) = events()
    assert (row.from_address, row.request_id) == ("2001:db8::7", kept)


def test_without_a_proxy_a_visitor_names_neither(client: PageClient, factories: Factories) -> None:
    factories.make_staff()
    client.get("/staff/sign-in")
    assert client.page is not None
    token = str(client.page.one("#staff-sign-in [name=csrf_token]")["value"])
    values = {"csrf_token": token, "email": "x@example.com", "password": "wrong"}
    headers = {"X-Forwarded-For": "192.0.2.9", "X-Request-Id": "mine"}
    client.post("/staff/sign-in", values, 422, headers=headers)
    assert [(row.from_address, row.request_id) for row in events()] == [("127.0.0.1", "")]


def test_a_buyer_who_corrects_an_address_is_not_staff(client: PageClient, factories: Factories) -> None:
    order = factories.make_order("verified")
    client.sign_in(order.account)
    client.get(f"/en/orders/{order.public_id}/recipient")
    client.send('main form[method="post"]', {"email": "right@example.com"})
    assert db.session.get_one(Order, order.id).email == "right@example.com"
    assert actions() == []
