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
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import httpx

from config import EsimAccessSettings
from services import suppliers
from services.suppliers import (
    Capabilities,
    ListedEsim,
    PurchaseRequest,
    PurchaseResult,
    Reading,
    SupplierEvent,
    SupplierPlan,
    TopupRequest,
)
from services.suppliers import esim_access_answers as answers

log = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

TIMEOUT = httpx.Timeout(20, connect=5)
STILL_ALLOCATING = "200010"
DUPLICATE_REFERENCE = "310402"
USAGE_BATCH = 10
# What the supplier takes at most (docs/suppliers.md).
PAGE_SIZE, MOST_PAGES = 500, 10_000

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


def _readable(method: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """Make an answer that is JSON but not what was documented an unknown outcome, like one that is no JSON."""

    @wraps(method)
    def reading(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        try:
            return method(*args, **kwargs)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise suppliers.OutcomeUnknown(
                f"{getattr(method, '__name__', 'answer')}: {type(error).__name__} in the answer"
            ) from error

    return reading


class EsimAccess:
    """The supplier eSIM Access."""

    code = "esim_access"
    capabilities = Capabilities(
        min_read_interval=timedelta(seconds=30),
        usual_delay=timedelta(hours=3),
    )

    def __init__(self, settings: EsimAccessSettings) -> None:
        self._settings = settings
        self._client = httpx.Client(timeout=TIMEOUT, transport=httpx.HTTPTransport(retries=0))

    @_readable
    def list_plans(self) -> list[SupplierPlan]:
        """Return everything the supplier sells, plans and top-ups."""
        return [
            answers.plan_of(item, topup=topup)
            for topup in (False, True)
            for item in self._package_list({"type": "TOPUP" if topup else "BASE"})
        ]

    @_readable
    def list_topups(self, iccid: str) -> list[SupplierPlan]:
        """Return the top-ups that the supplier accepts for this eSIM now."""
        return [answers.plan_of(item, topup=True) for item in self._package_list({"type": "TOPUP", "iccid": iccid})]

    @_readable
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
            found = self.find_order(request.reference)
            if found is None:
                raise suppliers.OutcomeUnknown(
                    "the supplier knows our reference but does not list its order"
                ) from error
            return found
        return PurchaseResult(supplier_order_id=answers.required_text(answer, "orderNo"), profile=None)

    @_readable
    def get_order(self, supplier_order_id: str) -> PurchaseResult:
        """Return an accepted order, with its profile once that is allocated."""
        try:
            items = self._query({"orderNo": supplier_order_id})
        except suppliers.SupplierError as error:
            if error.code != STILL_ALLOCATING:
                raise
            items = []
        ready = [item for item in items if item.get("ac")]
        return PurchaseResult(
            supplier_order_id=supplier_order_id, profile=answers.profile_of(ready[0]) if ready else None
        )

    @_readable
    def find_order(self, reference: str) -> PurchaseResult | None:
        """Return the order of the last three days under our reference; None when the supplier does not list it."""
        for item in self._query_all(datetime.now(UTC) - timedelta(days=3)):
            if item.get("transactionId") == reference:
                return PurchaseResult(supplier_order_id=answers.required_text(item, "orderNo"), profile=None)
        return None

    def list_esims(self, since: datetime) -> Iterator[ListedEsim]:
        """Yield every allocated eSIM that was ordered since then, also those that we know nothing of."""
        for item in _readable(lambda: list(self._query_all(since)))():
            if item.get("ac") and item.get("iccid"):
                yield _readable(answers.listed_of)(item)

    @_readable
    def cancel(self, supplier_esim_id: str) -> None:
        """Give an eSIM back that nobody has installed, for credit; raises NotCancellable when it is too late."""
        try:
            self._call("/esim/cancel", {"esimTranNo": supplier_esim_id}, buys=True)
        except suppliers.NotTopupable as error:
            raise suppliers.NotCancellable(str(error), error.code) from error

    @_readable
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

    @_readable
    def read_esim(self, supplier_esim_id: str) -> Reading:
        """Return what the supplier says of an eSIM now; raises NotFound."""
        items = [item for item in self._query({"esimTranNo": supplier_esim_id}) if item.get("iccid")]
        if not items:
            raise suppliers.NotFound(f"no eSIM {supplier_esim_id}")
        return answers.reading_of(items[0])

    @_readable
    def read_usage(self, supplier_esim_ids: Sequence[str]) -> dict[str, tuple[int, int, datetime | None]]:
        """Return used bytes, total bytes and their moment per eSIM, for those that the supplier knows."""
        found: dict[str, tuple[int, int, datetime | None]] = {}
        for start in range(0, len(supplier_esim_ids), USAGE_BATCH):
            batch = list(supplier_esim_ids[start : start + USAGE_BATCH])
            answer = self._call("/esim/usage/query", {"esimTranNoList": batch})
            items = answer.get("esimUsageList", []) if isinstance(answer, dict) else answer
            for item in items:
                moment = answers.moment(item.get("lastUpdateTime"))
                found[str(item["esimTranNo"])] = (int(item["dataUsage"]), int(item["totalData"]), moment)
        return found

    @_readable
    def balance(self) -> int:
        """Return what is left on our account, in ten-thousandths of a US dollar."""
        return int(self._call("/balance/query", {})["balance"])

    @_readable
    def register_webhook(self, url: str) -> None:
        """Tell the supplier where its webhooks go; it refuses an address that does not answer at once."""
        self._call("/webhook/save", {"webhook": url})

    def parse_webhook(self, payload: bytes) -> SupplierEvent | None:
        """Return what a webhook hints at, None for a health check; raises ValueError when it is none of ours."""
        try:
            event = json.loads(payload)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(event, dict) or not isinstance(event.get("content"), dict):
            raise ValueError("not an eSIM Access notification")
        kind, content = str(event.get("notifyType", "")), event["content"]
        if kind == "CHECK_HEALTH":
            return None
        return SupplierEvent(
            kind=kind,
            supplier_order_id=answers.identifier(content.get("orderNo")),
            supplier_esim_id=answers.identifier(content.get("esimTranNo")),
        )

    def _package_list(self, wanted: dict[str, str]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._call("/package/list", {"locationCode": "", **wanted})["packageList"] or []
        return items

    def _query(self, wanted: dict[str, str]) -> list[dict[str, Any]]:
        answer = self._call("/esim/query", {**wanted, "pager": {"pageNum": 1, "pageSize": 50}})
        items: list[dict[str, Any]] = answer["esimList"] or []
        return items

    def _query_all(self, since: datetime) -> Iterator[dict[str, Any]]:
        """Yield every eSIM ordered since then, page by page (docs/suppliers.md)."""
        times = {
            "startTime": since.strftime("%Y-%m-%dT%H:%M+00:00"),
            "endTime": (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M+00:00"),
        }
        for page in range(1, MOST_PAGES + 1):
            answer = self._call("/esim/query", {**times, "pager": {"pageNum": page, "pageSize": PAGE_SIZE}})
            items = answer["esimList"] or []
            yield from items
            if len(items) < PAGE_SIZE:
                return

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
            # Whatever a page of an error says of itself, it is none of the supplier's confirmations.
            succeeded = response.is_success and str(answer["success"]).lower() == "true"
        except (ValueError, KeyError, TypeError) as error:
            raise silence(f"{path}: HTTP {response.status_code} without a readable answer") from error
        if succeeded:
            return answer["obj"]
        code = str(answer.get("errorCode") or "")
        message = str(answer.get("errorMsg") or answer.get("errorMessage") or "")[:100]
        log.info("eSIM Access %s: %s %s", path, code, message)
        meaning = ERRORS.get(code, silence)
        if not buys and issubclass(meaning, suppliers.Refused):
            # Only a request to buy can be refused for good; a question that went wrong says nothing of an order.
            meaning = suppliers.Temporary
        raise meaning(f"{path}: {code} {message}", code)

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
