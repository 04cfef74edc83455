"""What the shop has written down in the model test and what has really happened outside, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from models import (
    Attempt,
    Finding,
    Fulfilment,
    Mail,
    MailStatus,
    Order,
    Package,
    Payment,
    Refund,
    SupplierAttempt,
    db,
)
from sandbox.esim_access import Esim as SuppliersEsim
from sandbox.store import Document
from services.order_states import LIVE_ATTEMPTS, WORKED_ON
from services.payments.refund_books import MOVING
from tests.faults.model_world import ModelWorld

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
# Columns that say when somebody last looked, and nothing else.
LOOKED = {"checked_at", "seen_at", "usage_read_at", "usage_asked_at", "usage_as_of", "topups_read_at"}

_ORDERS = (
    select(
        *(Order.id, Order.public_id, Order.kind, Order.status, Order.amount_minor, Order.currency, Order.esim_id),
        *(
            Order.email,
            Order.corrections,
            Order.paid_at,
            Fulfilment.status.label("fulfilment"),
            Fulfilment.reason,
            Fulfilment.late_at,
        ),
    )
    .outerjoin(Fulfilment, Fulfilment.order_id == Order.id)
    .order_by(Order.id)
)
_PAYMENTS = select(
    *(Payment.id, Payment.order_id, Payment.kind, Payment.reference, Payment.amount_minor, Payment.currency)
)
_REFUNDS = select(
    *(Refund.id, Refund.payment_id, Refund.status, Refund.reference, Refund.idempotency_key, Refund.amount_minor),
    *(Refund.cause, Refund.source, Payment.order_id, Payment.kind.label("payment_kind")),
).join(Payment)
_MAILS = select(
    *(Mail.id, Mail.kind, Mail.subject_key, Mail.status, Mail.recipient, Mail.created_at, Mail.error)
).order_by(Mail.id)
_REQUESTS = select(SupplierAttempt.order_id, SupplierAttempt.reference, SupplierAttempt.status, SupplierAttempt.sends)
_PACKAGES = select(Package.order_id, Package.esim_id)
_LIVE = select(Attempt.order_id, Attempt.status).where(Attempt.status.in_(LIVE_ATTEMPTS))
_FINDINGS = select(Finding.order_id, Finding.kind, Finding.reference).where(Finding.settled_at.is_(None))


@dataclass(frozen=True)
class OrderBooks:
    """One order: its row with how far its delivery is, and what belongs to it here and outside."""

    row: Any
    payments: list[Any]
    refunds: list[Any]
    mails: list[Any]
    requests: list[Any]
    packages: list[Any]
    live_attempts: list[Any]
    findings: list[Any]
    # Succeeded charges at Stripe, and disputes about them.
    charges: list[Document]
    disputes: list[Document]
    # How often the supplier has carried it out, under whatever reference.
    carried_out: int
    # What the supplier holds that was bought by it.
    esims: list[SuppliersEsim]

    def settling(self) -> Any:
        """Return the payment that has settled the order."""
        return next((payment for payment in self.payments if payment.kind.value == "settling"), None)

    def kept(self, reference: str) -> int:
        """Return how much of a payment the shop still has, by Stripe's own books, in minor units."""
        charge = next(charge for charge in self.charges if charge["payment_intent"] == reference)
        taken = sum(dispute["amount"] for dispute in self.disputes_of(reference) if took_money(dispute))
        return int(charge["amount_captured"] - charge["amount_refunded"] - taken)

    def disputes_of(self, reference: str) -> list[Document]:
        """Return the disputes about a payment."""
        return [dispute for dispute in self.disputes if dispute["payment_intent"] == reference]

    def mails_of(self, kind: str) -> list[Any]:
        """Return the mails of a kind, oldest first: one, and another one for each time that it was sent elsewhere."""
        return [mail for mail in self.mails if mail.kind == kind or mail.kind.startswith(f"{kind}-again-")]

    def is_at_rest(self) -> bool:
        """Return whether nobody works on anything that was paid for."""
        return self.row.fulfilment not in WORKED_ON and all(refund.status not in MOVING for refund in self.refunds)

    def __str__(self) -> str:
        """Return everything, a line each, for whoever reads about a failure."""
        parts = {**vars(self), "esims": [(each.esim_tran_no, each.esim_status) for each in self.esims]}
        parts["charges"] = [(each["amount"], each["amount_refunded"], each["payment_intent"]) for each in self.charges]
        parts["disputes"] = [(each["status"], each["amount"]) for each in self.disputes]
        return "\n".join(f"  {name}: {value}" for name, value in parts.items())


