"""What tests find in the database: rows made quickly, and orders really paid and fulfilled through the sandbox."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select

from models import (
    Account,
    Attempt,
    AttemptStatus,
    Esim,
    EsimStatus,
    Fulfilment,
    FulfilmentStatus,
    Order,
    OrderKind,
    OrderStatus,
    Package,
    PackageStatus,
    Payment,
    PaymentKind,
    Plan,
    PlanCountry,
    PlanPrice,
    PlanText,
    Staff,
    StaffRole,
    db,
)
from sandbox.server import Sandbox
from services import passwords
from services.catalogue import PlanView, get_plan, move_catalogue_version
from services.identifiers import public_id, random_key
from services.languages import LANGUAGES
from services.money import CURRENCIES, GIGABYTE
from services.orders import Wish, place_order
from services.payments.attempts import start_payment
from services.payments.settlement import settle
from services.shop import Shop

PASSWORD = "correct horse battery"
CONSENTS = ("phone_supports_esim", "terms", "immediate_delivery")
# How far an order is: the word for it, the order's own status and its fulfilment's.
STATES = {
    "pending": (OrderStatus.PENDING, None),
    "cancelled": (OrderStatus.CANCELLED, None),
    "paid": (OrderStatus.PAID, FulfilmentStatus.WAITING),
    "ordered": (OrderStatus.PAID, FulfilmentStatus.ORDERED),
    "applied": (OrderStatus.PAID, FulfilmentStatus.APPLIED),
    "verified": (OrderStatus.PAID, FulfilmentStatus.VERIFIED),
    "held": (OrderStatus.PAID, FulfilmentStatus.HELD),
    "refunded": (OrderStatus.REFUNDED, FulfilmentStatus.REFUSED),
}


class Factories:
    """Makes rows; each call commits, so that requests and jobs see them. Keyword arguments replace columns."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._numbers = count(1)
        self._password_hash: str | None = None

    def make_account(self, **columns: Any) -> Account:
        """Return a traveller whose password is PASSWORD."""
        email = columns.setdefault("email", f"traveller{next(self._numbers)}@example.com")
        columns.setdefault("password_hash", self._hash(email))
        now = self._shop.clock.now()
        values = {"language": "en", "currency": "EUR", "session_version": 1, "created_at": now, "claimed_at": now}
        return self._add(Account(**{**values, **columns}))

    def make_staff(self, **columns: Any) -> Staff:
        """Return a member of staff whose password is PASSWORD."""
        email = columns.setdefault("email", f"staff{next(self._numbers)}@example.com")
        columns.setdefault("password_hash", self._hash(email))
        values = {"name": "Ann", "role": StaffRole.OWNER, "session_version": 1, "created_at": self._shop.clock.now()}
        return self._add(Staff(**{**values, **columns}))

    def make_plan(self, **columns: Any) -> Plan:
        """Return a Monaco plan with prices in every currency and a name in every language."""
        number = next(self._numbers)
        values: dict[str, Any] = {
            "slug": f"test-plan-{number}",
            "position": 1000 + number,
            "data_bytes": 5 * GIGABYTE,
            "days_min": 7,
            "days_max": 7,
            "install_within_days": 180,
            "network": "Monaco Telecom",
            "speed": "5G",
            "supplier": "esim_access",
            "supplier_plan_code": f"TEST-{number}",
            "supplier_topup_code": f"TOPUP_TEST-{number}",
        }
        plan = Plan(**{**values, **columns})
        plan.countries = [PlanCountry(country="MC", position=0)]
        plan.prices = [PlanPrice(currency=currency, amount_minor=1490) for currency in CURRENCIES]
        plan.texts = [PlanText(language=code, name=f"Test plan {number}", description="") for code in LANGUAGES]
        with self._shop.transaction() as session:
            session.add(plan)
            move_catalogue_version(session)
        return plan

    def any_plan(self, country: str = "MC") -> Plan:
        """Return a renewable plan of the demo catalogue for one fixed number of days."""
        statement = (
            select(Plan)
            .where(Plan.countries.any(PlanCountry.country == country), Plan.days_min == Plan.days_max)
            .where(Plan.supplier_topup_code.is_not(None), Plan.data_bytes.is_not(None))
            .order_by(Plan.position)
        )
        plan: Plan = db.session.scalars(statement).first()  # type: ignore[assignment]
        assert plan is not None, "the demo catalogue has no such plan"
        return plan

    def make_esim(self, account: Account | None = None, plan: Plan | None = None, **columns: Any) -> Esim:
        """Return an installed eSIM in use, a day into its validity; the sandbox knows nothing of it."""
        number, now = next(self._numbers), self._shop.clock.now()
        plan = plan or self.any_plan()
        values: dict[str, Any] = {
            "public_id": public_id(),
            "account_id": (account or self.make_account()).id,
            "plan_id": plan.id,
            "supplier": "esim_access",
            "supplier_esim_id": f"test-{number}",
            "iccid": f"89999{number:015d}",
            "smdp_address": "smdp.example.com",
            "matching_id": f"TEST-{number}",
            "created_at": now,
            "status": EsimStatus.ACTIVE,
            "total_bytes": plan.data_bytes,
            "used_bytes": 0,
            "total_days": plan.days_min,
            "activated_at": now - timedelta(days=1),
            "expires_at": now + timedelta(days=plan.days_min - 1),
            "usage_as_of": now,
            "usage_read_at": now,
            "usage_asked_at": now,
        }
        return self._add(Esim(**{**values, **columns}))

    def make_order(self, state: str = "pending", account: Account | None = None, **columns: Any) -> Order:
        """Return a purchase in one of STATES, with the rows that belong to that state; nothing outside is asked."""
        account, plan = account or self.make_account(), columns.pop("plan", None) or self.any_plan()
        order = self.place_order(account, plan.slug, columns.pop("currency", "EUR"), columns.pop("language", "en"))
        status, fulfilment = STATES[state]
        now = self._shop.clock.now()
        with self._shop.transaction() as session:
            order = session.get_one(Order, order.id)
            order.status = status
            if status is OrderStatus.CANCELLED:
                order.cancelled_at = now
            if fulfilment is not None:
                self._add_payment(order, now)
                order.fulfilment = Fulfilment(status=fulfilment, **_times(fulfilment, now))
            for name, value in columns.items():
                setattr(order, name, value)
        if fulfilment in (FulfilmentStatus.APPLIED, FulfilmentStatus.VERIFIED) and order.esim_id is None:
            self._deliver(order, account, plan)
        return order

    def place_order(self, account: Account, slug: str, currency: str = "EUR", language: str = "en") -> Order:
        """Return the pending order that a checkout would place."""
        plan = self.plan_view(slug, currency, language)
        wish = Wish(
            checkout_key=random_key(),
            kind=OrderKind.PURCHASE,
            plan=plan,
            days=plan.days_min,
            email=account.email,
            language=language,
            consents=CONSENTS,
        )
        with self._shop.transaction() as session:
            return place_order(session, wish, session.merge(account, load=True), self._shop.clock.now())

    def plan_view(self, slug: str, currency: str = "EUR", language: str = "en") -> PlanView:
        """Return a plan as a traveller sees it."""
        return get_plan(db.session(), slug, language, currency)

    def pay(self, sandbox: Sandbox, order: Order) -> Order:
        """Pay a pending order at the sandbox's Stripe and settle it, as the buyer's return would; return it."""
        start_payment(self._shop, order.id)
        attempt = db.session.scalars(select(Attempt).where(Attempt.order_id == order.id)).all()[-1]
        assert attempt.session_id is not None
        sandbox.stripe.pay(attempt.session_id)
        settle(self._shop, attempt.session_id)
        db.session.expire_all()
        return db.session.get_one(Order, order.id)

    def _add_payment(self, order: Order, now: datetime) -> None:
        order.paid_at = now
        attempt = Attempt(
            seq=1,
            status=AttemptStatus.SUCCEEDED,
            idempotency_key=random_key(),
            request={},
            session_id=f"cs_test_{order.public_id}",
            amount_minor=order.amount_minor,
            currency=order.currency,
            created_at=now,
            expires_at=now + timedelta(hours=1),
        )
        order.attempts.append(attempt)
        db.session.flush()
        order.payments.append(
            Payment(
                attempt_id=attempt.id,
                kind=PaymentKind.SETTLING,
                reference=f"pi_{order.public_id}",
                amount_minor=order.amount_minor,
                currency=order.currency,
                received_at=now,
            )
        )

    def _deliver(self, order: Order, account: Account, plan: Plan) -> None:
        esim = self.make_esim(account, plan)
        with self._shop.transaction() as session:
            session.get_one(Order, order.id).esim_id = esim.id
            values = {"data_bytes": plan.data_bytes, "days": order.days, "created_at": self._shop.clock.now()}
            session.add(
                Package(esim_id=esim.id, order_id=order.id, plan_id=plan.id, status=PackageStatus.ACTIVE, **values)
            )

    def _hash(self, email: str) -> str:
        if self._password_hash is None:
            self._password_hash = passwords.hash_new(PASSWORD, email)
        return self._password_hash

    def _add(self, row: Any) -> Any:
        with self._shop.transaction() as session:
            session.add(row)
        return row


def _times(status: FulfilmentStatus, now: datetime) -> dict[str, datetime]:
    if status is FulfilmentStatus.HELD:
        return {"held_at": now}
    reached = {
        FulfilmentStatus.WAITING: (),
        FulfilmentStatus.REFUSED: (),
        FulfilmentStatus.ORDERED: ("ordered_at",),
        FulfilmentStatus.APPLIED: ("ordered_at", "applied_at"),
        FulfilmentStatus.VERIFIED: ("ordered_at", "applied_at", "verified_at"),
    }
    return {name: now for name in reached[status]}
