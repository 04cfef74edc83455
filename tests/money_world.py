"""What the tests of the money flows share: orders, buyers at Stripe's page, a worker, and books that must balance."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

import pytest
import stripe
from flask import Flask, has_app_context
from sqlalchemy import func, select

from jobs import sweep_once
from models import (
    Account,
    Attempt,
    AttemptStatus,
    Esim,
    Fulfilment,
    FulfilmentStatus,
    Mail,
    Order,
    OrderKind,
    OrderStatus,
    Package,
    PackageStatus,
    Payment,
    PaymentKind,
    Plan,
    Refund,
    RefundStatus,
    SupplierAttempt,
    db,
)
from sandbox.esim_access import Esim as SuppliersEsim
from sandbox.server import Sandbox
from services.audit import COMMAND
from services.catalogue import get_plan
from services.fulfilment_rows import add_package
from services.identifiers import public_id, random_key
from services.orders import Wish, place_order
from services.payments.attempts import start_payment
from services.payments.refunds import request_refund
from services.payments.settlement import Outcome, settle
from services.payments.stripe_gateway import StripeGateway
from services.renewals import preview
from services.shop import Shop
from services.staff_deliveries import NoSuchStep, Step, take_up
from services.suppliers import PurchaseRequest
from services.suppliers.esim_access import EsimAccess
from services.usage import apply_reading, read
from tests import running
from tests.clock import FakeClock
from tests.factories import CONSENTS, Factories

Result = TypeVar("Result")

MONACO_1GB = "monaco-1gb-7-days"
MONACO_3GB = "monaco-3gb-30-days"
BY_THE_DAY = "monaco-1gb-a-day"
PRICE = 1490
MOST_LOOKS = 200
GATEWAY_CALLS = ("open_session", "get_session", "expire_session", "refund", "get_refund")


class MoneyWorld:
    """The shop, Stripe, the supplier and a worker; what it returns is as the database holds it at that moment."""

    def __init__(self, app: Flask, sandbox: Sandbox, clock: FakeClock) -> None:
        self.app = app
        self.sandbox = sandbox
        self.stripe = sandbox.stripe
        self.supplier = sandbox.esim_access
        self.clock = clock
        self.shop: Shop = app.extensions["shop"]
        self.factories = Factories(self.shop)

    # What a buyer does.

    def buyer(self) -> Account:
        """Return the account of somebody who bought as a guest: it has no password."""
        return self.factories.make_account(password_hash=None, claimed_at=None)

    def order(self, slug: str = MONACO_1GB, currency: str = "EUR", **wish: Any) -> Order:
        """Return a pending purchase; `wish` replaces fields of the Wish."""
        account = wish.pop("account", None) or self.buyer()
        plan = get_plan(db.session(), slug, "en", currency)
        values: dict[str, Any] = {
            "checkout_key": random_key(),
            "kind": OrderKind.PURCHASE,
            "plan": plan,
            "days": plan.days_min,
            "email": account.email,
            "language": "en",
            "consents": CONSENTS,
        }
        with self.shop.transaction() as session:
            account = session.get_one(Account, account.id)
            return place_order(session, Wish(**{**values, **wish}), account, self.clock.now())

    def change(self, order: Order, **wish: Any) -> Order:
        """Send the checkout form of a pending order again with other values."""
        with self.shop.transaction() as session:
            account, slug = session.get_one(Account, order.account_id), session.get_one(Plan, order.plan_id).slug
        currency = wish.pop("currency", order.currency)
        kept: dict[str, Any] = {"days": order.days, "email": order.email}
        return self.order(slug, currency, account=account, checkout_key=order.checkout_key, **{**kept, **wish})

    def renewal(self, esim: Esim, slug: str = MONACO_1GB) -> Order:
        """Return a pending renewal of an eSIM, as its page would place it."""
        read(self.shop, esim.id, force=True)
        esim = self.row(Esim, esim.id)
        shown = preview(esim, get_plan(db.session(), slug, "en", "EUR"))
        return self.order(
            slug,
            account=self.row(Account, esim.account_id),
            kind=OrderKind.RENEWAL,
            esim_id=esim.id,
            shown_before=shown.before.to_json(),
            shown_after=shown.after.to_json(),
        )

    def open(self, order: Order) -> str:
        """Return the session of the page that the buyer is sent to."""
        url = start_payment(self.shop, order.id)
        attempt = self.live_attempt(order)
        assert attempt.session_url == url
        assert attempt.session_id is not None
        return attempt.session_id

    def pay_later(self, session_id: str) -> None:
        """Pay with a debit that the bank answers days later; the merchant has enabled it in Stripe's Dashboard."""
        self.alter_session(session_id, payment_method_types=["card", "sepa_debit"])
        assert self.stripe.pay(session_id, method="sepa_debit", wait=False).status == "complete"

    def alter_session(self, session_id: str, **fields: Any) -> None:
        """Make a session at Stripe other than the shop asked for."""
        account = self.stripe.account
        with account.lock:
            account.save({**account.find("cs", session_id), **fields})

    def expire(self, session_id: str) -> None:
        """Close an open session at Stripe, as its own end would."""
        self.fresh()
        self.shop.gateway.expire_session(session_id)

    def settle(self, session_id: str) -> Outcome:
        """Look a session up as webhook, return page and reconcile do."""
        self.fresh()
        return settle(self.shop, session_id)

    def paid(self, order: Order) -> Order:
        """Return the order after it was paid and settled; nothing is ordered from the supplier yet."""
        session_id = self.open(order)
        self.stripe.pay(session_id, wait=False)
        # A shop that is served hears of it by webhook, too.
        assert self.settle(session_id) in (Outcome.PAID, Outcome.ALREADY_PAID)
        return self.row(Order, order.id)

    def verified(self, order: Order) -> Order:
        """Return the order after it was paid, delivered and confirmed by the supplier."""
        order = self.paid(order)
        self.work()
        assert self.fulfilment(order).status is FulfilmentStatus.VERIFIED
        return self.row(Order, order.id)

    def esim(self, slug: str = MONACO_1GB) -> Esim:
        """Return an eSIM that the supplier has really allocated, bought by an order without money at Stripe."""
        account = self.buyer()
        with self.shop.transaction() as session:
            plan = session.scalars(select(Plan).where(Plan.slug == slug)).one()
        wanted = PurchaseRequest(
            reference=public_id(), plan_code=plan.supplier_plan_code, expected_cost=None, days=None
        )
        profile = self.shop.supplier.get_order(self.shop.supplier.place_order(wanted).supplier_order_id).profile
        assert profile is not None
        now = self.clock.now()
        esim = Esim(
            public_id=public_id(),
            account_id=account.id,
            plan_id=plan.id,
            supplier=self.shop.supplier.code,
            supplier_esim_id=profile.supplier_esim_id,
            iccid=profile.iccid,
            smdp_address=profile.smdp_address,
            matching_id=profile.matching_id,
            install_by=profile.install_by,
            created_at=now,
        )
        bought = self.order(slug, account=account)
        with self.shop.transaction() as session:
            session.add(esim)
            session.flush()
            order = session.get_one(Order, bought.id)
            order.status, order.paid_at, order.esim_id = OrderStatus.PAID, now, esim.id
            add_package(self.shop, session, order, esim.id, PackageStatus.ACTIVE)
            apply_reading(session, esim, profile.reading, now)
        return esim

    # What the worker does.

    def work(self, **later: float) -> None:
        """Let the worker do what is due, after moving the clock on, as in `work(seconds=60)`."""
        self.clock.advance(**later)
        running.run_jobs(self.app, self.clock.now())
        # The queue goes by the machine's clock, so a knock for later may not be due yet; the sweep goes by the rows.
        sweep_once(self.shop)
        running.run_jobs(self.app, self.clock.now())
        self.fresh()

    def keep_working(self, order: Order, minutes: int = 30) -> FulfilmentStatus:
        """Let the worker look whenever the order says so until it stands still; return where that is."""
        end = self.clock.now() + timedelta(minutes=minutes)
        for _look in range(MOST_LOOKS):
            if self.clock.now() >= end:
                break
            self.work()
            due = self.fulfilment(order).next_try_at
            if due is None:
                break
            self.clock.set(max(due, self.clock.now()))
        return self.fulfilment(order).status

    def retry(self, order: Order) -> bool:
        """Put a held order back to work, as staff would; return whether it was held."""
        try:
            return take_up(self.shop, order.public_id, by=COMMAND) is Step.RETRY
        except NoSuchStep:
            return False

    def refund(self, payment: Payment, amount_minor: int, cause: str = "goodwill") -> Refund:
        """Ask for a refund as staff would."""
        with self.shop.transaction() as session:
            payment = session.get_one(Payment, payment.id)
            return request_refund(self.shop, payment, amount_minor, source="staff", cause=cause)

    def at_once(self, *calls: Callable[[], Result]) -> list[Result | BaseException]:
        """Make all calls at the same moment, each in a thread of its own; return what each returned or raised."""
        self.fresh()
        ready = threading.Barrier(len(calls))
        results: list[Result | BaseException] = []

        def run(call: Callable[[], Result]) -> None:
            with self.app.app_context():
                ready.wait(10)
                try:
                    results.append(call())
                except Exception as error:  # noqa: BLE001 - handed to the test
                    results.append(error)

        threads = [threading.Thread(target=run, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "a call hangs"
        return results

    # What is on the books.

    def fresh(self) -> None:
        """Forget what was read, so that the next look is at the database."""
        db.session.rollback()
        db.session.expire_all()

    def row(self, model: type[Result], key: int) -> Result:
        """Return one row as it is now."""
        self.fresh()
        found: Result = db.session.get_one(model, key)
        return found

    def attempts(self, order: Order) -> Sequence[Attempt]:
        """Return the attempts to pay, in their order."""
        return self._rows(select(Attempt).where(Attempt.order_id == order.id).order_by(Attempt.seq))

    def live_attempt(self, order: Order) -> Attempt:
        """Return the one attempt by which the order may be paid."""
        live = (AttemptStatus.CREATED, AttemptStatus.OPEN, AttemptStatus.PROCESSING)
        (attempt,) = [attempt for attempt in self.attempts(order) if attempt.status in live]
        return attempt

    def payments(self, order: Order) -> Sequence[Payment]:
        """Return the payments that arrived, in their order."""
        return self._rows(select(Payment).where(Payment.order_id == order.id).order_by(Payment.id))

    def refunds(self, order: Order) -> Sequence[Refund]:
        """Return the refunds, in their order."""
        return self._rows(select(Refund).join(Payment).where(Payment.order_id == order.id).order_by(Refund.id))

    def fulfilment(self, order: Order) -> Fulfilment:
        """Return the fulfilment; there must be one."""
        (found,) = self._rows(select(Fulfilment).where(Fulfilment.order_id == order.id))
        return found

    def supplier_attempts(self, order: Order) -> Sequence[SupplierAttempt]:
        """Return the requests to the supplier, in their order."""
        return self._rows(
            select(SupplierAttempt).where(SupplierAttempt.order_id == order.id).order_by(SupplierAttempt.seq)
        )

    def packages(self, order: Order) -> Sequence[Package]:
        """Return what was applied for the order."""
        return self._rows(select(Package).where(Package.order_id == order.id))

    def mails(self, order: Order, kind: str) -> int:
        """Return how many mails of a kind (its beginning) the order's buyer got about it."""
        self.fresh()
        mails = select(func.count()).select_from(Mail)
        about = Mail.subject_key == f"order:{order.id}"
        return db.session.scalar(mails.where(about, Mail.kind.startswith(kind))) or 0

    def esim_of(self, order: Order) -> Esim:
        """Return the eSIM of an order."""
        order = self.row(Order, order.id)
        assert order.esim_id is not None
        return db.session.get_one(Esim, order.esim_id)

    def at_supplier(self, esim: Esim) -> SuppliersEsim:
        """Return the eSIM as the supplier holds it."""
        return self.supplier.esim(esim.supplier_esim_id)

    def supplier_orders(self, order: Order) -> int:
        """Return how often the supplier carried out the order or top-up."""
        counters = self.supplier.counters()
        kind = "orders" if order.kind is OrderKind.PURCHASE else "topups"
        mine = [count for reference, count in counters[kind].items() if reference.startswith(order.public_id)]
        return sum(mine)

    def requests(self, path: str) -> int:
        """Return how often the supplier was called at `path`."""
        return len([entry for entry in self.supplier.log() if entry.path == path])

    def check(self, order: Order, *, charges: int = 1, kept: int | None = None) -> None:
        """Check that our books balance and agree with Stripe's; `kept` is what the shop keeps, the price by default.

        However it came about: captured less refunded is the order's price or nothing; one settling payment, one
        fulfilment, one receipt, one supplier order at most.
        """
        order = self.row(Order, order.id)
        money = self.stripe.summary("order")["by_metadata"].get(order.public_id, dict.fromkeys(_MONEY, 0))
        payments, refunds = self.payments(order), self.refunds(order)
        paid = order.status is not OrderStatus.PENDING and order.paid_at is not None
        settling = [payment for payment in payments if payment.kind is PaymentKind.SETTLING]
        gone = sum(refund.amount_minor for refund in refunds if refund.status is RefundStatus.SUCCEEDED)
        if kept is None:
            kept = order.amount_minor if order.status is OrderStatus.PAID else 0
        assert money["charges"] == charges
        assert money["captured"] == sum(payment.amount_minor for payment in payments)
        assert money["refunded"] == gone
        assert money["captured"] - gone == kept
        assert len(settling) == int(paid)
        assert all((each.amount_minor, each.currency) == (order.amount_minor, order.currency) for each in settling)
        assert len(self._rows(select(Fulfilment).where(Fulfilment.order_id == order.id))) == int(paid)
        assert self.mails(order, "receipt") == int(paid)
        assert self.supplier_orders(order) <= int(paid)
        assert len(self.packages(order)) <= int(paid)

    def _rows(self, statement: Any) -> Sequence[Any]:
        self.fresh()
        return db.session.scalars(statement).all()


_MONEY = ("sessions", "charges", "captured", "refunded")


def varied(name: str, values: Sequence[object]) -> pytest.MarkDecorator:
    """Run a test with each value on SQLite, and with the first one on PostgreSQL as well: `both_databases`, cheaper."""
    cases: list[Any] = [(value, "sqlite") for value in values]
    cases.append(pytest.param(values[0], "postgresql", marks=pytest.mark.postgresql))
    return pytest.mark.parametrize((name, "database"), cases, indirect=["database"])


def stripe_client(sandbox: Sandbox) -> Any:
    """Return a Stripe client for what the shop itself never does."""
    return stripe.StripeClient(sandbox.settings.stripe_secret_key, base_addresses={"api": sandbox.url}).v1


@contextmanager
def no_call_inside_a_transaction() -> Iterator[None]:
    """Fail when, while the block runs, Stripe or the supplier is called with a transaction open."""
    offenders: list[str] = []

    def watched(owner: type, name: str) -> Any:
        call = getattr(owner, name)

        @wraps(call)
        def calling(self: object, *args: Any, **kwargs: Any) -> Any:
            if has_app_context() and db.session().in_transaction():
                offenders.append(f"{owner.__name__}.{name}")
            return call(self, *args, **kwargs)

        return calling

    patch = pytest.MonkeyPatch()
    # The client pauses before its own second try; nobody needs to wait for that here.
    patch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    for name in GATEWAY_CALLS:
        patch.setattr(StripeGateway, name, watched(StripeGateway, name))
    patch.setattr(EsimAccess, "_call", watched(EsimAccess, "_call"))
    try:
        yield
    finally:
        patch.undo()
    assert not offenders, f"called inside a transaction: {sorted(set(offenders))}"
