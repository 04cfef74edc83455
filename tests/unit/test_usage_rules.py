"""What a reading means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models import Esim, EsimStatus, PackageStatus
from services import usage_rules
from services.usage_rules import NotRenewable

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
GIGABYTE = 1024**3


@pytest.mark.parametrize(
    ("total", "used", "left", "share"),
    [
        (100, 0, 100, 1.0),
        (100, 25, 75, 0.75),
        (100, 100, 0, 0.0),
        (100, 130, 0, 0.0),
        (None, 5, None, None),
        (100, None, None, None),
        (0, 0, 0, None),
    ],
)
def test_what_is_left_is_never_negative_and_unknown_stays_unknown(
    total: int | None, used: int | None, left: int | None, share: float | None
) -> None:
    assert usage_rules.remaining(total, used) == left
    assert usage_rules.share_left(total, used) == share


def test_a_fifth_left_is_little() -> None:
    assert not usage_rules.is_low(1000, 799)
    assert usage_rules.is_low(1000, 800)
    assert not usage_rules.is_low(None, 800)


def test_two_days_left_is_short() -> None:
    assert usage_rules.is_short(NOW + timedelta(days=2), NOW)
    assert not usage_rules.is_short(NOW + timedelta(days=2) + SECOND, NOW)
    assert not usage_rules.is_short(None, NOW)


def test_time_ends_an_esim_even_when_the_supplier_has_not_said_so() -> None:
    def status(status: EsimStatus, install_by: datetime | None, expires_at: datetime | None) -> EsimStatus:
        return usage_rules.effective_status(status, install_by, expires_at, NOW)

    assert status(EsimStatus.ACTIVE, None, NOW) is EsimStatus.EXPIRED
    assert status(EsimStatus.ACTIVE, None, NOW + SECOND) is EsimStatus.ACTIVE
    assert status(EsimStatus.NEW, NOW, None) is EsimStatus.EXPIRED
    assert status(EsimStatus.ACTIVE, NOW, NOW + SECOND) is EsimStatus.ACTIVE
    assert status(EsimStatus.CANCELLED, NOW, NOW) is EsimStatus.CANCELLED


@pytest.mark.parametrize(
    ("status", "ends_in", "topup_code", "reason"),
    [
        (EsimStatus.NEW, 1, "T", None),
        (EsimStatus.INSTALLED, 1, "T", None),
        (EsimStatus.ACTIVE, 1, "T", None),
        (EsimStatus.DEPLETED, 1, "T", None),
        (EsimStatus.UNKNOWN, 1, "T", None),
        (EsimStatus.ACTIVE, 0, "T", NotRenewable.EXPIRED),
        (EsimStatus.EXPIRED, 1, None, NotRenewable.EXPIRED),
        (EsimStatus.CANCELLED, 1, "T", NotRenewable.CANCELLED),
        (EsimStatus.SUSPENDED, 1, "T", NotRenewable.SUSPENDED),
        (EsimStatus.ACTIVE, 1, None, NotRenewable.NO_TOPUP),
    ],
)
def test_renewability(status: EsimStatus, ends_in: int, topup_code: str | None, reason: NotRenewable | None) -> None:
    esim = Esim(status=status, expires_at=NOW + timedelta(days=ends_in), install_by=None)
    verdict = usage_rules.renewability(esim, topup_code, NOW)
    assert verdict.reason is reason
    assert verdict.possible is (reason is None)


def test_the_wait_before_asking_again_is_whole_seconds_rounded_up() -> None:
    interval = timedelta(seconds=30)
    assert usage_rules.wait_before_asking(None, interval, NOW) == 0
    assert usage_rules.wait_before_asking(NOW, interval, NOW) == 30
    assert usage_rules.wait_before_asking(NOW - timedelta(seconds=29.5), interval, NOW) == 1
    assert usage_rules.wait_before_asking(NOW - interval, interval, NOW) == 0


def test_a_page_never_asks_by_itself_before_it_may() -> None:
    for interval in (timedelta(seconds=30), timedelta(hours=3)):
        for minutes in range(0, 400, 7):
            asked_at = NOW - timedelta(minutes=minutes)
            if usage_rules.is_stale(asked_at, interval, NOW):
                assert usage_rules.wait_before_asking(asked_at, interval, NOW) == 0
    assert usage_rules.is_stale(None, interval, NOW)
    assert usage_rules.is_stale(NOW - timedelta(minutes=11), timedelta(seconds=30), NOW)
    assert not usage_rules.is_stale(NOW - timedelta(minutes=9), timedelta(seconds=30), NOW)


Q, A, D, X = PackageStatus.QUEUED, PackageStatus.ACTIVE, PackageStatus.DEPLETED, PackageStatus.EXPIRED


@pytest.mark.parametrize(
    ("sizes", "status", "used", "states"),
    [
        ([5], EsimStatus.NEW, 0, [Q]),
        ([5, 5], EsimStatus.INSTALLED, None, [Q, Q]),
        ([5, 5], EsimStatus.ACTIVE, 2, [A, Q]),
        ([5, 5], EsimStatus.ACTIVE, 5, [D, A]),
        ([5, 5, 3], EsimStatus.ACTIVE, 7, [D, A, Q]),
        ([5, 5], EsimStatus.DEPLETED, 9, [D, D]),
        ([5, 5], EsimStatus.EXPIRED, 6, [D, X]),
        ([None], EsimStatus.ACTIVE, 900, [A]),
        ([5, None], EsimStatus.ACTIVE, 900, [D, A]),
        ([], EsimStatus.ACTIVE, 1, []),
    ],
)
def test_the_oldest_package_is_used_first(
    sizes: list[int | None], status: EsimStatus, used: int | None, states: list[PackageStatus]
) -> None:
    assert usage_rules.package_states(sizes, status, used) == states
