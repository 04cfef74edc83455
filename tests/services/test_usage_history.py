"""Every reading leaves the last figure of its day behind: one row per eSIM and day, on both databases."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from models import Esim, Package, UsageDay, db
from services import usage, usage_history
from services.shop import Shop
from services.suppliers import Temporary
from services.usage_days import KnownDay
from tests import both_databases
from tests.account_world import World, make_world, reading_of, running
from tests.factories import Factories
from tests.services.mail_world import GIGABYTE

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def account_id(world: World) -> int:
    return world.add_traveller()


def days_of(world: World, esim: Esim) -> list[KnownDay]:
    with world.app.app_context():
        return usage_history.list_days(db.session(), esim.id)


def test_a_day_keeps_its_last_figure(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now()))
    today = world.clock.now().date()
    with world.app.app_context():
        for hours, used in ((0, 1), (1, 2), (24, 3)):
            world.clock.move(hours * HOUR)
            now = world.clock.now()
            world.supplier.readings[esim.supplier_esim_id] = reading_of(esim, used_bytes=used * GIGABYTE, as_of=now)
            usage.read(world.shop, esim.id, force=True)
    assert days_of(world, esim) == [
        KnownDay(today, 2 * GIGABYTE),
        KnownDay(today + timedelta(days=1), 3 * GIGABYTE),
    ]


def test_a_figure_of_yesterday_is_yesterdays_and_one_without_a_moment_is_todays(world: World, account_id: int) -> None:
    now = world.clock.now()
    esim = world.add_esim(account_id, **running(now))
    with world.app.app_context():
        for as_of, used in ((now - timedelta(days=1), 10), (None, 20)):
            world.supplier.readings[esim.supplier_esim_id] = reading_of(esim, used_bytes=used, as_of=as_of)
            usage.read(world.shop, esim.id, force=True)
    assert [day.used for day in days_of(world, esim)] == [10, 20]


def test_silence_and_an_answer_without_a_figure_leave_nothing(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now()))
    with world.app.app_context():
        world.supplier.readings[esim.supplier_esim_id] = reading_of(esim, used_bytes=None)
        usage.read(world.shop, esim.id, force=True)
        world.supplier.trouble = Temporary("down")
        usage.read(world.shop, esim.id, force=True)
    assert days_of(world, esim) == []


def test_reading_in_bulk_leaves_the_same(world: World, account_id: int) -> None:
    now = world.clock.now()
    esims = [world.add_esim(account_id, **running(now, usage_asked_at=None)) for _ in range(3)]
    for number, esim in enumerate(esims):
        world.supplier.readings[esim.supplier_esim_id] = reading_of(esim, used_bytes=GIGABYTE + number, as_of=now)
    with world.app.app_context():
        usage.sync(world.shop)
    assert world.supplier.asked == []
    for number, esim in enumerate(esims):
        assert days_of(world, esim) == [KnownDay(now.date(), GIGABYTE + number)]


@both_databases
def test_one_row_per_esim_and_day_which_goes_with_its_esim(shop: Shop, factories: Factories) -> None:
    account = factories.make_account()
    esims = [factories.make_esim(account) for _ in range(2)]
    read_at = shop.clock.now()
    long_ago = read_at - timedelta(days=400)
    with shop.transaction() as session:
        usage_history.note_days(session, [(esims[0].id, 2**40, None), (esims[1].id, 7, None)], read_at)
        usage_history.note_days(session, [(esims[0].id, 2**40 + 1, None), (esims[1].id, -1, None)], read_at)
        usage_history.note_days(session, [(esims[0].id, 5, long_ago)], read_at)
        usage_history.note_days(session, [], read_at)
    first, second = (usage_history.list_days(db.session(), esim.id) for esim in esims)
    assert [day.used for day in first] == [5, 2**40 + 1]
    assert [day.used for day in second] == [7]
    with shop.transaction() as session:
        session.execute(delete(Package).where(Package.esim_id == esims[0].id))
        session.execute(delete(Esim).where(Esim.id == esims[0].id))
    assert usage_history.list_days(db.session(), esims[0].id) == []
    assert db.session.query(UsageDay).count() == 1


@both_databases
def test_the_newest_days_are_listed_oldest_first(shop: Shop, factories: Factories) -> None:
    esim = factories.make_esim(factories.make_account())
    with shop.transaction() as session:
        session.add_all(UsageDay(esim_id=esim.id, day=date(2026, 1, 1) + timedelta(n), used_bytes=n) for n in range(50))
    days = usage_history.list_days(db.session(), esim.id)
    assert [day.used for day in days] == list(range(50 - usage_history.MOST_DAYS, 50))
