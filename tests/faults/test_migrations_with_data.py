"""Migrations on the database of a running shop: every row and every value is there afterwards, forth and back.

The rows are those of the oldest revision, in plain values, so that they do not change when the models do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flask_migrate
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, MetaData, Table, insert, select, text
from sqlalchemy.exc import IntegrityError

import models
from config import Settings
from models import Account, AuditEvent, Base, Order, OrderStatus, db
from sandbox.server import Sandbox
from services.links import order_url
from services.orders import find_order
from services.shop import Shop
from tests import both_databases
from tests.page_client import PageClient
from tests.pages.buying import all_orders, check_out, pay_order

pytestmark = both_databases

OLDEST = "0001"
DIRECTORY = str(Path(__file__).parent.parent.parent / "migrations")
NOW = datetime(2026, 11, 20, 12, 30, 15, 123456, tzinfo=UTC)
LATER = NOW + timedelta(days=14)
GIGABYTE = 1024**3

Row = dict[str, Any]
Dump = Callable[[], dict[str, list[Row]]]

FACTS = {
    "data_bytes": GIGABYTE,
    "per_day": False,
    "days": 7,
    "countries": ["MC"],
    "network": "Monaco Telecom",
    "clock_start": "first_connection",
    "install_within_days": 180,
    "topup": True,
    "voice_minutes": None,
    "sms_count": None,
}
STATE = {"data_bytes": GIGABYTE, "days": 7, "ends_at": None, "clock_start": "first_connection"}


def order(number: int, **columns: Any) -> Row:
    values = {
        "id": number,
        "public_id": f"ORDER0000{number}",
        "checkout_key": f"checkout-{number}",
        "kind": "purchase",
        "status": "paid",
        "account_id": 1,
        "plan_id": 1,
        "days": 7,
        "email": "ana@example.com",
        "language": "fr",
        "currency": "EUR",
        "amount_minor": 1490,
        "plan_name": "Monaco 1 Go · été",
        "plan_facts": FACTS,
        "created_at": NOW,
        "paid_at": NOW,
    }
    return {**values, **columns}


def attempt(number: int, order_id: int, status: str, **columns: Any) -> Row:
    values = {
        "id": number,
        "order_id": order_id,
        "seq": 1,
        "status": status,
        "idempotency_key": f"key-{number}",
        "request": {"amount_minor": 1490, "nested": {"list": [1, None, "é"]}},
        "session_id": f"cs_{number}",
        "session_url": f"https://checkout.example/{number}",
        "amount_minor": 1490,
        "currency": "EUR",
        "created_at": NOW,
        "expires_at": LATER,
        "checked_at": NOW,
    }
    return {**values, **columns}


def supplier_attempt(order_id: int, status: str, **columns: Any) -> Row:
    values = {
        "id": order_id,
        "order_id": order_id,
        "seq": 1,
        "reference": f"ORDER0000{order_id}-1",
        "status": status,
        "error": "",
        "sends": 1,
        "created_at": NOW,
        "sent_at": NOW,
    }
    return {**values, **columns}


def payment(number: int, order_id: int, attempt_id: int, kind: str = "settling") -> Row:
    return {
        "id": number,
        "order_id": order_id,
        "attempt_id": attempt_id,
        "kind": kind,
        "reference": f"pi_{number}",
        "amount_minor": 1490,
        "currency": "EUR",
        "received_at": NOW,
    }


def refund(number: int, payment_id: int, **columns: Any) -> Row:
    values = {
        "id": number,
        "payment_id": payment_id,
        "status": "requested",
        "source": "auto",
        "idempotency_key": f"refund-{number}",
        "amount_minor": 1490,
        "currency": "EUR",
        "created_at": NOW,
        "tries": 1,
    }
    return {**values, **columns}


def mail(number: int, kind: str, status: str, **columns: Any) -> Row:
    values = {
        "id": number,
        "kind": kind,
        "subject_key": "order:1",
        "recipient": "ana@example.com",
        "language": "fr",
        "subject": "Votre eSIM",
        "text_body": "LPA:1$smdp$CODE",
        "html_body": "<p>é</p>",
        "pictures": [{"id": "qr", "name": "qr.png", "type": "image/png", "base64": "aGk="}],
        "status": status,
        "tries": 2,
        "created_at": NOW,
        "error": "",
    }
    return {**values, **columns}


# 1: delivered; 2: not paid; 3: held; 4: refused and refunded; 5: a renewal, paid twice; 6: cancelled.
ROWS: dict[str, list[Row]] = {
    "accounts": [
        {
            "id": 1,
            "email": "ana@example.com",
            "password_hash": "$argon2id$",
            "language": "fr",
            "currency": "EUR",
            "session_version": 3,
            "created_at": NOW,
            "claimed_at": NOW,
        }
    ],
    "account_tokens": [
        {
            "id": 1,
            "account_id": 1,
            "purpose": "claim",
            "secret_hash": bytes(range(32)),
            "created_at": NOW,
            "expires_at": LATER,
        }
    ],
    "staff": [
        {
            "id": 1,
            "email": "staff@example.com",
            "name": "Ann",
            "role": "owner",
            "setup_hash": bytes(range(32, 64)),
            "session_version": 1,
            "created_at": NOW,
        }
    ],
    "catalogue_version": [{"id": 1, "version": 17}],
    "plans": [
        {
            "id": 1,
            "slug": "monaco-1gb-7-days",
            "state": "active",
            "position": 1,
            "data_bytes": GIGABYTE,
            "per_day": False,
            "days_min": 7,
            "days_max": 7,
            "clock_start": "first_connection",
            "install_within_days": 180,
            "network": "Monaco Telecom",
            "speed": "5G",
            "fair_use": False,
            "supplier": "esim_access",
            "supplier_plan_code": "SIM-MC-1-7",
            "supplier_topup_code": "TOPUP-MC-1-7",
            "supplier_cost": 12345,
        }
    ],
    "plan_countries": [{"plan_id": 1, "country": "MC", "position": 0}],
    "plan_prices": [{"plan_id": 1, "currency": "EUR", "amount_minor": 1490}],
    "plan_texts": [{"plan_id": 1, "language": code, "name": "Monaco", "description": "é"} for code in ("en", "fr")],
    "esims": [
        {
            "id": 1,
            "public_id": "ESIM000001",
            "account_id": 1,
            "plan_id": 1,
            "supplier": "esim_access",
            "supplier_esim_id": "tran-1",
            "iccid": "8999900000000000001",
            "smdp_address": "smdp.example.com",
            "matching_id": "MATCH",
            "apn": "",
            "nickname": "Anna",
            "created_at": NOW,
            "status": "active",
            # More than 32 bits hold.
            "total_bytes": 8 * GIGABYTE,
            "used_bytes": 5 * GIGABYTE,
            "topups": [{"code": "TOPUP-MC-1-7", "cost": 12345}],
        }
    ],
    "orders": [
        order(1, esim_id=1),
        order(2, status="pending", paid_at=None),
        order(3),
        order(4, status="refunded"),
        order(5, kind="renewal", esim_id=1, shown_before=STATE, shown_after=STATE),
        order(6, status="cancelled", paid_at=None, cancelled_at=NOW),
    ],
    "consents": [
        {"order_id": number, "kind": kind, "language": "fr", "text_version": "2026-11", "given_at": NOW}
        for number in range(1, 7)
        for kind in ("terms", "immediate_delivery")
    ],
    "attempts": [
        attempt(1, 1, "succeeded"),
        attempt(2, 2, "open"),
        attempt(3, 3, "succeeded"),
        attempt(4, 4, "succeeded"),
        attempt(5, 5, "succeeded"),
        attempt(6, 5, "succeeded", seq=2),
        attempt(7, 6, "superseded", session_id=None, session_url=None),
    ],
    "payments": [
        payment(1, 1, 1),
        payment(3, 3, 3),
        payment(4, 4, 4),
        payment(5, 5, 5),
        payment(6, 5, 6, kind="surplus"),
    ],
    "refunds": [
        refund(1, 4, cause="refused", status="succeeded", reference="re_1"),
        refund(2, 6, cause="surplus", next_try_at=LATER),
    ],
    "stripe_events": [
        {"id": "evt_1", "type": "checkout.session.completed", "object_id": "cs_1", "received_at": NOW},
    ],
    "fulfilments": [
        {"order_id": 1, "status": "verified", "reason": "", "tries": 1, "ordered_at": NOW, "verified_at": NOW},
        {"order_id": 3, "status": "held", "reason": "price_changed", "tries": 4, "held_at": NOW},
        {"order_id": 4, "status": "refused", "reason": "SoldOut", "tries": 1, "held_at": NOW},
        {"order_id": 5, "status": "ordered", "reason": "", "tries": 2, "lease_until": LATER, "next_try_at": NOW},
    ],
    "packages": [
        {
            "id": 1,
            "esim_id": 1,
            "order_id": 1,
            "plan_id": 1,
            "status": "active",
            "data_bytes": 8 * GIGABYTE,
            "days": 7,
            "created_at": NOW,
        }
    ],
    "supplier_attempts": [
        supplier_attempt(1, "accepted", supplier_order_id="B1", answered_at=NOW),
        supplier_attempt(3, "waiting", sends=0),
        supplier_attempt(4, "refused", error="SoldOut"),
        supplier_attempt(5, "unknown", before={"reading": {"total_bytes": GIGABYTE}, "read_at": NOW.isoformat()}),
    ],
    "mails": [
        mail(1, "receipt", "sent", text_body="", html_body="", pictures=[], sent_at=NOW),
        mail(2, "esim-ready", "queued", next_try_at=NOW),
        mail(3, "order-delayed", "failed", error="no such mailbox"),
        mail(4, "order-refunded", "sending", lease_until=LATER),
    ],
}

# What no database of the shop may hold, whatever it was migrated through.
FORBIDDEN: dict[str, tuple[str, Row]] = {
    "a checkout that is two orders": ("orders", order(90, checkout_key="checkout-1")),
    "a renewal of nothing": ("orders", order(91, kind="renewal")),
    "a state that does not exist": ("orders", order(92, status="lost")),
    "a negative price": ("orders", order(93, amount_minor=-1)),
    "an order of nobody": ("orders", order(94, account_id=99)),
    "two attempts to pay at once": ("attempts", attempt(90, 2, "created", seq=2)),
    "an attempt for no order": ("attempts", attempt(91, 99, "open")),
    "one key for two attempts": ("attempts", attempt(92, 6, "open", seq=2, idempotency_key="key-1")),
    "an order that is settled twice": ("payments", payment(90, 1, 1)),
    "one payment that counts twice": ("payments", {**payment(91, 1, 1, "surplus"), "reference": "pi_1"}),
    "one cause that is refunded twice": ("refunds", refund(90, 4, cause="refused")),
    "a refund of nothing": ("refunds", refund(91, 4, cause="goodwill", amount_minor=0)),
    "two requests to the supplier at once": (
        "supplier_attempts",
        supplier_attempt(1, "sending", id=90, seq=2, reference="another"),
    ),
    "an order that is delivered twice": ("packages", {**ROWS["packages"][0], "id": 90}),
    "the same mail twice": ("mails", mail(90, "receipt", "queued")),
    "one address with two accounts": ("accounts", {**ROWS["accounts"][0], "id": 90}),
}


@pytest.fixture
def settings(settings: Settings, database: str, tmp_path: Path) -> Settings:
    """Return the settings of a shop whose database is empty."""
    if database == "sqlite":
        return replace(settings, database_url=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    address = settings.database_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("drop schema public cascade")
        connection.execute("create schema public")
    return settings


@pytest.fixture
def old(app: Flask) -> Dump:
    """Fill every table of the oldest revision, and return the function that reads what stands in its columns."""
    flask_migrate.upgrade(DIRECTORY, OLDEST)
    tables = MetaData()
    with db.engine.begin() as connection:
        tables.reflect(connection)
        tables.remove(tables.tables["alembic_version"])
        for table in tables.sorted_tables:
            for row in ROWS[table.name]:
                connection.execute(insert(table), row)
            move_sequence(connection, table)
    assert {table.name for table in tables.sorted_tables} == set(ROWS)
    return lambda: {table.name: rows_of(table) for table in tables.sorted_tables}


def move_sequence(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number the next row after those that came with a number."""
    if connection.dialect.name == "postgresql" and table.name != "stripe_events" and "id" in table.columns:
        connection.execute(text(f"select setval(pg_get_serial_sequence('{table.name}', 'id'), 50)"))  # noqa: S608


