"""Renewing: what was paid for is added to the same eSIM once, and called done only when the supplier shows it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models import Esim, FulfilmentStatus, Order, OrderStatus, RefundStatus, db
from services import usage
from services.catalogue_sync import sync_catalogue
from services.fulfilment import fulfil
from services.fulfilment_steps import MOST_SENDS, SETTLING_TIMES
from services.money import GIGABYTE
from services.payments.settlement import Outcome
from services.renewals import list_offers, refresh_topups, renewable_esim_for
from tests import both_databases
from tests.money_world import MONACO_1GB, MONACO_3GB, PRICE, MoneyWorld, varied

TOPUP, QUERY, LISTING = "/esim/topup", "/esim/query", "/package/list"


def renewed(money: MoneyWorld, *orders: Order) -> None:
    """Check that each renewal was carried out once and confirmed once, and that the money stayed."""
    for order in orders:
        assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
        assert money.supplier_orders(order) == 1
        assert len(money.packages(order)) == 1
        assert money.mails(order, "renewal-confirmed") == 1
        money.check(order)


def check_sum(money: MoneyWorld, esim: Esim, gigabytes: int, days: int) -> None:
    """Check that the supplier holds so much for the eSIM, and that our books say the same."""
    theirs, ours = money.at_supplier(esim), money.row(Esim, esim.id)
    assert (theirs.total_volume, theirs.total_days) == (gigabytes * GIGABYTE, days)
    assert (ours.total_bytes, ours.total_days) == (gigabytes * GIGABYTE, days)


@both_databases
def test_a_renewal_before_the_first_connection_adds_up(money: MoneyWorld) -> None:
    esim = money.esim()
    order = money.verified(money.renewal(esim, MONACO_3GB))
    renewed(money, order)
    check_sum(money, esim, gigabytes=4, days=37)
    assert len(money.supplier.esims()) == 1


@both_databases
def test_a_renewal_in_use_moves_the_end(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.burn(esim.supplier_esim_id, percent=60)
    ends_at = money.at_supplier(esim).expires_at
    order = money.verified(money.renewal(esim))
    renewed(money, order)
    check_sum(money, esim, gigabytes=2, days=14)
    assert money.at_supplier(esim).expires_at == ends_at + timedelta(days=7)
    assert order.shown_after is not None
    assert order.shown_after["days"] == 14


@both_databases
def test_an_esim_that_is_used_up_comes_back_to_life(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.burn(esim.supplier_esim_id, percent=100)
    renewed(money, money.verified(money.renewal(esim)))
    assert money.at_supplier(esim).esim_status == "IN_USE"
    assert money.row(Esim, esim.id).used_bytes == GIGABYTE


@pytest.mark.parametrize("idempotent", [False, True])
@varied("fault", ["timeout_after_commit", "500_after_commit", "bad_json_after_commit"])
def test_a_topup_whose_answer_was_lost_is_not_sent_again(money: MoneyWorld, fault: str, idempotent: bool) -> None:
    money.supplier.set_variants(topup_idempotent=idempotent)
    esim = money.esim()
    money.supplier.fault(TOPUP, fault)
    order = money.paid(money.renewal(esim))
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    assert money.requests(TOPUP) == 1
    renewed(money, order)
    check_sum(money, esim, gigabytes=2, days=14)


@both_databases
def test_a_topup_that_was_surely_not_carried_out_is_sent_again_soon(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.fault(TOPUP, "429", count=2)
    order = money.paid(money.renewal(esim))
    for _look in range(3):
        money.work(seconds=10)
    renewed(money, order)
    check_sum(money, esim, gigabytes=2, days=14)


@varied("fault", ["timeout_before", "500", "bad_json", "error:999999"])
def test_a_topup_that_did_not_arrive_is_sent_again_when_no_trace_came(money: MoneyWorld, fault: str) -> None:
    esim = money.esim()
    money.supplier.fault(TOPUP, fault)
    order = money.paid(money.renewal(esim))
    paid_at = money.clock.now()
    money.work()
    while money.requests(TOPUP) == 1:
        due = money.fulfilment(order).next_try_at
        assert due is not None
        money.clock.set(due)
        money.work()
    assert money.clock.now() - paid_at >= SETTLING_TIMES[0]
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    renewed(money, order)
    check_sum(money, esim, gigabytes=2, days=14)


@both_databases
def test_a_topup_that_never_leaves_a_trace_is_for_a_person(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.fault(TOPUP, "timeout_before", count=None)
    order = money.paid(money.renewal(esim))
    assert money.keep_working(order, minutes=90) is FulfilmentStatus.HELD
    fulfilment = money.fulfilment(order)
    assert (fulfilment.reason, fulfilment.lease_until, fulfilment.next_try_at) == ("outcome_unknown", None, None)
    assert money.requests(TOPUP) == MOST_SENDS
    assert money.mails(order, "order-delayed") == 1
    money.check(order)


@both_databases
def test_two_renewals_at_once_both_arrive(money: MoneyWorld) -> None:
    esim = money.esim()
    orders = [money.paid(money.renewal(esim)), money.paid(money.renewal(esim, MONACO_3GB))]
    ids = [order.id for order in orders]
    results = money.at_once(*[lambda: fulfil(money.shop, ids[0]), lambda: fulfil(money.shop, ids[1])] * 3)
    assert results == [None] * 6
    for order in orders:
        assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    renewed(money, *orders)
    check_sum(money, esim, gigabytes=5, days=44)


@varied("fault", ["timeout_before", "timeout_after_commit"])
def test_a_renewal_waits_for_the_one_before_whose_outcome_is_unknown(money: MoneyWorld, fault: str) -> None:
    esim = money.esim()
    first, second = money.renewal(esim), money.renewal(esim)
    money.supplier.fault(TOPUP, fault)
    # Paid in the same moment, and the later order comes first to the worker: its top-up is under way.
    second = money.paid(second)
    money.work()
    first = money.paid(first)
    money.work()
    assert money.requests(TOPUP) == 1
    for order in (second, first):
        assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    renewed(money, first, second)
    check_sum(money, esim, gigabytes=3, days=21)


@both_databases
def test_a_renewal_is_not_held_up_by_one_that_a_person_looks_at(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.fault(TOPUP, "timeout_before", count=MOST_SENDS)
    first = money.paid(money.renewal(esim))
    money.clock.advance(seconds=1)
    second = money.paid(money.renewal(esim))
    assert money.keep_working(first, minutes=90) is FulfilmentStatus.HELD
    assert money.keep_working(second) is FulfilmentStatus.VERIFIED
    renewed(money, second)
    check_sum(money, esim, gigabytes=2, days=14)


@both_databases
def test_a_renewal_that_is_taken_up_again_is_not_taken_for_another_one(money: MoneyWorld) -> None:
    """One renewal was held without a trace, another one arrived: the figures that grew are not the first one's."""
    esim = money.esim()
    first, second = money.paid(money.renewal(esim)), money.renewal(esim, MONACO_3GB)
    money.stripe.pay(paid_later := money.open(second))
    money.supplier.fault(TOPUP, "timeout_before", count=None)
    money.work()
    assert money.keep_working(first, minutes=90) is FulfilmentStatus.HELD
    money.supplier.faults.clear()
    assert money.settle(paid_later) is Outcome.PAID
    money.work()
    money.supplier.fault(TOPUP, "timeout_after_commit")
    assert money.retry(first)
    assert money.keep_working(first) is FulfilmentStatus.VERIFIED
    renewed(money, first, second)
    check_sum(money, esim, gigabytes=5, days=44)


