"""The eSIM Access stand-in keeps the documented protocol: envelope, credentials, catalogue, orders, queries."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox.esim_access.esim import luhn_digit
from sandbox.esim_access.signing import sign
from sandbox.server import Sandbox

Call = Callable[..., dict[str, Any]]
PAGER = {"pageNum": 1, "pageSize": 50}
ACCESS_CODE = "sandbox-access-code"
SECRET_KEY = "sandbox-secret-key"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.esim_access.reset()
    running.esim_access.set_allocation(seconds=0)
    return running


@pytest.fixture
def call(sandbox: Sandbox) -> Iterator[Call]:
    with httpx.Client(headers={"RT-AccessCode": ACCESS_CODE}, trust_env=False) as client:

        def post(path: str, **body: Any) -> dict[str, Any]:
            response = client.post(sandbox.esim_access.url + path, json=body)
            assert response.status_code == 200
            answer: dict[str, Any] = response.json()
            return answer

        yield post


def order(call: Call, transaction_id: str = "S-1", code: str = "SIM-MC-1-7", **more: Any) -> dict[str, Any]:
    return call("/esim/order", transactionId=transaction_id, packageInfoList=[{"packageCode": code, "count": 1} | more])


def bought(call: Call, transaction_id: str = "S-1", code: str = "SIM-MC-1-7", **more: Any) -> dict[str, Any]:
    number = order(call, transaction_id, code, **more)["obj"]["orderNo"]
    esim: dict[str, Any] = call("/esim/query", orderNo=number, pager=PAGER)["obj"]["esimList"][0]
    return esim


def test_signature_is_that_of_the_documented_example() -> None:
    request_id = "4ce9d9cdac9e4e17b3a2c66c358c1ce2"
    signature = sign("1111", "1628670421", request_id, "11111", b'{"imsi":"326543826"}')
    assert signature == "7eb765e27df5373dea2dbc8c41a7d9557743e46c8054750f3d851b3fd01d0835"


def signed(*, key: str = SECRET_KEY, skew: timedelta = timedelta(0)) -> dict[str, str]:
    timestamp, request_id = str(int((time.time() + skew.total_seconds()) * 1000)), str(uuid.uuid4())
    return {
        "RT-AccessCode": ACCESS_CODE,
        "RT-Timestamp": timestamp,
        "RT-RequestID": request_id,
        "RT-Signature": sign(key, timestamp, request_id, ACCESS_CODE, b"{}").upper(),
    }


def code_for(sandbox: Sandbox, headers: dict[str, str]) -> Any:
    answer = httpx.post(sandbox.esim_access.url + "/balance/query", content=b"{}", headers=headers)
    return answer.json()["errorCode"]


def test_credentials(sandbox: Sandbox) -> None:
    good = signed()
    assert code_for(sandbox, good) == "0"
    assert code_for(sandbox, {"RT-AccessCode": ACCESS_CODE}) == "0"
    assert code_for(sandbox, {}) == "000101"
    assert code_for(sandbox, {name: value for name, value in good.items() if name != "RT-Timestamp"}) == "000101"
    assert code_for(sandbox, good | {"RT-Timestamp": "yesterday"}) == "000102"
    assert code_for(sandbox, {"RT-AccessCode": "stolen"}) == "101003"
    assert code_for(sandbox, signed(key="wrong")) == "101003"
    assert code_for(sandbox, signed(skew=timedelta(minutes=-6))) == "101001"
    assert code_for(sandbox, signed(skew=timedelta(minutes=4))) == "0"


def test_wrong_method_and_broken_json_are_errors_with_status_200(sandbox: Sandbox) -> None:
    headers = {"RT-AccessCode": ACCESS_CODE}
    url = sandbox.esim_access.url + "/balance/query"
    got = httpx.get(url, headers=headers)
    broken = httpx.post(url, content=b'{"a":', headers=headers)
    assert (got.status_code, got.json()["errorCode"]) == (200, "000103")
    assert (broken.status_code, broken.json()["errorCode"]) == (200, "000104")


def test_envelope_variants(sandbox: Sandbox, call: Call) -> None:
    assert call("/balance/query")["success"] is True
    sandbox.esim_access.set_variants(success_as_text=True, error_message_key="errorMessage", ok_code=None)
    good, bad = call("/balance/query"), call("/esim/query")
    assert (good["success"], good["errorCode"], good["errorMessage"]) == ("true", None, None)
    assert bad["success"] == "false"
    assert "pager" in bad["errorMessage"]


def test_catalogue(call: Call) -> None:
    def listed(**filters: str) -> list[str]:
        return [package["packageCode"] for package in call("/package/list", **filters)["obj"]["packageList"]]

    assert listed(locationCode="MC") == [
        "SIM-MC-1-7",
        "SIM-MC-3-30",
        "SIM-MC-5-30",
        "SIM-MC-10-30",
        "SIM-MC-DAY",
        "SIM-RIV-5-15",
    ]
    assert listed(locationCode="!RG") == ["SIM-EU-5-30", "SIM-EU-10-30", "SIM-RIV-5-15"]
    assert listed(locationCode="!GL") == []
    assert len(listed()) == 18
    assert listed() == listed(type="BASE")
    assert listed(slug="MC_1_7") == listed(packageCode="SIM-MC-1-7") == ["SIM-MC-1-7"]
    assert listed(type="TOPUP", packageCode="SIM-MC-1-7") == [
        f"TOPUP_SIM-MC-{size}" for size in ("1-7", "3-30", "5-30")
    ]
    assert listed(type="TOPUP", slug="RIV_5_15") == ["TOPUP_SIM-RIV-5-15"]
    assert listed(packageCode="SIM-FAIL-STOCK") == ["SIM-FAIL-STOCK"]


def test_catalogue_details(call: Call) -> None:
    packages = {each["packageCode"]: each for each in call("/package/list")["obj"]["packageList"]}
    europe = packages["SIM-EU-5-30"]["location"].split(",")
    assert len(europe) > 30
    assert "MC" not in europe
    assert packages["SIM-RIV-5-15"]["location"] == "FR,IT,MC"
    assert (packages["SIM-MC-DAY"]["dataType"], packages["SIM-MC-DAY"]["supportTopUpType"]) == (2, 1)
    assert packages["SIM-MC-10-30"]["supportTopUpType"] == 1
    monaco = packages["SIM-MC-1-7"]
    assert (monaco["volume"], monaco["duration"], monaco["activeType"]) == (1024**3, 7, 2)
    assert monaco["locationNetworkList"][0]["operatorList"][0]["operatorName"] == "Monaco Telecom"
    locations = call("/location/list")["obj"]["locationList"]
    assert {each["type"] for each in locations} == {1, 2}


def test_new_esim(call: Call) -> None:
    esim = bought(call)
    assert re.fullmatch(r"LPA:1\$smdp\.example\.com\$DEMO-[0-9A-Z]+", esim["ac"])
    assert re.fullmatch(r"89999\d{14}", esim["iccid"])
    assert esim["iccid"][-1] == luhn_digit(esim["iccid"][:-1])
    assert (esim["smdpStatus"], esim["esimStatus"], esim["eid"]) == ("RELEASED", "GOT_RESOURCE", "")
    assert (esim["orderUsage"], esim["activateTime"], esim["apn"]) == (0, None, "internet")
    lapses = datetime.fromisoformat(esim["expiredTime"]) - datetime.now(UTC)
    assert timedelta(days=179) < lapses <= timedelta(days=180)
    assert esim["expiredTime"].endswith("+0000")


def test_time_format_variant(sandbox: Sandbox, call: Call) -> None:
    sandbox.esim_access.set_variants(time_format="z")
    assert bought(call)["expiredTime"].endswith("Z")


def test_repeated_order_is_the_same_order_and_not_charged_again(sandbox: Sandbox, call: Call) -> None:
    first, again = order(call), order(call)
    assert first == again
    assert sandbox.esim_access.balance == 50_000_000 - 122_000
    assert sandbox.esim_access.counters()["orders"] == {"S-1": 1}
    assert [entry.outcome for entry in sandbox.esim_access.log()] == ["executed", "replayed"]
    sandbox.esim_access.set_variants(duplicate_order="310402")
    assert order(call)["errorCode"] == "310402"


def test_refused_orders_buy_nothing(sandbox: Sandbox, call: Call) -> None:
    package = {"packageCode": "MC_1_7", "count": 1}
    assert order(call, code="SIM-XX-1-7")["errorCode"] == "310241"
    assert order(call, price=1)["errorCode"] == "200005"
    assert call("/esim/order", transactionId="S-1", amount=1, packageInfoList=[package])["errorCode"] == "200006"
    assert call("/esim/order", packageInfoList=[package])["errorCode"] == "000105"
    assert call("/esim/order", transactionId=None, packageInfoList=[package])["errorCode"] == "000106"
    assert order(call, transaction_id="S" * 51)["errorCode"] == "000107"
    assert call("/esim/order", transactionId="S-1", packageInfoList=[])["errorCode"] == "200008"
    assert order(call, count=31)["errorCode"] == "200008"
    assert order(call, code="SIM-FAIL-STOCK")["errorCode"] == "200011"
    assert order(call, code="SIM-FAIL-BALANCE")["errorCode"] == "200007"
    sandbox.esim_access.set_stock("SIM-MC-1-7", 1)
    assert order(call, count=2)["errorCode"] == "200011"
    sandbox.esim_access.set_balance(121_999)
    assert order(call)["errorCode"] == "200007"
    assert sandbox.esim_access.counters()["orders_executed"] == 0
    assert sandbox.esim_access.esims() == []


def test_price_change_and_stock(sandbox: Sandbox, call: Call) -> None:
    sandbox.esim_access.set_stock("SIM-MC-1-7", 1)
    sandbox.esim_access.set_price("SIM-MC-1-7", 130_000)
    assert order(call, price=122_000)["errorCode"] == "200005"
    assert order(call, price=130_000)["success"]
    assert order(call, transaction_id="S-2", price=130_000)["errorCode"] == "200011"
    assert call("/balance/query")["obj"]["balance"] == 50_000_000 - 130_000


def test_daily_plan_costs_and_lasts_by_the_day(sandbox: Sandbox, call: Call) -> None:
    package = {"packageCode": "SIM-MC-DAY", "count": 1, "price": 139_000, "periodNum": 3}
    answer = call("/esim/order", transactionId="S-1", amount=417_000, packageInfoList=[package])
    esim = call("/esim/query", orderNo=answer["obj"]["orderNo"], pager=PAGER)["obj"]["esimList"][0]
    assert (esim["totalDuration"], esim["totalVolume"], esim["dataType"]) == (3, 3 * 1024**3, 2)
    assert order(call, transaction_id="S-2", code="SIM-MC-DAY", periodNum=31)["errorCode"] == "200008"


def test_allocation_takes_polls_or_time_or_forever(sandbox: Sandbox, call: Call) -> None:
    sandbox.esim_access.set_allocation(polls=2)
    number = order(call)["obj"]["orderNo"]
    codes = [call("/esim/query", orderNo=number, pager=PAGER)["errorCode"] for _ in range(3)]
    assert codes == ["200010", "200010", "0"]
    sandbox.esim_access.set_allocation(polls=0, seconds=0.1)
    order(call, "S-2")
    assert sandbox.esim_access.orders.wait_ready("S-2", timeout=5)
    sandbox.esim_access.set_allocation(seconds=None)
    number = order(call, "S-3")["obj"]["orderNo"]
    assert call("/esim/query", orderNo=number, pager=PAGER)["errorCode"] == "200010"
    sandbox.esim_access.allocate()
    assert call("/esim/query", orderNo=number, pager=PAGER)["success"]


def test_held_allocation_continues_where_it_was(sandbox: Sandbox, call: Call) -> None:
    sandbox.esim_access.set_allocation(held=True)
    number = order(call)["obj"]["orderNo"]
    assert call("/esim/query", orderNo=number, pager=PAGER)["errorCode"] == "200010"
    sandbox.esim_access.set_allocation(held=False)
    assert call("/esim/query", orderNo=number, pager=PAGER)["success"]


def test_query_by_everything_and_by_page(sandbox: Sandbox, call: Call) -> None:
    numbers = [bought(call, f"S-{number}")["esimTranNo"] for number in range(7)]
    esim = call("/esim/query", esimTranNo=numbers[3], pager=PAGER)["obj"]["esimList"][0]
    assert call("/esim/query", iccid=esim["iccid"], pager=PAGER)["obj"]["esimList"] == [esim]
    now = datetime.now(UTC)
    span = {
        "startTime": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M}+00:00",
        "endTime": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M}+00:00",
    }
    second = call("/esim/query", **span, pager={"pageNum": 2, "pageSize": 5})["obj"]
    assert [each["esimTranNo"] for each in second["esimList"]] == numbers[5:]
    assert second["pager"] == {"pageSize": 5, "pageNum": 2, "total": 7}
    sandbox.esim_access.advance(days=1)
    assert call("/esim/query", **span, pager=PAGER)["obj"]["esimList"] == []


def test_query_refusals(call: Call) -> None:
    assert call("/esim/query", orderNo="B1")["errorCode"] == "000105"
    assert call("/esim/query", orderNo="B1", pager={"pageNum": 1, "pageSize": 4})["errorCode"] == "200008"
    assert call("/esim/query", orderNo="B1", pager=PAGER)["errorCode"] == "310272"
    assert call("/esim/query", iccid="8999", pager=PAGER)["errorCode"] == "310403"
    assert call("/esim/query", pager=PAGER)["errorCode"] == "000105"


def test_reused_iccid_finds_both_esims(sandbox: Sandbox, call: Call) -> None:
    first = bought(call)
    sandbox.esim_access.reuse_iccid(first["esimTranNo"])
    second = bought(call, "S-2")
    assert second["iccid"] == first["iccid"]
    found = call("/esim/query", iccid=first["iccid"], pager=PAGER)["obj"]["esimList"]
    assert [each["esimTranNo"] for each in found] == [first["esimTranNo"], second["esimTranNo"]]


def test_log_holds_no_secrets(sandbox: Sandbox, call: Call) -> None:
    esim = bought(call)
    base = f"{sandbox.url}/_control/esim-access"
    texts = [httpx.get(f"{base}/{name}").text for name in ("log", "state", "counters", "webhooks")]
    assert all(secret not in text for secret in (esim["ac"], "DEMO-", ACCESS_CODE) for text in texts)
    assert httpx.get(f"{base}/log").json()[0]["transactionId"] == "S-1"
