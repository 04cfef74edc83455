"""Comparing the shelf with the supplier: costs come over, what is gone leaves the shelf, trouble changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from sqlalchemy import select

from models import Plan, PlanState, db
from services.catalogue import catalogue_version
from services.catalogue_sync import Differences, NothingListed, sync_catalogue
from services.shop import Shop
from services.suppliers import Supplier, SupplierError, SupplierPlan
from tests import both_databases
from tests.money_world import MoneyWorld, varied

CODE = "SIM-MC-1-7"


class Selling:
    """The supplier, but selling only what a test lets it."""

    def __init__(self, supplier: Supplier, sells: Callable[[SupplierPlan], bool]) -> None:
        self._supplier = supplier
        self._sells = sells

    def __getattr__(self, name: str) -> Any:
        return getattr(self._supplier, name)

    def list_plans(self) -> list[SupplierPlan]:
        return [plan for plan in self._supplier.list_plans() if self._sells(plan)]


def selling(money: MoneyWorld, sells: Callable[[SupplierPlan], bool]) -> Shop:
    return replace(money.shop, supplier=cast("Supplier", Selling(money.shop.supplier, sells)))


def sync(money: MoneyWorld, shop: Shop | None = None) -> Differences:
    money.fresh()
    return sync_catalogue(shop or money.shop)


def plan(money: MoneyWorld, code: str = CODE) -> Plan:
    money.fresh()
    return db.session.scalars(select(Plan).where(Plan.supplier_plan_code == code)).one()


def shelf(money: MoneyWorld) -> Sequence[Any]:
    money.fresh()
    columns = (Plan.supplier_plan_code, Plan.state, Plan.supplier_cost, Plan.supplier_topup_code)
    return [tuple(row) for row in db.session.execute(select(*columns).order_by(Plan.id))]


@both_databases
def test_costs_come_over_and_a_second_run_changes_nothing(money: MoneyWorld) -> None:
    first = sync(money)
    assert CODE in first.costs
    assert (first.gone, first.no_topup) == ([], [])
    assert plan(money).supplier_cost == 122_000
    assert plan(money).supplier_checked_at == money.clock.now()
    before, version = shelf(money), catalogue_version(db.session())
    money.clock.advance(hours=1)
    assert not sync(money)
    assert shelf(money) == before
    assert catalogue_version(db.session()) == version


@both_databases
def test_a_changed_cost_is_named(money: MoneyWorld) -> None:
    sync(money)
    money.supplier.set_price(CODE, 130_000)
    assert sync(money).costs == [CODE]
    assert plan(money).supplier_cost == 130_000


@both_databases
def test_what_is_gone_leaves_the_shelf_and_stays_on_the_books(money: MoneyWorld) -> None:
    version = catalogue_version(db.session())
    shop = selling(money, lambda listed: listed.plan_code != CODE)
    assert sync(money, shop).gone == [CODE]
    assert plan(money).state is PlanState.HIDDEN
    assert catalogue_version(db.session()) > version
    assert not sync(money, shop)


@both_databases
def test_a_plan_that_is_no_longer_topped_up_is_no_longer_renewed(money: MoneyWorld) -> None:
    shop = selling(money, lambda listed: listed.plan_code != f"TOPUP_{CODE}")
    assert sync(money, shop).no_topup == [CODE]
    assert (plan(money).state, plan(money).supplier_topup_code) == (PlanState.ACTIVE, None)
    assert not sync(money, shop)


@both_databases
@pytest.mark.parametrize("topup", [None, True, False])
def test_an_empty_list_is_trouble_and_not_the_truth(money: MoneyWorld, topup: bool | None) -> None:
    before = shelf(money)
    shop = selling(money, lambda listed: listed.topup is topup)
    with pytest.raises(NothingListed):
        sync(money, shop)
    assert shelf(money) == before


@varied("fault", ["500", "timeout_before", "bad_json", "429", "error:101003"])
def test_a_silent_supplier_changes_nothing(money: MoneyWorld, fault: str) -> None:
    before = shelf(money)
    money.supplier.fault("/package/list", fault)
    with pytest.raises(SupplierError):
        sync(money)
    assert shelf(money) == before
