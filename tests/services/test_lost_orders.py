"""After restoring a backup: what was paid since is made again from what Stripe keeps beside its sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from models import (
    Account,
    AttemptStatus,
    FindingKind,
    FulfilmentStatus,
    Order,
    OrderKind,
    OrderStatus,
    PaymentKind,
    Plan,
    PlanState,
    RefundStatus,
    db,
)
from services.accounts import get_or_create_for_purchase
from services.catalogue import get_plan
from services.identifiers import random_key
from services.money import GIGABYTE
from services.orders import TERMS_VERSION
from services.payments import lost_orders
from services.payments.lost_orders import OLD_ENOUGH, recover_session
from services.payments.settlement import Outcome
from services.reconcile import reconcile
from tests import both_databases
from tests.factories import CONSENTS
from tests.money_world import BY_THE_DAY, MONACO_1GB, MONACO_3GB, PRICE, MoneyWorld
from tests.services.lost_world import Backup, delivered, facts, findings, found, fulfilments, reconciled


def stays(money: MoneyWorld) -> None:
    """Check that a further run finds nothing to do."""
    before = fulfilments(money)
    report = reconciled(money)
    assert not report.outcomes.keys() & {"recovered", "paid", "refund", "unknown", "surplus"}
    money.work()
    assert fulfilments(money) == before


@both_databases
def test_a_purchase_comes_back_with_its_esim(money: MoneyWorld) -> None:
    backup = Backup(money)
    plan = get_plan(db.session(), BY_THE_DAY, "fr", "JPY")
    order = money.verified(money.order(BY_THE_DAY, "JPY", days=4, language="fr", plan=plan))
    known = facts(order)
    backup.restore()
    assert reconciled(money).outcomes == {"recovered": 1, "paid": 1}
    back = delivered(money, order)
    assert facts(back) == known
    assert known["consents"] == [(kind, "fr", TERMS_VERSION) for kind in sorted(CONSENTS)]
    assert len(money.supplier.esims()) == 1
    assert money.mails(back, "esim-ready") == 1
    money.check(back)
    stays(money)


@both_databases
def test_a_receipt_keeps_its_day_and_the_patience_begins_anew(money: MoneyWorld) -> None:
    backup = Backup(money)
    order = money.verified(money.order())
    (charge,) = money.stripe.objects("ch")
    backup.restore()
    money.clock.advance(hours=30)
    money.supplier.fault("/esim/order", "timeout_before", count=1)
    reconciled(money)
    money.work()
    back = found(money, order)
    assert back.paid_at == datetime.fromtimestamp(charge["created"], UTC)
    # An order that was paid a day ago, and whose delivery begins only now, is not given up at the first silence.
    assert money.fulfilment(back).status is FulfilmentStatus.WAITING
    assert money.keep_working(back) is FulfilmentStatus.VERIFIED
    money.check(found(money, order))


@both_databases
def test_a_renewal_comes_back_and_is_not_carried_out_again(money: MoneyWorld) -> None:
    esim = money.esim()
    money.supplier.burn(esim.supplier_esim_id, percent=40)
    backup = Backup(money)
    order = money.verified(money.renewal(esim, MONACO_3GB))
    known = facts(order)
    backup.restore()
    assert reconciled(money).outcomes == {"recovered": 1, "paid": 1}
    back = delivered(money, order)
    assert facts(back) == known
    assert money.supplier_orders(back) == 1
    assert money.at_supplier(esim).total_volume == 4 * GIGABYTE
    assert money.mails(back, "renewal-confirmed") == 1
    money.check(back)
    stays(money)
    assert findings(money) == []


@both_databases
def test_two_renewals_of_one_esim_and_one_that_was_never_carried_out(money: MoneyWorld) -> None:
    esim = money.esim()
    backup = Backup(money)
    first, second = money.verified(money.renewal(esim, MONACO_3GB)), money.verified(money.renewal(esim))
    third = money.paid(money.renewal(esim, MONACO_3GB))
    backup.restore()
    assert reconciled(money).outcomes == {"recovered": 3, "paid": 3}
    for _look in range(3):
        money.work(minutes=1)
    for order in (first, second, third):
        back = delivered(money, order)
        assert money.supplier_orders(back) == 1
        money.check(back)
    assert money.at_supplier(esim).total_volume == (1 + 3 + 1 + 3) * GIGABYTE
    stays(money)


@both_databases
def test_a_renewal_of_an_esim_that_is_lost_too_comes_back_after_the_esim(money: MoneyWorld) -> None:
    backup = Backup(money)
    bought = money.verified(money.order())
    renewed = money.verified(money.renewal(money.esim_of(bought)))
    backup.restore()
    report = reconciled(money)
    assert report.outcomes == {"recovered": 1, "paid": 1, "unknown": 1}
    assert findings(money) == [FindingKind.SESSION_UNKNOWN]
    delivered(money, bought)
    assert reconciled(money).outcomes["recovered"] == 1
    assert findings(money) == []
    back = delivered(money, renewed)
    assert back.esim_id == found(money, bought).esim_id
    assert money.supplier_orders(back) == 1
    assert money.at_supplier(money.esim_of(back)).total_volume == 2 * GIGABYTE
    money.check(back)
    stays(money)


@both_databases
def test_what_the_supplier_had_not_got_yet_is_delivered_for_the_first_time(money: MoneyWorld) -> None:
    backup = Backup(money)
    order = money.paid(money.order())
    backup.restore()
    reconciled(money)
    money.check(delivered(money, order))


@both_databases
@pytest.mark.parametrize("first", ["succeeded", "pending"])
def test_what_was_refunded_is_not_delivered_again(money: MoneyWorld, first: str) -> None:
    money.stripe.account.refund_status = first
    money.supplier.set_stock("SIM-MC-1-7", 0)
    backup = Backup(money)
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    money.supplier.set_stock("SIM-MC-1-7", None)
    backup.restore()
    reconciled(money)
    money.work()
    back = found(money, order)
    assert money.fulfilment(back).status is FulfilmentStatus.REFUSED
    (refund,) = money.refunds(back)
    assert (refund.amount_minor, refund.source) == (PRICE, "stripe")
    assert money.supplier_orders(back) == 0
    if first == "pending":
        assert refund.reference is not None
        money.stripe.settle_refund(refund.reference, "succeeded")
        money.work(hours=2)
    assert found(money, order).status is OrderStatus.REFUNDED
    assert len(money.stripe.objects("re")) == 1
    money.check(back)
    stays(money)


@both_databases
def test_an_esim_whose_order_was_refunded_after_its_delivery_is_for_a_person(money: MoneyWorld) -> None:
    backup = Backup(money)
    order = money.verified(money.order())
    (payment,) = money.payments(order)
    money.refund(payment, PRICE)
    money.work()
    backup.restore()
    reconciled(money)
    money.work()
    assert found(money, order).status is OrderStatus.REFUNDED
    reconciled(money)
    # Nobody knows whether the traveller has it on the phone, so it is not taken away.
    assert findings(money) == [FindingKind.ESIM_REFUNDED]
    assert [esim.esim_status for esim in money.supplier.esims()] == ["GOT_RESOURCE"]
    money.check(found(money, order))


@both_databases
def test_what_was_refunded_in_part_is_delivered(money: MoneyWorld) -> None:
    backup = Backup(money)
    order = money.verified(money.order())
    (payment,) = money.payments(order)
    money.refund(payment, 500)
    money.work()
    backup.restore()
    reconciled(money)
    back = delivered(money, order)
    assert back.status is OrderStatus.PART_REFUNDED
    assert [(refund.amount_minor, refund.status) for refund in money.refunds(back)] == [(500, RefundStatus.SUCCEEDED)]
    money.check(back, kept=PRICE - 500)


@both_databases
def test_of_two_payments_the_one_that_was_kept_settles_again(money: MoneyWorld) -> None:
    order = money.order()
    backup = Backup(money)
    first = money.open(order)
    with money.shop.transaction():
        money.live_attempt(order).status = AttemptStatus.SUPERSEDED
    second = money.open(order)
    # The later session is paid first.
    money.stripe.pay(second, wait=False)
    assert money.settle(second) is Outcome.PAID
    money.stripe.pay(first, wait=False)
    assert money.settle(first) is Outcome.SURPLUS
    money.work()
    backup.restore()
    reconciled(money)
    back = delivered(money, order)
    assert [payment.kind for payment in money.payments(back)] == [PaymentKind.SETTLING, PaymentKind.SURPLUS]
    assert len(money.stripe.objects("re")) == 1
    money.check(back, charges=2)
    stays(money)


@both_databases
def test_what_is_disputed_is_not_delivered_until_it_is_won(money: MoneyWorld) -> None:
    backup = Backup(money)
    order = money.paid(money.order())
    (charge,) = money.stripe.objects("ch")
    dispute = money.stripe.open_dispute(charge["id"])
    backup.restore()
    reconciled(money)
    money.work()
    assert money.fulfilment(found(money, order)).reason == "disputed"
    assert money.supplier_orders(order) == 0
    money.stripe.close_dispute(dispute["id"], "won")
    reconciled(money)
    money.check(delivered(money, order))


@both_databases
def test_it_belongs_to_whoever_was_signed_in(money: MoneyWorld) -> None:
    account = money.factories.make_account(email="owner@example.com")
    backup = Backup(money)
    order = money.verified(money.order(account=account, email="Friend@example.com"))
    backup.restore()
    reconciled(money)
    back = delivered(money, order)
    assert (back.account.email, back.email) == ("owner@example.com", "Friend@example.com")
    assert money.esim_of(back).account_id == account.id


@both_databases
def test_an_account_that_is_lost_is_made_again_and_can_be_claimed(money: MoneyWorld) -> None:
    backup = Backup(money)
    order = money.verified(money.order())
    email = order.account.email
    backup.restore()
    accounts = db.session.scalar(select(func.count()).select_from(Account))
    reconciled(money)
    back = delivered(money, order)
    assert (back.account.email, back.account.claimed_at) == (email, None)
    assert db.session.scalar(select(func.count()).select_from(Account)) == (accounts or 0) + 1
    (mail,) = [mail for mail in money.sandbox.inbox.messages(to=order.email) if "/claim/" in mail.text][-1:]
    assert mail.text


@both_databases
def test_the_cookie_of_a_lost_account_opens_no_other_one(money: MoneyWorld) -> None:
    """SQLite and a restored sequence give the same id again."""

    def made(email: str) -> Account:
        with money.shop.transaction() as session:
            return get_or_create_for_purchase(session, email, "en", "EUR", money.clock.now())

    lost = made("lost@example.com").get_id()
    with money.shop.transaction() as session:
        account = session.scalars(select(Account).where(Account.email == "lost@example.com")).one()
        account_id = account.id
        session.delete(account)
    with money.shop.transaction() as session:
        another = Account(
            id=account_id, email="new@example.com", language="en", currency="EUR", created_at=money.clock.now()
        )
        session.add(another)
    assert another.get_id() != lost


@both_databases
def test_a_checkout_that_has_led_to_another_order_since_keeps_that_one(money: MoneyWorld) -> None:
    key = random_key()
    backup = Backup(money)
    order = money.verified(money.order(checkout_key=key))
    backup.restore()
    other = money.order(checkout_key=key)
    reconciled(money)
    back = delivered(money, order)
    assert back.checkout_key != key
    assert money.row(Order, other.id).checkout_key == key
    assert money.row(Order, other.id).status is OrderStatus.PENDING
    money.check(back)


@both_databases
def test_an_order_that_was_changed_before_it_was_paid_is_what_was_paid_for(money: MoneyWorld) -> None:
    order = money.order(BY_THE_DAY, days=3)
    money.open(order)
    backup = Backup(money)
    money.expire(money.live_attempt(order).session_id or "")
    money.settle(money.attempts(order)[0].session_id or "")
    plan = get_plan(db.session(), BY_THE_DAY, "fr", "EUR")
    changed = money.verified(money.change(order, days=5, language="fr", plan=plan))
    known = facts(changed)
    backup.restore()
    reconciled(money)
    back = delivered(money, order)
    assert facts(back) == known
    assert (back.id, back.days, len(money.payments(back))) == (order.id, 5, 1)
    money.check(back)


def _hide(plan: Plan) -> None:
    plan.state = PlanState.HIDDEN


def _change(plan: Plan) -> None:
    plan.days_min, plan.days_max = 1, 2
    for price in plan.prices:
        price.amount_minor += 100


@both_databases
@pytest.mark.parametrize("change", [_hide, _change])
def test_a_plan_that_has_changed_since_does_not_change_what_was_paid(money: MoneyWorld, change: Any) -> None:
    backup = Backup(money)
    order = money.verified(money.order(BY_THE_DAY, days=4))
    amount_minor = order.amount_minor
    backup.restore()
    with money.shop.transaction() as session:
        change(session.scalars(select(Plan).where(Plan.slug == BY_THE_DAY)).one())
    reconciled(money)
    back = delivered(money, order)
    assert (back.days, back.amount_minor) == (4, amount_minor)
    money.check(back)


@both_databases
def test_what_cannot_be_made_again_is_for_a_person_until_it_can(money: MoneyWorld) -> None:
    backup = Backup(money)
    order = money.verified(money.order())
    backup.restore()
    with money.shop.transaction() as session:
        plan = session.scalars(select(Plan).where(Plan.slug == MONACO_1GB)).one()
        plan.slug = "another"
    report = reconciled(money)
    assert report.unknown_sessions == [session["id"] for session in money.stripe.objects("cs")]
    # Both name the order, so that whoever looks can see that it was paid for.
    assert findings(money) == [FindingKind.SESSION_UNKNOWN, FindingKind.SUPPLIER_ORDER_UNKNOWN]
    with money.shop.transaction() as session:
        session.get_one(Plan, plan.id).slug = MONACO_1GB
    assert reconciled(money).unknown_sessions == []
    money.check(delivered(money, order))
    reconciled(money)
    assert findings(money) == []


@both_databases
def test_the_session_of_another_shop_on_the_same_account_is_left_alone(money: MoneyWorld) -> None:
    backup = Backup(money)
    order = money.order()
    session_id = money.open(order)
    session = money.stripe.account.find("cs", session_id)
    money.alter_session(session_id, metadata={**session["metadata"], "shop": "https://another.example"})
    money.stripe.pay(session_id, wait=False)
    backup.restore()
    report = reconciled(money)
    assert (report.outcomes, report.unknown_sessions, findings(money)) == ({}, [], [])
    money.fresh()
    assert recover_session(money.shop, session_id) is Outcome.FOREIGN
    assert db.session.scalars(select(Order.id)).all() == []


@both_databases
def test_a_session_of_just_now_is_left_alone(money: MoneyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = Backup(money)
    order = money.paid(money.order())
    backup.restore()
    money.clock.set(money.clock.now() - timedelta(minutes=15) + OLD_ENOUGH - timedelta(seconds=10))
    report = reconciled(money)
    assert (report.outcomes, report.unknown_sessions, findings(money)) == ({}, [], [])
    money.clock.advance(seconds=20)
    assert reconciled(money).outcomes["recovered"] == 1
    money.check(delivered(money, order))


@both_databases
def test_what_nobody_has_paid_is_no_news(money: MoneyWorld) -> None:
    backup = Backup(money)
    opened, expired = money.order(), money.order()
    money.open(opened)
    expired_id = money.open(expired)
    money.expire(expired_id)
    backup.restore()
    report = reconciled(money)
    assert (report.outcomes, report.unknown_sessions, findings(money)) == ({}, [], [])
    money.fresh()
    assert recover_session(money.shop, expired_id) is Outcome.EXPIRED


@both_databases
def test_a_bank_that_takes_days_is_waited_for_as_before(money: MoneyWorld) -> None:
    backup = Backup(money)
    succeeds, fails = money.order(), money.order()
    sessions = [money.open(order) for order in (succeeds, fails)]
    for session_id in sessions:
        money.pay_later(session_id)
        assert money.settle(session_id) is Outcome.PROCESSING
    backup.restore()
    assert reconciled(money).outcomes == {"recovered": 2, "processing": 2}
    back = found(money, succeeds)
    assert (back.status, back.paid_at) == (OrderStatus.PENDING, None)
    assert money.live_attempt(back).status is AttemptStatus.PROCESSING
    for session_id, succeeded in zip(sessions, (True, False), strict=True):
        money.stripe.settle_async_payment(session_id, succeeded=succeeded)
    money.clock.advance(minutes=5)
    reconciled(money)
    money.check(delivered(money, succeeds))
    failed = found(money, fails)
    assert failed.status is OrderStatus.PENDING
    assert money.mails(failed, "payment-failed") == 1


@both_databases
def test_many_who_look_at_the_same_time_make_one_order(money: MoneyWorld) -> None:
    backup = Backup(money)
    orders = [money.verified(money.order()) for _number in range(2)]
    sessions = [session["id"] for session in money.stripe.objects("cs")]
    backup.restore()
    looks = [lambda: reconcile(money.shop).errors] * 3
    events = [lambda: int(recover_session(money.shop, sessions[0]) not in (Outcome.PAID, Outcome.ALREADY_PAID))] * 2
    assert money.at_once(*looks, *events) == [0] * 5
    for order in orders:
        money.check(delivered(money, order))
    assert db.session.scalar(select(func.count()).select_from(Order)) == 2


@both_databases
def test_a_payment_after_the_restore_is_found_by_its_event(money: MoneyWorld, live_shop: str) -> None:
    backup = Backup(money)
    order = money.order()
    session_id = money.open(order)
    backup.restore()
    money.stripe.pay(session_id)
    assert money.stripe.wait_for_webhooks()
    (event,) = [event for event in money.stripe.objects("evt") if event["type"] == "checkout.session.completed"]
    assert [answer.status for answer in money.stripe.resend(event["id"])] == [200]
    money.check(delivered(money, order))


@both_databases
def test_a_renewal_without_its_esim_is_told_to_come_again(money: MoneyWorld, live_shop: str) -> None:
    backup = Backup(money)
    bought = money.verified(money.order())
    renewal = money.renewal(money.esim_of(bought))
    session_id = money.open(renewal)
    backup.restore()
    money.stripe.pay(session_id)
    (event,) = [
        event
        for event in money.stripe.objects("evt")
        if event["type"] == "checkout.session.completed" and event["data"]["object"]["id"] == session_id
    ]
    assert money.stripe.resend(event["id"])[0].status == 503
    reconciled(money)
    delivered(money, bought)
    assert money.stripe.resend(event["id"])[0].status == 200
    back = delivered(money, renewal)
    assert back.kind is OrderKind.RENEWAL
    money.check(back)


def test_what_is_kept_at_stripe_holds_no_secret(money: MoneyWorld) -> None:
    order = money.verified(money.order())
    esim = money.esim_of(order)
    money.verified(money.renewal(esim))
    kept = [str(value) for session in money.stripe.objects("cs") for value in session["metadata"].values()]
    for secret in (esim.matching_id, esim.iccid, money.shop.settings.secret_key):
        assert not [value for value in kept if secret in value]
    assert max(len(value) for value in kept) <= lost_orders.LONGEST_VALUE
