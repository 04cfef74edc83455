"""Tables, constraints and enumerations of the shop; no queries and no I/O.

Money is integer minor units beside a currency, data is bytes, moments are UTC. What must be unique is unique here:
one settling payment and one live attempt per order, one fulfilment per order, one mail per (subject, kind).
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The declarative base; constraint names are fixed so that a migration can address them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False}, disable_autonaming=True)


class Moment(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is put back when a row is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return `value` in UTC; raises ValueError for a moment without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return `value` with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _enum(enumeration: type[StrEnum]) -> Enum:
    return Enum(
        enumeration,
        native_enum=False,
        create_constraint=True,
        length=24,
        name=enumeration.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


def _first_session_version() -> int:
    """Return a number that nobody can guess: after restoring a backup, ids are given again.

    The cookie of an account whose row is lost must not open the one that has its id since.
    """
    return secrets.randbelow(2**30) + 1


class PlanState(StrEnum):
    """Whether a plan is on the shelf."""

    ACTIVE = "active"
    HIDDEN = "hidden"
    RETIRED = "retired"


class ClockStart(StrEnum):
    """What starts the days of a plan."""

    INSTALLATION = "installation"
    FIRST_CONNECTION = "first_connection"


class OrderKind(StrEnum):
    """What an order asks for: a new eSIM, or more on one that exists."""

    PURCHASE = "purchase"
    RENEWAL = "renewal"


class OrderStatus(StrEnum):
    """How far the money of an order is."""

    PENDING = "pending"
    PAID = "paid"
    PART_REFUNDED = "part_refunded"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"


class AttemptStatus(StrEnum):
    """How far one try to pay is."""

    CREATED = "created"
    OPEN = "open"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class PaymentKind(StrEnum):
    """Whether a payment settles its order or came on top."""

    SETTLING = "settling"
    SURPLUS = "surplus"


class RefundStatus(StrEnum):
    """How far a refund is."""

    REQUESTED = "requested"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class FulfilmentStatus(StrEnum):
    """How far a paid order is with the supplier."""

    WAITING = "waiting"
    ORDERED = "ordered"
    APPLIED = "applied"
    VERIFIED = "verified"
    HELD = "held"
    REFUSED = "refused"


class SupplierAttemptStatus(StrEnum):
    """What is known about one request to the supplier.

    `waiting`: nothing was bought, it may be sent. `sending` and `unknown`: it may have been carried out, so it is
    looked up, or sent again under the same reference where the supplier recognises that.
    """

    WAITING = "waiting"
    SENDING = "sending"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    REFUSED = "refused"


class FindingKind(StrEnum):
    """What a person has to look at, beside orders that wait for one."""

    WRONG_AMOUNT = "wrong_amount"
    REFUND_FAILED = "refund_failed"
    SESSION_UNKNOWN = "session_unknown"
    PAYMENT_UNKNOWN = "payment_unknown"
    SUPPLIER_ORDER_UNKNOWN = "supplier_order_unknown"
    SUPPLIER_ORDER_MISSING = "supplier_order_missing"
    ESIM_REFUNDED = "esim_refunded"
    TOPUP_UNKNOWN = "topup_unknown"


class EsimStatus(StrEnum):
    """What the supplier last said an eSIM is."""

    NEW = "new"
    INSTALLED = "installed"
    ACTIVE = "active"
    DEPLETED = "depleted"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"


class PackageStatus(StrEnum):
    """Where a package of an eSIM stands."""

    QUEUED = "queued"
    ACTIVE = "active"
    DEPLETED = "depleted"
    EXPIRED = "expired"


class MailStatus(StrEnum):
    """Where a mail stands; `sending` is a lease that ends by itself."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


class TokenPurpose(StrEnum):
    """What a mailed one-time link is for."""

    CLAIM = "claim"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a purpose, not a secret
    EMAIL_CHANGE = "email_change"
    SIGN_IN = "sign_in"


class PageName(StrEnum):
    """The public pages whose text staff may write; as their addresses name them."""

    HELP = "help"
    TERMS = "terms"
    PRIVACY = "privacy"


class StaffRole(StrEnum):
    """What a member of staff may do."""

    SUPPORT = "support"
    MANAGER = "manager"
    OWNER = "owner"


