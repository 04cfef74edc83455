"""Everything that the remaining-data panel says about one eSIM, worked out in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models import ClockStart, Esim, EsimStatus
from services import usage_rules
from services.money import MONACO
from services.overview import PackageLine
from services.suppliers import Capabilities
from services.usage_days import KnownDay, Use, use_per_day
from services.usage_rules import NotRenewable


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The state of an eSIM as a traveller reads it; data in bytes, moments in UTC, `wait_seconds` until asking again.

    `total`, `used` and `left` are None while nothing is known; `ends_at` is None while the days do not count yet.
    """

    status: EsimStatus
    started: bool
    ended: bool
    clock_start: ClockStart
    unlimited: bool
    total: int | None
    used: int | None
    left: int | None
    share_left: float | None
    low: bool
    voice_minutes: int | None
    sms_count: int | None
    days: int | None
    ends_at: datetime | None
    time_left: timedelta | None
    short: bool
    install_by: datetime | None
    packages: list[PackageLine]
    per_day: list[Use]
    as_of: datetime | None
    age: timedelta | None
    silent: bool
    usual_delay: timedelta
    wait_seconds: int
    asks_by_itself: bool
    not_renewable: NotRenewable | None

    @property
    def known(self) -> bool:
        """Return whether the supplier ever said how much was used."""
        return self.used is not None and (self.total is not None or self.unlimited)


def build_panel(
    esim: Esim, packages: list[PackageLine], known_days: Sequence[KnownDay], capabilities: Capabilities, now: datetime
) -> Panel:
    """Return what the panel of `esim` says at `now`; `esim.plan` has to be loaded."""
    status = usage_rules.effective_status(esim.status, esim.install_by, esim.expires_at, now)
    started = esim.activated_at is not None
    ended = status in usage_rules.ENDED
    ends_at = esim.expires_at if started else None
    as_of = esim.usage_as_of or esim.usage_read_at
    interval = capabilities.min_read_interval
    return Panel(
        status=status,
        started=started,
        ended=ended,
        clock_start=esim.plan.clock_start,
        unlimited=esim.plan.data_bytes is None,
        total=esim.total_bytes,
        used=esim.used_bytes,
        left=usage_rules.remaining(esim.total_bytes, esim.used_bytes),
        share_left=usage_rules.share_left(esim.total_bytes, esim.used_bytes),
        low=usage_rules.is_low(esim.total_bytes, esim.used_bytes),
        voice_minutes=esim.plan.voice_minutes,
        sms_count=esim.plan.sms_count,
        days=esim.total_days,
        ends_at=ends_at,
        time_left=max(ends_at - now, timedelta()) if ends_at else None,
        short=not ended and usage_rules.is_short(ends_at, now),
        install_by=esim.install_by,
        packages=packages,
        per_day=_per_day(esim, status, known_days, now),
        as_of=as_of,
        age=max(now - as_of, timedelta()) if as_of else None,
        silent=esim.usage_silent_since is not None,
        usual_delay=capabilities.usual_delay,
        wait_seconds=usage_rules.wait_before_asking(esim.usage_asked_at, interval, now),
        asks_by_itself=not ended and usage_rules.is_stale(esim.usage_asked_at, interval, now),
        not_renewable=usage_rules.renewability(esim, esim.plan.supplier_topup_code, now).reason,
    )


def _per_day(esim: Esim, status: EsimStatus, known_days: Sequence[KnownDay], now: datetime) -> list[Use]:
    """Return the use of the last days, which are the last ones of its life for an eSIM that uses nothing any more."""
    today = now.astimezone(MONACO).date()
    still = status in usage_rules.ENDED or status is EsimStatus.DEPLETED
    until = min(known_days[-1].day, today) if still and known_days else today
    return use_per_day(known_days, esim.activated_at, until)
