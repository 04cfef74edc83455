"""Collecting what is known after chaos: the stand-ins' journals first, the shop's tables beside them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, joinedload

from bench.chaos_crowd import Intent
from bench.chaos_mail import Arrived
from bench.chaos_verdict import BuyerFacts, EsimFacts, OrderFacts
from config import Settings
from models import Esim, Fulfilment, Mail, MailStatus, Order, Package, Payment, Refund, RefundStatus, SupplierAttempt
from sandbox.esim_access import Esim as SuppliersEsim
from sandbox.server import Sandbox
from services.mail.composition import message_id

GONE = frozenset({"CANCEL", "REVOKED"})
RECEIPT, READY = "receipt", "esim-ready"


@dataclass
class AtStripe:
    """What Stripe has: charges and refunds of each order, charges by buyer, and those that name no order."""

    charges: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    refunds: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    buyers: Counter[str] = field(default_factory=Counter)
    nameless: list[str] = field(default_factory=list)


def read_stripe(sandbox: Sandbox) -> AtStripe:
    """Return what Stripe has really done."""
    found = AtStripe()
    sessions = {each["payment_intent"]: each for each in sandbox.stripe.objects("cs") if each["payment_intent"]}
    orders: dict[str, str] = {}
    for charge in sandbox.stripe.objects("ch"):
        if charge["status"] != "succeeded":
            continue
        session = sessions.get(charge["payment_intent"])
        order = session["metadata"].get("order") if session else None
        if session is None or order is None:
            found.nameless.append(charge["id"])
            continue
        orders[charge["payment_intent"]] = order
        found.charges[order].append(charge["amount_captured"])
        found.buyers[session["customer_email"]] += 1
    for refund in sandbox.stripe.objects("re"):
        if refund["status"] == "succeeded" and refund["payment_intent"] in orders:
            found.refunds[orders[refund["payment_intent"]]].append(refund["amount"])
    return found


@dataclass
class AtSupplier:
    """What the supplier has: how often it carried something out for an order, and the living eSIMs of each."""

    bought: Counter[str] = field(default_factory=Counter)
    esims: dict[str, list[SuppliersEsim]] = field(default_factory=lambda: defaultdict(list))


def read_supplier(sandbox: Sandbox) -> AtSupplier:
    """Return what the supplier has really carried out."""
    found = AtSupplier()
    counters = sandbox.esim_access.counters()
    for kind in ("orders", "topups"):
        for reference, count in counters[kind].items():
            found.bought[_order_of(reference)] += count
    for esim in sandbox.esim_access.esims():
        if esim.esim_status not in GONE:
            found.esims[_order_of(esim.transaction_id)].append(esim)
    return found


def _order_of(reference: str) -> str:
    """Return the order's number in a reference: what stands before its last dash."""
    return reference.rpartition("-")[0]


class Books:
    """The shop's tables, read once."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        with Session(engine) as session:
            loaded = select(Order).options(joinedload(Order.esim), joinedload(Order.fulfilment)).order_by(Order.id)
            self.orders = list(session.scalars(loaded))
            self.mails = list(session.scalars(select(Mail).order_by(Mail.id)))
            self.message_ids = {message_id(settings, mail): mail for mail in self.mails}
            self.payments = list(session.scalars(select(Payment)))
            self.refunds = list(session.scalars(select(Refund).options(joinedload(Refund.payment))))
            self.packages = list(session.scalars(select(Package).order_by(Package.id)))
            self.esims = {esim.id: esim for esim in session.scalars(select(Esim))}
            self.requests = {each.order_id: each for each in session.scalars(select(SupplierAttempt))}
            session.expunge_all()

    def money(self) -> Mapping[int, tuple[int, int]]:
        """Return what came in and what went back, by the order's id."""
        found: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for payment in self.payments:
            came, went = found[payment.order_id]
            found[payment.order_id] = (came + payment.amount_minor, went)
        for refund in self.refunds:
            if refund.status is RefundStatus.SUCCEEDED:
                came, went = found[refund.payment.order_id]
                found[refund.payment.order_id] = (came, went + refund.amount_minor)
        return found


