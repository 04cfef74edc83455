"""A shop with a supplier that a test scripts, and a visitor without JavaScript; for the tests of accounts and usage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from blueprints._web import limiter
from models import Account, Esim, EsimStatus, Mail, PlanText, db
from services import passwords
from services.shop import Shop
from services.suppliers import Capabilities, Reading, Supplier
from tests import page_rules
from tests.services.mail_world import (
    GIGABYTE,
    Letterbox,
    StandingClock,
    add_account,
    add_esim,
    add_order,
    add_plan,
    open_shop,
)

PASSWORD = "four words are enough"
EMAIL = "anna@example.org"
SHOP_URL = "https://shop.example"


class ScriptedSupplier:
    """Says of each eSIM what a test wrote down, or raises what a test wants raised; counts the questions."""

    code = "esim_access"
    capabilities = Capabilities(
        min_read_interval=timedelta(seconds=30),
        usual_delay=timedelta(hours=3),
    )

    def __init__(self) -> None:
        self.readings: dict[str, Reading] = {}
        self.trouble: Exception | None = None
        self.asked: list[str] = []
        self.asked_in_bulk: list[list[str]] = []
        self.in_transaction: list[bool] = []
        self.while_asked: Callable[[], None] = lambda: None

    def read_esim(self, supplier_esim_id: str) -> Reading:
        self.asked.append(supplier_esim_id)
        self.in_transaction.append(db.session().in_transaction())
        self.while_asked()
        if self.trouble:
            raise self.trouble
        return self.readings[supplier_esim_id]

    def read_usage(self, supplier_esim_ids: Sequence[str]) -> dict[str, tuple[int, int, datetime | None]]:
        self.asked_in_bulk.append(list(supplier_esim_ids))
        self.in_transaction.append(db.session().in_transaction())
        if self.trouble:
            raise self.trouble
        known = ((key, self.readings.get(key)) for key in supplier_esim_ids)
        return {
            key: (reading.used_bytes or 0, reading.total_bytes or 0, reading.as_of) for key, reading in known if reading
        }


@dataclass(frozen=True)
class World:
    """The shop, its supplier and its clock."""

    app: Flask
    shop: Shop
    clock: StandingClock
    supplier: ScriptedSupplier

    def visitor(self) -> Visitor:
        """Return a fresh browser."""
        return Visitor(self.app.test_client())

    def traveller(self, email: str = EMAIL) -> Visitor:
        """Return a browser in which the account of `email` is signed in."""
        visitor = self.visitor()
        visitor.get("/en/sign-in")
        answer = visitor.post("/en/sign-in", email=email, password=PASSWORD)
        assert answer.status_code == 303
        return visitor

    def add_traveller(self, email: str = EMAIL) -> int:
        """Add an account with PASSWORD and return its id."""
        with self.app.app_context(), self.shop.transaction() as session:
            account = add_account(session, email=email)
            account.password_hash = passwords.hash_new(PASSWORD, email)
            return account.id

    def add_esim(self, account_id: int, plan: dict[str, Any] | None = None, **values: Any) -> Esim:
        """Add an eSIM with its order and package; the supplier says of it what the row says."""
        with self.app.app_context(), self.shop.transaction() as session:
            account = session.get_one(Account, account_id)
            number = session.query(Esim).count() + 1
            row = add_plan(session, slug=f"plan-{number}", supplier_plan_code=f"P{number}", **(plan or {}))
            row.texts.append(PlanText(language="en", name=f"Monaco plan {number}", description=""))
            order = add_order(session, account, row)
            esim = add_esim(session, account, row, order, **values)
            order.esim_id = esim.id
            self.supplier.readings[esim.supplier_esim_id] = reading_of(esim)
        return esim

    def esim(self, esim_id: int) -> Esim:
        """Return an eSIM with its packages as the database holds it now."""
        with self.app.app_context():
            esim = db.session.get_one(Esim, esim_id)
            assert esim.packages is not None
            return esim

    def account(self, email: str = EMAIL) -> Account | None:
        """Return the account of an address as the database holds it now."""
        with self.app.app_context():
            return db.session.scalar(select(Account).where(Account.email == email))

    def mails(self) -> list[Mail]:
        """Return all mails, oldest first."""
        with self.app.app_context():
            return list(db.session.scalars(select(Mail).order_by(Mail.id)))

    def mailed_path(self) -> str:
        """Return the path of the one-time link in the newest mail."""
        links = re.findall(
            r"https://shop\.example(/\S+/(?:claim|password-reset|email|sign-in/link)/[\w-]+)",
            self.mails()[-1].text_body,
        )
        assert len(links) == 1
        return str(links[0])


class Visitor:
    """A browser without JavaScript that sends forms with the CSRF token of the last page it saw."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self._token = ""

    def get(self, path: str, **headers: str) -> TestResponse:
        """Open an address."""
        return self._seen(self._client.get(path, base_url=SHOP_URL, headers=_named(headers)))

    def leads_to(self, path: str, **headers: str) -> str | None:
        """Return where an address that is no page leads."""
        return self._client.get(path, base_url=SHOP_URL, headers=_named(headers)).location

    def post(self, path: str, _headers: dict[str, str] | None = None, /, **form: str) -> TestResponse:
        """Send a form; over HTTPS the CSRF check wants to know which site it comes from."""
        headers = {"Referer": f"{SHOP_URL}/", **(_headers or {})}
        data = {"csrf_token": self._token, **form}
        return self._seen(self._client.post(path, base_url=SHOP_URL, data=data, headers=headers))

    def _seen(self, answer: TestResponse) -> TestResponse:
        if answer.mimetype == "text/html" and answer.status_code not in (303, 401):
            fragment = answer.request.headers.get("HX-Request") == "true"
            page_rules.check(page_rules.parse(answer.text), answer, fragment)
        token = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
        if token:
            self._token = token[1]
        return answer


