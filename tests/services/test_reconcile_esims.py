"""The supplier's list of eSIMs beside our orders: what comes too late goes back, what nobody knows is for a person."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from models import Finding, FindingKind, FulfilmentStatus, Order, OrderStatus, SupplierAttemptStatus, db
from services.identifiers import public_id
from services.late_orders import give_up_held
from services.payments.settlement import Outcome
from services.reconcile import reconcile
from services.suppliers import PurchaseRequest, TopupRequest
from services.suppliers.esim_access import EsimAccess
from tests import both_databases
from tests.money_world import PRICE, MoneyWorld
from tests.services.lost_world import findings, reconciled

ORDER, QUERY, CANCEL = "/esim/order", "/esim/query", "/esim/cancel"
CODE, TOPUP_CODE = "SIM-MC-1-7", "TOPUP_SIM-MC-1-7"
QUIET_MINUTES = 11
A_DAY = 25 * 60


def at_supplier(money: MoneyWorld) -> list[str]:
    """Return how the supplier's eSIMs are, in the order in which they were sold."""
    return [esim.esim_status for esim in money.supplier.esims()]


def portal(money: MoneyWorld) -> EsimAccess:
    """Return the supplier as somebody else uses it, of whom no row of ours says anything."""
    money.fresh()
    supplier = money.shop.supplier
    assert isinstance(supplier, EsimAccess)
    return supplier


def order_outside(money: MoneyWorld, reference: str) -> str:
    """Order an eSIM in the portal; return its number at the supplier."""
    portal(money).place_order(PurchaseRequest(reference=reference, plan_code=CODE, expected_cost=None, days=None))
    return money.supplier.esims()[-1].esim_tran_no


def top_up_outside(money: MoneyWorld, number: str, reference: str = "by-hand") -> None:
    """Add a package in the portal."""
    portal(money).place_topup(
        TopupRequest(reference=reference, supplier_esim_id=number, plan_code=TOPUP_CODE, expected_cost=None)
    )


def noticed(money: MoneyWorld) -> Sequence[tuple[FindingKind, bool]]:
    """Return every finding, and whether it waits for a person."""
    money.fresh()
    rows = db.session.scalars(select(Finding).order_by(Finding.id))
    return [(finding.kind, finding.settled_at is None) for finding in rows]


def too_late(money: MoneyWorld) -> Order:
    """Return an order that was given up because its eSIM did not come; it comes now."""
    money.supplier.set_allocation(held=True)
    order = money.paid(money.order())
    assert money.keep_working(order, minutes=A_DAY) is FulfilmentStatus.REFUSED
    money.work()
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    money.supplier.set_allocation(held=False)
    return order


def in_doubt(money: MoneyWorld) -> Order:
    """Return an order that is held because nobody knows that the supplier has carried it out."""
    money.supplier.fault(ORDER, "timeout_after_commit", count=None)
    order = money.paid(money.order())
    assert money.keep_working(order, minutes=A_DAY) is FulfilmentStatus.HELD
    assert money.fulfilment(order).reason == "outcome_unknown"
    money.supplier.faults.clear()
    return order


# What comes after its order has ended.


@both_databases
def test_an_esim_that_comes_after_its_refund_is_given_back(money: MoneyWorld) -> None:
    order = too_late(money)
    balance = money.supplier.balance
    assert reconciled(money).outcomes == {"esim_given_back": 1}
    assert at_supplier(money) == ["CANCEL"]
    assert money.supplier.balance > balance
    assert reconciled(money).outcomes == {}
    assert findings(money) == []
    money.check(order)


@both_databases
def test_one_that_cannot_be_given_back_is_for_a_person_until_it_is_revoked(money: MoneyWorld) -> None:
    too_late(money)
    (esim,) = money.supplier.esims()
    money.supplier.install(esim.esim_tran_no)
    for _run in range(2):
        assert reconciled(money).outcomes == {}
        assert noticed(money) == [(FindingKind.ESIM_REFUNDED, True)]
    portal(money)._call("/esim/revoke", {"esimTranNo": esim.esim_tran_no})
    reconciled(money)
    assert noticed(money) == [(FindingKind.ESIM_REFUNDED, False)]


@both_databases
def test_while_the_supplier_is_silent_an_esim_is_given_back_later(money: MoneyWorld) -> None:
    too_late(money)
    money.supplier.fault(CANCEL, "timeout_before")
    money.fresh()
    assert reconcile(money.shop).errors == 1
    assert reconciled(money).outcomes == {"esim_given_back": 1}
    assert at_supplier(money) == ["CANCEL"]