@both_databases
def test_a_renewal_that_arrived_late_is_recognised_beside_another_one(money: MoneyWorld) -> None:
    esim = money.esim()
    first, second = money.paid(money.renewal(esim)), money.renewal(esim, MONACO_3GB)
    money.stripe.pay(paid_later := money.open(second))
    money.supplier.fault(TOPUP, "timeout_after_commit")
    # The supplier has carried it out and cannot be asked, until a person takes the order up again.
    money.work()
    money.supplier.fault(QUERY, "500", count=None)
    money.work(hours=25)
    assert money.fulfilment(first).status is FulfilmentStatus.HELD
    money.supplier.faults.clear()
    assert money.settle(paid_later) is Outcome.PAID
    money.work()
    assert money.retry(first)
    assert money.keep_working(first) is FulfilmentStatus.VERIFIED
    renewed(money, first, second)
    check_sum(money, esim, gigabytes=5, days=44)


@both_databases
def test_an_esim_that_expired_meanwhile_is_paid_back(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.connect(esim.supplier_esim_id)
    order = money.renewal(esim)
    money.supplier.advance(days=8)
    order = money.paid(order)
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    (refund,) = money.refunds(order)
    assert (refund.status, refund.cause, refund.amount_minor) == (RefundStatus.SUCCEEDED, "refused", PRICE)
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    assert money.supplier_orders(order) == 0
    assert money.mails(order, "refund-") == 1
    money.check(order)


@both_databases
def test_a_topup_that_is_accepted_and_changes_nothing_is_not_called_done(money: MoneyWorld) -> None:
    esim = money.esim()
    # The supplier says that it has carried this reference out before, and shows nothing of it.
    money.supplier.fault(TOPUP, "error:310402")
    order = money.paid(money.renewal(esim))
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.APPLIED
    money.work(hours=2)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.late_at) == (FulfilmentStatus.APPLIED, None)
    money.work(hours=2)
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.APPLIED, "not_verified")
    assert fulfilment.late_at is not None
    assert (money.mails(order, "renewal-confirmed"), money.mails(order, "order-delayed")) == (0, 1)
    money.check(order)
    # A day after the payment, and not before, the money goes back by itself.
    money.work(hours=19)
    assert money.row(Order, order.id).status is OrderStatus.PAID
    money.work(hours=2)
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    (refund,) = money.refunds(order)
    assert (refund.status, refund.cause, refund.amount_minor) == (RefundStatus.SUCCEEDED, "late", PRICE)
    assert (money.mails(order, "renewal-confirmed"), money.mails(order, "refund-")) == (0, 1)
    assert money.requests(TOPUP) == 1
    assert money.packages(order) == []
    money.check(order)


