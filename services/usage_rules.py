"""What a reading of an eSIM means: pure rules, no clock, no storage, no network. Data is bytes, moments are UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from models import Esim, EsimStatus, PackageStatus

LOW_SHARE = 0.2
SHORT_TIME = timedelta(days=2)
# A page that is opened asks the supplier by itself when the last question is older than this.
FRESH_FOR = timedelta(minutes=10)

STARTED = frozenset({EsimStatus.ACTIVE, EsimStatus.DEPLETED, EsimStatus.SUSPENDED})
ENDED = frozenset({EsimStatus.EXPIRED, EsimStatus.CANCELLED})


class NotRenewable(StrEnum):
    """Why an eSIM cannot be renewed."""

    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"
    NO_TOPUP = "no_topup"


@dataclass(frozen=True)
class Renewability:
    """Whether an eSIM can be renewed, and if not, why."""

    reason: NotRenewable | None

    @property
    def possible(self) -> bool:
        """Return whether the traveller may choose a plan for it; the supplier still has the last word."""
        return self.reason is None


def effective_status(
    status: EsimStatus, install_by: datetime | None, expires_at: datetime | None, now: datetime
) -> EsimStatus:
    """Return the state that holds now: time passes also while the supplier is not asked."""
    if status in ENDED:
        return status
    if expires_at is not None and expires_at <= now:
        return EsimStatus.EXPIRED
    if status is EsimStatus.NEW and install_by is not None and install_by <= now:
        return EsimStatus.EXPIRED
    return status


def renewability(esim: Esim, plan_topup_code: str | None, now: datetime) -> Renewability:
    """Return whether more can be bought for `esim`; `plan_topup_code` is the top-up of the plan it came with."""
    status = effective_status(esim.status, esim.install_by, esim.expires_at, now)
    if status is EsimStatus.EXPIRED:
        return Renewability(NotRenewable.EXPIRED)
    if status is EsimStatus.CANCELLED:
        return Renewability(NotRenewable.CANCELLED)
    if status is EsimStatus.SUSPENDED:
        return Renewability(NotRenewable.SUSPENDED)
    return Renewability(None if plan_topup_code else NotRenewable.NO_TOPUP)


def remaining(total: int | None, used: int | None) -> int | None:
    """Return the bytes left, never below zero; None where data is unlimited or unknown."""
    if total is None or used is None:
        return None
    return max(0, total - used)


def share_left(total: int | None, used: int | None) -> float | None:
    """Return the share of the data that is left, from 0 to 1; None where data is unlimited or unknown."""
    left = remaining(total, used)
    if left is None or not total:
        return None
    return min(1.0, left / total)


def is_low(total: int | None, used: int | None) -> bool:
    """Return whether a fifth of the data or less is left."""
    share = share_left(total, used)
    return share is not None and share <= LOW_SHARE


def is_short(expires_at: datetime | None, now: datetime) -> bool:
    """Return whether the end is two days away or nearer."""
    return expires_at is not None and expires_at - now <= SHORT_TIME


def wait_before_asking(asked_at: datetime | None, interval: timedelta, now: datetime) -> int:
    """Return the seconds until the supplier may be asked again, rounded up; 0 when it may be asked now."""
    if asked_at is None:
        return 0
    left = (asked_at + interval - now).total_seconds()
    return max(0, -int(-left // 1))


def is_stale(asked_at: datetime | None, interval: timedelta, now: datetime) -> bool:
    """Return whether a page should ask the supplier by itself; never before asking is allowed, or it would loop."""
    return asked_at is None or now - asked_at > max(FRESH_FOR, interval)


def package_states(sizes: Sequence[int | None], status: EsimStatus, used: int | None) -> list[PackageStatus]:
    """Return the state of each package of an eSIM, oldest first; a size of None is unlimited.

    Suppliers tell one sum for the eSIM, so what was used is taken from the oldest package first.
    """
    states: list[PackageStatus] = []
    left_over = used or 0
    running = status not in (EsimStatus.NEW, EsimStatus.INSTALLED)
    for size in sizes:
        if size is not None and (status is EsimStatus.DEPLETED or left_over >= size):
            states.append(PackageStatus.DEPLETED)
            left_over = max(0, left_over - size)
        elif status in ENDED:
            states.append(PackageStatus.EXPIRED)
        elif running:
            states.append(PackageStatus.ACTIVE)
            running = False
        else:
            states.append(PackageStatus.QUEUED)
    return states