def describe_orders(
    books: Books, stripe: AtStripe, supplier: AtSupplier, arrived: Iterable[Arrived]
) -> list[OrderFacts]:
    """Return every order that the shop knows, with what all others know of it."""
    money, packages = books.money(), {package.order_id for package in books.packages}
    letters = _letters(books, arrived)
    found = []
    for order in books.orders:
        mine = supplier.esims[order.public_id]
        esim = order.esim.supplier_esim_id if order.esim is not None else None
        purchase = order.kind.value == "purchase"
        found.append(
            OrderFacts(
                number=order.public_id,
                kind=order.kind.value,
                amount=order.amount_minor,
                charges=stripe.charges.get(order.public_id, []),
                refunds=stripe.refunds.get(order.public_id, []),
                booked_in=money[order.id][0],
                booked_out=money[order.id][1],
                bought=supplier.bought[order.public_id],
                esims=len(mine),
                handed_over=order.id in packages and (not purchase or esim in {each.esim_tran_no for each in mine}),
                mails=_mails_of(order, letters.get(order.id, []), mine if purchase else []),
                state=_state(order, order.fulfilment, books.requests.get(order.id)),
            )
        )
    return found


def _letters(books: Books, arrived: Iterable[Arrived]) -> dict[int, list[tuple[str, Arrived]]]:
    """Return the mails about each order that arrived where the order wants them, each once, with their kinds."""
    numbers = {f"order:{order.id}": order for order in books.orders}
    found: dict[int, list[tuple[str, Arrived]]] = defaultdict(list)
    for letter in {each.message_id: each for each in arrived}.values():
        mail = books.message_ids.get(letter.message_id)
        order = numbers.get(mail.subject_key) if mail is not None else None
        if mail is None or order is None:
            continue
        if letter.recipients == (order.email,) and order.public_id in letter.text:
            found[order.id].append((mail.kind, letter))
    return found


def _mails_of(order: Order, letters: list[tuple[str, Arrived]], esims: list[SuppliersEsim]) -> list[str]:
    """Return the kinds; a mail that hands over an eSIM counts when it holds the code of the one that was bought."""
    kinds = []
    for kind, letter in letters:
        if kind == READY and not any(esim.activation_code in letter.text for esim in esims):
            continue
        kinds.append("refund" if kind.startswith("refund-") else kind)
    return kinds


def _state(order: Order, fulfilment: Fulfilment | None, request: SupplierAttempt | None) -> str:
    parts = [order.status.value]
    if fulfilment is not None:
        parts.append(f"{fulfilment.status.value} {fulfilment.reason}".strip())
    if request is not None:
        parts.append(f"request {request.status.value}, {request.sends} sends")
    return ", ".join(parts)


def waits(books: Books) -> list[tuple[float, str]]:
    """Return how many seconds each delivered order took from its payment on, and which one it is; shortest first.

    By the shop's own clock, which was moved on at the end.
    """
    return sorted(
        ((order.fulfilment.verified_at - order.paid_at).total_seconds(), f"{order.kind.value} {order.public_id}")
        for order in books.orders
        if order.paid_at is not None and order.fulfilment is not None and order.fulfilment.verified_at is not None
    )


def describe_esims(books: Books, supplier: AtSupplier) -> list[EsimFacts]:
    """Return every living eSIM of the supplier's, with what is booked for it."""
    booked: dict[str, tuple[int, int, int]] = {}
    for package in books.packages:
        number = books.esims[package.esim_id].supplier_esim_id
        count, data_bytes, days = booked.get(number, (0, 0, 0))
        booked[number] = (count + 1, data_bytes + (package.data_bytes or 0), days + package.days)
    return [
        EsimFacts(
            number=esim.esim_tran_no,
            packages=len(esim.packages),
            data_bytes=esim.total_volume,
            days=esim.total_days,
            booked=booked.get(esim.esim_tran_no),
        )
        for esims in supplier.esims.values()
        for esim in esims
    ]


def describe_buyers(intents: Iterable[Intent], stripe: AtStripe) -> list[BuyerFacts]:
    """Return every person who meant to buy or was charged."""
    meant = Counter(intent.email for intent in intents if intent.paid)
    emails = sorted(meant.keys() | stripe.buyers.keys())
    return [BuyerFacts(email=email, meant=meant[email], charged=stripe.buyers[email]) for email in emails]


def unsent_mails(books: Books, arrived: Iterable[Arrived]) -> list[tuple[str, str]]:
    """Return the mails that are on the books and never arrived."""
    there = {letter.message_id for letter in arrived}
    orders = {f"order:{order.id}": order.public_id for order in books.orders}
    return [
        (
            orders.get(mail.subject_key, mail.subject_key),
            f"{mail.kind} is {mail.status.value} after {mail.tries} tries: {mail.error or 'no error'}",
        )
        for number, mail in books.message_ids.items()
        if number not in there or mail.status is not MailStatus.SENT
    ]


def doubled_mails(arrived: Iterable[Arrived]) -> int:
    """Return how many mails arrived more than once, recognisable by their Message-ID."""
    return sum(count > 1 for count in Counter(letter.message_id for letter in arrived).values())