@both_databases
def test_a_topup_that_shows_late_is_verified_late(money: MoneyWorld) -> None:
    """What the supplier shows after its usual delay counts: nothing goes back, and the buyer hears of it."""
    esim = money.esim()
    money.supplier.fault(TOPUP, "error:310402")
    order = money.paid(money.renewal(esim))
    money.work()
    money.work(hours=4)
    assert money.fulfilment(order).reason == "not_verified"
    # Only now does the top-up reach the eSIM.
    money.supplier.orders.top_up(f"{order.public_id}-1", esim.supplier_esim_id, "TOPUP_SIM-MC-1-7", None)
    money.work(hours=1)
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    renewed(money, order)
    assert money.mails(order, "refund-") == 0


@both_databases
def test_while_the_supplier_is_silent_a_late_renewal_is_not_paid_back(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.fault(TOPUP, "error:310402")
    order = money.paid(money.renewal(esim))
    money.work()
    money.supplier.fault(QUERY, "500", count=None)
    for _look in range(3):
        money.work(hours=10)
    assert money.fulfilment(order).status is FulfilmentStatus.APPLIED
    assert money.refunds(order) == []
    money.check(order)


@varied("fault", ["timeout_before", "500", "bad_json", "429"])
def test_nothing_is_topped_up_while_the_esim_cannot_be_read(money: MoneyWorld, fault: str) -> None:
    esim = money.esim()
    order = money.renewal(esim)
    money.supplier.fault(QUERY, fault, count=3)
    order = money.paid(order)
    money.work()
    assert money.requests(TOPUP) == 0
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    renewed(money, order)


@both_databases
def test_an_empty_balance_is_waited_for(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.set_balance(0)
    order = money.paid(money.renewal(esim))
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    money.supplier.set_balance(10_000_000)
    assert money.keep_working(order) is FulfilmentStatus.VERIFIED
    renewed(money, order)


@both_databases
def test_a_topup_that_costs_another_price_than_the_plan_is_bought_at_its_own(money: MoneyWorld) -> None:
    money.supplier.set_price("TOPUP_SIM-MC-1-7", 111_000)
    sync_catalogue(money.shop)
    esim = money.esim()
    refresh_topups(money.shop, esim, money.clock.now())
    renewed(money, money.verified(money.renewal(esim)))


@both_databases
def test_a_topup_whose_price_rose_since_it_was_offered_is_for_a_person(money: MoneyWorld) -> None:
    sync_catalogue(money.shop)
    esim = money.esim()
    refresh_topups(money.shop, esim, money.clock.now())
    money.supplier.set_price("TOPUP_SIM-MC-1-7", 999_000)
    order = money.paid(money.renewal(esim))
    money.work()
    fulfilment = money.fulfilment(order)
    assert (fulfilment.status, fulfilment.reason) == (FulfilmentStatus.HELD, "price_changed")
    assert money.supplier_orders(order) == 0
    assert money.mails(order, "order-delayed") == 1
    money.check(order)


@both_databases
def test_only_what_the_supplier_accepts_is_offered(money: MoneyWorld) -> None:
    esim = money.esim()
    refresh_topups(money.shop, esim, money.clock.now())
    esim = money.row(Esim, esim.id)
    offers = list_offers(db.session(), esim, "en", "EUR")
    assert [offer.slug for offer in offers] == [MONACO_1GB, MONACO_3GB, "monaco-5gb-30-days"]
    money.supplier.make_non_rechargeable(esim.supplier_esim_id)
    refresh_topups(money.shop, esim, money.clock.now())
    assert money.row(Esim, esim.id).topups
    money.clock.advance(minutes=11)
    refresh_topups(money.shop, esim, money.clock.now())
    esim = money.row(Esim, esim.id)
    assert list_offers(db.session(), esim, "en", "EUR") == []


@both_databases
def test_a_silent_supplier_leaves_the_offers_as_they_were(money: MoneyWorld) -> None:
    esim = money.esim()
    refresh_topups(money.shop, esim, money.clock.now())
    known = money.row(Esim, esim.id).topups
    asked_at = money.row(Esim, esim.id).topups_read_at
    money.clock.advance(minutes=11)
    money.supplier.fault(LISTING, "500")
    refresh_topups(money.shop, money.row(Esim, esim.id), money.clock.now())
    esim = money.row(Esim, esim.id)
    assert (esim.topups, esim.topups_read_at) == (known, asked_at)


@both_databases
def test_the_newest_esim_that_can_be_renewed_is_found(money: MoneyWorld) -> None:
    account = money.buyer()
    esims = [money.esim_of(money.verified(money.order(account=account))) for _ in range(2)]
    now, session = money.clock.now(), db.session()
    found = renewable_esim_for(session, account.id, ("MC",), now)
    assert found is not None
    assert found.id == esims[1].id
    assert renewable_esim_for(session, account.id, ("FR",), now) is None
    assert renewable_esim_for(session, account.id + 1, ("MC",), now) is None
    money.supplier.connect(esims[1].supplier_esim_id)
    money.supplier.advance(days=8)
    usage.read(money.shop, esims[1].id, force=True)
    found = renewable_esim_for(session, account.id, ("MC",), now)
    assert found is not None
    assert found.id == esims[0].id
