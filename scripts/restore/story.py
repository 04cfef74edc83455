"""What happens to the shop: a day as any other, an hour that will be lost, and what people do meanwhile."""

from __future__ import annotations

from sqlalchemy import select

from models import Order, Payment, Refund, RefundStatus, Staff, db
from scripts.restore import books
from scripts.restore.people import Customer
from scripts.restore.shop import Shop, until
from services.audit import Actor
from services.identifiers import random_key
from services.staff_refunds import refund_by_staff

SMALL, BIG, BY_THE_DAY = "monaco-1gb-7-days", "monaco-3gb-30-days", "monaco-1gb-a-day"
RIVIERA, FRANCE, ITALY = "riviera-5gb-15-days", "france-1gb-7-days", "italy-1gb-7-days"
ITALY_CODE = "SIM-IT-1-7"
FRIEND = "friend@example.com"
PART = 500


class Story:
    """Who buys what; `told` says it in words, by the number of each order."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.told: dict[str, str] = {}
        # What must not come back, because nobody has paid for it.
        self.unpaid: list[str] = []
        # What is finished only after the shop is back.
        self.later: list[str] = []
        self.refunded_after_delivery = ""
        self.ana = Customer(shop, "Ana")
        self.cleo = Customer(shop, "Cleo", currency="GBP")
        self.eve = Customer(shop, "Eve")
        self.nia = Customer(shop, "Nia")
        self.max = Customer(shop, "Max")
        self._eves_session = self._nias_session = self._maxs_session = self._leas_session = ""
        self._dans_refund = ""

    def before(self) -> None:
        """What the backup holds: eSIMs, an account, a renewal, a refund under way, two payment pages that are open."""
        self._tell(self.ana.buy(SMALL), "before: Ana buys")
        self._tell(Customer(self.shop, "Ben", "fr").buy(BIG), "before: Ben buys, in French")
        dans = Customer(self.shop, "Dan").buy(RIVIERA)
        self._tell(dans, "before: Dan buys; a part is on its way back, and arrives in the hour")
        self._eves_session = self.eve.check_out(SMALL)
        self.unpaid.append(self._order_of(Customer(self.shop, "Fay").check_out(SMALL)))
        self._rest()
        self.ana.claim_account()
        self._tell(self.ana.renew(self._esim(self.ana), BIG), "before: Ana renews")
        self.shop.sandbox.stripe.account.refund_status = "pending"
        self._refund_by_staff(dans, PART)
        self._dans_refund = until(self._pending_refund, "Stripe has taken the refund")
        self.shop.sandbox.stripe.account.refund_status = "succeeded"
        self._rest()

    def hour(self) -> None:
        """What the backup does not hold."""
        self._tell(Customer(self.shop, "Gus").buy(SMALL), "Gus buys")
        hua = Customer(self.shop, "Hua", "zh-hans", "CNY").buy(BY_THE_DAY, days=5)
        self._tell(hua, "Hua buys 5 days, in Chinese, in CNY")
        self._tell(self.ana.buy(RIVIERA, email=FRIEND), "Ana, signed in, buys for a friend")
        self._tell(self.eve.pay(self._eves_session), "Eve pays an order of before")
        self._tell(self.cleo.buy(SMALL), "Cleo buys, in GBP")
        self._rest()
        self.shop.sandbox.stripe.settle_refund(self._dans_refund, "succeeded")
        for plan in (SMALL, BIG):
            self._tell(self.ana.renew(self._esim(self.ana), plan), "Ana renews what she had before")
        self.cleo.claim_account()
        self._tell(self.cleo.renew(self._esim(self.cleo), SMALL), "Cleo renews what she has just bought")
        self._what_goes_back()
        self._what_is_open()
        self._rest()

    def _what_goes_back(self) -> None:
        stripe, supplier = self.shop.sandbox.stripe, self.shop.sandbox.esim_access
        ivys = Customer(self.shop, "Ivy").buy(RIVIERA)
        kims = Customer(self.shop, "Kim").buy(FRANCE)
        supplier.set_stock(ITALY_CODE, 0)
        self._tell(Customer(self.shop, "Jon").buy(ITALY), "Jon buys; the supplier refuses, refunded by rule")
        self._rest()
        # Whoever delivered it now would succeed.
        supplier.set_stock(ITALY_CODE, None)
        self._refund_by_staff(ivys, PART)
        self._tell(ivys, "Ivy buys; staff refunds a part")
        (charge,) = stripe.charges_for(kims)
        stripe.refund(charge["id"])
        self._tell(kims, "Kim buys; refunded in Stripe's Dashboard")
        self.refunded_after_delivery = kims

    def _what_is_open(self) -> None:
        lea = Customer(self.shop, "Lea")
        self._leas_session = lea.check_out(SMALL)
        account = self.shop.sandbox.stripe.account
        with account.lock:
            page = account.find("cs", self._leas_session)
            account.save({**page, "payment_method_types": ["card", "sepa_debit"]})
        self.shop.sandbox.stripe.pay(self._leas_session, method="sepa_debit")
        self.later.append(self._tell(self._order_of(self._leas_session), "Lea pays by a debit that takes days"))
        self._nias_session, self._maxs_session = self.nia.check_out(SMALL), self.max.check_out(BIG)
        self.unpaid.append(self._order_of(Customer(self.shop, "Noa").check_out(SMALL)))

    def meanwhile(self) -> None:
        """What people do at Stripe while there is no shop."""
        self.shop.sandbox.stripe.pay(self._nias_session, wait=False)
        self.later.append(self._tell(self._order_of(self._nias_session), "Nia pays while the shop is down"))

    def afterwards(self) -> None:
        """What happens once the shop is back: the bank has decided, and somebody pays on a page of before."""
        self.later.append(self._tell(self.max.pay(self._maxs_session), "Max pays after the restore on his old page"))
        self.shop.sandbox.stripe.settle_async_payment(self._leas_session)

    def _rest(self) -> None:
        until(lambda: self.shop.sandbox.stripe.wait_for_webhooks(0), "Stripe has told everything")
        until(lambda: books.at_rest(self.shop), "the worker has done everything")

    def _tell(self, number: str, words: str) -> str:
        self.told[number] = words
        return number

    def _order_of(self, session_id: str) -> str:
        return str(self.shop.sandbox.stripe.account.find("cs", session_id)["metadata"]["order"])

    def _esim(self, owner: Customer) -> str:
        return books.esims_of(self.shop, owner.email)[0]

    def _refund_by_staff(self, number: str, amount_minor: int) -> None:
        with self.shop.books():
            member = db.session.scalars(select(Staff)).first()
            assert member is not None
            by = Actor.of(member)
            db.session.rollback()
            refund_by_staff(
                self.shop.app.extensions["shop"],
                number,
                amount_minor,
                form_key=random_key(),
                note="exercise",
                by=by,
            )

    def _pending_refund(self) -> str:
        with self.shop.books():
            found = db.session.scalars(
                select(Refund.reference).join(Payment).join(Order).where(Refund.status == RefundStatus.PENDING)
            ).first()
            return found or ""
