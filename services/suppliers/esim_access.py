"""eSIM Access, API v1 (docs/suppliers.md): every call is a POST with a JSON body, and errors come with HTTP 200.

Money is US dollars x 10,000, data is bytes, moments are UTC.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from config import EsimAccessSettings
from models import EsimStatus
from services import suppliers
from services.activation_codes import parse_activation_code
from services.suppliers import (
    Capabilities,
    Profile,
    PurchaseRequest,
    PurchaseResult,
    Reading,
    SupplierEvent,
    SupplierPlan,
    TopupRequest,
)

log = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(20, connect=5)
STILL_ALLOCATING = "200010"
DUPLICATE_REFERENCE = "310402"
USAGE_BATCH = 10

# What the supplier's error codes mean for us (docs/suppliers.md). What is not listed here may have happened.
ERRORS: dict[str, type[suppliers.SupplierError]] = {
    **dict.fromkeys(("101001", "101002", "101003", "401001", "000101", "000102"), suppliers.AuthError),
    **dict.fromkeys(("000103", "000104", "000105", "000106", "000107", "200008", "400001"), suppliers.InvalidRequest),
    **dict.fromkeys(("200005", "200006"), suppliers.PriceChanged),
    "200007": suppliers.InsufficientBalance,
    "200011": suppliers.OutOfStock,
    **dict.fromkeys(("310201", "310211", "310241", "310243"), suppliers.PlanUnavailable),
    **dict.fromkeys(("200002", "200009"), suppliers.NotTopupable),
    **dict.fromkeys(("310272", "310403"), suppliers.NotFound),
}

STATUSES: dict[str, EsimStatus] = {
    "CREATE": EsimStatus.NEW,
    "PAYING": EsimStatus.NEW,
    "PAID": EsimStatus.NEW,
    "GETTING_RESOURCE": EsimStatus.NEW,
    "GOT_RESOURCE": EsimStatus.NEW,
    "IN_USE": EsimStatus.ACTIVE,
    "USED_UP": EsimStatus.DEPLETED,
    "UNUSED_EXPIRED": EsimStatus.EXPIRED,
    "USED_EXPIRED": EsimStatus.EXPIRED,
    "CANCEL": EsimStatus.CANCELLED,
    "REVOKE": EsimStatus.CANCELLED,
    "REVOKED": EsimStatus.CANCELLED,
    "SUSPENDED": EsimStatus.SUSPENDED,
}


class EsimAccess:
    """The supplier eSIM Access."""

    code = "esim_access"
    capabilities = Capabilities(
        idempotent_orders=True,
        idempotent_topups=False,
        min_read_interval=timedelta(seconds=30),
        usual_delay=timedelta(hours=3),
        allocation_within=timedelta(minutes=5),
    )

    def __init__(self, settings: EsimAccessSettings) -> None:
        self._settings = settings
        self._client = httpx.Client(timeout=TIMEOUT, transport=httpx.HTTPTransport(retries=0))

    def list_plans(self) -> list[SupplierPlan]:
        """Return everything the supplier sells, plans and top-ups."""
        return [
            _plan(item, topup=topup)
            for topup in (False, True)
            for item in self._package_list({"type": "TOPUP" if topup else "BASE"})
        ]

    def list_topups(self, iccid: str) -> list[SupplierPlan]:
        """Return the top-ups that the supplier accepts for this eSIM now."""
        return [_plan(item, topup=True) for item in self._package_list({"type": "TOPUP", "iccid": iccid})]

    def place_order(self, request: PurchaseRequest) -> PurchaseResult:
        """Order a new eSIM; the same reference is the same order at the supplier, however often it is sent."""
        item: dict[str, Any] = {"packageCode": request.plan_code, "count": 1}
        body: dict[str, Any] = {"transactionId": request.reference, "packageInfoList": [item]}
        if request.days is not None:
            item["periodNum"] = request.days
        if request.expected_cost is not None:
            # Named so that a changed price is refused instead of paid (errors 200005 and 200006).
            item["price"] = request.expected_cost
            body["amount"] = request.expected_cost * (request.days or 1)
        try:
            answer = self._call("/esim/order", body, buys=True)
        except suppliers.SupplierError as error:
            if error.code != DUPLICATE_REFERENCE:
                raise
            return self._find_order(request.reference)
        return PurchaseResult(supplier_order_id=_text(answer, "orderNo"), profile=None)

    def get_order(self, supplier_order_id: str) -> PurchaseResult:
        """Return an accepted order, with its profile once that is allocated."""
        try:
            items = self._query({"orderNo": supplier_order_id})
        except suppliers.SupplierError as error:
            if error.code != STILL_ALLOCATING:
                raise
            items = []
        ready = [item for item in items if item.get("ac")]
        return PurchaseResult(supplier_order_id=supplier_order_id, profile=_profile(ready[0]) if ready else None)

    def place_topup(self, request: TopupRequest) -> None:
        """Order a top-up; returning means that the supplier accepted it."""
        body: dict[str, Any] = {
            "esimTranNo": request.supplier_esim_id,
            "packageCode": request.plan_code,
            "transactionId": request.reference,
        }
        if request.expected_cost is not None:
            body["amount"] = str(request.expected_cost)
        try:
            self._call("/esim/topup", body, buys=True)
        except suppliers.SupplierError as error:
            if error.code != DUPLICATE_REFERENCE:
                raise

    def read_esim(self, supplier_esim_id: str) -> Reading:
        """Return what the supplier says of an eSIM now; raises NotFound."""
        items = [item for item in self._query({"esimTranNo": supplier_esim_id}) if item.get("iccid")]
        if not items:
            raise suppliers.NotFound(f"no eSIM {supplier_esim_id}")
        return _reading(items[0])

    def read_usage(self, supplier_esim_ids: Sequence[str]) -> dict[str, tuple[int, int, datetime | None]]:
        """Return used bytes, total bytes and their moment per eSIM, for those that the supplier knows."""
        found: dict[str, tuple[int, int, datetime | None]] = {}
        for start in range(0, len(supplier_esim_ids), USAGE_BATCH):
            batch = list(supplier_esim_ids[start : start + USAGE_BATCH])
            answer = self._call("/esim/usage/query", {"esimTranNoList": batch})
            items = answer.get("esimUsageList", []) if isinstance(answer, dict) else answer
            for item in items:
                moment = _moment(item.get("lastUpdateTime"))
                found[str(item["esimTranNo"])] = (int(item["dataUsage"]), int(item["totalData"]), moment)
        return found

    def balance(self) -> int:
        """Return what is left on our account, in ten-thousandths of a US dollar."""
        return int(self._call("/balance/query", {})["balance"])

    def register_webhook(self, url: str) -> None:
        """Tell the supplier where its webhooks go; it refuses an address that does not answer at once."""
        self._call("/webhook/save", {"webhook": url})

    def parse_webhook(self, payload: bytes) -> SupplierEvent | None:
        """Return what a webhook hints at, None for a health check; raises ValueError when it is none of ours."""
        event = json.loads(payload)
        if not isinstance(event, dict) or not isinstance(event.get("content"), dict):
            raise ValueError("not an eSIM Access notification")
        kind, content = str(event.get("notifyType", "")), event["content"]
        if kind == "CHECK_HEALTH":
            return None
        order_id, esim_id = content.get("orderNo"), content.get("esimTranNo")
        return SupplierEvent(
            kind=kind,
            supplier_order_id=str(order_id) if order_id else None,
            supplier_esim_id=str(esim_id) if esim_id else None,
        )

    def _package_list(self, wanted: dict[str, str]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._call("/package/list", {"locationCode": "", **wanted})["packageList"] or []
        return items

    def _query(self, wanted: dict[str, str]) -> list[dict[str, Any]]:
        answer = self._call("/esim/query", {**wanted, "pager": {"pageNum": 1, "pageSize": 50}})
        items: list[dict[str, Any]] = answer["esimList"] or []
        return items

    def _find_order(self, reference: str) -> PurchaseResult:
        """Return the order that was placed under our reference within the last three days."""
        now = datetime.now(UTC)
        pages = {
            "startTime": (now - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M+00:00"),
            "endTime": (now + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M+00:00"),
        }
        for page in range(1, 10_001):
            answer = self._call("/esim/query", {**pages, "pager": {"pageNum": page, "pageSize": 500}})
            items = answer["esimList"] or []
            for item in items:
                if item.get("transactionId") == reference:
                    return PurchaseResult(supplier_order_id=str(item["orderNo"]), profile=None)
            if len(items) < 500:
                break
        raise suppliers.OutcomeUnknown("the supplier knows our reference but does not list its order")

    def _call(self, path: str, body: dict[str, Any], *, buys: bool = False) -> Any:
        """Return the `obj` of an answer; raises what the error code or the silence means.

        A silence after sending is OutcomeUnknown when the call `buys`, Temporary when it only asks.
        """
        raw = json.dumps(body, separators=(",", ":")).encode()
        silence: type[suppliers.SupplierError] = suppliers.OutcomeUnknown if buys else suppliers.Temporary
        try:
            response = self._client.post(self._settings.base_url + path, content=raw, headers=self._headers(raw))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise suppliers.Temporary(f"{path}: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise silence(f"{path}: {type(error).__name__}") from error
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise suppliers.RateLimited(path)
        try:
            answer = response.json()
            succeeded = str(answer["success"]).lower() == "true"
        except (ValueError, KeyError, TypeError) as error:
            raise silence(f"{path}: HTTP {response.status_code} without a readable answer") from error
        if succeeded:
            return answer["obj"]
        code = str(answer.get("errorCode") or "")
        message = str(answer.get("errorMsg") or answer.get("errorMessage") or "")[:100]
        log.info("eSIM Access %s: %s %s", path, code, message)
        raise ERRORS.get(code, silence)(f"{path}: {code} {message}", code)

    def _headers(self, raw: bytes) -> dict[str, str]:
        code = self._settings.access_code
        request_id, timestamp = str(uuid.uuid4()), str(int(time.time() * 1000))
        key = (self._settings.secret or code).encode()
        signature = hmac.new(key, f"{timestamp}{request_id}{code}".encode() + raw, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "RT-AccessCode": code,
            "RT-RequestID": request_id,
            "RT-Timestamp": timestamp,
            "RT-Signature": signature,
        }


def _plan(item: dict[str, Any], *, topup: bool) -> SupplierPlan:
    per_day = item.get("dataType") == 2
    return SupplierPlan(
        plan_code=_text(item, "packageCode"),
        topup=topup,
        name=_text(item, "name"),
        countries=tuple(code for code in str(item.get("location", "")).split(",") if code),
        data_bytes=int(item["volume"]) or None,
        per_day=per_day,
        days=int(item["duration"]),
        cost=int(item["price"]),
        topup_supported=item.get("supportTopUpType") == 2,
        install_within_days=int(item["unusedValidTime"]) if item.get("unusedValidTime") else None,
    )


def _profile(item: dict[str, Any]) -> Profile:
    code = parse_activation_code(str(item["ac"]))
    reading = _reading(item)
    return Profile(
        supplier_esim_id=reading.supplier_esim_id,
        iccid=reading.iccid,
        smdp_address=code.smdp_address,
        matching_id=code.matching_id,
        confirmation_code=None,
        apn=str(item.get("apn") or ""),
        install_by=reading.expires_at if reading.activated_at is None else None,
        reading=reading,
    )


def _reading(item: dict[str, Any]) -> Reading:
    status = STATUSES.get(str(item.get("esimStatus", "")), EsimStatus.UNKNOWN)
    used = int(item.get("orderUsage") or 0)
    activated_at = _moment(item.get("activateTime"))
    if status is EsimStatus.NEW and item.get("eid"):
        status = EsimStatus.INSTALLED
    if status is EsimStatus.ACTIVE and activated_at is None and used == 0:
        status = EsimStatus.INSTALLED
    total = item.get("totalVolume")
    return Reading(
        supplier_esim_id=_text(item, "esimTranNo"),
        iccid=_text(item, "iccid"),
        status=status,
        total_bytes=int(total) if total is not None else None,
        used_bytes=used,
        total_days=int(item["totalDuration"]) if item.get("totalDuration") is not None else None,
        activated_at=activated_at,
        expires_at=_moment(item.get("expiredTime")),
        package_count=len(item.get("packageList") or []),
        as_of=_moment(item.get("lastUpdateTime")),
    )


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    if value in (None, ""):
        raise suppliers.OutcomeUnknown(f"the supplier's answer lacks {name}")
    return str(value)


def _moment(text: object) -> datetime | None:
    """Return the moment in `text`; the supplier writes `+0000`, `Z` or nothing."""
    if not text:
        return None
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