def rows_of(table: Table) -> list[Row]:
    """Return what stands in the columns that a table had at the oldest revision."""
    with db.engine.connect() as connection:
        keys = list(table.primary_key)
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(*keys))]


def load_migration(revision: str) -> Any:
    """Return the module of a migration."""
    config = Config()
    config.set_main_option("script_location", DIRECTORY)
    return ScriptDirectory.from_config(config).get_revision(revision).module


def migrate(revision: str) -> None:
    """Bring the database to a revision, up or down, as the commands of `flask db` do."""
    db.session.remove()
    step = flask_migrate.downgrade if revision == OLDEST else flask_migrate.upgrade
    step(DIRECTORY, revision)


def check_nothing_changed(before: dict[str, list[Row]], after: dict[str, list[Row]]) -> None:
    """Fail with the tables whose rows or values are others than before."""
    assert all(before.values())
    assert {name: (before[name], after[name]) for name in before if after[name] != before[name]} == {}


def test_every_row_and_value_is_there_afterwards(old: Dump) -> None:
    before = old()
    migrate("head")
    check_nothing_changed(before, old())


def test_nothing_is_lost_on_the_way_back(old: Dump) -> None:
    """Down to the oldest revision, and up once more."""
    before = old()
    for revision in ("head", OLDEST, "head"):
        migrate(revision)
        check_nothing_changed(before, old())


