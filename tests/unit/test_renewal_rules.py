"""What a renewal promises, and what counts as its proof."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models import EsimStatus
from services.money import GIGABYTE
from services.renewal_rules import EsimState, after_renewal, is_as_promised, was_applied
from services.suppliers import Reading

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
END = START + timedelta(days=7)
RUNNING = Reading(
    supplier_esim_id="1",
    iccid="8999900000000000014",
    status=EsimStatus.ACTIVE,
    total_bytes=GIGABYTE,
    used_bytes=GIGABYTE // 4,
    total_days=7,
    activated_at=START,
    expires_at=END,
    package_count=1,
    as_of=START,
)
UNUSED = replace(
    RUNNING, status=EsimStatus.NEW, used_bytes=0, activated_at=None, expires_at=START + timedelta(days=180)
)


def state_of(reading: Reading) -> EsimState:
    """Return the state that a reading describes."""
    return EsimState.from_figures(reading, reading.as_of)


def renewed(before: Reading, data: int = 3 * GIGABYTE, days: int = 30) -> Reading:
    """Return what the supplier says once a top-up has arrived."""
    assert before.total_bytes is not None
    assert before.total_days is not None
    end = before.expires_at
    return replace(
        before,
        total_bytes=before.total_bytes + data,
        total_days=before.total_days + days,
        expires_at=end + timedelta(days=days) if end and before.activated_at else end,
        package_count=before.package_count + 1,
    )


def test_data_that_is_left_stays_and_the_end_moves_by_the_days() -> None:
    """A running eSIM keeps its data and gains days at its end, not from today."""
    after = after_renewal(state_of(RUNNING), 3 * GIGABYTE, 30)
    assert after.data_left == 3 * GIGABYTE + GIGABYTE * 3 // 4
    assert after.ends_at == END + timedelta(days=30)
    assert after.days == 37


def test_an_esim_whose_days_have_not_started_has_no_end_yet() -> None:
    """Before the first connection the days add up; the date by which to install is not the end."""
    before = state_of(UNUSED)
    assert before.ends_at is None
    after = after_renewal(before, GIGABYTE, 7)
    assert after.ends_at is None
    assert after.days == 14


def test_unknown_data_stays_unknown() -> None:
    """No figure is invented where the supplier gave none."""
    before = state_of(replace(RUNNING, total_bytes=None))
    assert after_renewal(before, GIGABYTE, 7).data_left is None


def test_more_used_than_there_was_leaves_nothing() -> None:
    """Suppliers count a little over the edge; a traveller never sees less than nothing."""
    assert state_of(replace(RUNNING, used_bytes=2 * GIGABYTE)).data_left == 0


@pytest.mark.parametrize("before", [RUNNING, UNUSED])
def test_what_was_promised_is_proven_by_the_suppliers_figures(before: Reading) -> None:
    """A top-up that arrived in full is verified, on a running eSIM and on an unused one."""
    assert was_applied(before, renewed(before))
    assert is_as_promised(before, renewed(before), 3 * GIGABYTE, 30)


@pytest.mark.parametrize(
    "now",
    [
        RUNNING,
        renewed(RUNNING, data=GIGABYTE),
        renewed(RUNNING, days=7),
        replace(renewed(RUNNING), expires_at=END),
        replace(renewed(RUNNING), expires_at=None),
        replace(renewed(RUNNING), total_bytes=None),
        replace(renewed(RUNNING), total_days=None),
    ],
    ids=["unchanged", "less data", "fewer days", "same end", "no end", "no data figure", "no days figure"],
)
def test_less_than_promised_is_never_verified(now: Reading) -> None:
    """Whatever is missing from the supplier's figures, the order does not claim to be done."""
    assert not is_as_promised(RUNNING, now, 3 * GIGABYTE, 30)


def test_an_end_rounded_by_minutes_is_still_the_promised_one() -> None:
    """Suppliers round end dates; a missing day is not a rounding."""
    full = renewed(RUNNING)
    assert full.expires_at is not None
    assert is_as_promised(RUNNING, replace(full, expires_at=full.expires_at - timedelta(minutes=59)), 3 * GIGABYTE, 30)
    assert not is_as_promised(RUNNING, replace(full, expires_at=full.expires_at - timedelta(days=1)), 3 * GIGABYTE, 30)


def test_using_data_is_not_a_topup() -> None:
    """Between two readings a traveller browses; that must not look like a renewal."""
    assert not was_applied(RUNNING, replace(RUNNING, used_bytes=GIGABYTE, status=EsimStatus.DEPLETED))


def test_states_and_readings_survive_being_stored() -> None:
    """What is kept beside an order is read back as it was."""
    state = state_of(RUNNING)
    assert EsimState.from_json(state.to_json()) == state
    assert Reading.from_json(UNUSED.to_json()) == UNUSED
