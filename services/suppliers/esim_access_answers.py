"""What eSIM Access answers, in the shop's words (docs/suppliers.md): bytes, UTC, US dollars x 10,000.

Every function may raise ValueError, KeyError or TypeError for an answer that is not what was documented.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from models import EsimStatus
from services import suppliers
from services.activation_codes import parse_activation_code
from services.suppliers import ListedEsim, Profile, Reading, SupplierPlan

LONGEST_IDENTIFIER = 60

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


def plan_of(item: dict[str, Any], *, topup: bool) -> SupplierPlan:
    per_day = item.get("dataType") == 2
    return SupplierPlan(
        plan_code=required_text(item, "packageCode"),
        topup=topup,
        name=required_text(item, "name"),
        countries=tuple(code for code in str(item.get("location", "")).split(",") if code),
        data_bytes=int(item["volume"]) or None,
        per_day=per_day,
        days=int(item["duration"]),
        cost=int(item["price"]),
        topup_supported=item.get("supportTopUpType") == 2,
        install_within_days=int(item["unusedValidTime"]) if item.get("unusedValidTime") else None,
    )


def profile_of(item: dict[str, Any]) -> Profile:
    code = parse_activation_code(str(item["ac"]))
    reading = reading_of(item)
    return Profile(
        supplier_esim_id=reading.supplier_esim_id,
        iccid=reading.iccid,
        smdp_address=code.smdp_address,
        matching_id=code.matching_id,
        # The supplier's answers have no confirmation code; a code that asks for one cannot be installed without it.
        confirmation_code=None,
        apn=str(item.get("apn") or ""),
        install_by=reading.expires_at if reading.activated_at is None else None,
        reading=reading,
    )


def reading_of(item: dict[str, Any]) -> Reading:
    status = STATUSES.get(str(item.get("esimStatus", "")), EsimStatus.UNKNOWN)
    used = int(item.get("orderUsage") or 0)
    activated_at = moment(item.get("activateTime"))
    if status is EsimStatus.NEW and item.get("eid"):
        status = EsimStatus.INSTALLED
    if status is EsimStatus.ACTIVE and activated_at is None and used == 0:
        status = EsimStatus.INSTALLED
    total = item.get("totalVolume")
    return Reading(
        supplier_esim_id=required_text(item, "esimTranNo"),
        iccid=required_text(item, "iccid"),
        status=status,
        total_bytes=int(total) if total is not None else None,
        used_bytes=used,
        total_days=int(item["totalDuration"]) if item.get("totalDuration") is not None else None,
        activated_at=activated_at,
        expires_at=moment(item.get("expiredTime")),
        package_count=len(item.get("packageList") or []),
        as_of=moment(item.get("lastUpdateTime")),
        newest_package_at=max(_package_times(item), default=None),
    )


def listed_of(item: dict[str, Any]) -> ListedEsim:
    return ListedEsim(
        reference=required_text(item, "transactionId"),
        supplier_order_id=required_text(item, "orderNo"),
        reading=reading_of(item),
    )


def _package_times(item: dict[str, Any]) -> list[datetime]:
    times = (moment(package.get("createTime")) for package in item.get("packageList") or [])
    return [each for each in times if each is not None]


def identifier(value: object) -> str | None:
    """Return an identifier out of a webhook, None for nothing; raises ValueError for what cannot be one."""
    text = str(value or "")
    if not text:
        return None
    if not (text.isascii() and text.isalnum() and len(text) <= LONGEST_IDENTIFIER):
        raise ValueError("no identifier")
    return text


def required_text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    if value in (None, ""):
        raise suppliers.OutcomeUnknown(f"the supplier's answer lacks {name}")
    return str(value)


def moment(text: object) -> datetime | None:
    """Return the moment in `text`; the supplier writes `+0000`, `Z` or nothing."""
    if not text:
        return None
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