def test_the_tables_are_those_of_the_models(old: Dump) -> None:
    migrate("head")
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_what_the_tables_forbid_is_still_forbidden(old: Dump) -> None:
    migrate("head")
    tables = MetaData()
    tables.reflect(db.engine)
    allowed = []
    for what, (name, row) in FORBIDDEN.items():
        with db.engine.connect() as connection, suppress(IntegrityError):
            connection.execute(insert(tables.tables[name]), row)
            allowed.append(what)
    assert allowed == []


def test_the_audit_is_added_to_and_never_changed(old: Dump) -> None:
    """By the triggers of the migration, which are those of the models; going back takes them along."""
    migrate("head")
    row = {"at": NOW, "staff_name": "Ann", "role": "owner", "action": "x", "subject_kind": "shop", "subject_key": "x"}
    with db.engine.begin() as connection:
        connection.execute(insert(AuditEvent), {**row, "note": "", "from_address": "", "request_id": ""})
    for harm in ("update audit_events set note = 'x'", "delete from audit_events"):
        with pytest.raises(IntegrityError, match="append-only"), db.engine.begin() as connection:
            connection.execute(text(harm))
    assert load_migration("0007").APPEND_ONLY == models._APPEND_ONLY
    for revision in (OLDEST, "head"):
        migrate(revision)


def test_the_shop_goes_on_with_what_it_has(client: PageClient, shop: Shop, sandbox: Sandbox, old: Dump) -> None:
    """It shows what was bought before, takes the payment of an open order and sells something new."""
    migrate("head")
    client.get("/readyz")
    for public_id, words in (("ORDER00001", "Monaco 1 Go · été"), ("ORDER00003", "Monaco 1 Go · été")):
        link = order_url(shop, find_order(db.session(), public_id))
        client.get(link.removeprefix(shop.settings.shop_url), 303)
        assert words in client.follow().text
    check_out(client)
    (order,) = [order for order in all_orders() if order.public_id not in {row["public_id"] for row in ROWS["orders"]}]
    pay_order(shop, sandbox, order)
    assert db.session.get_one(Order, order.id, populate_existing=True).status is OrderStatus.PAID
    client.sign_in(db.session.scalars(select(Account).where(Account.email == "ana@example.com")).one())
    page = client.get("/en/account")
    assert "Anna" in page.text