class Account(Base):
    """A traveller; without a password until the mailed link is used."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    language: Mapped[str] = mapped_column(String(16))
    currency: Mapped[str] = mapped_column(String(3))
    # Part of the signed-in cookie: moving it signs the account out everywhere.
    session_version: Mapped[int] = mapped_column(default=_first_session_version)
    created_at: Mapped[datetime] = mapped_column(Moment)
    claimed_at: Mapped[datetime | None] = mapped_column(Moment)

    # What Flask-Login asks of a signed-in visitor.
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """Return what the session cookie holds for Flask-Login."""
        return f"{self.id}.{self.session_version}"


class AccountToken(Base):
    """A mailed one-time link, kept as a SHA-256 of its secret."""

    __tablename__ = "account_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    purpose: Mapped[TokenPurpose] = mapped_column(_enum(TokenPurpose))
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    new_email: Mapped[str | None] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)

    account: Mapped[Account] = relationship()


class Staff(Base):
    """Someone who runs the shop."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    role: Mapped[StaffRole] = mapped_column(_enum(StaffRole))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    setup_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True)
    setup_expires_at: Mapped[datetime | None] = mapped_column(Moment)
    session_version: Mapped[int] = mapped_column(default=_first_session_version)
    created_at: Mapped[datetime] = mapped_column(Moment)


class CatalogueVersion(Base):
    """One row that every change to plans, prices or texts moves; cached pages are keyed by it."""

    __tablename__ = "catalogue_version"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


class Plan(Base):
    """What is for sale. `data_bytes` is per day when `per_day`; None means unlimited under `fair_use`."""

    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    state: Mapped[PlanState] = mapped_column(_enum(PlanState), default=PlanState.ACTIVE)
    position: Mapped[int] = mapped_column(default=0)
    data_bytes: Mapped[int | None] = mapped_column(BigInteger)
    per_day: Mapped[bool] = mapped_column(default=False)
    # A plan by the day lets the traveller choose; all others have days_min = days_max.
    days_min: Mapped[int]
    days_max: Mapped[int]
    voice_minutes: Mapped[int | None]
    sms_count: Mapped[int | None]
    clock_start: Mapped[ClockStart] = mapped_column(_enum(ClockStart), default=ClockStart.FIRST_CONNECTION)
    install_within_days: Mapped[int]
    network: Mapped[str] = mapped_column(String(120))
    speed: Mapped[str] = mapped_column(String(20))
    fair_use: Mapped[bool] = mapped_column(default=False)
    supplier: Mapped[str] = mapped_column(String(24))
    supplier_plan_code: Mapped[str] = mapped_column(String(60))
    supplier_topup_code: Mapped[str | None] = mapped_column(String(60))
    # What the supplier asks, in ten-thousandths of a US dollar (docs/suppliers.md); None until the first sync.
    supplier_cost: Mapped[int | None]
    supplier_checked_at: Mapped[datetime | None] = mapped_column(Moment)

    countries: Mapped[list[PlanCountry]] = relationship(
        back_populates="plan", order_by="PlanCountry.position", cascade="all, delete-orphan"
    )
    prices: Mapped[list[PlanPrice]] = relationship(back_populates="plan", cascade="all, delete-orphan")
    texts: Mapped[list[PlanText]] = relationship(back_populates="plan", cascade="all, delete-orphan")

    __table_args__ = (
        CheckConstraint("days_min >= 1 and days_min <= days_max", name="days"),
        CheckConstraint("data_bytes is null or data_bytes > 0", name="data"),
        UniqueConstraint("supplier", "supplier_plan_code"),
    )


class PlanCountry(Base):
    """A country that a plan covers (ISO 3166 alpha-2)."""

    __tablename__ = "plan_countries"

    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id", ondelete="cascade"), primary_key=True)
    country: Mapped[str] = mapped_column(String(2), primary_key=True)
    position: Mapped[int] = mapped_column(default=0)

    plan: Mapped[Plan] = relationship(back_populates="countries")


class PlanPrice(Base):
    """What a plan costs in one currency, in minor units; per day for a plan by the day."""

    __tablename__ = "plan_prices"

    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id", ondelete="cascade"), primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    amount_minor: Mapped[int]

    plan: Mapped[Plan] = relationship(back_populates="prices")

    __table_args__ = (CheckConstraint("amount_minor >= 0", name="amount"),)


