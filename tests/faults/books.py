"""What must be so after whatever went wrong: looked over for all orders in the database, not only the tested one."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from models import (
    Esim,
    Fulfilment,
    FulfilmentStatus,
    Mail,
    MailStatus,
    Order,
    OrderStatus,
    Package,
    Payment,
    PaymentKind,
    Refund,
    RefundStatus,
    db,
)

if TYPE_CHECKING:
    from tests.faults.running_shop import Expectation, RunningShop

NOTHING = {"sessions": 0, "charges": 0, "captured": 0, "refunded": 0}
DELIVERED = (FulfilmentStatus.APPLIED, FulfilmentStatus.VERIFIED)
BOUGHT = (FulfilmentStatus.ORDERED, *DELIVERED)
# Whoever logs an error with where it came from had not expected it.
UNEXPECTED = re.compile(r"Exception on \S+ \[\w+\]|Traceback \(most recent call last\)")
ERROR = re.compile(r"^\w+(?:\.\w+)*(?:Error|Exception|Failure|Timeout|Tripped)\b.*", re.MULTILINE)


def look_over(running: RunningShop) -> None:
    """Fail with everything that does not add up.

    For every order: captured less refunded is its price or nothing, one settling payment, one fulfilment, one receipt
    and one delivery when it was paid, none of them when it was not; Stripe and the supplier have charged and bought
    what our books say and nothing else; and no process has met an error that nobody had expected.
    """
    faults: list[str] = []
    running.money.fresh()
    at_stripe: dict[str, dict[str, int]] = running.stripe.summary("order")["by_metadata"]
    orders = db.session.scalars(select(Order).order_by(Order.id)).all()
    for order in orders:
        money = at_stripe.get(order.public_id, NOTHING)
        expected = running.expected.get(order.public_id)
        for fault in (*_money(order, money, expected), *_delivery(running, order), *_mails(running, order)):
            faults.append(f"order {order.public_id} ({order.status.value}): {fault}")
    known = {order.public_id for order in orders}
    faults += [f"Stripe charged for {name}, which is not in the books" for name in _charged(at_stripe) - known]
    faults += [f"the supplier sold {name}, which is not in the books" for name in _sold(running) - known]
    faults += _esims(running)
    faults += _errors(running)
    db.session.rollback()
    assert not faults, "\n".join(faults)


def _money(order: Order, money: dict[str, int], expected: Expectation | None) -> list[str]:
    payments = db.session.scalars(select(Payment).where(Payment.order_id == order.id)).all()
    refunds = db.session.scalars(select(Refund).join(Payment).where(Payment.order_id == order.id)).all()
    settling = [payment for payment in payments if payment.kind is PaymentKind.SETTLING]
    gone = sum(refund.amount_minor for refund in refunds if refund.status is RefundStatus.SUCCEEDED)
    paid = order.paid_at is not None
    kept = money["captured"] - money["refunded"]
    facts = {
        f"Stripe captured {money['captured']}, our books have {[each.amount_minor for each in payments]}": (
            money["captured"] == sum(each.amount_minor for each in payments)
        ),
        f"Stripe refunded {money['refunded']}, our books have {gone}": money["refunded"] == gone,
        f"{len(settling)} payments settle it": len(settling) == int(paid),
        "what settles it is not its price": all(
            (each.amount_minor, each.currency) == (order.amount_minor, order.currency) for each in settling
        ),
        f"status and money differ: {kept} of {order.amount_minor} kept": _fits(order, kept, expected),
        "it is not paid and has a time of payment": paid
        or order.status in (OrderStatus.PENDING, OrderStatus.CANCELLED),
    }
    if expected is not None and expected.charges is not None:
        facts[f"{money['charges']} charges instead of {expected.charges}"] = money["charges"] == expected.charges
    elif expected is None:
        facts[f"{money['charges']} charges and nobody expects several"] = money["charges"] <= 1
    return [fault for fault, holds in facts.items() if not holds]


def _fits(order: Order, kept: int, expected: Expectation | None) -> bool:
    """Return whether the shop keeps what it should: the price, or nothing; in part only after a refund in part."""
    if expected is not None and expected.kept is not None:
        return kept == expected.kept
    if order.status is OrderStatus.PAID:
        return kept == order.amount_minor
    if order.status is OrderStatus.PART_REFUNDED:
        return 0 < kept < order.amount_minor
    return kept == 0


def _delivery(running: RunningShop, order: Order) -> list[str]:
    fulfilments = db.session.scalars(select(Fulfilment).where(Fulfilment.order_id == order.id)).all()
    packages = db.session.scalars(select(Package).where(Package.order_id == order.id)).all()
    paid = order.paid_at is not None
    bought = running.money.supplier_orders(order)
    states = [fulfilment.status for fulfilment in fulfilments]
    facts = {
        f"{len(fulfilments)} fulfilments": len(fulfilments) == int(paid),
        f"the supplier sold it {bought} times": bought <= int(paid),
        f"{len(packages)} packages": len(packages) <= int(paid),
        f"the supplier sold it {bought} times, it is {states}": bought == 1 or not set(states) & set(BOUGHT),
        f"{len(packages)} packages, it is {states}": len(packages) == 1 or not set(states) & set(DELIVERED),
    }
    return [fault for fault, holds in facts.items() if not holds]


def _mails(running: RunningShop, order: Order) -> list[str]:
    """Compare what the outbox says with what has arrived; a mail may arrive twice when it is recognisably the same."""
    mails = db.session.scalars(select(Mail).where(Mail.subject_key == f"order:{order.id}")).all()
    receipts = [mail for mail in mails if mail.kind == "receipt"]
    arrived = Counter(
        message.header("Message-ID") for message in running.inbox.messages(to=order.email) if _is_about(message, order)
    )
    sent = sum(mail.status is MailStatus.SENT for mail in mails)
    faults = []
    if len(receipts) != int(order.paid_at is not None):
        faults.append(f"{len(receipts)} receipts")
    if not sent <= len(arrived) <= len(mails):
        faults.append(f"{sent} of {len(mails)} mails were sent, {len(arrived)} different ones have arrived")
    return faults


def _is_about(message: Any, order: Order) -> bool:
    return order.public_id in message.text


def _charged(at_stripe: dict[str, dict[str, int]]) -> set[str]:
    return {name for name, money in at_stripe.items() if money["charges"]}


def _sold(running: RunningShop) -> set[str]:
    """Return the orders for which the supplier was asked, by the beginning of our references."""
    counters = running.supplier.counters()
    return {reference.rpartition("-")[0] for kind in ("orders", "topups") for reference in counters[kind]}


def _esims(running: RunningShop) -> list[str]:
    """Return what differs between the supplier's eSIMs and ours: we may still be waiting for one, never have more."""
    ours = set(db.session.scalars(select(Esim.supplier_esim_id)))
    theirs = {esim.esim_tran_no for esim in running.supplier.esims()}
    return [f"the supplier knows nothing of our eSIM {name}" for name in ours - theirs]


def _errors(running: RunningShop) -> list[str]:
    faults = []
    for name in ("web", "worker"):
        news = running.house.news(name)
        if UNEXPECTED.search(news) and not any(allowed in news for allowed in running.may_fail):
            faults.append(f"{name} has met errors: {ERROR.findall(news)[:5]}\n{news[-3000:]}")
    return faults
