"""Who acts upon the shop in the model test: buyers with a browser, staff, and Stripe's and the supplier's customers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from models import Esim, Order, OrderKind, db
from sandbox.esim_access.errors import ApiError as SupplierRefuses
from sandbox.store import Document
from sandbox.stripe.errors import ApiError as StripeRefuses
from services import usage
from services.audit import COMMAND, Actor
from services.catalogue import get_plan, quote
from services.identifiers import random_key
from services.links import order_page_url, order_url
from services.orders import Wish, place_order
from services.payments.disputes import PaymentDisputed
from services.payments.refunds import RefundTooLarge
from services.renewals import preview, refresh_topups
from services.staff_deliveries import NoSuchStep, close, take_up
from services.staff_refunds import NothingToRefund, refund_by_staff
from tests.factories import CONSENTS
from tests.faults.model_world import ModelWorld


@dataclass
class Bought:
    """An order as its buyer knows it, with every payment page that they were ever shown."""

    order_id: int
    buyer: Buyer
    pages: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"order {self.order_id}"


@dataclass
class Buyer:
    """Somebody with a browser, who writes one of two addresses."""

    client: FlaskClient
    emails: tuple[str, str]


class People:
    """What people do in one example."""

    def __init__(self, world: ModelWorld) -> None:
        self.world = world
        self.shop = world.shop
        self.stripe = world.stripe
        self._known: dict[int, Bought] = {}
        self.buyers = [
            Buyer(world.app.test_client(), (f"{name}@example.com", f"{name}@example.org")) for name in ("ana", "ben")
        ]

    def known(self) -> list[Bought]:
        """Return the orders that buyers know of, oldest first."""
        return list(self._known.values())

    # Buyers in the shop.

    def check_out(self, buyer: Buyer, slug: str, currency: str, email: str, key: str = "") -> Bought | None:
        """Send the form of the checkout, which leads to the payment page; `key` is that of an order to be changed.

        Return the order that it led to, None when the buyer was not told of any.
        """
        with self.world.app.app_context():
            plan = get_plan(db.session(), slug, "en", currency)
            newest = db.session.scalar(select(Order.id).order_by(Order.id.desc()).limit(1)) or 0
        form = {"email": email, "checkout_key": key, "days": str(plan.days_min), "currency": currency}
        form |= {"amount": str(quote(plan, plan.days_min)), **dict.fromkeys(CONSENTS, "y")}
        answer = self.world.ask(buyer.client, "POST", f"/en/checkout/{slug}", data=form)
        if answer is None:
            return None
        with self.world.app.app_context():
            order_id = db.session.scalar(select(Order.id).where(Order.id > newest))
        placed = self._bought(order_id, buyer) if order_id is not None else None
        return self._shown(answer) or placed

    def change(self, bought: Bought, slug: str, currency: str, email: str) -> None:
        """Send the checkout of an order again from another tab, filled in differently."""
        order = self.order(bought)
        if order.kind is OrderKind.PURCHASE:
            self.check_out(bought.buyer, slug, currency, email, order.checkout_key)

    def renew(self, bought: Bought, slug: str) -> Bought | None:
        """Place a renewal of the order's eSIM and go to its payment page; None when there is no eSIM."""
        order = self.order(bought)
        if order.esim_id is None:
            return None
        placed: list[int] = []
        with self.world.process():
            placed.append(self._place_renewal(order.esim_id, slug))
        if not placed:
            return None
        renewal = self._bought(placed[0], bought.buyer)
        # Buyers who renew are signed in; a browser that was let into the order may do the same with it.
        self.look(renewal)
        self.click(renewal)
        return renewal

    def _place_renewal(self, esim_id: int, slug: str) -> int:
        usage.read(self.shop, esim_id, force=True)
        refresh_topups(self.shop, db.session.get_one(Esim, esim_id), self.world.clock.now())
        with self.shop.transaction() as session:
            esim = session.get_one(Esim, esim_id, populate_existing=True)
            shown = preview(esim, get_plan(session, slug, "en", "EUR"))
            wish = Wish(
                checkout_key=random_key(),
                kind=OrderKind.RENEWAL,
                plan=shown.plan,
                days=shown.plan.days_min,
                email=esim.account.email,
                language="en",
                consents=CONSENTS,
                esim_id=esim.id,
                shown_before=shown.before.to_json(),
                shown_after=shown.after.to_json(),
            )
            return place_order(session, wish, esim.account, self.world.clock.now()).id

    def click(self, bought: Bought) -> None:
        """Press the button of the order page that leads to the payment page."""
        answer = self.world.ask(bought.buyer.client, "POST", f"{self._page(bought)}/payment")
        if answer is not None:
            self._shown(answer)

    def look(self, bought: Bought) -> None:
        """Open the order page by the link that Stripe sends the buyer back to, and that the mails hold."""
        answer = self.world.ask(bought.buyer.client, "GET", order_url(self.shop, self.order(bought)))
        if answer is not None and answer.status_code == 303:
            self.world.ask(bought.buyer.client, "GET", answer.headers["Location"])

    def poll(self, bought: Bought) -> None:
        """Ask for the state of the order, as the order page does every two seconds."""
        headers = {"HX-Request": "true", "HX-Target": "order-state"}
        self.world.ask(bought.buyer.client, "GET", self._page(bought), headers=headers)

    def correct(self, bought: Bought, email: str) -> None:
        """Say that the mails about an order are to go to another address."""
        self.world.ask(bought.buyer.client, "POST", f"{self._page(bought)}/recipient", data={"email": email})

    def order(self, bought: Bought) -> Order:
        """Return the order as it is now."""
        with self.world.app.app_context():
            return db.session.get_one(Order, bought.order_id)

    def _page(self, bought: Bought) -> str:
        return order_page_url(self.shop, self.order(bought))

    def _shown(self, answer: TestResponse) -> Bought | None:
        """Remember the payment page that an answer leads to, and return its order."""
        location = answer.headers.get("Location", "")
        if not location.startswith(f"{self.world.sandbox.url}/c/pay/"):
            return None
        page = location.rpartition("/")[2]
        public_id = self.stripe.account.find("cs", page)["metadata"]["order"]
        with self.world.app.app_context():
            order_id = db.session.scalars(select(Order.id).where(Order.public_id == public_id)).one()
        bought = self._known.get(order_id)
        if bought is not None and page not in bought.pages:
            bought.pages.append(page)
        return bought

    def _bought(self, order_id: int, buyer: Buyer) -> Bought:
        return self._known.setdefault(order_id, Bought(order_id, buyer))

    # Buyers at Stripe and with their phones.

    def pay(self, page: str, card: str, outcome: Any = "complete") -> None:
        """Enter a card on a payment page, whatever has become of it since it was shown."""
        self.stripe.pay(page, card=card, outcome=outcome, wait=False)

    def pay_by_debit(self, page: str) -> None:
        """Pay in a way that a bank answers days later."""
        account = self.stripe.account
        with account.lock:
            account.save({**account.find("cs", page), "payment_method_types": ["card", "sepa_debit"]})
        self.stripe.pay(page, method="sepa_debit", wait=False)

    def answer_debits(self, bought: Bought, *, succeeded: bool) -> None:
        """Let the bank answer the debits by which an order is being paid."""
        for page in bought.pages:
            with suppress(StripeRefuses):
                self.stripe.settle_async_payment(page, succeeded=succeeded)

    def use(self, bought: Bought, percent: float) -> None:
        """Connect with the eSIM and use some of its data."""
        esim = self._esim(bought)
        if esim is not None:
            with suppress(SupplierRefuses):
                self.world.supplier.burn(esim.supplier_esim_id, percent=percent)

    def _esim(self, bought: Bought) -> Esim | None:
        with self.world.app.app_context():
            return db.session.scalar(
                select(Esim).join(Order, Order.esim_id == Esim.id).where(Order.id == bought.order_id)
            )

    # Staff, in the shop and in Stripe's Dashboard; banks.

    def give_back(self, bought: Bought, share: float) -> None:
        """Refund a share of what an order costs, as staff may."""
        order = self.order(bought)
        with self.world.process(), suppress(NothingToRefund, RefundTooLarge, PaymentDisputed):
            refund_by_staff(
                self.shop,
                order.public_id,
                max(round(order.amount_minor * share), 1),
                form_key=random_key(),
                note="",
                by=Actor(staff_id=self.world.staff_id),
            )

    def take_up(self, bought: Bought) -> None:
        """Retry a held order, or have one that is under way looked at now, as staff may."""
        public_id = self.order(bought).public_id
        with self.world.process(), suppress(NoSuchStep):
            take_up(self.shop, public_id, by=COMMAND)

    def close(self, bought: Bought) -> None:
        """End the delivery of a held order whose money is gone."""
        public_id = self.order(bought).public_id
        with self.world.process(), suppress(NoSuchStep):
            close(self.shop, public_id, by=COMMAND)

    def charges(self, bought: Bought) -> list[str]:
        """Return the charges of an order that have succeeded."""
        charges = self.stripe.charges_for(self.order(bought).public_id)
        return [charge["id"] for charge in charges]

    def refund_at_stripe(self, charge: str, share: float) -> None:
        """Refund a share of a charge in the Dashboard."""
        amount = self.stripe.account.find("ch", charge)["amount"]
        with suppress(StripeRefuses):
            self.stripe.refund(charge, max(round(amount * share), 1))

    def end_refund(self, refund: str, status: Any) -> None:
        """Let a refund end at the bank."""
        with suppress(StripeRefuses):
            self.stripe.settle_refund(refund, status)

    def dispute(self, charge: str, *, inquiry: bool) -> None:
        """Ask the bank for the money."""
        with suppress(StripeRefuses):
            self.stripe.open_dispute(charge, inquiry=inquiry)

    def decide_dispute(self, dispute: Document, *, won: bool) -> None:
        """Let the bank decide a dispute; an inquiry goes away."""
        outcome: Any = "won" if won else "lost"
        if dispute["status"].startswith("warning_"):
            outcome = "warning_closed"
        with suppress(StripeRefuses):
            self.stripe.close_dispute(dispute["id"], outcome)
