"""The supplier's webhook over HTTP: it is not signed, so it is a hint and nothing it says is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from models import Esim, FulfilmentStatus
from services.money import GIGABYTE
from services.supplier_webhooks import webhook_url
from tests import both_databases
from tests.money_world import MoneyWorld, varied
from tests.page_client import PageClient


@pytest.fixture
def path(money: MoneyWorld) -> str:
    """Return the path of the address that the supplier is told."""
    return webhook_url(money.shop.settings, "esim_access").removeprefix(money.shop.settings.shop_url)


@pytest.fixture
def registered(money: MoneyWorld, live_shop: str) -> Iterator[None]:
    """Tell the supplier the address, as `flask connect-supplier` does."""
    money.fresh()
    money.shop.supplier.register_webhook(webhook_url(money.shop.settings, "esim_access"))
    yield
    money.supplier.webhooks.wait_idle(10)
    money.supplier.webhooks.set_url("")


def told(kind: str, **content: Any) -> bytes:
    return json.dumps({"notifyType": kind, "notifyId": "1", "content": content}).encode()


def send(money: MoneyWorld, path: str, payload: bytes) -> int:
    return money.app.test_client().post(path, data=payload, content_type="application/json").status_code


@both_databases
@pytest.mark.parametrize("variants", [{}, {"early_webhooks": True}, {"bare_webhooks": True}])
def test_a_notification_brings_an_order_on(money: MoneyWorld, registered: None, variants: dict[str, bool]) -> None:
    money.supplier.set_variants(**variants)
    money.supplier.set_allocation(seconds=None)
    order = money.paid(money.order())
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.ORDERED
    money.supplier.webhooks.duplicate(2)
    money.supplier.allocate()
    if variants.get("early_webhooks"):
        (attempt,) = money.supplier_attempts(order)
        money.supplier.webhooks.send("ORDER_STATUS", {"orderNo": attempt.supplier_order_id})
    assert money.supplier.webhooks.wait_idle(10)
    money.work()
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert money.supplier_orders(order) == 1
    money.check(order)


@both_databases
def test_use_that_the_supplier_tells_of_is_read_from_the_supplier(money: MoneyWorld, registered: None) -> None:
    esim = money.esim()
    money.supplier.burn(esim.supplier_esim_id, percent=85)
    assert money.supplier.webhooks.wait_idle(10)
    money.work()
    assert money.row(Esim, esim.id).used_bytes == money.at_supplier(esim).usage


@varied("kind", ["ESIM_STATUS", "DATA_USAGE", "VALIDITY_USAGE", "SMDP_EVENT", "ORDER_STATUS", "OTHER"])
def test_forged_content_changes_nothing(money: MoneyWorld, path: str, kind: str) -> None:
    esim = money.esim()
    forged = told(
        kind,
        orderNo=money.at_supplier(esim).order_no,
        esimTranNo=esim.supplier_esim_id,
        iccid="8999900000000000000",
        esimStatus="CANCEL",
        totalVolume=999 * GIGABYTE,
        orderUsage=999,
        remain=0,
        expiredTime="2020-01-01T00:00:00Z",
    )
    assert send(money, path, forged) == 200
    money.work()
    now = money.row(Esim, esim.id)
    assert (now.status, now.total_bytes, now.used_bytes) == (esim.status, GIGABYTE, 0)
    assert (now.expires_at, now.iccid) == (esim.expires_at, esim.iccid)


def test_the_address_is_the_secret(money: MoneyWorld, path: str) -> None:
    client = money.app.test_client()
    assert client.head(path).status_code == 200
    for wrong in (path[:-1] + ("0" if path[-1] != "0" else "1"), path[:-1], path + "0", "/webhooks/esim_access/é"):
        assert client.head(wrong).status_code == 404
        assert client.post(wrong, data=told("CHECK_HEALTH")).status_code == 404
    assert client.post(path.replace("esim_access", "another"), data=told("CHECK_HEALTH")).status_code == 404
    answer = client.post(path, data=told("CHECK_HEALTH", orderNo="1234567890", orderStatus="Test"))
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"not JSON",
        b"[]",
        b"[" * 100_000,
        b'"text"',
        b"17",
        b"null",
        b"{}",
        b'{"notifyType": "ORDER_STATUS", "content": []}',
        b'{"notifyType": "ORDER_STATUS", "content": "text"}',
        told("ORDER_STATUS", orderNo="\x00"),
        told("ORDER_STATUS", orderNo="\ud800"),
        told("ORDER_STATUS", orderNo="B" * 10_000),
        told("ORDER_STATUS", orderNo={"a": 1}),
        told("ESIM_STATUS", esimTranNo="' or 1=1 --"),
    ],
)
def test_what_is_no_notification_is_refused(money: MoneyWorld, path: str, payload: bytes) -> None:
    assert send(money, path, payload) == 400


def test_a_body_of_five_megabytes_is_refused(money: MoneyWorld, path: str, live_shop: str) -> None:
    assert httpx.post(live_shop + path, content=b"x" * 5_000_000).status_code == 413


@both_databases
def test_an_order_that_nobody_made_is_taken_and_left_alone(money: MoneyWorld, registered: None, path: str) -> None:
    money.supplier.send_unknown_order_webhook()
    assert money.supplier.webhooks.wait_idle(10)
    assert [sent["statuses"] for sent in money.supplier.webhooks.sent()] == [[200]]
    assert send(money, path, told("ORDER_STATUS", orderNo="B0", esimTranNo="1")) == 200
    assert send(money, path, told("ORDER_STATUS")) == 200


def test_the_health_check_of_the_supplier_passes(money: MoneyWorld, registered: None) -> None:
    assert money.supplier.webhooks.url == webhook_url(money.shop.settings, "esim_access")


def test_the_address_does_not_reach_a_page(client: PageClient, path: str) -> None:
    token = path.rpartition("/")[2]
    assert token not in client.get("/en/help").text
    assert token not in client.get("/robots.txt").text
