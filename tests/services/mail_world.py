"""A shop with a clock that stands still and one buyer, for the tests of mails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy.orm import Session

from app import create_app
from config import Settings
from models import (
    Account,
    ClockStart,
    Consent,
    Esim,
    EsimStatus,
    Order,
    OrderKind,
    OrderStatus,
    Package,
    PackageStatus,
    Plan,
    db,
)
from services.mail.transport import Transport
from services.shop import Shop

NOW = datetime(2026, 11, 22, 14, 9, tzinfo=UTC)
GIGABYTE = 1024**3
ENVIRONMENT = {
    "SECRET_KEY": "a-secret-of-the-tests-0123456789abcdef",
    "SHOP_URL": "https://shop.example",
    "STRIPE_SECRET_KEY": "sk_test_mail",
    "STRIPE_WEBHOOK_SECRET": "whsec_mail",
    "ESIM_ACCESS_CODE": "code",
    "SMTP_URL": "smtp://127.0.0.1:1",
    "MAIL_FROM": "Monaco travel card <shop@shop.example>",
}
FACTS = {
    "data_bytes": 5 * GIGABYTE,
    "per_day": False,
    "days": 7,
    "countries": ["MC", "FR"],
    "network": "Monaco Telecom",
    "clock_start": "first_connection",
    "install_within_days": 180,
    "topup": True,
    "voice_minutes": None,
    "sms_count": None,
}


class StandingClock:
    """A clock that a test moves."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def move(self, span: timedelta) -> None:
        self.moment += span


class Letterbox:
    """A transport that keeps what it is given, after raising what a test wants raised."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.troubles: list[Exception] = []
        self.transactions: list[bool] = []

    def send(self, message: EmailMessage) -> None:
        self.transactions.append(db.session().in_transaction())
        if self.troubles:
            raise self.troubles.pop(0)
        self.messages.append(message)


@dataclass(frozen=True)
class MailWorld:
    """The shop, what it was knocked for, and its clock."""

    app: Flask
    shop: Shop
    clock: StandingClock
    knocks: list[tuple[str, int]]


def open_shop(folder: Path, transport: Transport, **environment: str) -> MailWorld:
    """Return a shop on an empty database in `folder`."""
    clock = StandingClock()
    settings = Settings.from_env({**ENVIRONMENT, "INSTANCE": str(folder), **environment})
    app = create_app(settings, clock=clock)
    knocks: list[tuple[str, int]] = []
    shop = replace(app.extensions["shop"], transport=transport, knocker=lambda task, row: knocks.append((task, row)))
    app.extensions["shop"] = shop
    with app.app_context():
        db.create_all()
    return MailWorld(app, shop, clock, knocks)


def add_account(session: Session, language: str = "en", email: str = "buyer@example.org") -> Account:
    """Add a buyer who has an account."""
    account = Account(email=email, language=language, currency="EUR", created_at=NOW, claimed_at=NOW)
    session.add(account)
    session.flush()
    return account


def add_plan(session: Session, **values: Any) -> Plan:
    """Add a plan that can be renewed."""
    defaults = {
        "slug": "monaco-5gb-7days",
        "data_bytes": 5 * GIGABYTE,
        "days_min": 7,
        "days_max": 7,
        "clock_start": ClockStart.FIRST_CONNECTION,
        "install_within_days": 180,
        "network": "Monaco Telecom",
        "speed": "5G",
        "supplier": "esim_access",
        "supplier_plan_code": "MC_5_7",
        "supplier_topup_code": "TOPUP_MC_5_7",
    }
    plan = Plan(**{**defaults, **values})
    session.add(plan)
    session.flush()
    return plan


def add_order(session: Session, account: Account, plan: Plan, **values: Any) -> Order:
    """Add a paid order."""
    number = session.query(Order).count() + 1
    defaults = {
        "public_id": f"TESTORD{number:03}",
        "checkout_key": f"checkout-{number}",
        "kind": OrderKind.PURCHASE,
        "status": OrderStatus.PAID,
        "account_id": account.id,
        "plan_id": plan.id,
        "days": 7,
        "email": account.email,
        "language": account.language,
        "currency": "EUR",
        "amount_minor": 1290,
        "plan_name": "Monaco 5 GB, 7 days",
        "plan_facts": FACTS,
        "created_at": NOW,
        "paid_at": NOW,
    }
    order = Order(**{**defaults, **values})
    order.consents = [
        Consent(kind="immediate_delivery", language=account.language, text_version="2026-11", given_at=NOW)
    ]
    session.add(order)
    session.flush()
    return order


def add_esim(session: Session, account: Account, plan: Plan, order: Order, **values: Any) -> Esim:
    """Add an eSIM with the package of `order`."""
    number = session.query(Esim).count() + 1
    defaults = {
        "public_id": f"TESTSIM{number:03}",
        "account_id": account.id,
        "plan_id": plan.id,
        "supplier": "esim_access",
        "supplier_esim_id": f"tran-{number}",
        "iccid": "8944538532008160222",
        "smdp_address": "rsp.shop.example",
        "matching_id": "04386-AGYFT-A74Y8-3F815",
        "apn": "internet",
        "install_by": NOW + timedelta(days=180),
        "created_at": NOW,
        "status": EsimStatus.NEW,
    }
    esim = Esim(**{**defaults, **values})
    session.add(esim)
    session.flush()
    add_package(session, esim, order)
    return esim


def add_package(session: Session, esim: Esim, order: Order) -> Package:
    """Add a package to an eSIM."""
    package = Package(
        esim_id=esim.id,
        order_id=order.id,
        plan_id=esim.plan_id,
        status=PackageStatus.ACTIVE,
        data_bytes=5 * GIGABYTE,
        days=7,
        created_at=NOW,
    )
    session.add(package)
    session.flush()
    return package
