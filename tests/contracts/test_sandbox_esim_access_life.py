"""The life of an eSIM at the stand-in: installing, using, topping up, running out, giving back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.esim_access import ApiError
from sandbox.server import Sandbox, SandboxSettings

Call = Callable[..., dict[str, Any]]
PAGER = {"pageNum": 1, "pageSize": 50}
ACCESS_CODE = "sandbox-access-code"
GIGABYTE = 1024**3
OFFER = "TOPUP_SIM-MC-1-7"


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


def fresh(call: Call, number: str) -> dict[str, Any]:
    esim: dict[str, Any] = call("/esim/query", esimTranNo=number, pager=PAGER)["obj"]["esimList"][0]
    return esim


def states(esim: dict[str, Any]) -> tuple[str, str]:
    return esim["smdpStatus"], esim["esimStatus"]


def days_until(text: str) -> float:
    return (datetime.fromisoformat(text) - datetime.now(UTC)) / timedelta(days=1)


def top_up(call: Call, number: str, code: str = OFFER, transaction_id: str = "T-1", **more: Any) -> dict[str, Any]:
    return call("/esim/topup", esimTranNo=number, packageCode=code, transactionId=transaction_id, **more)


def offers(call: Call, iccid: str) -> list[str]:
    packages = call("/package/list", type="TOPUP", iccid=iccid)["obj"]["packageList"]
    return [package["packageCode"] for package in packages]


def test_states_from_new_to_depleted(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    sandbox.esim_access.install(number)
    onboard = fresh(call, number)
    assert states(onboard) == ("ENABLED", "GOT_RESOURCE")
    assert onboard["eid"] == "89049032000000000000000000000163"
    assert int(onboard["eid"]) % 97 == 1
    assert days_until(onboard["expiredTime"]) > 179
    sandbox.esim_access.connect(number)
    connected = fresh(call, number)
    assert states(connected) == ("ENABLED", "IN_USE")
    assert 6.99 < days_until(connected["expiredTime"]) <= 7
    assert connected["activateTime"]
    sandbox.esim_access.burn(number, percent=25)
    assert fresh(call, number)["orderUsage"] == GIGABYTE // 4
    sandbox.esim_access.burn(number, bytes=GIGABYTE)
    depleted = fresh(call, number)
    assert (states(depleted), depleted["orderUsage"]) == (("ENABLED", "USED_UP"), GIGABYTE)


def test_burning_installs_and_connects_first(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    sandbox.esim_access.burn(number, percent=10)
    assert states(fresh(call, number)) == ("ENABLED", "IN_USE")


def test_skipped_days_move_every_date_into_the_past(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    sandbox.esim_access.connect(number)
    before = fresh(call, number)
    sandbox.esim_access.advance(days=3)
    after = fresh(call, number)
    for name in ("activateTime", "expiredTime"):
        slipped = datetime.fromisoformat(before[name]) - datetime.fromisoformat(after[name])
        assert slipped == timedelta(days=3)
    created = datetime.fromisoformat(after["packageList"][0]["createTime"])
    minute = timedelta(minutes=1)
    span = {"startTime": (created - minute).isoformat(), "endTime": (created + minute).isoformat()}
    assert len(call("/esim/query", **span, pager=PAGER)["obj"]["esimList"]) == 1


def test_expiry(sandbox: Sandbox, call: Call) -> None:
    used, unused = bought(call, "S-1")["esimTranNo"], bought(call, "S-2")["esimTranNo"]
    sandbox.esim_access.connect(used)
    sandbox.esim_access.advance(days=7)
    assert fresh(call, used)["esimStatus"] == "USED_EXPIRED"
    assert fresh(call, unused)["esimStatus"] == "GOT_RESOURCE"
    sandbox.esim_access.advance(days=173)
    lapsed = fresh(call, unused)
    assert lapsed["esimStatus"] == "UNUSED_EXPIRED"
    assert days_until(lapsed["expiredTime"]) <= 0
    with pytest.raises(ApiError):
        sandbox.esim_access.burn(used, percent=1)


def test_top_up_adds_up(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    early = top_up(call, number)["obj"]
    assert (early["totalVolume"], early["totalDuration"]) == (2 * GIGABYTE, 14)
    assert days_until(early["expiredTime"]) > 179
    sandbox.esim_access.burn(number, percent=100)
    assert fresh(call, number)["esimStatus"] == "USED_UP"
    late = top_up(call, number, "MC_3_30", "T-2", amount="325000")["obj"]
    assert (late["totalVolume"], late["totalDuration"], late["orderUsage"]) == (5 * GIGABYTE, 44, 2 * GIGABYTE)
    esim = fresh(call, number)
    assert esim["esimStatus"] == "IN_USE"
    assert 43.9 < days_until(esim["expiredTime"]) <= 44
    assert [each["packageCode"] for each in esim["packageList"]] == ["SIM-MC-1-7", OFFER, "TOPUP_SIM-MC-3-30"]
    assert sandbox.esim_access.balance == 50_000_000 - 122_000 * 2 - 325_000


def test_refused_top_ups_cost_nothing(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    fixed = bought(call, "S-2", "SIM-MC-10-30")["esimTranNo"]
    balance = sandbox.esim_access.balance
    assert top_up(call, number, "TOPUP_SIM-XX")["errorCode"] == "310241"
    assert top_up(call, number, "TOPUP_SIM-MC-10-30")["errorCode"] == "310241"
    assert top_up(call, number, "TOPUP_SIM-FR-1-7")["errorCode"] == "310243"
    assert top_up(call, number, amount="1")["errorCode"] == "200006"
    assert top_up(call, fixed)["errorCode"] == "200002"
    sandbox.esim_access.set_balance(100)
    assert top_up(call, number)["errorCode"] == "200007"
    sandbox.esim_access.set_balance(balance)
    sandbox.esim_access.advance(days=181)
    assert top_up(call, number)["errorCode"] == "200002"
    assert sandbox.esim_access.balance == balance
    assert sandbox.esim_access.counters()["topups_executed"] == 0
    assert fresh(call, number)["totalVolume"] == GIGABYTE


def test_repeated_top_up_is_carried_out_again_unless_switched(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    top_up(call, number)
    assert top_up(call, number)["obj"]["totalVolume"] == 3 * GIGABYTE
    assert sandbox.esim_access.counters()["topups"] == {"T-1": 2}
    sandbox.esim_access.set_variants(topup_idempotent=True)
    assert top_up(call, number)["obj"]["totalVolume"] == 3 * GIGABYTE
    assert sandbox.esim_access.log()[-1].outcome == "replayed"


def test_offers_for_one_esim(sandbox: Sandbox, call: Call) -> None:
    monaco, riviera = bought(call), bought(call, "S-2", "SIM-RIV-5-15")
    assert offers(call, monaco["iccid"]) == [OFFER, "TOPUP_SIM-MC-3-30", "TOPUP_SIM-MC-5-30"]
    assert offers(call, riviera["iccid"]) == ["TOPUP_SIM-RIV-5-15"]
    assert offers(call, bought(call, "S-3", "SIM-MC-DAY")["iccid"]) == []
    assert offers(call, "8999900000000000999") == []
    sandbox.esim_access.make_non_rechargeable(riviera["esimTranNo"])
    assert offers(call, riviera["iccid"]) == []
    assert top_up(call, riviera["esimTranNo"], "RIV_5_15")["errorCode"] == "200002"
    sandbox.esim_access.advance(days=181)
    assert offers(call, monaco["iccid"]) == []


def test_cancel_refunds_only_untouched_esims(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    assert call("/esim/cancel", esimTranNo=number)["success"]
    assert sandbox.esim_access.balance == 50_000_000
    assert fresh(call, number)["esimStatus"] == "CANCEL"
    assert call("/esim/cancel", esimTranNo=number)["errorCode"] == "200002"
    installed = bought(call, "S-2")["esimTranNo"]
    sandbox.esim_access.install(installed)
    assert call("/esim/cancel", esimTranNo=installed)["errorCode"] == "200002"
    assert sandbox.esim_access.balance == 50_000_000 - 122_000


def test_suspend_and_revoke(sandbox: Sandbox, call: Call) -> None:
    esim = bought(call)
    number = esim["esimTranNo"]
    sandbox.esim_access.connect(number)
    assert call("/esim/unsuspend", esimTranNo=number)["errorCode"] == "200002"
    assert call("/esim/suspend", iccid=esim["iccid"])["success"]
    assert fresh(call, number)["esimStatus"] == "SUSPENDED"
    assert call("/esim/unsuspend", esimTranNo=number)["success"]
    assert fresh(call, number)["esimStatus"] == "IN_USE"
    assert call("/esim/revoke", esimTranNo=number)["success"]
    assert fresh(call, number)["esimStatus"] == "REVOKED"
    assert call("/esim/revoke", esimTranNo=number)["errorCode"] == "200002"
    assert offers(call, esim["iccid"]) == []


def test_usage_of_up_to_ten_esims(sandbox: Sandbox, call: Call) -> None:
    numbers = [bought(call, f"S-{each}")["esimTranNo"] for each in range(11)]
    sandbox.esim_access.burn(numbers[0], bytes=1000)
    assert call("/esim/usage/query", esimTranNoList=numbers)["errorCode"] == "000107"
    usages = call("/esim/usage/query", esimTranNoList=numbers[:10])["obj"]["esimUsageList"]
    assert [each["esimTranNo"] for each in usages] == numbers[:10]
    assert (usages[0]["dataUsage"], usages[0]["totalData"]) == (1000, GIGABYTE)
    sandbox.esim_access.set_variants(usage_shape="list")
    assert call("/esim/usage/query", esimTranNoList=[numbers[0], "unknown"])["obj"][0]["dataUsage"] == 1000


def test_stale_usage_waits_for_a_refresh(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    sandbox.esim_access.set_variants(stale_usage=True)
    sandbox.esim_access.burn(number, bytes=1000)
    assert fresh(call, number)["orderUsage"] == 0
    sandbox.esim_access.refresh_usage()
    assert fresh(call, number)["orderUsage"] == 1000


def test_everything_is_remembered_over_a_restart(tmp_path: Path) -> None:
    settings = SandboxSettings(state_file=tmp_path / "state.sqlite")
    headers = {"RT-AccessCode": ACCESS_CODE}
    with Sandbox(settings) as first:
        first.esim_access.set_allocation(seconds=0)
        packages = [{"packageCode": "SIM-MC-1-7", "count": 1}]
        body = {"transactionId": "S-1", "packageInfoList": packages}
        before = httpx.post(first.esim_access.url + "/esim/order", json=body, headers=headers).json()
        first.esim_access.burn(first.esim_access.esims()[0].esim_tran_no, percent=50)
    with Sandbox(settings) as second:
        assert httpx.post(second.esim_access.url + "/esim/order", json=body, headers=headers).json() == before
        assert second.esim_access.esims()[0].usage == GIGABYTE // 2
        assert second.esim_access.counters()["orders"] == {"S-1": 1}


def test_page_for_people(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    with httpx.Client(base_url=sandbox.url, follow_redirects=True) as client:
        page = client.get("/esims/").text
        assert f'id="esim-{number}"' in page
        assert "$4,987.80" in page
        answer = client.post(f"/esims/{number}", data={"action": "burn_half"})
        assert answer.history[0].status_code == 303
        assert "Burned half of the data." in answer.text
        assert "512 MB of 1 GB left" in answer.text
        assert sandbox.esim_access.esim(number).esim_status == "IN_USE"
        for action in ("burn_100_mb", "burn_all"):
            client.post(f"/esims/{number}", data={"action": action})
        assert "Data used up" in client.get("/esims/").text
        assert "Time skipped." in client.post("/esims/clock", data={"days": "7"}).text
        assert sandbox.esim_access.esim(number).esim_status == "USED_EXPIRED"
        assert "Nothing happened" in client.post(f"/esims/{number}", data={"action": "connect"}).text
        assert "Nothing happened" in client.post("/esims/clock", data={"days": "x"}).text