class PlanText(Base):
    """Name and description of a plan in one language."""

    __tablename__ = "plan_texts"

    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id", ondelete="cascade"), primary_key=True)
    language: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    description: Mapped[str] = mapped_column(Text, default="")

    plan: Mapped[Plan] = relationship(back_populates="texts")


class PageText(Base):
    """One version of what staff wrote for a page in one language; rows are added and never changed.

    The newest of a page and a language counts; without a body it says that the text was taken back.
    """

    __tablename__ = "page_texts"

    id: Mapped[int] = mapped_column(primary_key=True)
    page: Mapped[PageName] = mapped_column(_enum(PageName))
    language: Mapped[str] = mapped_column(String(16))
    body: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))

    # By which the newest row of a page and a language is found.
    __table_args__ = (Index("newest_page_texts", "page", "language", "id"),)


class Esim(Base):
    """One profile and what the supplier last said of it; its key at the supplier is not the ICCID, which is reused."""

    __tablename__ = "esims"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(12), unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    supplier: Mapped[str] = mapped_column(String(24))
    supplier_esim_id: Mapped[str] = mapped_column(String(60))
    iccid: Mapped[str] = mapped_column(String(22))
    smdp_address: Mapped[str] = mapped_column(String(255))
    matching_id: Mapped[str] = mapped_column(String(255))
    confirmation_code: Mapped[str | None] = mapped_column(String(64))
    apn: Mapped[str] = mapped_column(String(100), default="")
    install_by: Mapped[datetime | None] = mapped_column(Moment)
    nickname: Mapped[str] = mapped_column(String(40), default="")
    created_at: Mapped[datetime] = mapped_column(Moment)

    # Usage, as the supplier told it at `usage_as_of` and we read it at `usage_read_at`.
    status: Mapped[EsimStatus] = mapped_column(_enum(EsimStatus), default=EsimStatus.NEW)
    total_bytes: Mapped[int | None] = mapped_column(BigInteger)
    used_bytes: Mapped[int | None] = mapped_column(BigInteger)
    total_days: Mapped[int | None]
    activated_at: Mapped[datetime | None] = mapped_column(Moment)
    expires_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    usage_as_of: Mapped[datetime | None] = mapped_column(Moment)
    usage_read_at: Mapped[datetime | None] = mapped_column(Moment)
    # Set when the supplier was asked and did not answer; cleared by the next answer.
    usage_silent_since: Mapped[datetime | None] = mapped_column(Moment)
    # When the supplier was last asked, answered or not: the limit on asking again counts from here.
    usage_asked_at: Mapped[datetime | None] = mapped_column(Moment)
    # The top-ups that the supplier accepts for this eSIM, as its own codes with what they cost.
    topups: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    topups_read_at: Mapped[datetime | None] = mapped_column(Moment)

    account: Mapped[Account] = relationship()
    plan: Mapped[Plan] = relationship()
    packages: Mapped[list[Package]] = relationship(back_populates="esim", order_by="Package.id")

    __table_args__ = (UniqueConstraint("supplier", "supplier_esim_id"),)


class UsageDay(Base):
    """How much an eSIM had used, all in all, at the last figure of one day of Monaco's."""

    __tablename__ = "usage_days"

    esim_id: Mapped[int] = mapped_column(ForeignKey("esims.id", ondelete="cascade"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    used_bytes: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint("used_bytes >= 0", name="used"),)


class Package(Base):
    """A plan bought for an eSIM."""

    __tablename__ = "packages"

    id: Mapped[int] = mapped_column(primary_key=True)
    esim_id: Mapped[int] = mapped_column(ForeignKey("esims.id"), index=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), unique=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    status: Mapped[PackageStatus] = mapped_column(_enum(PackageStatus))
    data_bytes: Mapped[int | None] = mapped_column(BigInteger)
    days: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Moment)

    esim: Mapped[Esim] = relationship(back_populates="packages")


