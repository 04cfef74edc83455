"""Buyers, staff, banks, webhooks, faults and time, in any order: the rules of the model test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from services.failpoints import NAMES
from tests.faults.model_books import Books, everything
from tests.faults.model_people import Bought, People
from tests.faults.model_rules import AlwaysTrue, TrueAtRest
from tests.faults.model_world import ModelWorld

PLANS = ("monaco-1gb-7-days", "monaco-3gb-30-days", "monaco-1gb-a-day")
CURRENCIES = ("EUR", "JPY")
GOOD, DECLINED, SECURE = "4242424242424242", "4000000000000002", "4000000000003220"
# How far a buyer and the shop get in one go.
PLACED, PAID, RETURNED, DELIVERED = range(4)
SPANS = {
    "seconds": timedelta(seconds=5),
    "minutes": timedelta(minutes=2),
    "half an hour": timedelta(minutes=31),
    "an hour": timedelta(minutes=62),
    "hours": timedelta(hours=7),
    "a day": timedelta(hours=25),
}
# What may go wrong, by who is at work.
WEB, WORKER, BOTH = "web", "worker", "both"
WEB_NAMES = [name for name in NAMES if name.startswith(("start.", "webhook.", "settle.", "refund.re", "transaction."))]
WORKER_NAMES = [name for name in NAMES if not name.startswith(("start.", "webhook."))]
FAILPOINTS = {WEB: WEB_NAMES, WORKER: WORKER_NAMES, BOTH: list(NAMES)}
# Failpoints inside a transaction: nobody else can do anything there, because they would wait for its end.
INSIDE = ("settle.recorded", "refund.requested", "fulfil.stored", "fulfil.confirmed", "refund.recorded")
AT_STRIPE = (
    ("POST", "/v1/checkout/sessions"),
    ("GET", "/v1/checkout/sessions*"),
    ("POST", "/v1/checkout/sessions/*/expire"),
    ("POST", "/v1/refunds"),
    ("GET", "/v1/refunds*"),
    ("*", "/v1/*"),
)
STRIPE_FAULTS: dict[str, dict[str, Any]] = {
    "drop_before": {},
    "drop_after": {},
    "bad_json": {},
    "500": {},
    "500 saved": {"saved": True},
    "500 executed": {"executed": True},
    "409": {},
    "429": {},
}
AT_SUPPLIER = ("/esim/order", "/esim/topup", "/esim/order", "/esim/topup", "/esim/query", "/esim/cancel", "*")
SUPPLIER_FAULTS = (
    "timeout_before",
    "timeout_after_commit",
    "500",
    "500_after_commit",
    "bad_json",
    "bad_json_after_commit",
    "429",
    # Balance, stock, price, an unknown plan, an error that nobody has heard of.
    "error:200007",
    "error:200011",
    "error:200005",
    "error:310241",
    "error:900001",
)
MEANWHILE = (
    *("buyer pays", "buyer looks", "buyer clicks", "buyer changes", "stripe tells", "staff refunds"),
    *(
        "buyer corrects",
        "buyer disputes",
        "sweep",
        "all knocks",
        "reconcile",
        "cancel_abandoned",
        "minutes pass",
        "a day passes",
    ),
)
ALLOCATIONS: dict[str, dict[str, Any]] = {
    "at once": {"seconds": 0, "polls": 0, "held": False},
    "slowly": {"seconds": 0, "polls": 2, "held": False},
    "later": {"held": True},
    "never": {"seconds": None},
}

picks = st.integers(0, 7)
plans = st.sampled_from(PLANS)
extents = st.sampled_from((DELIVERED, PLACED, PAID, RETURNED))
shares = st.sampled_from((1.0, 0.4, 0.75))


def troubles(who: str) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return what may go wrong for whoever is at work next; most of the time nothing does."""
    counts = st.integers(1, 3)
    names = st.sampled_from(FAILPOINTS[who])
    between = st.sampled_from([name for name in FAILPOINTS[who] if name not in INSIDE])
    kinds = [
        st.tuples(st.just("dies"), names),
        st.tuples(st.just("meanwhile"), between, st.sampled_from(MEANWHILE), picks),
        st.tuples(st.just("stripe"), st.sampled_from(AT_STRIPE), st.sampled_from(sorted(STRIPE_FAULTS)), counts),
    ]
    if who != WEB:
        kinds.append(
            st.tuples(st.just("supplier"), st.sampled_from(AT_SUPPLIER), st.sampled_from(SUPPLIER_FAULTS), counts)
        )
    return st.one_of(st.just(()), st.just(()), *kinds)


