"""The audit in the database: written with the change or not at all, never changed, read a page at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from models import db
from services import audit, audit_log, staff
from services.audit import COMMAND, Action, Actor, Subject
from services.audit_log import AuditFilter, Place, read_all, read_page
from services.shop import Shop
from tests import both_databases
from tests.audit_world import ANN, actions, events, write
from tests.clock import FakeClock
from tests.running import count_statements

ORDER = Subject.order("0123456789")
HARM = {
    "a changed row": "update audit_events set note = 'x'",
    "a deleted row": "delete from audit_events",
    "a row in another's place": "insert or replace into audit_events select * from audit_events",
    "an upsert": "insert into audit_events select * from audit_events where true"
    " on conflict (id) do update set note = 'x'",
    "an emptied table": "truncate audit_events",
}
# What the other database does not know.
ONLY = {"a row in another's place": "sqlite", "an emptied table": "postgresql"}
ATTEMPTS = [
    *(pytest.param("sqlite", what) for what in HARM if ONLY.get(what) != "postgresql"),
    *(pytest.param("postgresql", what, marks=pytest.mark.postgresql) for what in HARM if ONLY.get(what) != "sqlite"),
]


def keys(wanted: AuditFilter, limit: int = 50) -> list[str]:
    return [row.subject_key for row in read_page(db.session(), wanted, limit).events]


@pytest.mark.parametrize(("database", "what"), ATTEMPTS, indirect=["database"])
def test_the_database_refuses_to_change_what_was_written(shop: Shop, what: str) -> None:
    write(shop, note="as it was")
    db.session.rollback()
    with pytest.raises(IntegrityError, match="audit_events is append-only"), db.engine.begin() as connection:
        connection.execute(text(HARM[what]))
    assert [row.note for row in events()] == ["as it was"]


@both_databases
def test_neither_does_the_shop_itself(shop: Shop) -> None:
    write(shop)
    for change in (lambda row: setattr(row, "note", "x"), db.session.delete):
        (row,) = events()
        change(row)
        with pytest.raises(IntegrityError):
            db.session.flush()
    assert [row.note for row in events()] == [""]


@both_databases
def test_all_of_a_row_is_kept(shop: Shop, clock: FakeClock) -> None:
    before, after = {"role": "support", "number": 1, "none": None}, {"role": "owner", "yes": True}
    write(shop, Action.INVITED, "bob@example.com", before=before, after=after, note="why")
    (row,) = events()
    assert (row.at, row.staff_id, row.staff_name, row.role) == (clock.now(), 7, "Ann", "owner")
    assert (row.action, row.subject_kind, row.subject_key) == ("staff.invited", "staff", "bob@example.com")
    assert (row.before, row.after, row.note) == (before, after, "why")
    assert (row.from_address, row.request_id) == ("192.0.2.7", "r-1")


@both_databases
def test_what_is_undone_leaves_no_row(shop: Shop) -> None:
    """The row is part of the transaction of the change."""

    def invite_in_vain() -> None:
        with shop.transaction() as session:
            staff.invite(session, "ann@example.com", "Ann", None, shop.clock.now(), by=COMMAND)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        invite_in_vain()
    assert actions() == []


@both_databases
def test_newest_first_and_every_row_once(shop: Shop, clock: FakeClock) -> None:
    """Also where several were written in the same moment."""
    for number in range(7):
        write(shop, key=str(number))
        if number % 3 == 2:
            clock.advance(seconds=1)
    newest = [str(number) for number in reversed(range(7))]
    assert keys(AuditFilter()) == newest
    found, wanted = [], AuditFilter()
    while True:
        page = read_page(db.session(), wanted, 2)
        found += [row.subject_key for row in page.events]
        if page.next_before is None:
            break
        wanted = replace(wanted, before=page.next_before)
    assert found == newest


@both_databases
def test_what_is_added_meanwhile_does_not_move_the_next_page(shop: Shop) -> None:
    for number in range(4):
        write(shop, key=str(number))
    first = read_page(db.session(), AuditFilter(), 2)
    write(shop, key="new")
    assert keys(AuditFilter(before=first.next_before)) == ["1", "0"]


@both_databases
def test_filters_find_their_rows_alone_and_together(shop: Shop, clock: FakeClock) -> None:
    clock.set(datetime(2026, 11, 24, 22, 59, 59, tzinfo=UTC))
    write(shop, key="eve")
    clock.set(datetime(2026, 11, 24, 23, 0, tzinfo=UTC))
    write(shop, key="midnight")
    write(shop, Action.REFUND_REQUESTED, subject=ORDER, by=replace(ANN, staff_id=8))
    clock.set(datetime(2026, 11, 25, 23, 0, tzinfo=UTC))
    write(shop, Action.DELIVERY_RETRIED, subject=ORDER, by=COMMAND)
    day = datetime(2026, 11, 25, tzinfo=UTC).date()
    assert keys(AuditFilter(staff_id=7)) == ["midnight", "eve"]
    assert keys(AuditFilter(nobody=True)) == [ORDER.key]
    assert keys(AuditFilter(action=Action.SIGNED_IN)) == ["midnight", "eve"]
    assert keys(AuditFilter(subject_key=ORDER.key)) == [ORDER.key] * 2
    assert keys(AuditFilter(first=day, last=day)) == [ORDER.key, "midnight"]
    assert keys(AuditFilter(last=day - timedelta(days=1))) == ["eve"]
    assert keys(AuditFilter(staff_id=8, subject_key=ORDER.key, first=day)) == [ORDER.key]
    assert keys(AuditFilter(staff_id=8, action=Action.SIGNED_IN)) == []


FILTERS: dict[str, tuple[AuditFilter, str]] = {
    "nothing": (AuditFilter(), "audit_by_time"),
    "days": (AuditFilter(first=datetime(2026, 11, 25, tzinfo=UTC).date()), "audit_by_time"),
    "who": (AuditFilter(staff_id=7), "audit_by_staff"),
    "nobody": (AuditFilter(nobody=True), "audit_by_"),
    "action": (AuditFilter(action=Action.SIGNED_IN), "audit_by_action"),
    "subject": (AuditFilter(subject_key="x"), "audit_by_subject"),
}


@both_databases
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("before", [None, Place(datetime(2026, 11, 25, tzinfo=UTC), 5)])
def test_each_filter_reads_its_index_in_order(shop: Shop, database: str, name: str, before: Place | None) -> None:
    """Nothing is sorted and no row is read that is not shown, however many there are."""
    wanted, index = FILTERS[name]
    write(shop)
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    read_page(db.session(), replace(wanted, before=before))
    event.remove(db.engine, "before_cursor_execute", note)
    ((statement, parameters),) = [each for each in asked if "audit_events" in each[0]]
    explain = "explain query plan" if database == "sqlite" else "explain"
    with db.engine.begin() as connection:
        if database == "postgresql":
            connection.execute(text("set local enable_seqscan = off"))
            connection.execute(text("set local enable_bitmapscan = off"))
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()  # type: ignore[arg-type]
    plan = "\n".join(str(row) for row in rows)
    assert index in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


@both_databases
def test_all_of_it_is_read_in_batches(shop: Shop) -> None:
    """One statement for each, with no transaction open between them; what is added meanwhile is left out."""
    for number in range(7):
        write(shop, key=str(number))
    session = db.session()
    rows, found = read_all(session, AuditFilter(), batch=3), []
    with count_statements() as statements:
        for row in rows:
            assert not session.in_transaction()
            found.append(row.subject_key)
            if len(found) == 2:
                write(shop, key="new")
    assert found == [str(number) for number in reversed(range(7))]
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 3


@both_databases
def test_an_order_shows_its_newest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "EVENTS_OF_AN_ORDER", 2)
    write(shop, Action.INVITED, key=ORDER.key)
    write(shop, Action.DELIVERY_RETRIED, subject=ORDER)
    write(shop, Action.DELIVERY_LOOKED_AT, subject=ORDER)
    page = audit_log.read_of_order(db.session(), ORDER.key)
    assert ([row.action for row in page.events], page.next_before) == (["delivery.looked_at", "delivery.retried"], None)
    write(shop, Action.DELIVERY_CLOSED, subject=ORDER)
    page = audit_log.read_of_order(db.session(), ORDER.key)
    assert [row.action for row in page.events] == ["delivery.closed", "delivery.looked_at"]
    assert page.next_before is not None


@both_databases
def test_a_row_outlives_the_member_it_names(shop: Shop) -> None:
    """There need be nobody of that number."""
    write(shop, by=Actor(staff_id=2**31 - 1, name="Gone", role="support"))
    assert [row.staff_name for row in events()] == ["Gone"]


RUN: dict[str, tuple[list[str], list[str]]] = {
    "create-staff": (["create-staff", "ann@example.com", "--role", "manager"], ["staff.invited"]),
    "seed-demo": (["seed-demo"], []),
    "sync-catalogue": (["sync-catalogue"], ["catalogue.synced"]),
    "stuck": (["stuck"], []),
}


@pytest.mark.parametrize("name", RUN)
def test_commands_write_what_they_change(app: Flask, shop: Shop, sandbox: object, name: str) -> None:
    arguments, expected = RUN[name]
    result = app.test_cli_runner().invoke(args=arguments)
    assert result.exit_code == 0, result.output
    assert actions() == expected
    assert {(row.staff_id, row.role, row.from_address) for row in events()} <= {(None, "command", "")}


def test_a_second_invitation_says_what_it_changes(app: Flask) -> None:
    for role in ("support", "owner"):
        app.test_cli_runner().invoke(args=["create-staff", "ann@example.com", "--role", role])
    first, second = events()
    assert (first.before, first.after) == (None, {"name": "ann", "role": "support"})
    assert (second.before, second.after) == ({"name": "ann", "role": "support"}, {"name": "ann", "role": "owner"})


def test_secrets_have_no_place(shop: Shop) -> None:
    """Neither in a value nor in a reason, whoever pastes one there."""
    code = "LPA:1$smdp.example.com$SECRET"
    write(shop, before={"x": code}, after={"y": f"a {code} b"}, note=code)
    (row,) = events()
    assert "SECRET" not in f"{row.before}{row.after}{row.note}"
    assert row.after == {"y": "a [activation code] b"}


def test_long_values_are_cut(shop: Shop) -> None:
    write(shop, key="k" * 400, after={"x": "v" * 400}, note="n" * 300)
    (row,) = events()
    assert row.after is not None
    assert (len(row.subject_key), len(row.after["x"]), len(row.note)) == (
        audit.KEY_LENGTH,
        audit.VALUE_LENGTH,
        audit.NOTE_LENGTH,
    )