def make_world(folder: Path) -> World:
    """Return a shop on an empty database in `folder`, with no limit used up."""
    mail_world = open_shop(folder, Letterbox())
    supplier = ScriptedSupplier()
    shop = replace(mail_world.shop, supplier=cast(Supplier, supplier))
    mail_world.app.extensions["shop"] = shop
    with mail_world.app.app_context():
        limiter.reset()
    return World(mail_world.app, shop, mail_world.clock, supplier)


def reading_of(esim: Esim, **changes: Any) -> Reading:
    """Return the reading that says what `esim` says, but for `changes`."""
    values = {
        "supplier_esim_id": esim.supplier_esim_id,
        "iccid": esim.iccid,
        "status": esim.status,
        "total_bytes": esim.total_bytes,
        "used_bytes": esim.used_bytes,
        "total_days": esim.total_days,
        "activated_at": esim.activated_at,
        "expires_at": esim.expires_at,
        "package_count": 1,
        "as_of": esim.usage_as_of,
    }
    return Reading(**{**values, **changes})


def running(now: datetime, **values: Any) -> dict[str, Any]:
    """Return the values of an eSIM in use since yesterday, read a minute ago: 1 of 5 GB used, six days left."""
    return {
        "status": EsimStatus.ACTIVE,
        "total_bytes": 5 * GIGABYTE,
        "used_bytes": GIGABYTE,
        "total_days": 7,
        "activated_at": now - timedelta(days=1),
        "expires_at": now + timedelta(days=6),
        "usage_as_of": now - timedelta(hours=2),
        "usage_read_at": now - timedelta(minutes=1),
        "usage_asked_at": now - timedelta(minutes=1),
        **values,
    }


@contextmanager
def counted_statements(app: Flask) -> Iterator[list[str]]:
    """Collect the SQL statements of the block.

    Without those that begin transactions, and without the page cache's own, which it asks by the clock on the wall.
    """
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("begin") and "FROM catalogue_version" not in statement:
            statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
