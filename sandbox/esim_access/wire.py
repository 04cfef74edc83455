"""How values look on the wire: request fields, dates, eSIMs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sandbox.clock import Clock
from sandbox.esim_access.catalogue import find
from sandbox.esim_access.errors import ApiError
from sandbox.esim_access.esim import Esim
from sandbox.store import Document

MAXIMUM_TRANSACTION_ID = 50


class Printer:
    """Prints moments of the stand-in's time as a client with an unmoved clock must read them."""

    def __init__(self, clock: Clock, time_format: str) -> None:
        self._clock = clock
        self._suffix = "Z" if time_format == "z" else "+0000"

    def moment(self, moment: datetime | None) -> str | None:
        """Return `moment` in the API's format, or None for none."""
        if moment is None:
            return None
        return f"{self._clock.shown(moment).astimezone(UTC):%Y-%m-%dT%H:%M:%S}{self._suffix}"

    def esim(self, esim: Esim) -> Document:
        """Return one element of `esimList`; it contains the activation code."""
        plan = find(esim.package_code)
        packages = [
            package | {"createTime": self.moment(datetime.fromisoformat(package["createTime"]))}
            for package in esim.packages
        ]
        return {
            "esimTranNo": esim.esim_tran_no,
            "orderNo": esim.order_no,
            "transactionId": esim.transaction_id,
            "imsi": esim.imsi,
            "iccid": esim.iccid,
            "smsStatus": 0,
            "msisdn": "",
            "ac": esim.activation_code,
            "qrCodeUrl": f"https://p.example.com/{esim.esim_tran_no}.png",
            "shortUrl": f"https://p.example.com/{esim.esim_tran_no}",
            "smdpStatus": esim.smdp_status,
            "eid": esim.eid,
            "activeType": 2,
            "dataType": 2 if plan is not None and plan.daily else 1,
            "activateTime": self.moment(esim.activated_at),
            "expiredTime": self.moment(esim.expires_at),
            "totalVolume": esim.total_volume,
            "totalDuration": esim.total_days,
            "durationUnit": "DAY",
            "orderUsage": esim.reported_usage,
            "esimStatus": esim.esim_status,
            "apn": "internet",
            "packageList": packages,
        }

    def usage(self, esim: Esim) -> Document:
        """Return one element of the answer of /esim/usage/query."""
        return {
            "esimTranNo": esim.esim_tran_no,
            "dataUsage": esim.reported_usage,
            "totalData": esim.total_volume,
            "lastUpdateTime": self.moment(esim.reported_at or esim.ordered_at),
        }


def text(body: Document, name: str, *, required: bool = False) -> str:
    """Return a text field, "" when absent; raises ApiError 000105 missing, 000106 null, 200008 not a text."""
    if required and name not in body:
        raise ApiError("000105", f"The parameter {name} is missing")
    value = body.get(name)
    if value is None and required:
        raise ApiError("000106", f"The parameter {name} is null")
    if value is not None and not isinstance(value, str):
        raise ApiError("200008", f"The parameter {name} must be a text")
    if required and not value:
        raise ApiError("000106", f"The parameter {name} is empty")
    return value or ""


def transaction_id(body: Document) -> str:
    """Return the caller's own number of a purchase; raises ApiError 000107 beyond 50 characters."""
    value = text(body, "transactionId", required=True)
    if len(value) > MAXIMUM_TRANSACTION_ID:
        raise ApiError("000107", f"transactionId is longer than {MAXIMUM_TRANSACTION_ID} characters")
    return value


def number(body: Document, name: str) -> int | None:
    """Return a whole number, which may come as digits in a text, or None when absent; raises ApiError 200008."""
    value: Any = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ApiError("200008", f"The parameter {name} must be a whole number")
    return value


def within(value: int | None, name: str, lowest: int, highest: int) -> int:
    """Return `value` when it lies between the limits; raises ApiError 000105 missing, 200008 outside."""
    if value is None:
        raise ApiError("000105", f"The parameter {name} is missing")
    if not lowest <= value <= highest:
        raise ApiError("200008", f"The parameter {name} must be between {lowest} and {highest}")
    return value


def client_moment(value: str, name: str, clock: Clock) -> datetime:
    """Return a moment that the client wrote, in the stand-in's time; raises ApiError 200008 when it is no moment."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ApiError("200008", f"The parameter {name} must be a moment as 2026-11-22T00:00+00:00") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) + clock.skipped