class Order(Base):
    """One thing a traveller asked for. `checkout_key` makes a form that is sent twice one order."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(12), unique=True)
    checkout_key: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[OrderKind] = mapped_column(_enum(OrderKind))
    status: Mapped[OrderStatus] = mapped_column(_enum(OrderStatus), default=OrderStatus.PENDING)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    esim_id: Mapped[int | None] = mapped_column(ForeignKey("esims.id"), index=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    days: Mapped[int]
    email: Mapped[str] = mapped_column(String(254))
    language: Mapped[str] = mapped_column(String(16))
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int]
    # What was bought, as it was described at that moment: a later change of the plan must not rewrite a receipt.
    plan_name: Mapped[str] = mapped_column(String(120))
    plan_facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    # For a renewal: the state that was shown before paying, and the one promised for afterwards.
    shown_before: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    shown_after: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment, index=True)
    paid_at: Mapped[datetime | None] = mapped_column(Moment)
    cancelled_at: Mapped[datetime | None] = mapped_column(Moment)
    # How often the address was corrected after mail had gone to it; part of the key in the links of new mails.
    corrections: Mapped[int] = mapped_column(default=0, server_default="0")

    account: Mapped[Account] = relationship()
    esim: Mapped[Esim | None] = relationship()
    plan: Mapped[Plan] = relationship()
    fulfilment: Mapped[Fulfilment | None] = relationship(back_populates="order")
    consents: Mapped[list[Consent]] = relationship(cascade="all, delete-orphan")
    attempts: Mapped[list[Attempt]] = relationship(back_populates="order", order_by="Attempt.seq")
    payments: Mapped[list[Payment]] = relationship(back_populates="order")

    __table_args__ = (
        CheckConstraint("amount_minor >= 0", name="amount"),
        CheckConstraint("kind = 'purchase' or esim_id is not null", name="renewal_has_esim"),
    )


class Consent(Base):
    """What a buyer agreed to, when, and in which language the text was."""

    __tablename__ = "consents"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="cascade"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24), primary_key=True)
    language: Mapped[str] = mapped_column(String(16))
    text_version: Mapped[str] = mapped_column(String(24))
    given_at: Mapped[datetime] = mapped_column(Moment)


class Attempt(Base):
    """One try to pay. `idempotency_key` and `request` are stored before Stripe is called, and never change."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    seq: Mapped[int]
    status: Mapped[AttemptStatus] = mapped_column(_enum(AttemptStatus), default=AttemptStatus.CREATED)
    idempotency_key: Mapped[str] = mapped_column(String(64), unique=True)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    session_id: Mapped[str | None] = mapped_column(String(255), unique=True)
    session_url: Mapped[str | None] = mapped_column(Text)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    checked_at: Mapped[datetime | None] = mapped_column(Moment)

    order: Mapped[Order] = relationship(back_populates="attempts")

    __table_args__ = (
        UniqueConstraint("order_id", "seq"),
        Index(
            "one_live_attempt",
            "order_id",
            unique=True,
            sqlite_where=text("status in ('created', 'open', 'processing')"),
            postgresql_where=text("status in ('created', 'open', 'processing')"),
        ),
    )


class Payment(Base):
    """Money that arrived. `reference` is the PaymentIntent, or the session of an order that cost nothing."""

    __tablename__ = "payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    kind: Mapped[PaymentKind] = mapped_column(_enum(PaymentKind))
    reference: Mapped[str] = mapped_column(String(255), unique=True)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    received_at: Mapped[datetime] = mapped_column(Moment)

    order: Mapped[Order] = relationship(back_populates="payments")
    refunds: Mapped[list[Refund]] = relationship(back_populates="payment")

    __table_args__ = (
        Index(
            "one_settling_payment",
            "order_id",
            unique=True,
            sqlite_where=text("kind = 'settling'"),
            postgresql_where=text("kind = 'settling'"),
        ),
    )


class Refund(Base):
    """Money that goes back; belongs to a payment, so that a surplus can return while its order stays paid."""

    __tablename__ = "refunds"

    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), index=True)
    status: Mapped[RefundStatus] = mapped_column(_enum(RefundStatus), default=RefundStatus.REQUESTED)
    source: Mapped[str] = mapped_column(String(24))
    # At most one refund per payment and cause, so that a cause that is noticed twice refunds once.
    cause: Mapped[str] = mapped_column(String(60))
    idempotency_key: Mapped[str] = mapped_column(String(64), unique=True)
    reference: Mapped[str | None] = mapped_column(String(255), unique=True)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime] = mapped_column(Moment)
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    # Who of the staff asked for it and why, in their own words.
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    note: Mapped[str] = mapped_column(String(200), default="", server_default="")

    payment: Mapped[Payment] = relationship(back_populates="refunds")

    __table_args__ = (
        UniqueConstraint("payment_id", "cause"),
        CheckConstraint("amount_minor > 0", name="amount"),
    )


