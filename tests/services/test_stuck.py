"""What waits for a person: each kind appears with its words, oldest first, and goes when it is dealt with."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models import Dispute, FindingKind, Mail, MailStatus, Order, db
from services import findings
from services.audit import Actor
from services.shop import Shop
from services.staff_deliveries import Step
from services.stuck import MAILS_WAIT_FOR, StuckItem, StuckKind, count_stuck, list_stuck
from services.stuck_words import FINDINGS, ORDERS
from tests import both_databases
from tests.clock import FakeClock
from tests.factories import STATES, Factories
from tests.money_world import MoneyWorld
from tests.running import count_statements
from tests.staff_world import change_fulfilment, dispute, hold, make_late, make_mail, notice


def waiting(shop: Shop) -> list[StuckItem]:
    """Return what waits, after checking that it is counted as it is listed."""
    db.session.rollback()
    db.session.expire_all()
    items = list_stuck(db.session(), shop.clock.now())
    assert count_stuck(db.session(), shop.clock.now()) == len(items)
    return items


@both_databases
def test_what_goes_its_way_waits_for_nobody(shop: Shop, factories: Factories) -> None:
    for state in STATES.keys() - {"held"}:
        order = factories.make_order(state)
        make_mail(shop, order, MailStatus.SENT)
        make_mail(shop, order, MailStatus.QUEUED, kind="receipt")
    assert waiting(shop) == []


@both_databases
@pytest.mark.parametrize("reason", ORDERS)
def test_a_held_order_waits_with_its_reason_in_words(shop: Shop, factories: Factories, reason: str) -> None:
    order = factories.make_order("held")
    hold(shop, order, reason)
    (item,) = waiting(shop)
    assert (item.kind, item.code, item.order_public_id) == (StuckKind.HELD, reason, order.public_id)
    assert (item.reason, item.advice) == (ORDERS[reason].reason, ORDERS[reason].advice)
    assert (item.since, item.row_id, item.name) == (shop.clock.now(), order.id, order.public_id)
    assert item.step is {"disputed": None, "refunded": Step.CLOSE}.get(reason, Step.RETRY)


@both_databases
@pytest.mark.parametrize("state", ["paid", "ordered", "applied"])
def test_a_late_order_waits_until_it_goes_on_or_ends(shop: Shop, factories: Factories, state: str) -> None:
    order = factories.make_order(state)
    make_late(shop, order, "not_ordered")
    (item,) = waiting(shop)
    assert (item.kind, item.since, item.step) == (StuckKind.LATE, shop.clock.now(), Step.LOOK)
    change_fulfilment(shop, order, late_at=None)
    assert waiting(shop) == []
    change_fulfilment(shop, order, late_at=shop.clock.now(), status="verified")
    assert waiting(shop) == []


def test_a_reason_without_words_is_shown_as_it_is(shop: Shop, factories: Factories) -> None:
    hold(shop, factories.make_order("held"), "no words yet")
    (item,) = waiting(shop)
    assert item.reason == "no words yet"
    assert item.advice


@both_databases
def test_a_dispute_waits_until_it_is_decided(shop: Shop, factories: Factories, clock: FakeClock) -> None:
    order = factories.make_order("verified")
    dispute_id = dispute(shop, order)
    (item,) = waiting(shop)
    assert (item.kind, item.row_id, item.order_public_id) == (StuckKind.DISPUTE, dispute_id, order.public_id)
    assert item.reason == "The buyer's bank has taken this payment back until it has decided."
    due_by = clock.now() + timedelta(days=9)
    assert f"before {due_by:%d %b %Y}" in item.advice
    assert (item.reference, item.details) == (f"dp_{order.public_id}", "product not received")
    clock.advance(days=10)
    assert "before" not in waiting(shop)[0].advice
    with shop.transaction() as session:
        session.get_one(Dispute, dispute_id).closed_at = clock.now()
    assert waiting(shop) == []


def test_a_question_of_the_bank_is_told_from_a_dispute(shop: Shop, factories: Factories) -> None:
    dispute(shop, factories.make_order("verified"), "warning_needs_response")
    (item,) = waiting(shop)
    assert item.reason == "The buyer's bank asks about this payment."


@both_databases
def test_a_mail_that_came_back_waits_until_the_address_is_corrected(shop: Shop, factories: Factories) -> None:
    order = factories.make_order("verified")
    mail_id = make_mail(shop, order)
    (item,) = waiting(shop)
    assert (item.kind, item.code, item.order_public_id) == (StuckKind.MAIL, "esim-ready", order.public_id)
    assert (item.row_id, item.reference, item.details) == (mail_id, order.email, "550 no such user")
    with shop.transaction() as session:
        session.get_one(Order, order.id).email = "right@example.com"
    assert waiting(shop) == []


@both_databases
def test_a_mail_that_is_not_about_an_order_is_named_by_its_reader(shop: Shop, factories: Factories) -> None:
    order = factories.make_order("verified")
    make_mail(shop, order, subject_key="account:1", kind="claim-1")
    (item,) = waiting(shop)
    assert (item.order_public_id, item.name) == (None, order.email)


def test_a_mail_that_came_back_a_month_ago_waits_no_more(shop: Shop, factories: Factories, clock: FakeClock) -> None:
    mail_id = make_mail(shop, factories.make_order("verified"))
    clock.advance(seconds=MAILS_WAIT_FOR.total_seconds() - 1)
    assert [item.row_id for item in waiting(shop)] == [mail_id]
    clock.advance(seconds=1)
    assert waiting(shop) == []
    assert db.session.get_one(Mail, mail_id).status is MailStatus.FAILED


@both_databases
@pytest.mark.parametrize("kind", FindingKind)
def test_a_finding_waits_with_its_words_until_it_is_settled(
    shop: Shop, factories: Factories, kind: FindingKind
) -> None:
    order = factories.make_order("verified")
    finding_id = notice(shop, kind, "there", order, "what was seen")
    (item,) = waiting(shop)
    assert (item.kind, item.code, item.row_id) == (StuckKind.FINDING, kind.value, finding_id)
    assert (item.reason, item.advice) == (FINDINGS[kind].reason, FINDINGS[kind].advice)
    assert (item.reference, item.details, item.name) == ("there", "what was seen", order.public_id)
    with shop.transaction() as session:
        findings.settle_by_hand(session, finding_id, shop.clock.now(), by=Actor.of(factories.make_staff()))
    assert waiting(shop) == []


def test_a_finding_without_an_order_is_named_by_where_it_was_found(shop: Shop) -> None:
    notice(shop, FindingKind.SESSION_UNKNOWN, "cs_test_1")
    (item,) = waiting(shop)
    assert (item.order_public_id, item.name) == (None, "cs_test_1")


@both_databases
def test_the_longest_waiting_comes_first(shop: Shop, factories: Factories, clock: FakeClock) -> None:
    order = factories.make_order("verified")
    notice(shop, FindingKind.TOPUP_UNKNOWN, "1")
    clock.advance(minutes=1)
    dispute(shop, order)
    clock.advance(minutes=1)
    hold(shop, factories.make_order("held"), "price_changed")
    clock.advance(minutes=1)
    make_mail(shop, order)
    clock.advance(minutes=1)
    make_late(shop, factories.make_order("paid"), "not_ordered")
    kinds = [item.kind for item in waiting(shop)]
    assert kinds == [StuckKind.FINDING, StuckKind.DISPUTE, StuckKind.HELD, StuckKind.MAIL, StuckKind.LATE]


def test_it_costs_the_same_however_much_waits(shop: Shop, factories: Factories) -> None:
    counts = []
    for number in (1, 9):
        for _ in range(number):
            order = factories.make_order("held")
            make_mail(shop, order)
            notice(shop, FindingKind.REFUND_FAILED, f"refund {order.id}", order)
        with count_statements() as statements:
            list_stuck(db.session(), shop.clock.now())
        with count_statements() as counting:
            count_stuck(db.session(), shop.clock.now())
        counts.append((len(statements), len(counting)))
    assert counts == [(4, 1), (4, 1)]


@both_databases
def test_what_really_goes_wrong_is_listed(money: MoneyWorld) -> None:
    money.supplier.set_allocation(held=True)
    order = money.paid(money.order())
    money.work()
    money.work(hours=2)
    (item,) = waiting(money.shop)
    assert (item.kind, item.code) == (StuckKind.LATE, "not_allocated")
    money.supplier.set_allocation(held=False)
    money.work(minutes=15)
    assert waiting(money.shop) == []
    money.check(order)
