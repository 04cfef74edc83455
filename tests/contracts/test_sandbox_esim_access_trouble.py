"""What goes wrong on purpose: lost answers, webhooks in disorder, chaos."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from sandbox.server import Sandbox

Call = Callable[..., dict[str, Any]]
PAGER = {"pageNum": 1, "pageSize": 50}
ACCESS_CODE = "sandbox-access-code"


class Shop:
    """Where webhooks go: keeps what it is sent and answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.received: list[dict[str, Any]] = []
        self._server = make_server("127.0.0.1", 0, self._answer, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def types(self) -> list[str]:
        return [payload["notifyType"] for payload in self.received]

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.received.append(json.loads(Request(environ).get_data()))
        return Response(status=self.status)(environ, start_response)


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


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


def delivered(sandbox: Sandbox, shop: Shop) -> list[dict[str, Any]]:
    assert sandbox.esim_access.webhooks.wait_idle(10)
    return shop.received


@pytest.mark.parametrize(("kind", "executed"), [("timeout_before", 0), ("timeout_after_commit", 1)])
def test_lost_answer(sandbox: Sandbox, call: Call, kind: str, executed: int) -> None:
    sandbox.esim_access.fault("/esim/order", kind)
    with pytest.raises(httpx.RemoteProtocolError):
        order(call)
    entry = sandbox.esim_access.log()[-1]
    assert (entry.outcome, entry.fault, entry.executed, entry.transaction_id) == (
        "faulted",
        kind,
        bool(executed),
        "S-1",
    )
    assert sandbox.esim_access.counters()["orders_executed"] == executed
    assert order(call)["success"]
    assert sandbox.esim_access.counters()["orders"] == {"S-1": 1}
    assert sandbox.esim_access.balance == 50_000_000 - 122_000


def test_lost_answer_of_a_top_up_shows_in_the_totals(sandbox: Sandbox, call: Call) -> None:
    number = bought(call)["esimTranNo"]
    sandbox.esim_access.fault("/esim/topup", "timeout_after_commit")
    with pytest.raises(httpx.RemoteProtocolError):
        call("/esim/topup", esimTranNo=number, packageCode="TOPUP_SIM-MC-1-7", transactionId="T-1")
    esim = call("/esim/query", esimTranNo=number, pager=PAGER)["obj"]["esimList"][0]
    assert esim["totalDuration"] == 14


def test_hanging_request_ends_by_the_clients_own_timeout(sandbox: Sandbox) -> None:
    sandbox.esim_access.fault("/balance/query", "timeout_before", seconds=2)
    headers = {"RT-AccessCode": ACCESS_CODE}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(sandbox.esim_access.url + "/balance/query", json={}, headers=headers, timeout=0.2)


@pytest.mark.parametrize(
    ("kind", "status", "executed"),
    [
        ("500", 500, 0),
        ("500_after_commit", 500, 1),
        ("429", 429, 0),
        ("bad_json", 200, 0),
        ("bad_json_after_commit", 200, 1),
        ("error:900001", 200, 0),
        ("slow", 200, 1),
    ],
)
def test_faults_over_http(sandbox: Sandbox, kind: str, status: int, executed: int) -> None:
    rule = {"path": "/esim/order", "kind": kind, "count": 1, "seconds": 0.01}
    assert httpx.post(f"{sandbox.url}/_control/esim-access/faults", json=rule).status_code == 200
    body = {"transactionId": "S-1", "packageInfoList": [{"packageCode": "MC_1_7", "count": 1}]}
    headers = {"RT-AccessCode": ACCESS_CODE}
    response = httpx.post(sandbox.esim_access.url + "/esim/order", json=body, headers=headers)
    assert response.status_code == status
    if kind.startswith("bad_json"):
        with pytest.raises(ValueError, match="JSON|Expecting|Unterminated"):
            response.json()
    if kind.startswith("error"):
        assert response.json()["errorCode"] == "900001"
    counters = httpx.get(f"{sandbox.url}/_control/esim-access/counters").json()
    assert counters["orders_executed"] == executed
    assert httpx.get(f"{sandbox.url}/_control/esim-access/faults").json() == []


def test_chaos_is_repeatable(sandbox: Sandbox, call: Call) -> None:
    def outcomes() -> list[str | None]:
        sandbox.esim_access.faults.clear()
        sandbox.esim_access.fault("*", "error:000001", count=None, probability=0.5, seed=7)
        return [call("/balance/query")["errorCode"] for _ in range(20)]

    first = outcomes()
    assert first == outcomes()
    assert set(first) == {"0", "000001"}


def test_plan_whose_first_answer_never_comes(sandbox: Sandbox, call: Call) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        order(call, code="SIM-FAIL-TIMEOUT")
    assert order(call, code="SIM-FAIL-TIMEOUT")["success"]
    assert sandbox.esim_access.counters()["orders"] == {"S-1": 1}


def test_rate_limit(sandbox: Sandbox) -> None:
    sandbox.esim_access.set_variants(rate_limit=8)
    with httpx.Client(headers={"RT-AccessCode": ACCESS_CODE}) as client:
        url = sandbox.esim_access.url + "/balance/query"
        statuses = [client.post(url, json={}).status_code for _ in range(9)]
    assert statuses == [200] * 8 + [429]


def test_webhook_address_must_be_healthy(sandbox: Sandbox, call: Call, shop: Shop) -> None:
    shop.status = 500
    assert call("/webhook/save", webhook=shop.url)["success"] is False
    assert call("/webhook/query")["obj"]["webhook"] == ""
    shop.status = 200
    assert call("/webhook/save", webhookUrl=shop.url)["success"] is True
    assert call("/webhook/query")["obj"]["webhook"] == shop.url
    assert shop.types == ["CHECK_HEALTH", "CHECK_HEALTH"]
    assert shop.received[0]["content"] == {"orderNo": "1234567890", "orderStatus": "Test"}


def test_the_notifications_of_a_life(sandbox: Sandbox, call: Call, shop: Shop) -> None:
    sandbox.esim_access.webhooks.set_url(shop.url)
    number = bought(call)["esimTranNo"]
    for percent in (55, 30, 10, 100):
        sandbox.esim_access.burn(number, percent=percent)
    sandbox.esim_access.advance(days=6, hours=1)
    sandbox.esim_access.advance(days=1)
    payloads = delivered(sandbox, shop)
    assert shop.types == (
        ["ORDER_STATUS"]
        + ["SMDP_EVENT"] * 3
        + ["ESIM_STATUS"]
        + ["DATA_USAGE"] * 3
        + ["ESIM_STATUS", "VALIDITY_USAGE", "ESIM_STATUS"]
    )
    contents = [payload["content"] for payload in payloads]
    assert contents[0] == {
        "orderNo": contents[1]["orderNo"],
        "transactionId": "S-1",
        "orderStatus": "GOT_RESOURCE",
    }
    assert [content["smdpStatus"] for content in contents[1:4]] == ["DOWNLOAD", "INSTALLATION", "ENABLED"]
    assert [content["remainThreshold"] for content in contents[5:8]] == [0.5, 0.2, 0.1]
    assert [contents[index]["esimStatus"] for index in (4, 8, 10)] == ["IN_USE", "USED_UP", "USED_EXPIRED"]
    assert contents[9]["remain"] == 1
    assert len({payload["notifyId"] for payload in payloads}) == len(payloads)


def test_duplicates_drops_and_disorder(sandbox: Sandbox, call: Call, shop: Shop) -> None:
    webhooks = sandbox.esim_access.webhooks
    webhooks.set_url(shop.url)
    webhooks.duplicate(1)
    number = bought(call)["esimTranNo"]
    first, again = delivered(sandbox, shop)
    assert first == again
    webhooks.drop(1)
    bought(call, "S-2")
    assert len(delivered(sandbox, shop)) == 2
    webhooks.hold()
    bought(call, "S-3")
    sandbox.esim_access.connect(number)
    assert len(delivered(sandbox, shop)) == 2
    webhooks.release(reverse=True)
    delivered(sandbox, shop)
    assert shop.types[2:] == ["ESIM_STATUS", "SMDP_EVENT", "SMDP_EVENT", "SMDP_EVENT", "ORDER_STATUS"]


def test_notifications_are_lost_doubled_and_late_at_random(sandbox: Sandbox, shop: Shop) -> None:
    webhooks = sandbox.esim_access.webhooks
    webhooks.set_url(shop.url)
    fates = []
    for _ in range(2):
        webhooks.chaos(doubled=0.3, dropped=0.2, delayed=0.3, seconds=0.05, seed=5)
        for number in range(40):
            webhooks.send("ORDER_STATUS", {"orderNo": f"B{number}"})
        assert webhooks.wait_idle(10)
        arrived = [payload["content"]["orderNo"] for payload in shop.received]
        fates.append([arrived.count(f"B{number}") for number in range(40)])
        assert [each["copies"] for each in webhooks.sent()] == fates[-1]
        assert [each["dropped"] for each in webhooks.sent()] == [copies == 0 for copies in fates[-1]]
        assert list(dict.fromkeys(arrived)) != [f"B{number}" for number in range(40) if fates[-1][number]]
        shop.received.clear()
        webhooks.reset()
    assert fates[0] == fates[1]
    assert {0, 1, 2} == set(fates[0])
    webhooks.send("ORDER_STATUS", {"orderNo": "B40"})
    assert webhooks.wait_idle(10)
    assert len(shop.received) == 1


def test_early_bare_unknown_and_forged_notifications(sandbox: Sandbox, call: Call, shop: Shop) -> None:
    sandbox.esim_access.webhooks.set_url(shop.url)
    sandbox.esim_access.set_allocation(seconds=None)
    sandbox.esim_access.set_variants(early_webhooks=True, bare_webhooks=True)
    number = order(call)["obj"]["orderNo"]
    assert delivered(sandbox, shop)[0].keys() == {"notifyType", "content"}
    assert call("/esim/query", orderNo=number, pager=PAGER)["errorCode"] == "200010"
    sandbox.esim_access.send_unknown_order_webhook()
    forged = {"notifyType": "ESIM_STATUS", "content": {"esimTranNo": "1", "esimStatus": "CANCEL"}}
    httpx.post(f"{sandbox.url}/_control/esim-access/webhooks/send", json=forged)
    assert delivered(sandbox, shop)[1]["content"]["orderNo"] == "B00000000000000"
    assert shop.received[2] == forged


def test_failed_notification_is_tried_again(sandbox: Sandbox, shop: Shop) -> None:
    webhooks = sandbox.esim_access.webhooks
    webhooks.set_url(shop.url)
    shop.status = 503
    webhooks.send("ORDER_STATUS", {})
    delivered(sandbox, shop)
    assert webhooks.sent()[0]["statuses"] == [503, 503, 503]


def test_controls_refuse_nonsense(sandbox: Sandbox, call: Call) -> None:
    base = f"{sandbox.url}/_control/esim-access"
    number = bought(call)["esimTranNo"]

    def post(name: str, **body: Any) -> int:
        return httpx.post(f"{base}/{name}", json=body).status_code

    assert post("install", esimTranNo=number) == 200
    assert post("burn", esimTranNo=number, percent=50) == 200
    assert post("burn", esimTranNo=number) == 400
    assert post("burn", percent=50) == 400
    assert post("advance", days=-1) == 400
    assert post("variants", time_format="roman") == 400
    assert post("faults", path="*", kind="earthquake") == 400
    assert post("delete-from-phone", esimTranNo=number) == 200
    assert post("install", esimTranNo=number) == 409
    assert post("nothing") == 404
    assert post("allocation", seconds=0, polls=1) == 200
    assert post("reset") == 200
    assert httpx.get(f"{base}/state").json()["esims"] == []