class Dispute(Base):
    """A buyer who asks the bank for the money back; `status` and `reason` are Stripe's own words."""

    __tablename__ = "disputes"

    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), index=True)
    reference: Mapped[str] = mapped_column(String(255), unique=True)
    status: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(String(60))
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    opened_at: Mapped[datetime] = mapped_column(Moment)
    # Until when Stripe takes an answer.
    due_by: Mapped[datetime | None] = mapped_column(Moment)
    closed_at: Mapped[datetime | None] = mapped_column(Moment, index=True)

    payment: Mapped[Payment] = relationship()


class StripeEvent(Base):
    """An event that Stripe delivered; `processed_at` stays empty until the work has committed."""

    __tablename__ = "stripe_events"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    type: Mapped[str] = mapped_column(String(80))
    object_id: Mapped[str] = mapped_column(String(255))
    received_at: Mapped[datetime] = mapped_column(Moment, index=True)
    processed_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        Index(
            "failed_events",
            "received_at",
            sqlite_where=text("processed_at is null"),
            postgresql_where=text("processed_at is null"),
        ),
    )


# Orders that staff looks at; few of many, so that a list of them needs an index of its own.
_STUCK = "status = 'held' or (late_at is not null and status in ('waiting', 'ordered', 'applied'))"


class Fulfilment(Base):
    """Turning a paid order into a package that the supplier confirms; one per order, worked on under a lease."""

    __tablename__ = "fulfilments"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    status: Mapped[FulfilmentStatus] = mapped_column(_enum(FulfilmentStatus), default=FulfilmentStatus.WAITING)
    reason: Mapped[str] = mapped_column(String(60), default="")
    tries: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    next_try_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    ordered_at: Mapped[datetime | None] = mapped_column(Moment)
    applied_at: Mapped[datetime | None] = mapped_column(Moment)
    verified_at: Mapped[datetime | None] = mapped_column(Moment)
    held_at: Mapped[datetime | None] = mapped_column(Moment)
    # When a person last put a held order back to work.
    retried_at: Mapped[datetime | None] = mapped_column(Moment)
    # When the buyer was told that it takes longer than it should; the shop goes on trying.
    late_at: Mapped[datetime | None] = mapped_column(Moment)

    order: Mapped[Order] = relationship(back_populates="fulfilment")

    __table_args__ = (
        Index(
            "stuck_fulfilments",
            "order_id",
            sqlite_where=text(_STUCK),
            postgresql_where=text(_STUCK),
        ),
    )


class SupplierAttempt(Base):
    """One request to the supplier, committed before it is sent and found again by our own `reference`."""

    __tablename__ = "supplier_attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    seq: Mapped[int]
    reference: Mapped[str] = mapped_column(String(50), unique=True)
    status: Mapped[SupplierAttemptStatus] = mapped_column(_enum(SupplierAttemptStatus))
    supplier_order_id: Mapped[str | None] = mapped_column(String(60), index=True)
    # For a top-up: what the supplier said of the eSIM just before, to tell afterwards whether it was applied.
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[str] = mapped_column(String(120), default="")
    sends: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(Moment)
    sent_at: Mapped[datetime] = mapped_column(Moment)
    # When the last request went out of which nobody knows what came.
    unknown_at: Mapped[datetime | None] = mapped_column(Moment)
    answered_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        UniqueConstraint("order_id", "seq"),
        Index(
            "one_live_supplier_attempt",
            "order_id",
            unique=True,
            sqlite_where=text("status <> 'refused'"),
            postgresql_where=text("status <> 'refused'"),
        ),
    )


class Finding(Base):
    """Something that a person has to decide on; noticed again and again it is one row, until somebody settles it.

    `reference` names it where it was found: a session, a refund, the supplier's order.
    """

    __tablename__ = "findings"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[FindingKind] = mapped_column(_enum(FindingKind))
    reference: Mapped[str] = mapped_column(String(255))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    details: Mapped[str] = mapped_column(String(200), default="")
    noticed_at: Mapped[datetime] = mapped_column(Moment)
    seen_at: Mapped[datetime] = mapped_column(Moment)
    settled_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    # None when the difference went away by itself.
    settled_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))

    order: Mapped[Order | None] = relationship()

    __table_args__ = (UniqueConstraint("kind", "reference"),)


