"""Reminders: who gets one, that nobody gets it twice, and that their number does not multiply the statements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from models import Account, Esim, EsimStatus, Mail, Order, OrderKind, Package, Plan, db
from services import links
from services.mail.messages import ReminderReason
from services.mail.reminders import due_reason, send_reminders
from tests.services.mail_world import (
    GIGABYTE,
    NOW,
    Letterbox,
    MailWorld,
    add_account,
    add_esim,
    add_order,
    add_package,
    add_plan,
    open_shop,
)

RUNNING: dict[str, Any] = {
    "status": EsimStatus.ACTIVE,
    "total_bytes": 5 * GIGABYTE,
    "used_bytes": 1 * GIGABYTE,
    "activated_at": NOW - timedelta(days=1),
    "expires_at": NOW + timedelta(days=6),
    "usage_as_of": NOW,
}
LOW = {**RUNNING, "used_bytes": 4 * GIGABYTE}
WAITING: dict[str, Any] = {"status": EsimStatus.NEW, "install_by": NOW + timedelta(days=14)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[MailWorld]:
    opened = open_shop(tmp_path, Letterbox())
    with opened.app.app_context():
        yield opened


def add(world: MailWorld, **values: Any) -> Esim:
    with world.shop.transaction() as session:
        plan = session.scalars(select(Plan)).first() or add_plan(session)
        account = session.scalars(select(Account)).first() or add_account(session, "fr")
        return add_esim(session, account, plan, add_order(session, account, plan), **values)


def mails() -> list[Mail]:
    db.session.rollback()
    return list(db.session.scalars(select(Mail).order_by(Mail.id)))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (RUNNING, None),
        (LOW, ReminderReason.LOW_DATA),
        ({**LOW, "used_bytes": 4 * GIGABYTE - 1}, None),
        ({**LOW, "status": EsimStatus.INSTALLED}, ReminderReason.LOW_DATA),
        ({**LOW, "status": EsimStatus.DEPLETED, "used_bytes": 5 * GIGABYTE}, ReminderReason.USED_UP),
        ({**LOW, "expires_at": NOW + timedelta(days=2)}, ReminderReason.ENDS_SOON),
        ({**RUNNING, "expires_at": NOW + timedelta(days=2)}, ReminderReason.ENDS_SOON),
        ({**RUNNING, "expires_at": NOW + timedelta(days=2, seconds=1)}, None),
        ({**LOW, "expires_at": NOW}, None),
        ({**LOW, "status": EsimStatus.EXPIRED}, None),
        ({**LOW, "status": EsimStatus.CANCELLED}, None),
        ({**LOW, "status": EsimStatus.SUSPENDED}, None),
        ({**RUNNING, "total_bytes": None, "used_bytes": None}, None),
        (WAITING, ReminderReason.INSTALL_SOON),
        ({**WAITING, "install_by": NOW + timedelta(days=15)}, None),
        ({**WAITING, "install_by": NOW}, None),
        ({**WAITING, "install_by": None}, None),
    ],
)
def test_who_is_reminded_of_what(world: MailWorld, values: dict[str, Any], reason: ReminderReason | None) -> None:
    esim = add(world, **values)

    assert due_reason(esim, NOW) is reason
    assert send_reminders(world.shop) == (reason is not None)
    assert [mail.kind for mail in mails()] == ([f"reminder-{reason.value}-1"] if reason else [])


def test_a_second_run_sends_nothing(world: MailWorld) -> None:
    add(world, **LOW)
    add(world, **WAITING)

    assert send_reminders(world.shop) == 2
    assert send_reminders(world.shop) == 0
    assert len(world.knocks) == len(mails()) == 2


def test_another_reason_and_another_package_are_told_again(world: MailWorld) -> None:
    esim = add(world, **LOW)
    send_reminders(world.shop)

    world.clock.move(timedelta(days=5))
    assert send_reminders(world.shop) == 1
    assert send_reminders(world.shop) == 0

    with world.shop.transaction() as session:
        row = session.get_one(Esim, esim.id)
        order = add_order(session, row.account, row.plan, kind=OrderKind.RENEWAL, esim_id=row.id)
        add_package(session, row, order)
        row.expires_at = world.clock.now() + timedelta(days=1)
    assert send_reminders(world.shop) == 1
    assert [mail.kind for mail in mails()] == ["reminder-low-data-1", "reminder-ends-soon-1", "reminder-ends-soon-2"]


def test_a_reminder_leads_to_where_it_helps(world: MailWorld) -> None:
    renewable = add(world, **LOW)
    waiting = add(world, **WAITING)
    send_reminders(world.shop)

    low, install = mails()
    assert (low.recipient, low.language) == ("buyer@example.org", "fr")
    assert f"https://shop.example/fr/account/esims/{renewable.public_id}/renewal" in low.text_body
    order = order_of(waiting)
    assert links.order_url(world.shop, order) in install.text_body


def order_of(esim: Esim) -> Order:
    return db.session.scalars(
        select(Order).join(Package, Package.order_id == Order.id).where(Package.esim_id == esim.id)
    ).one()


def test_an_esim_that_cannot_be_renewed_leads_to_the_plans(world: MailWorld) -> None:
    with world.shop.transaction() as session:
        add_plan(session, supplier_topup_code=None)
    add(world, **LOW)
    send_reminders(world.shop)

    (mail,) = mails()
    assert "https://shop.example/fr/plans" in mail.text_body
    assert "/renewal" not in mail.text_body


def test_more_esims_do_not_take_more_statements(world: MailWorld) -> None:
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    add(world, **LOW)
    statements.clear()
    send_reminders(world.shop)
    few = len(statements)
    for _number in range(20):
        add(world, **LOW)
    statements.clear()
    assert send_reminders(world.shop) == 20

    assert len(statements) <= few
