"""Orders and top-ups: checks, money, and the profiles that arrive a little later."""

from __future__ import annotations

import secrets
import string
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sandbox.esim_access import catalogue
from sandbox.esim_access import esim as life
from sandbox.esim_access.catalogue import Plan
from sandbox.esim_access.errors import ApiError
from sandbox.esim_access.esim import Esim
from sandbox.esim_access.world import World
from sandbox.store import Document

DEFAULT_ALLOCATION: Document = {"seconds": 3.0, "polls": 0, "held": False}
SLOW_PLAN_SECONDS = 25.0
# The timer counts on another clock than the one `due` is read from.
_TIMER_MARGIN_SECONDS = 0.02
_MATCHING_ID_CHARACTERS = string.ascii_uppercase + string.digits

OrderReady = Callable[[Document], None]
Schedule = Callable[[float, Callable[[], None]], None]


@dataclass(frozen=True)
class Line:
    """One line of an order; `price` is what the caller believes one eSIM costs (per day when daily), if it says."""

    plan: Plan
    count: int
    price: int | None
    days: int


class Orders:
    """Takes orders and hands out their profiles; `tell_ready` hears of every order whose profiles are there."""

    def __init__(self, world: World, tell_ready: OrderReady, schedule: Schedule) -> None:
        self._world = world
        self._tell_ready = tell_ready
        self._schedule = schedule
        self._orders = world.store.collection("esim_access.orders")
        self._transactions = world.store.collection("esim_access.transactions")
        self._pending = world.store.collection("esim_access.pending")
        self._ready = threading.Condition(world.store.lock)

    def place(self, transaction_id: str, lines: list[Line], amount: int | None) -> tuple[Document, bool]:
        """Return the order for `transaction_id` and whether this call made it, or an earlier one did.

        Raises ApiError: 200005 price, 200006 amount, 200007 balance, 200011 stock; then nothing was bought.
        """
        world = self._world
        with world.store.lock:
            known = self._transactions.get(transaction_id)
            if known is not None:
                if world.variants.duplicate_order == "310402":
                    raise ApiError("310402", "Duplicate transactionId")
                return self.order(known["orderNo"]), False
            total = self._total(lines, amount)
            if any(line.plan.code == "SIM-FAIL-BALANCE" for line in lines) or total > world.account.balance:
                raise ApiError("200007", "The account balance is insufficient")
            self._take_stock(lines)
            world.account.debit(total)
            order = self._create(transaction_id, lines)
            world.journal.executed("orders", transaction_id)
        return order, True

    def _total(self, lines: list[Line], amount: int | None) -> int:
        total = 0
        for line in lines:
            price = self._world.account.price(line.plan, top_up=False)
            if line.price is not None and line.price != price:
                raise ApiError("200005", f"The price of {line.plan.code} is {price}")
            total += price * line.count * (line.days if line.plan.daily else 1)
        if amount is not None and amount != total:
            raise ApiError("200006", f"The order amounts to {total}")
        return total

    def _take_stock(self, lines: list[Line]) -> None:
        account = self._world.account
        wanted: dict[str, int] = {}
        for line in lines:
            wanted[line.plan.code] = wanted.get(line.plan.code, 0) + line.count
        plans = {line.plan.code: line.plan for line in lines}
        for code, count in wanted.items():
            left = account.stock(plans[code])
            if left is not None and left < count:
                raise ApiError("200011", "Not enough profiles are left")
        for code, count in wanted.items():
            account.take(plans[code], count)

    def _create(self, transaction_id: str, lines: list[Line]) -> Document:
        world, allocation = self._world, self.allocation
        # Numbers carry the client's date, as the real ones do; after skipped days the stand-in's own would surprise.
        moment = world.clock.shown(world.clock.now())
        number = f"{moment:%y%m%d%H%M%S}{world.next_number('order'):04d}"
        order: Document = {"orderNo": f"B{number}", "transactionId": transaction_id, "esims": [], "ready": False}
        delay = allocation["seconds"]
        if delay is not None and any(line.plan.code == "SIM-FAIL-SLOW" for line in lines):
            delay += SLOW_PLAN_SECONDS
        order |= {"due": None if delay is None else time.time() + delay, "polls": allocation["polls"]}
        for line in lines:
            for _ in range(line.count):
                order["esims"].append(self._create_esim(order, line).esim_tran_no)
        self._orders.put(order["orderNo"], order)
        self._transactions.put(transaction_id, {"orderNo": order["orderNo"]})
        self._pending.put(order["orderNo"], {"orderNo": order["orderNo"]})
        if world.variants.early_webhooks:
            self._tell_ready(order)
        if delay == 0:
            self.allocate_due()
        elif delay is not None:
            self._schedule(delay + _TIMER_MARGIN_SECONDS, self.allocate_due)
        return order

    def _create_esim(self, order: Document, line: Line) -> Esim:
        world, plan = self._world, line.plan
        now = world.clock.now()
        moment = world.clock.shown(now)
        number = world.next_number("esim")
        periods = line.days if plan.daily else 1
        volume, days = plan.volume * periods, plan.days * periods
        price = world.account.price(plan, top_up=False) * periods
        esim = Esim(
            esim_tran_no=f"{moment:%y%m%d%H%M%S}{number:04d}",
            order_no=order["orderNo"],
            transaction_id=order["transactionId"],
            iccid=world.next_iccid(),
            imsi=f"99999{number:010d}",
            matching_id="DEMO-" + "".join(secrets.choice(_MATCHING_ID_CHARACTERS) for _ in range(16)),
            package_code=plan.code,
            ordered_at=now,
            expires_at=now + timedelta(days=catalogue.UNUSED_VALID_DAYS),
            total_volume=volume,
            total_days=days,
            paid=price,
            rechargeable=plan.rechargeable,
            packages=[life.bought(plan, volume, days, now, code=plan.code)],
        )
        world.keep(esim, [])
        world.hold_iccid(esim)
        return esim

    def order(self, order_no: str) -> Document:
        """Return an order; raises ApiError 310272 when there is none."""
        order = self._orders.get(order_no)
        if order is None:
            raise ApiError("310272", "No such order")
        return order

    def poll(self, order_no: str) -> Document:
        """Return an order whose profiles are there; raises ApiError 200010 while they are not."""
        with self._world.store.lock:
            self.allocate_due()
            order = self.order(order_no)
            if order["ready"]:
                return order
            self._orders.put(order_no, order | {"polls": max(0, order["polls"] - 1)})
            raise ApiError("200010", "The profile is still being allocated")

    @property
    def allocation(self) -> Document:
        """Return how profiles are allocated: `seconds` (None: never), `polls`, `held`."""
        return DEFAULT_ALLOCATION | (self._world.settings.get("allocation") or {})

    def set_allocation(self, **changes: float | bool | None) -> None:
        """Change how profiles are allocated; orders made earlier keep their delay, but `held` holds those too.

        Raises ValueError for anything but `seconds`, `polls` and `held`.
        """
        if not changes.keys() <= DEFAULT_ALLOCATION.keys():
            raise ValueError(f"allocation knows {', '.join(DEFAULT_ALLOCATION)}")
        with self._world.store.lock:
            self._world.settings.put("allocation", self.allocation | changes)
            if not self.allocation["held"]:
                self.allocate_due()

    def allocate_due(self) -> None:
        """Hand out the profiles of every order whose time has come."""
        with self._world.store.lock:
            if self.allocation["held"]:
                return
            for order in [self.order(each["orderNo"]) for each in self._pending.all()]:
                if order["due"] is not None and order["due"] <= time.time() and order["polls"] <= 0:
                    self._allocate(order)

    def allocate_now(self) -> None:
        """Hand out the profiles of every order, also of those that would never be ready."""
        with self._world.store.lock:
            for each in self._pending.all():
                self._allocate(self.order(each["orderNo"]))

    def _allocate(self, order: Document) -> None:
        self._orders.put(order["orderNo"], order | {"ready": True})
        self._pending.remove(order["orderNo"])
        if not self._world.variants.early_webhooks:
            self._tell_ready(order)
        self._ready.notify_all()

    def wait_ready(self, transaction_id: str, timeout: float) -> bool:
        """Wait until the order's profiles are there; returns False when `timeout` seconds were not enough."""

        def is_ready() -> bool:
            known = self._transactions.get(transaction_id)
            return known is not None and bool(self.order(known["orderNo"])["ready"])

        with self._ready:
            return self._ready.wait_for(is_ready, timeout)

    def is_visible(self, esim: Esim) -> bool:
        """Tell whether the eSIM's profile has been handed out."""
        return bool(self.order(esim.order_no)["ready"])

    def reschedule(self) -> None:
        """Remember what is due after a restart."""
        for each in self._pending.all():
            due = self.order(each["orderNo"])["due"]
            if due is not None:
                self._schedule(max(0.0, due - time.time()) + _TIMER_MARGIN_SECONDS, self.allocate_due)

    def top_up(self, transaction_id: str, esim_tran_no: str, code: str, amount: int | None) -> tuple[Esim, bool]:
        """Return the topped-up eSIM and whether this call did it, or an earlier one by variant `topup_idempotent`.

        Raises ApiError: 310241 unknown package, 310243 package for other countries, 200002 state, 200006 amount,
        200007 balance; then nothing was bought.
        """
        world = self._world
        with world.store.lock:
            if world.variants.topup_idempotent and world.journal.count("topups", transaction_id):
                return world.esim(esim_tran_no), False
            plan = catalogue.find_top_up(code)
            if plan is None:
                raise ApiError("310241", "The package code is unknown")
            esim = world.esim(esim_tran_no)
            base = catalogue.find(esim.package_code)
            if base is None or (base.rechargeable and plan not in catalogue.top_ups_for(base)):
                raise ApiError("310243", "The package is not for this eSIM")
            price = world.account.price(plan, top_up=True)
            if amount is not None and amount != price:
                raise ApiError("200006", f"The top-up costs {price}")
            life.top_up(esim, plan, price, world.clock.now())
            world.account.debit(price)
            world.journal.executed("topups", transaction_id)
            return world.keep(esim, []), True