class Mail(Base):
    """A mail to send; `subject_key` and `kind` together are unique, so that nobody gets the same mail twice."""

    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    subject_key: Mapped[str] = mapped_column(String(80))
    recipient: Mapped[str] = mapped_column(String(254))
    language: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(200))
    # Emptied once sent: bodies hold activation codes and one-time links.
    text_body: Mapped[str] = mapped_column(Text)
    html_body: Mapped[str] = mapped_column(Text)
    # Pictures of the HTML part: [{"id", "name", "type", "base64"}]; emptied once sent.
    pictures: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    status: Mapped[MailStatus] = mapped_column(_enum(MailStatus), default=MailStatus.QUEUED)
    tries: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    next_try_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    sent_at: Mapped[datetime | None] = mapped_column(Moment)
    error: Mapped[str] = mapped_column(String(200), default="")

    __table_args__ = (
        UniqueConstraint("subject_key", "kind"),
        Index("failed_mails", "id", sqlite_where=text("status = 'failed'"), postgresql_where=text("status = 'failed'")),
    )


class AuditEvent(Base):
    """Who did what to what, from where: rows are added and, by triggers below, never changed or deleted.

    Name and role are those of that moment, and `staff_id` refers to nobody by force: a row outlives what it is about.
    Without a `staff_id` it was a command, or somebody who is not signed in.
    """

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    staff_id: Mapped[int | None]
    staff_name: Mapped[str] = mapped_column(String(80))
    role: Mapped[str] = mapped_column(String(24))
    action: Mapped[str] = mapped_column(String(40))
    subject_kind: Mapped[str] = mapped_column(String(24))
    subject_key: Mapped[str] = mapped_column(String(300))
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # The reason that was given.
    note: Mapped[str] = mapped_column(String(200), default="")
    # The visitor's address as the shop sees it, and what a proxy of ours calls the request; empty for commands.
    from_address: Mapped[str] = mapped_column(String(45), default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")

    # Each filter of the list, in its order, so that a page of it reads as many rows as it shows.
    __table_args__ = (
        Index("audit_by_time", "at", "id"),
        Index("audit_by_staff", "staff_id", "at", "id"),
        # PostgreSQL does not read the one above in order for `staff_id is null`.
        Index(
            "audit_by_nobody",
            "at",
            "id",
            sqlite_where=text("staff_id is null"),
            postgresql_where=text("staff_id is null"),
        ),
        Index("audit_by_action", "action", "at", "id"),
        Index("audit_by_subject", "subject_key", "at", "id"),
    )


# What makes `audit_events` append-only (docs/adr/0018), by dialect; migration 0007 has the same.
_APPEND_ONLY = {
    "sqlite": (
        "create trigger audit_events_keep_update before update on audit_events"
        " begin select raise(abort, 'audit_events is append-only'); end",
        "create trigger audit_events_keep_delete before delete on audit_events"
        " begin select raise(abort, 'audit_events is append-only'); end",
        # INSERT OR REPLACE deletes without asking the trigger above (sqlite.org/lang_conflict.html).
        "create trigger audit_events_keep_replace before insert on audit_events"
        " when exists (select 1 from audit_events where id = new.id)"
        " begin select raise(abort, 'audit_events is append-only'); end",
    ),
    "postgresql": (
        "create function audit_events_keep() returns trigger language plpgsql as $$ begin"
        " raise exception 'audit_events is append-only' using errcode = 'restrict_violation'; end $$",
        "create trigger audit_events_keep_rows before update or delete on audit_events"
        " for each row execute function audit_events_keep()",
        "create trigger audit_events_keep_all before truncate on audit_events"
        " for each statement execute function audit_events_keep()",
    ),
}
for _dialect, _statements in _APPEND_ONLY.items():
    for _statement in _statements:
        _trigger = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(AuditEvent.__table__, "after_create", _trigger.execute_if(dialect=_dialect))
_function = DDL("drop function if exists audit_events_keep()")  # type: ignore[no-untyped-call]
event.listen(AuditEvent.__table__, "after_drop", _function.execute_if(dialect="postgresql"))
