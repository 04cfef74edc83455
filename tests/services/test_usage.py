"""Asking the supplier what is left."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from models import EsimStatus, PackageStatus
from services import usage
from services.suppliers import NotFound, OutcomeUnknown, RateLimited, Temporary
from services.usage import ReadOutcome
from tests.account_world import World, make_world, reading_of, running
from tests.services.mail_world import GIGABYTE


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def account_id(world: World) -> int:
    return world.add_traveller()


def test_a_reading_is_stored_and_asked_for_outside_of_a_transaction(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id)
    now = world.clock.now()
    world.supplier.readings[esim.supplier_esim_id] = reading_of(
        esim,
        status=EsimStatus.ACTIVE,
        total_bytes=5 * GIGABYTE,
        used_bytes=2 * GIGABYTE,
        total_days=7,
        activated_at=now - timedelta(days=1),
        expires_at=now + timedelta(days=6),
        as_of=now - timedelta(hours=2),
    )
    with world.app.app_context():
        assert usage.read(world.shop, esim.id) is ReadOutcome.READ
    stored = world.esim(esim.id)
    assert (stored.status, stored.used_bytes, stored.total_days) == (EsimStatus.ACTIVE, 2 * GIGABYTE, 7)
    assert stored.usage_as_of == now - timedelta(hours=2)
    assert stored.usage_read_at == stored.usage_asked_at == now
    assert [package.status for package in stored.packages] == [PackageStatus.ACTIVE]
    assert world.supplier.in_transaction == [False]


def test_within_the_interval_nobody_asks_again_unless_forced(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id)
    with world.app.app_context():
        assert usage.read(world.shop, esim.id) is ReadOutcome.READ
        world.clock.move(timedelta(seconds=29))
        assert usage.read(world.shop, esim.id) is ReadOutcome.TOO_EARLY
        assert usage.read(world.shop, esim.id, force=True) is ReadOutcome.READ
        world.clock.move(timedelta(seconds=30))
        assert usage.read(world.shop, esim.id) is ReadOutcome.READ
    assert len(world.supplier.asked) == 3


def test_a_second_click_while_the_supplier_thinks_asks_nothing(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id)
    second: list[ReadOutcome] = []
    world.supplier.while_asked = lambda: second.append(usage.read(world.shop, esim.id))
    with world.app.app_context():
        usage.read(world.shop, esim.id)
    assert second == [ReadOutcome.TOO_EARLY]
    assert len(world.supplier.asked) == 1


@pytest.mark.parametrize(
    "trouble", [Temporary("no route"), OutcomeUnknown("timeout"), RateLimited("slow"), NotFound("")]
)
def test_silence_keeps_the_last_figure_and_its_beginning(world: World, account_id: int, trouble: Exception) -> None:
    now = world.clock.now()
    esim = world.add_esim(account_id, **running(now))
    world.supplier.trouble = trouble
    with world.app.app_context():
        assert usage.read(world.shop, esim.id) is ReadOutcome.SILENT
        world.clock.move(timedelta(minutes=1))
        assert usage.read(world.shop, esim.id) is ReadOutcome.SILENT
        stored = world.esim(esim.id)
        assert (stored.used_bytes, stored.usage_silent_since) == (GIGABYTE, now)
        world.supplier.trouble = None
        world.clock.move(timedelta(minutes=1))
        assert usage.read(world.shop, esim.id) is ReadOutcome.READ
    assert world.esim(esim.id).usage_silent_since is None


def test_an_answer_without_a_figure_does_not_wipe_the_last_one(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now()))
    world.supplier.readings[esim.supplier_esim_id] = reading_of(esim, used_bytes=None, expires_at=None, as_of=None)
    with world.app.app_context():
        usage.read(world.shop, esim.id)
    stored = world.esim(esim.id)
    assert stored.used_bytes == GIGABYTE
    assert stored.expires_at == esim.expires_at
    assert stored.usage_as_of is None


def test_an_esim_that_does_not_exist_is_not_asked_about(world: World) -> None:
    with world.app.app_context():
        assert usage.read(world.shop, 4711) is ReadOutcome.TOO_EARLY
    assert world.supplier.asked == []


def test_sync_asks_in_bulk_for_those_that_just_run_on(world: World, account_id: int) -> None:
    now = world.clock.now()
    old = now - timedelta(hours=2)
    runs_on = world.add_esim(account_id, **running(now, usage_asked_at=old))
    fresh = world.add_esim(account_id, **running(now))
    is_new = world.add_esim(account_id)
    ended = world.add_esim(account_id, status=EsimStatus.EXPIRED)
    topped_up = world.add_esim(account_id, **running(now, usage_asked_at=old))
    world.supplier.readings[runs_on.supplier_esim_id] = reading_of(runs_on, used_bytes=3 * GIGABYTE, as_of=now)
    world.supplier.readings[topped_up.supplier_esim_id] = reading_of(topped_up, total_bytes=9 * GIGABYTE)
    with world.app.app_context():
        assert usage.sync(world.shop) == 3
        assert usage.sync(world.shop) == 0
    assert world.supplier.asked_in_bulk == [[esim.supplier_esim_id for esim in (runs_on, is_new, topped_up)]]
    assert world.supplier.asked == [is_new.supplier_esim_id, topped_up.supplier_esim_id]
    assert world.esim(runs_on.id).used_bytes == 3 * GIGABYTE
    assert world.esim(topped_up.id).total_bytes == 9 * GIGABYTE
    assert world.esim(fresh.id).usage_asked_at == fresh.usage_asked_at
    assert world.esim(ended.id).usage_asked_at is None
    assert not any(world.supplier.in_transaction)


def test_sync_takes_a_closer_look_at_an_esim_that_is_used_up(world: World, account_id: int) -> None:
    now = world.clock.now()
    esim = world.add_esim(account_id, **running(now, usage_asked_at=None))
    world.supplier.readings[esim.supplier_esim_id] = reading_of(
        esim, used_bytes=5 * GIGABYTE, status=EsimStatus.DEPLETED
    )
    with world.app.app_context():
        usage.sync(world.shop)
    assert world.esim(esim.id).status is EsimStatus.DEPLETED


def test_sync_notes_silence_once_and_goes_on(world: World, account_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "SYNC_BATCH", 2)
    esims = [world.add_esim(account_id) for _ in range(3)]
    world.supplier.trouble = Temporary("down")
    with world.app.app_context():
        assert usage.sync(world.shop) == 0
    assert len(world.supplier.asked_in_bulk) == 2
    assert all(world.esim(esim.id).usage_silent_since == world.clock.now() for esim in esims)
