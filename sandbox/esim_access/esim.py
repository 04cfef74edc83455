"""The life of one eSIM: pure rules, no clock, no storage, no network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sandbox.esim_access.catalogue import Plan
from sandbox.esim_access.errors import not_allowed
from sandbox.store import Document

SMDP_HOST = "smdp.example.com"
DEMO_EID = "89049032000000000000000000000163"
WARN_AT_REMAINING = (0.5, 0.2, 0.1)
LIVING = frozenset({"GOT_RESOURCE", "IN_USE", "USED_UP", "SUSPENDED"})

_MOMENTS = ("ordered_at", "expires_at", "activated_at", "reported_at")


@dataclass(frozen=True)
class Happening:
    """Something that eSIM Access tells by webhook, with the state of the eSIM at that moment."""

    notify_type: str
    esim: Esim
    threshold: float | None = None


@dataclass(kw_only=True)
class Esim:
    """One sold eSIM; moments are in the stand-in's own time, volumes in bytes, `paid` in USD x 10,000."""

    esim_tran_no: str
    order_no: str
    transaction_id: str
    iccid: str
    imsi: str
    matching_id: str
    package_code: str
    ordered_at: datetime
    expires_at: datetime
    total_volume: int
    total_days: int
    paid: int
    rechargeable: bool
    packages: list[Document] = field(default_factory=list)
    esim_status: str = "GOT_RESOURCE"
    smdp_status: str = "RELEASED"
    eid: str = ""
    usage: int = 0
    reported_usage: int = 0
    reported_at: datetime | None = None
    activated_at: datetime | None = None
    warned: list[float] = field(default_factory=list)
    warned_of_end: bool = False
    suspended_from: str = ""

    @property
    def activation_code(self) -> str:
        """Return the text of the eSIM's QR code: a secret of whoever bought it."""
        return f"LPA:1${SMDP_HOST}${self.matching_id}"

    @property
    def remaining(self) -> int:
        """Return the bytes left."""
        return max(0, self.total_volume - self.usage)

    def to_document(self) -> Document:
        """Return the eSIM as JSON values."""
        document = asdict(self)
        for name in _MOMENTS:
            document[name] = document[name].isoformat() if document[name] else None
        return document

    @classmethod
    def from_document(cls, document: Document) -> Esim:
        """Return the eSIM that `to_document` wrote."""
        values: dict[str, Any] = dict(document)
        for name in _MOMENTS:
            values[name] = datetime.fromisoformat(values[name]) if values[name] else None
        return cls(**values)


def settle(esim: Esim, now: datetime) -> list[Happening]:
    """Bring `esim` to what it must be at `now`: expired, or close to its end."""
    if esim.esim_status not in LIVING:
        return []
    if now >= esim.expires_at:
        esim.esim_status = "USED_EXPIRED" if esim.activated_at else "UNUSED_EXPIRED"
        return [_snapshot("ESIM_STATUS", esim)]
    last_day = esim.activated_at is not None and esim.expires_at - now <= timedelta(days=1)
    if last_day and esim.total_days > 1 and not esim.warned_of_end:
        esim.warned_of_end = True
        return [_snapshot("VALIDITY_USAGE", esim)]
    return []


def install(esim: Esim) -> list[Happening]:
    """Download the profile to a phone; does nothing when it is there already, raises ApiError when it cannot be."""
    if esim.smdp_status == "ENABLED":
        return []
    if esim.esim_status not in {"GOT_RESOURCE", "IN_USE"} or esim.smdp_status != "RELEASED":
        raise not_allowed(f"an eSIM that is {esim.esim_status}, {esim.smdp_status} cannot be installed")
    esim.eid = DEMO_EID
    happenings = []
    for status in ("DOWNLOAD", "INSTALLATION", "ENABLED"):
        esim.smdp_status = status
        happenings.append(_snapshot("SMDP_EVENT", esim))
    return happenings


def delete_from_phone(esim: Esim) -> list[Happening]:
    """Remove an installed profile from its phone, for good; raises ApiError when it is not installed."""
    if esim.smdp_status not in {"ENABLED", "DISABLED"}:
        raise not_allowed("the eSIM is not on a phone")
    esim.smdp_status = "DELETED"
    return [_snapshot("SMDP_EVENT", esim)]


def connect(esim: Esim, now: datetime) -> list[Happening]:
    """Connect to a network, installing first if need be; the first time starts the validity (activeType 2).

    Raises ApiError unless the eSIM is GOT_RESOURCE, IN_USE or USED_UP.
    """
    happenings = install(esim)
    if esim.esim_status not in {"GOT_RESOURCE", "IN_USE", "USED_UP"}:
        raise not_allowed(f"an eSIM that is {esim.esim_status} does not connect")
    if esim.activated_at is None:
        esim.activated_at = now
        esim.expires_at = now + timedelta(days=esim.total_days)
        esim.esim_status = "IN_USE"
        happenings.append(_snapshot("ESIM_STATUS", esim))
    return happenings