@dataclass(frozen=True)
class Books:
    """All orders, and what is not of one order."""

    orders: list[OrderBooks]
    refunds_at_stripe: list[Document]
    carried_out: dict[str, int]
    charges: list[Document]
    mails: list[Any]
    findings: list[Any]

    def are_at_rest(self) -> bool:
        """Return whether nobody works on anything that was paid for, and no mail waits."""
        waiting = [mail for mail in self.mails if mail.status not in (MailStatus.SENT, MailStatus.FAILED)]
        return not waiting and all(order.is_at_rest() for order in self.orders)

    @classmethod
    def read(cls, world: ModelWorld) -> Books:
        """Return how it stands now."""
        account, counters = world.stripe.account, world.supplier.counters()
        charges = [charge for charge in account.of("ch").all() if charge["status"] == "succeeded"]
        disputes = account.of("dp").all()
        esims = world.supplier.esims()
        carried_out = {**counters["orders"], **counters["topups"]}
        with world.app.app_context(), db.engine.connect() as connection:
            rows = _Rows(connection)
            orders = [
                OrderBooks(
                    row=row,
                    charges=[charge for charge in charges if charge["metadata"]["order"] == row.public_id],
                    disputes=[
                        dispute
                        for dispute in disputes
                        if dispute["payment_intent"] in {payment.reference for payment in rows.payments[row.id]}
                        or dispute["charge"] in {c["id"] for c in charges if c["metadata"]["order"] == row.public_id}
                    ],
                    carried_out=sum(n for reference, n in carried_out.items() if reference.startswith(row.public_id)),
                    esims=[esim for esim in esims if esim.transaction_id.startswith(row.public_id)],
                    **rows.of(row.id),
                )
                for row in rows.orders
            ]
        return cls(orders, account.of("re").all(), carried_out, charges, rows.mails, rows.findings)


class _Rows:
    """The shop's rows, by order."""

    def __init__(self, connection: Connection) -> None:
        self.orders = connection.execute(_ORDERS).all()
        self.mails = list(connection.execute(_MAILS).all())
        self.findings = list(connection.execute(_FINDINGS).all())
        self.payments = _by_order(connection.execute(_PAYMENTS))
        self._parts = {
            "payments": self.payments,
            "refunds": _by_order(connection.execute(_REFUNDS)),
            "requests": _by_order(connection.execute(_REQUESTS)),
            "packages": _by_order(connection.execute(_PACKAGES)),
            "live_attempts": _by_order(connection.execute(_LIVE)),
            "findings": _by_order(self.findings),
            "mails": grouped(self.mails, lambda mail: _order_of(mail.subject_key)),
        }

    def of(self, order_id: int) -> dict[str, list[Any]]:
        """Return what belongs to one order."""
        return {name: part[order_id] for name, part in self._parts.items()}


def took_money(dispute: Document) -> bool:
    """Return whether the bank has the money of a dispute."""
    return dispute["status"] != "won" and not dispute["status"].startswith("warning_")


def is_open(dispute: Document) -> bool:
    """Return whether a dispute is not decided yet."""
    return dispute["status"] not in ("won", "lost", "warning_closed", "prevented")


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> defaultdict[Key, list[Item]]:
    """Return the items by their key."""
    found: defaultdict[Key, list[Item]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return found


def everything(world: ModelWorld) -> list[tuple[Any, ...]]:
    """Return every row of the shop without the columns that say when somebody last looked."""
    found: list[tuple[Any, ...]] = []
    with world.app.app_context(), db.engine.connect() as connection:
        for table in db.metadata.sorted_tables:
            if table.name == "usage_days":  # what a look has found, day by day
                continue
            columns = [column for column in table.columns if column.name not in LOOKED]
            found += [
                (table.name, *row) for row in connection.execute(select(*columns).order_by(*table.primary_key.columns))
            ]
    return found


def _by_order(rows: Iterable[Any]) -> defaultdict[int, list[Any]]:
    return grouped(rows, lambda row: row.order_id)


def _order_of(subject_key: str) -> int:
    kind, _colon, number = subject_key.partition(":")
    return int(number) if kind == "order" else 0
