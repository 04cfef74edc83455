"""What is wrong after chaos: facts in, problems out; no shop, no sandbox, no database.

What happened is taken from the stand-ins: what Stripe charged, what the supplier carried out, which mails arrived. The
shop's own books are only compared with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Check(StrEnum):
    """What has to be zero."""

    DOUBLE_CHARGE = "double charges"
    DOUBLE_ESIM = "double eSIMs"
    EMPTY_HANDED = "paid orders without eSIM or refund"
    MAIL_MISSING = "mails missing"
    BOOKS = "books that do not balance"
    SERVER_ERROR = "pages that answered 500"
    STUCK = "people who could not go on"
    ENDED = "processes that ended by themselves"
    LEFT_OVER = "work left over"
    RECONCILED = "changes by the second reconcile"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: about which order, eSIM or person, and what a developer should know."""

    check: Check
    about: str
    diagnosis: str


@dataclass(frozen=True, kw_only=True)
class OrderFacts:
    """One order: the shop's row, and what Stripe, the supplier and the mailbox have of it.

    Money is in minor units of the order's currency. `bought` is how often the supplier carried out anything for it,
    `esims` how many living eSIMs it has under its references, `handed_over` whether the buyer has what the supplier
    delivered. `mails` are the kinds that arrived where they should, each once. `state` is for people.
    """

    number: str
    kind: str
    amount: int
    charges: Sequence[int] = ()
    refunds: Sequence[int] = ()
    booked_in: int = 0
    booked_out: int = 0
    bought: int = 0
    esims: int = 0
    handed_over: bool = False
    mails: Sequence[str] = ()
    state: str = ""

    @property
    def paid(self) -> bool:
        """Return whether a buyer was ever charged for it."""
        return bool(self.charges)

    @property
    def kept(self) -> int:
        """Return what the shop has kept of the money."""
        return sum(self.charges) - sum(self.refunds)

    @property
    def delivered(self) -> bool:
        """Return whether the buyer has what was bought."""
        if self.kind == "purchase":
            return self.handed_over and self.esims > 0
        return self.bought > 0

    @property
    def expected_mails(self) -> tuple[str, ...]:
        """Return the kinds of mails that its buyer has to have."""
        if not self.paid:
            return ()
        refunds = ("refund",) * len(self.refunds)
        if self.kept <= 0 or not self.delivered:
            return ("receipt", *refunds)
        return ("receipt", "esim-ready" if self.kind == "purchase" else "renewal-confirmed", *refunds)


@dataclass(frozen=True, kw_only=True)
class EsimFacts:
    """One living eSIM at the supplier: what is on it, and what should be by the shop's books; None for no row."""

    number: str
    packages: int
    data_bytes: int
    days: int
    booked: tuple[int, int, int] | None


@dataclass(frozen=True, kw_only=True)
class BuyerFacts:
    """One person: how often they paid knowingly, how often Stripe charged them, how often a second page was offered."""

    email: str
    meant: int
    charged: int


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that is known after a run; `unsent` and `left_over` are lines for people."""

    orders: Sequence[OrderFacts] = ()
    esims: Sequence[EsimFacts] = ()
    buyers: Sequence[BuyerFacts] = ()
    # Charges and purchases of which no order is known.
    strange_charges: Sequence[str] = ()
    strange_purchases: Sequence[str] = ()
    unsent: Sequence[tuple[str, str]] = ()
    server_errors: Sequence[str] = ()
    stuck: Sequence[tuple[str, str]] = ()
    ended: Sequence[str] = ()
    left_over: Sequence[tuple[str, str]] = ()
    reconciled: Sequence[tuple[str, str]] = ()
    figures: Mapping[str, int] = field(default_factory=dict)


def judge(evidence: Evidence) -> list[Problem]:
    """Return everything that is wrong."""
    problems = [problem for order in evidence.orders for problem in _order(order)]
    problems += [problem for esim in evidence.esims for problem in _esim(esim)]
    problems += [problem for buyer in evidence.buyers for problem in _buyer(buyer)]
    problems += [
        Problem(Check.BOOKS, each, "charged for no order that the shop knows") for each in evidence.strange_charges
    ]
    problems += [
        Problem(Check.DOUBLE_ESIM, each, "bought for no order of the shop") for each in evidence.strange_purchases
    ]
    # Not twice, where the mailbox has told it already.
    told = {problem.about for problem in problems if problem.check is Check.MAIL_MISSING}
    problems += [Problem(Check.MAIL_MISSING, about, what) for about, what in evidence.unsent if about not in told]
    problems += [Problem(Check.SERVER_ERROR, "web", each) for each in evidence.server_errors]
    problems += [Problem(Check.STUCK, about, what) for about, what in evidence.stuck]
    problems += [Problem(Check.ENDED, each, "see its log") for each in evidence.ended]
    problems += [Problem(Check.LEFT_OVER, about, what) for about, what in evidence.left_over]
    problems += [Problem(Check.RECONCILED, about, what) for about, what in evidence.reconciled]
    return problems


def _order(order: OrderFacts) -> Iterator[Problem]:
    def problem(check: Check, diagnosis: str) -> Problem:
        return Problem(check, order.number, f"{diagnosis} [{order.kind}, {order.state}]")

    if len(order.charges) > 1:
        yield problem(Check.DOUBLE_CHARGE, f"{len(order.charges)} charges {list(order.charges)}")
    if order.kept not in (0, order.amount):
        yield problem(Check.BOOKS, f"costs {order.amount}, {order.kept} is kept")
    if (order.booked_in, order.booked_out) != (sum(order.charges), sum(order.refunds)):
        booked = f"booked +{order.booked_in} -{order.booked_out}"
        yield problem(Check.BOOKS, f"{booked}, at Stripe +{sum(order.charges)} -{sum(order.refunds)}")
    if order.bought > 1 or order.esims > 1:
        yield problem(Check.DOUBLE_ESIM, f"bought {order.bought} times, {order.esims} living eSIMs")
    if order.bought and not order.paid:
        yield problem(Check.DOUBLE_ESIM, "bought and never paid")
    if order.paid and order.kept > 0 and not order.delivered:
        yield problem(Check.EMPTY_HANDED, f"{order.kept} kept, bought {order.bought} times, {order.esims} eSIMs")
    missing = Counter(order.expected_mails) - Counter(order.mails)
    if missing:
        yield problem(Check.MAIL_MISSING, f"without {', '.join(missing.elements())}")


def _esim(esim: EsimFacts) -> Iterator[Problem]:
    there = (esim.packages, esim.data_bytes, esim.days)
    if esim.booked is None or there == esim.booked:
        return
    more = any(have > should for have, should in zip(there, esim.booked, strict=True))
    check = Check.DOUBLE_ESIM if more else Check.EMPTY_HANDED
    yield Problem(check, f"eSIM {esim.number}", f"packages, bytes, days: {there} there, {esim.booked} paid and booked")


def _buyer(buyer: BuyerFacts) -> Iterator[Problem]:
    if buyer.charged > buyer.meant:
        yield Problem(Check.DOUBLE_CHARGE, buyer.email, f"charged {buyer.charged} times, meant {buyer.meant}")
    if buyer.charged < buyer.meant:
        yield Problem(Check.BOOKS, buyer.email, f"paid {buyer.meant} times, charged {buyer.charged} times")