def burn(esim: Esim, volume: int, now: datetime) -> list[Happening]:
    """Use up to `volume` bytes, connecting first if need be; what is not there cannot be used."""
    if volume < 0:
        raise ValueError("data cannot be given back")
    happenings = connect(esim, now)
    esim.usage = min(esim.total_volume, esim.usage + volume)
    crossed = [threshold for threshold in _low(esim) if threshold not in esim.warned]
    if crossed:
        esim.warned = _low(esim)
        happenings.append(replace(_snapshot("DATA_USAGE", esim), threshold=min(crossed)))
    if esim.remaining == 0 and esim.esim_status == "IN_USE":
        esim.esim_status = "USED_UP"
        happenings.append(_snapshot("ESIM_STATUS", esim))
    return happenings


def report_usage(esim: Esim, now: datetime) -> None:
    """Make the figures the API prints those of `now`."""
    esim.reported_usage, esim.reported_at = esim.usage, now


def top_up(esim: Esim, plan: Plan, price: int, now: datetime) -> None:
    """Add the volume and days of `plan`; raises ApiError 200002 unless the eSIM is alive and may be topped up."""
    if esim.esim_status not in {"GOT_RESOURCE", "IN_USE", "USED_UP"} or not esim.rechargeable:
        raise not_allowed("the eSIM cannot be topped up")
    esim.total_volume += plan.volume
    esim.total_days += plan.days
    esim.paid += price
    if esim.activated_at is not None:
        esim.expires_at += timedelta(days=plan.days)
    if esim.esim_status == "USED_UP":
        esim.esim_status = "IN_USE"
    esim.warned = _low(esim)
    esim.warned_of_end = False
    esim.packages.append(bought(plan, plan.volume, plan.days, now, code=plan.top_up_code))


def cancel(esim: Esim) -> list[Happening]:
    """Give an untouched eSIM back; raises ApiError 200002 unless it is GOT_RESOURCE and RELEASED."""
    if (esim.esim_status, esim.smdp_status) != ("GOT_RESOURCE", "RELEASED"):
        raise not_allowed("only an eSIM that was never downloaded can be cancelled")
    esim.esim_status = "CANCEL"
    return [_snapshot("ESIM_STATUS", esim)]


def suspend(esim: Esim) -> list[Happening]:
    """Cut the eSIM off until `unsuspend`; raises ApiError 200002 unless it is alive."""
    if esim.esim_status not in LIVING - {"SUSPENDED"}:
        raise not_allowed(f"an eSIM that is {esim.esim_status} cannot be suspended")
    esim.suspended_from, esim.esim_status = esim.esim_status, "SUSPENDED"
    return []


def unsuspend(esim: Esim) -> list[Happening]:
    """Undo `suspend`; raises ApiError 200002 when the eSIM is not suspended."""
    if esim.esim_status != "SUSPENDED":
        raise not_allowed("the eSIM is not suspended")
    esim.suspended_from, esim.esim_status = "", esim.suspended_from
    return []


def revoke(esim: Esim) -> list[Happening]:
    """Remove the eSIM for good, without a refund; raises ApiError 200002 unless it is alive."""
    if esim.esim_status not in LIVING:
        raise not_allowed(f"an eSIM that is {esim.esim_status} cannot be revoked")
    esim.esim_status = "REVOKED"
    return [_snapshot("ESIM_STATUS", esim)]


def bought(plan: Plan, volume: int, days: int, now: datetime, *, code: str) -> Document:
    """Return the entry of `packageList` for a purchase made at `now`."""
    return {
        "packageName": plan.name,
        "packageCode": code,
        "slug": plan.slug,
        "duration": days,
        "volume": volume,
        "locationCode": plan.location_code,
        "createTime": now.isoformat(),
    }


def luhn_digit(digits: str) -> str:
    """Return the check digit that ISO/IEC 7812 puts behind `digits`."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def iccid(number: int) -> str:
    """Return the ICCID of the `number`-th profile: 19 digits of a range that no operator owns."""
    digits = f"89999{number:013d}"
    return digits + luhn_digit(digits)


def _low(esim: Esim) -> list[float]:
    return [threshold for threshold in WARN_AT_REMAINING if esim.remaining <= threshold * esim.total_volume]


def _snapshot(notify_type: str, esim: Esim) -> Happening:
    return Happening(notify_type, replace(esim))
