"""What the supplier cases and the kill tests share: orders that get paid, time that passes, and how an order ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from sqlalchemy import select

from jobs import PERIODIC
from models import (
    Esim,
    Fulfilment,
    FulfilmentStatus,
    Mail,
    MailStatus,
    Order,
    OrderKind,
    OrderStatus,
    Refund,
    RefundStatus,
    db,
)
from services.order_states import WORKED_ON
from services.payments.refund_books import MOVING
from tests.faults.buyer import Buyer, Page
from tests.faults.running_shop import RunningShop
from tests.money_world import MONACO_1GB

ORDER, TOPUP, QUERY = "/esim/order", "/esim/topup", "/esim/query"
PLAN_CODE = "SIM-MC-1-7"
KINDS = (OrderKind.PURCHASE, OrderKind.RENEWAL)
MOST_LOOKS = 200
DAY = 24


@dataclass(frozen=True)
class Basket:
    """An order at the payment page: nothing is paid yet."""

    order: Order
    session_id: str
    buyer: Buyer


# What buyers do.


def fill_basket(running: RunningShop, kind: OrderKind = OrderKind.PURCHASE, esim: Esim | None = None) -> Basket:
    """Return an order at its payment page; a renewal is one of `esim`, or of an eSIM that is bought for it first."""
    buyer = running.buyer()
    if kind is OrderKind.PURCHASE:
        session_id = buyer.check_out()
        return Basket(running.order_of(buyer), session_id, buyer)
    order = running.money.renewal(esim or own_esim(running))
    return Basket(order, running.money.open(order), buyer)


def pay(running: RunningShop, basket: Basket) -> Order:
    """Pay on the payment page and come back; the webhook has reached the shop by then."""
    assert basket.buyer.pay(basket.session_id).payment_status == "paid"
    basket.buyer.come_back(basket.session_id)
    return running.row(basket.order)


def buy(running: RunningShop) -> Order:
    """Return a purchase that was just paid."""
    return pay(running, fill_basket(running))


def own_esim(running: RunningShop, plan: str = MONACO_1GB) -> Esim:
    """Return an eSIM that somebody has bought, with nothing left to do about it."""
    buyer = running.buyer()
    buyer.buy(plan)
    order = running.order_of(buyer)
    running.wait_until_delivered(order)
    running.calm()
    return running.money.esim_of(order)


def order_page(running: RunningShop, basket: Basket) -> Page:
    """Open the page of an order as its buyer sees it now."""
    running.money.fresh()
    return basket.buyer.come_back(basket.session_id)


# Time that passes.


def go_on(running: RunningShop, until: Callable[[], object], what: str, *, hours: float = 2) -> None:
    """Let time pass, from one look of the worker to the next, until the condition holds; at most so many hours."""
    end = running.clock.now() + timedelta(hours=hours)
    for _look in range(MOST_LOOKS):
        running.calm()
        running.money.fresh()
        if until():
            return
        due = _next_due()
        assert due is not None, f"nothing more happens, and not: {what}"
        assert due < end, f"not within {hours} hours: {what}"
        if due >= running.clock.now():
            running.clock.set(due + timedelta(seconds=1))
        running.sweep()
    raise AssertionError(f"not within {MOST_LOOKS} looks: {what}")


def pass_time(running: RunningShop, **delta: float) -> None:
    """Let time pass at once, as in `pass_time(running, hours=2)`, and let the worker do what is due by then."""
    running.calm()
    running.advance(**delta)
    running.sweep()
    running.calm()


def pass_a_day(running: RunningShop) -> None:
    """Let a day pass and everything happen that the shop does by the clock."""
    pass_time(running, hours=DAY + 1)
    for name in PERIODIC:
        running.ring(name)
    pass_time(running, minutes=1)


def minutes_until(running: RunningShop, moment: datetime | None) -> float:
    """Return how far away a moment of the shop is."""
    assert moment is not None
    return (moment - running.clock.now()).total_seconds() / 60


def _next_due() -> datetime | None:
    """Return when the worker looks at something next; what a dead one was at is looked at when its lease ends."""
    moments: list[datetime | None] = []
    for fulfilment in db.session.scalars(select(Fulfilment).where(Fulfilment.status.in_(WORKED_ON))):
        moments.append(_later(fulfilment.next_try_at, fulfilment.lease_until))
    moments += db.session.scalars(select(Refund.next_try_at).where(Refund.status.in_(MOVING)))
    moments += db.session.scalars(select(Mail.next_try_at).where(Mail.status == MailStatus.QUEUED))
    moments += db.session.scalars(select(Mail.lease_until).where(Mail.status == MailStatus.SENDING))
    return min((moment for moment in moments if moment is not None), default=None)


def _later(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


# How an order ends.


def deliver(running: RunningShop, *orders: Order, hours: float = 2) -> None:
    """Let the shop go on until these orders are verified and all mails have left, and check all that they came to."""
    go_on(running, lambda: all(running.is_delivered(order) for order in orders), "delivered", hours=hours)
    for order in orders:
        check_delivered(running, order)


def refund(running: RunningShop, *orders: Order, cause: str, hours: float = 2, sold: int = 0) -> None:
    """Let the shop go on until the money of these orders is back and all mails have left; check what it came to."""
    go_on(running, lambda: all(_is_refunded(running, order) for order in orders), "refunded", hours=hours)
    for order in orders:
        check_refunded(running, order, cause=cause, sold=sold)


def hold(running: RunningShop, order: Order, reason: str) -> None:
    """Let the shop go on until a person has to look at an order; the buyer was told once and the money stays."""

    def is_held() -> bool:
        return running.money.fulfilment(order).status is FulfilmentStatus.HELD and running.mails_have_left()

    go_on(running, is_held, "held")
    assert running.money.fulfilment(order).reason == reason
    check_mails(running, order, "receipt", "order-delayed")
    running.money.check(order)


def check_delivered(running: RunningShop, order: Order) -> None:
    """Check that it was bought once, handed over once, told once, and that the money stays."""
    money = running.money
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert money.supplier_orders(order) == 1
    assert len(money.packages(order)) == 1
    assert (money.mails(order, delivery_mail(order)), money.refunds(order)) == (1, [])
    check_arrivals(running, order)
    money.check(order)


def delivery_mail(order: Order) -> str:
    """Return the kind of the mail that says that an order is done."""
    return "esim-ready" if order.kind is OrderKind.PURCHASE else "renewal-confirmed"


def check_refunded(running: RunningShop, order: Order, *, cause: str, sold: int = 0) -> None:
    """Check that the whole price went back once, that this was told once, and that nothing stays with the buyer."""
    money = running.money
    assert money.fulfilment(order).status is FulfilmentStatus.REFUSED
    (back,) = money.refunds(order)
    assert (back.status, back.cause, back.amount_minor) == (RefundStatus.SUCCEEDED, cause, order.amount_minor)
    (payment,) = money.payments(order)
    at_stripe = [each["id"] for each in running.stripe.objects("re") if each["payment_intent"] == payment.reference]
    assert at_stripe == [back.reference]
    assert (money.supplier_orders(order), len(money.packages(order))) == (sold, 0)
    assert (money.mails(order, "refund-"), money.mails(order, "esim-"), money.mails(order, "renewal-")) == (1, 0, 0)
    check_arrivals(running, order)
    money.check(order)


def check_mails(running: RunningShop, order: Order, *kinds: str) -> None:
    """Check that the buyer has got these mails about an order (their kinds begin so), each once, and no others."""
    mails = running.rows(select(Mail.kind).where(Mail.subject_key == f"order:{order.id}").order_by(Mail.id))
    assert len(mails) == len(kinds), mails
    assert all(mail.startswith(kind) for mail, kind in zip(mails, kinds, strict=True)), mails
    check_arrivals(running, order)


def check_arrivals(running: RunningShop, order: Order) -> None:
    """Check that every mail about an order has arrived exactly once."""
    arrived = arrivals(running, order)
    assert len(arrived) == running.money.mails(order, "")
    assert set(arrived.values()) == {1}, arrived


def arrivals(running: RunningShop, order: Order) -> Counter[str]:
    """Return how often each mail about an order has arrived, by its Message-ID."""
    return Counter(
        str(message.header("Message-ID"))
        for message in running.inbox.messages(to=order.email)
        if order.public_id in message.text
    )


def references(running: RunningShop, path: str) -> set[str | None]:
    """Return under which of our references the supplier was asked to sell something."""
    return {entry.transaction_id for entry in running.supplier.log() if entry.path == path}


def ask_the_supplier(running: RunningShop, path: str, esim: Esim) -> None:
    """Do something to an eSIM as somebody with access to the supplier's portal would."""
    headers = {"RT-AccessCode": running.sandbox.settings.esim_access_code}
    body = {"esimTranNo": esim.supplier_esim_id}
    answer = httpx.post(f"{running.supplier.url}{path}", json=body, headers=headers).json()
    assert answer["success"] is True, answer


def _is_refunded(running: RunningShop, order: Order) -> bool:
    return running.row(order).status is OrderStatus.REFUNDED and running.mails_have_left()