web_troubles, worker_troubles, all_troubles = troubles(WEB), troubles(WORKER), troubles(BOTH)


def picked(things: list[Any], pick: int) -> Any:
    """Return one of some things, the newest for 0; None when there are none."""
    return things[-1 - pick % len(things)] if things else None


class Model(RuleBasedStateMachine):
    """One example: a world that begins empty, what happens in it, and how it ends."""

    world: ModelWorld
    orders: Bundle[Bought] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.world.begin()
        self.people = People(self.world)
        self.always = AlwaysTrue(self.world)

    # Buyers in the shop.

    @initialize(
        target=orders,
        slug=st.sampled_from(PLANS[:2]),
        extent=extents,
        trouble=all_troubles,
        renews=st.booleans(),
    )
    def first_order(self, slug: str, extent: int, trouble: tuple[Any, ...], renews: bool) -> Any:
        """Begin with a purchase, or, so that renewals are as common as purchases, with one that has gone well."""
        if not renews:
            self._arm(trouble)
            return self._buy(0, slug, "EUR", 0, extent)
        bought = self._buy(0, slug, "EUR", 0, DELIVERED)
        renewal = self.people.renew(bought, slug)
        assert renewal is not None, "an eSIM that has just been delivered cannot be renewed"
        self._arm(trouble)
        self._go_as_far_as(renewal, extent)
        return multiple(bought, renewal)

    @rule(
        target=orders,
        who=st.integers(0, 1),
        slug=plans,
        currency=st.sampled_from(CURRENCIES),
        email=st.integers(0, 1),
        extent=extents,
        trouble=all_troubles,
    )
    def buys(self, who: int, slug: str, currency: str, email: int, extent: int, trouble: tuple[Any, ...]) -> Any:
        self._arm(trouble)
        return self._buy(who, slug, currency, email, extent)

    def _buy(self, who: int, slug: str, currency: str, email: int, extent: int) -> Any:
        buyer = self.people.buyers[who]
        bought = self.people.check_out(buyer, slug, currency, buyer.emails[email])
        if bought is None:
            return multiple()
        self._go_as_far_as(bought, extent)
        return bought

    @rule(target=orders, bought=orders, slug=st.sampled_from(PLANS[:2]), extent=extents, trouble=worker_troubles)
    def renews(self, bought: Bought, slug: str, extent: int, trouble: tuple[Any, ...]) -> Any:
        renewal = self.people.renew(bought, slug)
        if renewal is None:
            return multiple()
        self._arm(trouble)
        self._go_as_far_as(renewal, extent)
        return renewal

    def _go_as_far_as(self, bought: Bought, extent: int) -> None:
        if extent >= PAID and bought.pages:
            self.people.pay(bought.pages[-1], GOOD)
        if extent >= RETURNED:
            self.people.look(bought)
        if extent >= DELIVERED:
            self.world.take_all_knocks()

    @rule(
        bought=orders,
        slug=plans,
        currency=st.sampled_from(CURRENCIES),
        email=st.integers(0, 1),
        trouble=web_troubles,
    )
    def changes(self, bought: Bought, slug: str, currency: str, email: int, trouble: tuple[Any, ...]) -> None:
        self._arm(trouble)
        self.people.change(bought, slug, currency, bought.buyer.emails[email])

    @rule(
        bought=orders,
        what=st.sampled_from(
            (
                *("looks", "polls", "clicks", "clicks", "uses a bit", "uses it up"),
                *("corrects the address", "corrects it back"),
            )
        ),
        trouble=web_troubles,
    )
    def buyer(self, bought: Bought, what: str, trouble: tuple[Any, ...]) -> None:
        self._arm(trouble)
        actions: dict[str, Callable[[Bought], None]] = {
            "looks": self.people.look,
            "polls": self.people.poll,
            "clicks": self.people.click,
            "corrects the address": lambda bought: self.people.correct(bought, bought.buyer.emails[1]),
            "corrects it back": lambda bought: self.people.correct(bought, bought.buyer.emails[0]),
            "uses a bit": lambda bought: self.people.use(bought, 40),
            "uses it up": lambda bought: self.people.use(bought, 100),
        }
        actions[what](bought)

    @rule(
        bought=orders,
        pick=picks,
        how=st.sampled_from(("good", "good", "debit", "declined", "secure", "left", "failed")),
    )
    def pays(self, bought: Bought, pick: int, how: str) -> None:
        self._pay(picked(bought.pages, pick), how)

    def _pay(self, page: str | None, how: str) -> None:
        if page is None:
            return
        if how == "debit":
            self.people.pay_by_debit(page)
        else:
            card = {"good": GOOD, "declined": DECLINED}.get(how, SECURE)
            self.people.pay(page, card, {"left": None, "failed": "fail"}.get(how, "complete"))

    # The shop: webhooks, the worker, staff, time.

    @rule(
        who=st.sampled_from(("Stripe", "Stripe", "Stripe with twin events", "supplier")),
        pick=picks,
        times=st.integers(1, 2),
        trouble=web_troubles,
    )
    def webhook(self, who: str, pick: int, times: int, trouble: tuple[Any, ...]) -> None:
        self._arm(trouble)
        if who.endswith("twin events") and (event := picked(self.world.events(), pick)) is not None:
            self.world.stripe.twin(event["id"])
        for _time in range(times):
            if who == "supplier":
                self._hint(pick)
            else:
                self._tell(pick)

    def _hint(self, pick: int) -> None:
        notice = picked(self.world.supplier.webhooks.held(), pick)
        if notice is not None:
            self.world.hear_from_supplier(notice)

    def _tell(self, pick: int) -> None:
        event = picked(self.world.events(), pick)
        if event is not None:
            self.world.hear_from_stripe(event)

    @rule(
        how=st.sampled_from(
            ("all knocks", "all knocks", "one knock", "sweep", "reconcile", "sync_usage", "cancel_abandoned")
        ),
        trouble=worker_troubles,
    )
    def worker_does(self, how: str, trouble: tuple[Any, ...]) -> None:
        self._arm(trouble)
        self._do(how)

    @rule(span=st.sampled_from(sorted(SPANS)), how=st.sampled_from(("", "sweep")), trouble=worker_troubles)
    def time_passes(self, span: str, how: str, trouble: tuple[Any, ...]) -> None:
        self.world.pass_time(SPANS[span])
        if how:
            self._arm(trouble)
            self._do(how)

    def _do(self, how: str) -> None:
        if how == "one knock":
            self.world.take_knock()
        elif how == "all knocks":
            self.world.take_all_knocks()
        else:
            self.world.do_round(how)

    @rule(bought=orders, what=st.sampled_from(("refund", "refund", "take up", "close")), share=shares)
    def staff(self, bought: Bought, what: str, share: float) -> None:
        if what == "refund":
            self.people.give_back(bought, share)
        elif what == "close":
            self.people.close(bought)
        else:
            self.people.take_up(bought)

    # Banks and Stripe's Dashboard.

    @rule(
        bought=orders,
        pick=picks,
        what=st.sampled_from(("refund", "refund", "dispute", "inquiry", "debit", "debit")),
        share=shares,
    )
    def money(self, bought: Bought, pick: int, what: str, share: float) -> None:
        self._claim(bought, pick, what, share)

    def _claim(self, bought: Bought, pick: int, what: str, share: float) -> None:
        if what == "debit":
            self.people.answer_debits(bought, succeeded=share < 1)
            return
        charge = picked(self.people.charges(bought), pick)
        if charge is not None and what == "refund":
            self.people.refund_at_stripe(charge, share)
        elif charge is not None:
            self.people.dispute(charge, inquiry=what == "inquiry")

    @rule(pick=picks, what=st.sampled_from(("refund", "dispute")), well=st.booleans())
    def bank_decides(self, pick: int, what: str, well: bool) -> None:
        if what == "refund":
            refund = picked(self.world.stripe.account.of("re").all(), pick)
            if refund is not None:
                self.people.end_refund(refund["id"], "succeeded" if well else "failed")
        else:
            dispute = picked(self.world.stripe.account.of("dp").all(), pick)
            if dispute is not None:
                self.people.decide_dispute(dispute, won=well)

    # What goes wrong.

    def _arm(self, trouble: tuple[Any, ...]) -> None:
        """Let something go wrong from now on, as `troubles` has drawn it."""
        match trouble:
            case ("dies", name):
                self.world.deadly.add(name)
            case ("meanwhile", name, what, pick):
                self.world.meanwhile[name] = lambda: self._meanwhile(what, pick)
            case ("stripe", (method, path), what, count):
                kind = what.partition(" ")[0]
                self.world.stripe.fault(kind, method=method, path=path, count=count, **STRIPE_FAULTS[what])
            case ("supplier", path, kind, count):
                self.world.supplier.fault(path, kind, count=count)

    def _meanwhile(self, what: str, pick: int) -> None:
        """Do something while somebody else is in the middle of something."""
        bought = picked(self.people.known(), pick)
        if bought is None:
            return
        actions: dict[str, Callable[[], None]] = {
            "buyer pays": lambda: self._pay(picked(bought.pages, pick), "good"),
            "buyer looks": lambda: self.people.look(bought),
            "buyer clicks": lambda: self.people.click(bought),
            "buyer changes": lambda: self.people.change(
                bought, PLANS[pick % 3], CURRENCIES[pick % 2], bought.buyer.emails[0]
            ),
            "buyer corrects": lambda: self.people.correct(bought, bought.buyer.emails[1]),
            "buyer disputes": lambda: self._claim(bought, pick, "dispute", 1.0),
            "stripe tells": lambda: self._tell(pick),
            "staff refunds": lambda: self.people.give_back(bought, 1.0),
            "minutes pass": lambda: self._let_pass("minutes"),
            "a day passes": lambda: self._let_pass("a day"),
        }
        actions.get(what, lambda: self._do(what))()

    def _let_pass(self, span: str) -> None:
        self.world.pass_time(SPANS[span])
        self._do("sweep")

    @rule(
        what=st.sampled_from(
            (
                *(f"allocates {how}" for how in ALLOCATIONS),
                *("mail is down", "mail is refused", "mail is refused for good", "mail is cut off", "mail is lost"),
                *("refunds take days", "the queue is lost", "all is mended"),
            )
        )
    )
    def trouble(self, what: str) -> None:
        world = self.world
        if what.startswith("allocates "):
            world.supplier.set_allocation(**ALLOCATIONS[what.removeprefix("allocates ")])
            return
        {
            "mail is down": world.mail_server.down,
            "mail is refused": lambda: world.refuse_mails(2, "temporary", "data"),
            "mail is refused for good": lambda: world.refuse_mails(1, "permanent", "recipient"),
            "mail is cut off": lambda: world.mail_server.drop(1, when="after"),
            "mail is lost": lambda: world.mail_server.drop(1, when="before"),
            "refunds take days": world.let_refunds_take_days,
            "the queue is lost": world.lose_queue,
            "all is mended": world.mend,
        }[what]()

    # What must hold.

    @invariant()
    def books_hold(self) -> None:
        self.always.check(Books.read(self.world))
        # Nothing happens at the very same moment as what came before.
        self.world.pass_time(timedelta(seconds=1))

    def teardown(self) -> None:
        """Let all go well from here on, and see that everything comes right."""
        if sys.exc_info()[0] is not None:
            return
        self.world.mend()
        self.world.let_banks_decide()
        self._work(timedelta(minutes=2))
        # Whoever has not paid by now has not wanted to.
        self._work(timedelta(hours=25), "cancel_abandoned", "reconcile_deep")
        for span in (*["half an hour"] * 5, *["hours"] * 4, *["a day"] * 2):
            if Books.read(self.world).are_at_rest():
                break
            self._work(SPANS[span], "cancel_abandoned", "reconcile")
        if self._reconciling_changes_something():
            self._work(timedelta(minutes=15))
            assert not self._reconciling_changes_something(), "reconciling a second time changes something"
        TrueAtRest(self.world).check(Books.read(self.world))
        self.world.happened["an example"] += 1

    def _reconciling_changes_something(self) -> bool:
        before = everything(self.world)
        assert self.world.reconcile(deep=True).errors == 0, "reconciling finds errors where nothing is wrong"
        return everything(self.world) != before

    def _work(self, span: timedelta, *rounds: str) -> None:
        self.world.pass_time(span)
        for name in ("sweep", *rounds, "sweep"):
            self.world.do_round(name)
        self.world.take_all_knocks()
        self.always.check(Books.read(self.world))
