"""Supplier cases 12 to 16: its notifications are lost, doubled, early, about nothing of ours, or not its own."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from models import Esim, EsimStatus, Fulfilment, FulfilmentStatus, Order, db
from services.money import GIGABYTE
from services.supplier_webhooks import webhook_url
from tests import both_databases
from tests.faults import trade
from tests.faults.running_shop import RunningShop
from tests.money_world import varied


def order_without_profile(running: RunningShop) -> Order:
    """Return an order that the supplier allocates only on demand, and that the shop does not look at for minutes."""
    running.supplier.set_allocation(seconds=None)
    order = trade.buy(running)

    def is_left_alone() -> bool:
        fulfilment = running.money.fulfilment(order)
        ordered = fulfilment.status is FulfilmentStatus.ORDERED
        return ordered and trade.minutes_until(running, fulfilment.next_try_at) > 1.5

    trade.go_on(running, is_left_alone, "it is looked at less and less")
    return order


def tell(running: RunningShop, content: bytes | str, token: str = "") -> int:
    """Return what the shop answers to a call at the supplier's address, or beside it with another token."""
    url = webhook_url(running.shop.settings, "esim_access")
    url = f"{url.rpartition('/')[0]}/{token}" if token else url
    return httpx.post(url, content=content, headers={"Content-Type": "application/json"}).status_code


def notification(kind: str, **content: Any) -> str:
    """Return a notification as the supplier writes it."""
    return json.dumps({"notifyType": kind, "notifyId": "1", "content": content})


@both_databases
def test_supplier_12_the_notification_is_lost(running_shop: RunningShop) -> None:
    """An eSIM that nobody tells us of is found by asking."""
    order = order_without_profile(running_shop)
    running_shop.supplier.webhooks.drop(1)
    running_shop.supplier.allocate()
    running_shop.calm()
    assert [sent["dropped"] for sent in running_shop.supplier.webhooks.sent()] == [True]
    assert running_shop.money.fulfilment(order).status is FulfilmentStatus.ORDERED
    trade.deliver(running_shop, order, hours=1)


@both_databases
def test_supplier_13_the_notification_comes_twice(running_shop: RunningShop) -> None:
    """The first one brings the eSIM at once, long before the shop would have asked; the second one changes nothing."""
    order = order_without_profile(running_shop)
    before = running_shop.clock.now()
    # Nobody else is going to look.
    running_shop.app.extensions["queue"].flush()
    running_shop.supplier.webhooks.duplicate(1)
    running_shop.supplier.allocate()
    running_shop.wait_until_delivered(order)
    running_shop.calm()
    assert [sent["statuses"] for sent in running_shop.supplier.webhooks.sent()] == [[200, 200]]
    assert (running_shop.clock.now() - before).total_seconds() < 60
    trade.check_delivered(running_shop, order)
    assert len(running_shop.rows(select(Esim))) == 1


@both_databases
def test_supplier_14_the_notification_comes_too_early(running_shop: RunningShop) -> None:
    """The notification comes before the profile, perhaps before the answer to the order: the shop goes on asking."""
    running_shop.supplier.set_variants(early_webhooks=True)
    running_shop.supplier.set_allocation(seconds=None)
    order = trade.buy(running_shop)
    running_shop.wait_until(lambda: running_shop.supplier.webhooks.sent(), "the early notification")
    trade.pass_time(running_shop, minutes=1)
    assert [sent["statuses"] for sent in running_shop.supplier.webhooks.sent()] == [[200]]
    assert running_shop.money.fulfilment(order).status is FulfilmentStatus.ORDERED
    running_shop.supplier.allocate()
    trade.deliver(running_shop, order)
    assert len(running_shop.supplier.webhooks.sent()) == 1


