"""The adapter of eSIM Access keeps the supplier's contract, however the API answers, misanswers or stays silent."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from config import EsimAccessSettings
from models import EsimStatus
from sandbox.esim_access import EsimAccessSandbox
from sandbox.server import Sandbox
from services import suppliers
from services.money import GIGABYTE
from services.suppliers import PurchaseRequest, TopupRequest
from services.suppliers.esim_access import ERRORS, EsimAccess

PLAN, TOPUP_PLAN, DAILY = "SIM-MC-1-7", "TOPUP_SIM-MC-1-7", "SIM-MC-DAY"
ORDER = PurchaseRequest(reference="ABCDEFGHJK-1", plan_code=PLAN, expected_cost=None, days=None)

Call = Callable[[EsimAccess], object]
# Every call of the contract, and whether it buys: then silence means that nobody knows what happened.
CALLS: dict[str, tuple[Call, str, bool]] = {
    "list_plans": (lambda supplier: supplier.list_plans(), "/package/list", False),
    "list_topups": (lambda supplier: supplier.list_topups("8999900000000000000"), "/package/list", False),
    "place_order": (lambda supplier: supplier.place_order(ORDER), "/esim/order", True),
    "get_order": (lambda supplier: supplier.get_order("B1"), "/esim/query", False),
    "place_topup": (
        lambda supplier: supplier.place_topup(
            TopupRequest(reference="R-1", supplier_esim_id="1", plan_code=TOPUP_PLAN, expected_cost=None)
        ),
        "/esim/topup",
        True,
    ),
    "read_esim": (lambda supplier: supplier.read_esim("1"), "/esim/query", False),
    "read_usage": (lambda supplier: supplier.read_usage(["1"]), "/esim/usage/query", False),
    "balance": (lambda supplier: supplier.balance(), "/balance/query", False),
    "register_webhook": (lambda supplier: supplier.register_webhook("http://shop/"), "/webhook/save", False),
}


@pytest.fixture
def server(sandbox: Sandbox) -> EsimAccessSandbox:
    return sandbox.esim_access


@pytest.fixture
def settings(sandbox: Sandbox) -> EsimAccessSettings:
    keys = sandbox.settings
    return EsimAccessSettings(
        base_url=sandbox.esim_access.url, access_code=keys.esim_access_code, secret=keys.esim_access_secret
    )


@pytest.fixture
def supplier(settings: EsimAccessSettings) -> EsimAccess:
    return EsimAccess(settings)


def topup(esim_id: str, reference: str = "ABCDEFGHJK-2", cost: int | None = None) -> TopupRequest:
    return TopupRequest(reference=reference, supplier_esim_id=esim_id, plan_code=TOPUP_PLAN, expected_cost=cost)


def bought(supplier: EsimAccess, reference: str = ORDER.reference) -> str:
    """Order an eSIM and return its number at the supplier."""
    order = supplier.place_order(replace(ORDER, reference=reference))
    profile = supplier.get_order(order.supplier_order_id).profile
    assert profile is not None
    return profile.supplier_esim_id


def test_plans_and_topups_are_listed(supplier: EsimAccess) -> None:
    listed = {plan.plan_code: plan for plan in supplier.list_plans()}
    plan, again, daily = listed[PLAN], listed[TOPUP_PLAN], listed[DAILY]
    assert (plan.data_bytes, plan.days, plan.cost, plan.countries) == (GIGABYTE, 7, 122_000, ("MC",))
    assert (plan.topup, plan.topup_supported, plan.per_day, plan.install_within_days) == (False, True, False, 180)
    assert (again.topup, again.days) == (True, 7)
    assert (daily.per_day, daily.topup_supported) == (True, False)


def test_topups_of_an_esim_are_those_that_fit(supplier: EsimAccess, server: EsimAccessSandbox) -> None:
    esim = server.esim(bought(supplier))
    codes = [plan.plan_code for plan in supplier.list_topups(esim.iccid)]
    assert codes == ["TOPUP_SIM-MC-1-7", "TOPUP_SIM-MC-3-30", "TOPUP_SIM-MC-5-30"]
    server.make_non_rechargeable(esim.esim_tran_no)
    assert supplier.list_topups(esim.iccid) == []


@pytest.mark.parametrize("duplicate", ["replay", "310402"])
def test_the_same_reference_is_the_same_order(supplier: EsimAccess, server: EsimAccessSandbox, duplicate: str) -> None:
    server.set_variants(duplicate_order=duplicate)
    first = supplier.place_order(ORDER)
    assert supplier.place_order(ORDER) == first
    assert server.counters()["orders"] == {ORDER.reference: 1}


def test_an_order_that_is_known_and_not_listed_is_unknown(supplier: EsimAccess, server: EsimAccessSandbox) -> None:
    server.set_variants(duplicate_order="310402")
    server.set_allocation(held=True)
    supplier.place_order(ORDER)
    with pytest.raises(suppliers.OutcomeUnknown):
        supplier.place_order(ORDER)


def test_a_profile_comes_when_it_is_allocated(supplier: EsimAccess, server: EsimAccessSandbox) -> None:
    server.set_allocation(held=True)
    order = supplier.place_order(ORDER)
    assert order.profile is None
    assert supplier.get_order(order.supplier_order_id).profile is None
    server.set_allocation(held=False)
    profile = supplier.get_order(order.supplier_order_id).profile
    (theirs,) = server.esims()
    assert profile is not None
    assert (profile.iccid, profile.supplier_esim_id) == (theirs.iccid, theirs.esim_tran_no)
    assert (profile.smdp_address, profile.matching_id) == ("smdp.example.com", theirs.matching_id)
    assert profile.install_by is not None
    assert abs(profile.install_by - datetime.now(UTC) - timedelta(days=180)) < timedelta(minutes=1)
    assert theirs.matching_id not in repr(profile)


def test_a_plan_by_the_day_is_ordered_for_its_days(supplier: EsimAccess, server: EsimAccessSandbox) -> None:
    before = supplier.balance()
    supplier.place_order(replace(ORDER, plan_code=DAILY, days=5, expected_cost=139_000))
    assert server.esims()[0].total_days == 5
    assert before - supplier.balance() == 5 * 139_000


def test_a_price_that_has_changed_buys_nothing(supplier: EsimAccess, server: EsimAccessSandbox) -> None:
    esim_id = bought(supplier)
    with pytest.raises(suppliers.PriceChanged):
        supplier.place_order(replace(ORDER, reference="R-2", expected_cost=1))
    with pytest.raises(suppliers.PriceChanged):
        supplier.place_topup(topup(esim_id, cost=1))
    supplier.place_topup(topup(esim_id, cost=122_000))
    assert (server.counters()["orders_executed"], server.counters()["topups_executed"]) == (1, 1)


@pytest.mark.parametrize("code", ERRORS)
def test_each_error_code_means_something(supplier: EsimAccess, server: EsimAccessSandbox, code: str) -> None:
    server.fault("/esim/order", f"error:{code}")
    with pytest.raises(ERRORS[code]) as error:
        supplier.place_order(ORDER)
    assert error.value.code == code
    assert server.counters()["orders_executed"] == 0


@pytest.mark.parametrize("name", CALLS)
def test_an_error_that_nobody_knows_is_no_refusal(supplier: EsimAccess, server: EsimAccessSandbox, name: str) -> None:
    call, path, buys = CALLS[name]
    server.fault(path, "error:999999")
    with pytest.raises(suppliers.OutcomeUnknown if buys else suppliers.Temporary):
        call(supplier)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", ["timeout_before", "500", "bad_json"])
def test_silence_is_unknown_when_it_buys_and_passing_when_it_asks(
    supplier: EsimAccess, server: EsimAccessSandbox, name: str, fault: str
) -> None:
    call, path, buys = CALLS[name]
    server.fault(path, fault)
    with pytest.raises(suppliers.OutcomeUnknown if buys else suppliers.Temporary):
        call(supplier)


@pytest.mark.parametrize("name", CALLS)
def test_too_many_requests_are_waited_for(supplier: EsimAccess, server: EsimAccessSandbox, name: str) -> None:
    call, path, _buys = CALLS[name]
    server.fault(path, "429")
    with pytest.raises(suppliers.RateLimited):
        call(supplier)


@pytest.mark.parametrize("name", CALLS)
def test_nobody_at_the_address_has_done_nothing(settings: EsimAccessSettings, name: str) -> None:
    with pytest.raises(suppliers.Temporary):
        CALLS[name][0](EsimAccess(replace(settings, base_url="http://127.0.0.1:9")))


def test_credentials_are_signed_for_real(settings: EsimAccessSettings, server: EsimAccessSandbox) -> None:
    with pytest.raises(suppliers.AuthError):
        EsimAccess(replace(settings, secret="wrong")).balance()
    with pytest.raises(suppliers.AuthError):
        EsimAccess(replace(settings, access_code="wrong")).balance()
    assert EsimAccess(settings).balance() == server.balance


VARIANTS: list[dict[str, Any]] = [
    {"success_as_text": True},
    {"error_message_key": "errorMessage"},
    {"ok_code": None},
    {"time_format": "z"},
    {"usage_shape": "list"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_api_may_differ_from_its_documentation(
    supplier: EsimAccess, server: EsimAccessSandbox, variant: dict[str, Any]
) -> None:
    server.set_variants(**variant)
    esim_id = bought(supplier)
    server.burn(esim_id, percent=50)
    reading = supplier.read_esim(esim_id)
    assert (reading.used_bytes, reading.status) == (GIGABYTE // 2, EsimStatus.ACTIVE)
    assert reading.expires_at is not None
    assert reading.expires_at.utcoffset() == timedelta(0)
    ((used, total, moment),) = supplier.read_usage([esim_id]).values()
    assert (used, total) == (GIGABYTE // 2, GIGABYTE)
    assert moment is not None
    with pytest.raises(suppliers.NotFound):
        supplier.read_esim("unknown")


def test_the_life_of_an_esim_is_read(supplier: EsimAccess, server: EsimAccessSandbox) -> None:
    esim_id = bought(supplier)
    fresh = supplier.read_esim(esim_id)
    assert (fresh.status, fresh.activated_at, fresh.package_count) == (EsimStatus.NEW, None, 1)
    server.install(esim_id)
    assert supplier.read_esim(esim_id).status is EsimStatus.INSTALLED
    server.burn(esim_id, bytes=1000)
    used = supplier.read_esim(esim_id)
    assert (used.status, used.used_bytes, used.total_days) == (EsimStatus.ACTIVE, 1000, 7)
    assert used.activated_at is not None
    assert used.expires_at == used.activated_at + timedelta(days=7)
    server.burn(esim_id, percent=100)
    assert supplier.read_esim(esim_id).status is EsimStatus.DEPLETED
    supplier.place_topup(topup(esim_id))
    renewed = supplier.read_esim(esim_id)
    assert (renewed.status, renewed.total_bytes, renewed.total_days) == (EsimStatus.ACTIVE, 2 * GIGABYTE, 14)
    assert renewed.package_count == 2
    server.advance(days=15)
    assert supplier.read_esim(esim_id).status is EsimStatus.EXPIRED
    with pytest.raises(suppliers.NotTopupable):
        supplier.place_topup(topup(esim_id, reference="R-3"))


def test_an_iccid_that_is_used_again_does_not_mix_up_two_esims(supplier: EsimAccess, server: EsimAccessSandbox) -> None:
    earlier = bought(supplier)
    server.reuse_iccid(earlier)
    later = bought(supplier, "R-2")
    server.burn(later, percent=50)
    assert supplier.read_esim(earlier).iccid == supplier.read_esim(later).iccid
    assert supplier.read_esim(earlier).used_bytes == 0


def test_usage_is_asked_for_ten_at_a_time(supplier: EsimAccess, server: EsimAccessSandbox) -> None:
    esim_ids = [bought(supplier, f"R-{number}") for number in range(12)]
    asked = len([entry for entry in server.log() if entry.path == "/esim/usage/query"])
    usage = supplier.read_usage([*esim_ids])
    assert list(usage) == esim_ids
    assert len([entry for entry in server.log() if entry.path == "/esim/usage/query"]) - asked == 2
    assert supplier.read_usage([]) == {}


# Whatever the API puts where an answer was promised.
ODD_OBJECTS: list[Any] = [
    None,
    [],
    {},
    "text",
    7,
    [None],
    {"esimList": None},
    {"esimList": [None]},
    {"esimList": [{}]},
    {"esimList": [{"iccid": "8999", "esimTranNo": "1", "ac": "nonsense", "totalVolume": "much"}]},
    {"esimList": [{"iccid": "8999", "esimTranNo": "1", "ac": "LPA:1$x$y", "expiredTime": "tomorrow"}]},
    {"packageList": [{}]},
    {"packageList": "none"},
    {"packageList": [{"packageCode": "A", "name": "B", "volume": None, "duration": 1, "price": 1}]},
    {"orderNo": ""},
    {"orderNo": None},
    {"balance": None},
    {"esimUsageList": [{}]},
    {"esimUsageList": [{"esimTranNo": "1", "dataUsage": "x", "totalData": 1}]},
]
ODD_BODIES = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"success": true}',
    b'{"success": null}',
    b'{"success": false}',
    b'{"success": "maybe", "obj": {}}',
    b'{"success": false, "errorCode": {"a": 1}, "errorMsg": ["b"]}',
    b"\xff\xfe",
    b"[" * 100_000,
    b"<html>upstream</html>",
    *[json.dumps({"success": True, "errorCode": "0", "obj": odd}).encode() for odd in ODD_OBJECTS],
]


@pytest.fixture(scope="module")
def odd_server() -> Iterator[tuple[str, Callable[[int, bytes], None]]]:
    """Give the address of a server that answers everything with the same bytes, and the function that sets them."""
    answer: list[Any] = [200, b""]

    class Odd(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    def set_answer(status: int, body: bytes) -> None:
        answer[:] = [status, body]

    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", set_answer
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [200, 302, 403, 502])
def test_an_answer_that_nobody_promised_breaks_nothing(
    settings: EsimAccessSettings, odd_server: tuple[str, Callable[[int, bytes], None]], name: str, status: int
) -> None:
    address, set_answer = odd_server
    supplier = EsimAccess(replace(settings, base_url=address))
    call, _path, buys = CALLS[name]
    for body in ODD_BODIES:
        set_answer(status, body)
        try:
            result = call(supplier)
        except (suppliers.OutcomeUnknown, suppliers.NotFound):
            # An empty list is an answer to the question for an eSIM: there is none.
            continue
        except suppliers.Temporary:
            if buys:
                pytest.fail(f"{body[:80]!r}: a request to buy that got a strange answer may have been carried out")
        else:
            if name == "place_order":
                pytest.fail(f"{body[:80]!r} is taken for an order: {result}")


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 500, 502])
def test_an_error_page_never_confirms_a_topup(
    settings: EsimAccessSettings, odd_server: tuple[str, Callable[[int, bytes], None]], status: int
) -> None:
    address, set_answer = odd_server
    set_answer(status, b'{"success": true, "errorCode": "0", "obj": {}}')
    with pytest.raises(suppliers.OutcomeUnknown):
        EsimAccess(replace(settings, base_url=address)).place_topup(topup("1"))


def test_a_notification_is_a_hint(supplier: EsimAccess) -> None:
    told = {"notifyType": "ORDER_STATUS", "content": {"orderNo": "B1", "esimTranNo": 25}}
    event = supplier.parse_webhook(json.dumps(told).encode())
    assert event is not None
    assert (event.kind, event.supplier_order_id, event.supplier_esim_id) == ("ORDER_STATUS", "B1", "25")
    assert supplier.parse_webhook(b'{"notifyType": "CHECK_HEALTH", "content": {}}') is None


def test_no_secret_reaches_the_log(
    supplier: EsimAccess, server: EsimAccessSandbox, settings: EsimAccessSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        esim_id = bought(supplier)
        supplier.read_esim(esim_id)
        with pytest.raises(suppliers.NotFound):
            supplier.read_esim("unknown")
    for secret in (settings.access_code, settings.secret, server.esim(esim_id).matching_id):
        assert secret not in caplog.text
    assert settings.secret not in repr(settings)
