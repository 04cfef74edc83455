"""Findings: one row however often they are noticed, open until a person settles them or they go away by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Finding, FindingKind, Staff, db
from services import findings
from services.audit import Actor
from services.findings import FindingNotFound
from services.shop import Shop
from tests import both_databases
from tests.clock import FakeClock
from tests.factories import Factories
from tests.money_world import MoneyWorld

KIND, REFERENCE = FindingKind.TOPUP_UNKNOWN, "25112418300001"


def notice(shop: Shop, details: str = "", reference: str = REFERENCE) -> None:
    with shop.transaction() as session:
        findings.notice(session, KIND, reference, shop.clock.now(), details=details)


def rows() -> Sequence[Finding]:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(Finding).order_by(Finding.id)).all()


def settle(shop: Shop, finding: Finding, member: Staff) -> None:
    with shop.transaction() as session:
        findings.settle_by_hand(session, finding.id, shop.clock.now(), by=Actor.of(member))


@both_databases
def test_what_is_noticed_twice_is_one_row_with_the_latest_details(shop: Shop, clock: FakeClock) -> None:
    first = clock.now()
    notice(shop, "2 packages, 1 sold")
    clock.advance(minutes=5)
    notice(shop, "3 packages, 1 sold")
    (finding,) = rows()
    assert finding.details == "3 packages, 1 sold"
    assert (finding.noticed_at, finding.seen_at) == (first, clock.now())
    assert finding.settled_at is None


@both_databases
def test_other_references_and_other_kinds_are_other_findings(shop: Shop) -> None:
    notice(shop)
    notice(shop, reference="another")
    with shop.transaction() as session:
        findings.notice(session, FindingKind.ESIM_REFUNDED, REFERENCE, shop.clock.now())
    assert len(rows()) == 3


@both_databases
def test_what_a_person_has_settled_stays_settled(shop: Shop, factories: Factories, clock: FakeClock) -> None:
    member = factories.make_staff()
    notice(shop, "before")
    settle(shop, rows()[0], member)
    settled_at = clock.now()
    clock.advance(minutes=5)
    notice(shop, "after")
    (finding,) = rows()
    assert (finding.settled_at, finding.settled_by, finding.details) == (settled_at, member.id, "before")
    assert findings.open_findings(db.session()) == []


@both_databases
def test_it_is_settled_once(shop: Shop, factories: Factories) -> None:
    first, second = factories.make_staff(), factories.make_staff()
    notice(shop)
    (finding,) = rows()
    settle(shop, finding, first)
    with pytest.raises(FindingNotFound):
        settle(shop, finding, second)
    assert rows()[0].settled_by == first.id
    with pytest.raises(FindingNotFound), shop.transaction() as session:
        findings.settle_by_hand(session, finding.id + 1, shop.clock.now(), by=Actor.of(first))


@both_databases
def test_what_went_away_by_itself_and_is_back_is_open_again(shop: Shop, clock: FakeClock) -> None:
    notice(shop, "before")
    with shop.transaction() as session:
        findings.clear_one(session, KIND, REFERENCE, clock.now())
    assert rows()[0].settled_at == clock.now()
    clock.advance(hours=1)
    notice(shop, "after")
    (finding,) = rows()
    assert (finding.noticed_at, finding.settled_at, finding.details) == (clock.now(), None, "after")


def test_details_are_cut_where_the_column_ends(session: Session, shop: Shop) -> None:
    notice(shop, "x" * 500)
    assert len(rows()[0].details) == findings.DETAILS_LENGTH


@both_databases
def test_two_that_notice_at_once_make_one_row(money: MoneyWorld) -> None:
    results = money.at_once(*[lambda: notice(money.shop, "seen")] * 6)
    assert results == [None] * 6
    assert len(rows()) == 1


@both_databases
def test_two_that_settle_at_once_settle_once(money: MoneyWorld) -> None:
    notice(money.shop)
    (finding,) = rows()
    finding_id = finding.id
    member_id = money.factories.make_staff().id

    def settle_it() -> None:
        with money.shop.transaction() as session:
            findings.settle_by_hand(session, finding_id, money.clock.now(), by=Actor(staff_id=member_id))

    results = money.at_once(*[settle_it] * 4)
    assert sorted(type(result).__name__ for result in results) == ["FindingNotFound"] * 3 + ["NoneType"]