@both_databases
def test_supplier_15_the_notification_is_about_an_unknown_order(running_shop: RunningShop) -> None:
    """It is taken, so that it is not sent again, and leaves no trace: the supplier is not even asked."""
    order = trade.buy(running_shop)
    trade.deliver(running_shop, order)
    asked = len(running_shop.supplier.log())
    running_shop.supplier.send_unknown_order_webhook()
    for kind, content in (
        ("ORDER_STATUS", {"orderNo": "B0", "orderStatus": "GOT_RESOURCE"}),
        ("ESIM_STATUS", {"orderNo": "B0", "esimTranNo": "0", "esimStatus": "CANCEL"}),
        ("DATA_USAGE", {"esimTranNo": "0", "orderUsage": 1}),
        ("NEVER_HEARD_OF", {}),
    ):
        running_shop.supplier.webhooks.send(kind, content)
    running_shop.calm()
    assert [sent["statuses"] for sent in running_shop.supplier.webhooks.sent()[-5:]] == [[200]] * 5
    assert len(running_shop.supplier.log()) == asked
    counts = [db.session.scalar(select(func.count()).select_from(table)) for table in (Order, Fulfilment, Esim)]
    assert counts == [1, 1, 1]
    trade.check_delivered(running_shop, order)


@varied("kind", ["ORDER_STATUS", "ESIM_STATUS", "DATA_USAGE", "VALIDITY_USAGE", "SMDP_EVENT"])
def test_supplier_16_somebody_who_knows_the_address_lies(running_shop: RunningShop, kind: str) -> None:
    """Nothing that a notification says is believed, neither of an eSIM nor of one that is still to come."""
    delivered = trade.buy(running_shop)
    trade.deliver(running_shop, delivered)
    waiting = order_without_profile(running_shop)
    esim = running_shop.money.esim_of(delivered)
    (attempt,) = running_shop.money.supplier_attempts(waiting)
    lies: dict[str, Any] = {
        "esimStatus": "CANCEL",
        "smdpStatus": "DELETED",
        "orderStatus": "GOT_RESOURCE",
        "transactionId": "lie",
    }
    lies |= {"iccid": "8999900000000000000", "totalVolume": 99 * GIGABYTE, "orderUsage": GIGABYTE, "remain": 0}
    lies |= {"expiredTime": "2020-01-01T00:00:00Z"}
    for about in ({"orderNo": attempt.supplier_order_id}, {"esimTranNo": esim.supplier_esim_id, "orderNo": "B0"}):
        assert tell(running_shop, notification(kind, **lies, **about)) == 200
    running_shop.calm()
    assert running_shop.money.fulfilment(waiting).status is FulfilmentStatus.ORDERED
    now = running_shop.money.row(Esim, esim.id)
    assert (now.status, now.total_bytes, now.used_bytes) == (EsimStatus.NEW, GIGABYTE, 0)
    assert (now.iccid, now.expires_at) == (esim.iccid, esim.expires_at)
    trade.check_delivered(running_shop, delivered)
    running_shop.supplier.allocate()
    trade.deliver(running_shop, waiting)


@pytest.mark.parametrize(
    ("content", "token", "status"),
    [
        (notification("ORDER_STATUS", orderNo="B1"), "0" * 40, 404),
        ("not JSON", "", 400),
        ('{"notifyType": "ORDER_STATUS", "content": [', "", 400),
        (b"\xff\xfe", "", 400),
        (b"[" * 100_000, "", 400),
        (notification("ORDER_STATUS", orderNo={"a": 1}), "", 400),
        (b"x" * 5_000_000, "", 413),
        (notification("CHECK_HEALTH", orderNo="1234567890", orderStatus="Test"), "", 200),
    ],
    ids=["wrong-address", "text", "broken", "no-text", "deep", "no-identifier", "5-megabytes", "health-check"],
)
def test_supplier_16_a_forgery_is_turned_away(
    running_shop: RunningShop, content: bytes | str, token: str, status: int
) -> None:
    """Whoever does not know the address learns nothing, and what is no notification is refused."""
    assert tell(running_shop, content, token) == status
    running_shop.calm()
    assert running_shop.supplier.log() == []