@both_databases
def test_an_esim_that_was_delivered_before_its_refund_stays(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    (payment,) = money.payments(order)
    money.refund(payment, PRICE)
    money.work(minutes=QUIET_MINUTES)
    assert reconciled(money).outcomes == {}
    assert at_supplier(money) == ["GOT_RESOURCE"]
    assert findings(money) == []


# What nobody knew to be there.


@both_databases
def test_an_order_in_doubt_goes_on_when_the_supplier_lists_it(money: MoneyWorld) -> None:
    order = in_doubt(money)
    requests = money.requests(ORDER)
    assert reconciled(money).outcomes == {"esim_found": 1}
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert money.requests(ORDER) == requests
    assert reconciled(money).outcomes == {}
    money.check(order)


@both_databases
def test_an_order_in_doubt_whose_money_went_back_is_given_back(money: MoneyWorld) -> None:
    order = in_doubt(money)
    (payment,) = money.payments(order)
    money.refund(payment, PRICE)
    money.work()
    # Nobody can say yet whether there is something to give back.
    assert give_up_held(money.shop) == 1
    money.supplier.fault(ORDER, "timeout_after_commit", count=None)
    money.work()
    assert (money.fulfilment(order).status, money.fulfilment(order).reason) == (FulfilmentStatus.HELD, "refunded")
    assert reconciled(money).outcomes == {"esim_found": 1}
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    assert reconciled(money).outcomes == {"esim_given_back": 1}
    assert at_supplier(money) == ["CANCEL"]
    money.check(order)


@both_databases
def test_an_order_that_a_person_put_back_meanwhile_is_left_to_the_worker(money: MoneyWorld) -> None:
    order = in_doubt(money)
    assert money.retry(order)
    assert reconciled(money).outcomes == {}
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert [attempt.status for attempt in money.supplier_attempts(order)] == [SupplierAttemptStatus.ACCEPTED]
    money.check(order)


@both_databases
def test_an_esim_under_a_number_of_ours_without_an_order_is_for_a_person(money: MoneyWorld) -> None:
    number = order_outside(money, f"{public_id()}-1")
    # What was ordered just now may still be on its way into a row.
    assert reconciled(money).outcomes == {}
    assert findings(money) == []
    money.clock.advance(minutes=QUIET_MINUTES)
    assert reconciled(money).outcomes == {"esim_unknown": 1}
    assert noticed(money) == [(FindingKind.SUPPLIER_ORDER_UNKNOWN, True)]
    portal(money).cancel(number)
    assert reconciled(money).outcomes == {}
    assert noticed(money) == [(FindingKind.SUPPLIER_ORDER_UNKNOWN, False)]


@both_databases
def test_what_somebody_else_ordered_on_the_same_account_is_left_alone(money: MoneyWorld) -> None:
    order_outside(money, "another-application-7")
    money.clock.advance(minutes=QUIET_MINUTES)
    assert reconciled(money).outcomes == {}
    assert findings(money) == []


# What is here and not there.


@both_databases
def test_an_esim_that_the_supplier_does_not_list_is_for_a_person_until_it_does(money: MoneyWorld) -> None:
    money.verified(money.order())
    money.clock.advance(minutes=QUIET_MINUTES)
    assert reconciled(money).outcomes == {}
    kept = _hide(money)
    assert reconciled(money).outcomes == {"esim_missing": 1}
    assert noticed(money) == [(FindingKind.SUPPLIER_ORDER_MISSING, True)]
    _show(money, kept)
    assert reconciled(money).outcomes == {}
    assert noticed(money) == [(FindingKind.SUPPLIER_ORDER_MISSING, False)]


@both_databases
def test_a_list_that_cannot_be_read_misses_nothing(money: MoneyWorld) -> None:
    money.verified(money.order())
    money.clock.advance(minutes=QUIET_MINUTES)
    for kind in ("500", "bad_json", "429"):
        money.supplier.fault(QUERY, kind)
        money.fresh()
        assert reconcile(money.shop).errors == 1
        assert findings(money) == []


# Top-ups.


@both_databases
def test_a_package_that_nobody_sold_is_for_a_person(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    assert reconciled(money).outcomes == {}
    number = money.esim_of(order).supplier_esim_id
    top_up_outside(money, number)
    for _run in range(2):
        assert reconciled(money).outcomes == {"topup_unknown": 1}
        assert noticed(money) == [(FindingKind.TOPUP_UNKNOWN, True)]


@both_databases
def test_a_renewal_under_way_may_be_what_is_there(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    money.supplier.fault("/esim/topup", "timeout_after_commit")
    renewal = money.paid(money.renewal(money.esim_of(order)))
    money.work()
    assert money.fulfilment(renewal).status is FulfilmentStatus.WAITING
    assert reconciled(money).outcomes == {}
    assert money.keep_working(renewal) is FulfilmentStatus.VERIFIED
    assert reconciled(money).outcomes == {}
    assert findings(money) == []
    money.check(renewal)


@both_databases
def test_a_package_that_a_restored_renewal_explains_is_no_finding_any_more(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    esim = money.esim_of(order)
    renewal = money.renewal(esim)
    session_id = money.open(renewal)
    # The supplier has carried it out, and our books know nothing of it but the order.
    number, reference = esim.supplier_esim_id, f"{renewal.public_id}-1"
    top_up_outside(money, number, reference)
    assert reconciled(money).outcomes["topup_unknown"] == 1
    money.stripe.pay(session_id, wait=False)
    assert money.settle(session_id) is Outcome.PAID
    money.work()
    assert money.fulfilment(renewal).status is FulfilmentStatus.VERIFIED
    reconciled(money)
    assert noticed(money) == [(FindingKind.TOPUP_UNKNOWN, False)]
    money.check(renewal)


def _hide(money: MoneyWorld) -> list[dict[str, object]]:
    """Take the only eSIM off the supplier's list, and return what `_show` needs."""
    esims = money.sandbox.store.collection("esim_access.esims")
    kept = esims.all()
    for document in kept:
        esims.remove(str(document["esim_tran_no"]))
    return kept


def _show(money: MoneyWorld, kept: list[dict[str, object]]) -> None:
    esims = money.sandbox.store.collection("esim_access.esims")
    for document in kept:
        esims.put(str(document["esim_tran_no"]), document)
