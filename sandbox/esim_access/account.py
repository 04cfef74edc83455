"""The merchant's account: balance, prices and stock."""

from __future__ import annotations

from typing import Any

from sandbox.esim_access.catalogue import Plan, find, find_top_up
from sandbox.esim_access.errors import ApiError
from sandbox.store import Store

STARTING_BALANCE = 50_000_000


class Account:
    """Money in USD x 10,000; callers hold the store's lock around a check and the change that rests on it."""

    def __init__(self, store: Store) -> None:
        self._kept = store.collection("esim_access.account")

    @property
    def balance(self) -> int:
        """Return what is left to spend."""
        return int(self._kept_value("balance", STARTING_BALANCE))

    def set_balance(self, balance: int) -> None:
        """Make `balance` what is left to spend."""
        self._keep("balance", balance)

    def debit(self, amount: int) -> None:
        """Take `amount`; raises ApiError 200007 when the balance is too low."""
        if amount > self.balance:
            raise ApiError("200007", "The account balance is insufficient")
        self.set_balance(self.balance - amount)

    def price(self, plan: Plan, *, top_up: bool) -> int:
        """Return today's price of `plan`, or of its top-up."""
        prices = self._kept_value("prices", {})
        price = prices.get(plan.code, plan.price)
        return int(prices.get(plan.top_up_code, price) if top_up else price)

    def set_price(self, package_code: str, price: int | None) -> None:
        """Change the price of a package (a plan's also changes its top-up's); None restores the price list's."""
        plan = find(package_code)
        top_up = find_top_up(package_code)
        if plan is None and top_up is None:
            raise ValueError(f"no package {package_code}")
        code = plan.code if plan is not None else package_code
        self._keep("prices", _with(self._kept_value("prices", {}), code, price))

    def stock(self, plan: Plan) -> int | None:
        """Return how many eSIMs of `plan` are left; None means enough."""
        if plan.code == "SIM-FAIL-STOCK":
            return 0
        left: int | None = self._kept_value("stock", {}).get(plan.code)
        return left

    def set_stock(self, package_code: str, stock: int | None) -> None:
        """Limit how many eSIMs of a plan are left; None lifts the limit."""
        plan = find(package_code)
        if plan is None:
            raise ValueError(f"no package {package_code}")
        self._keep("stock", _with(self._kept_value("stock", {}), plan.code, stock))

    def take(self, plan: Plan, count: int) -> None:
        """Take `count` eSIMs out of stock; raises ApiError 200011 when there are not that many."""
        left = self.stock(plan)
        if left is None:
            return
        if left < count:
            raise ApiError("200011", "Not enough profiles are left")
        self.set_stock(plan.code, left - count)

    def _kept_value(self, name: str, default: Any) -> Any:
        document = self._kept.get(name)
        return default if document is None else document["value"]

    def _keep(self, name: str, value: Any) -> None:
        self._kept.put(name, {"value": value})


def _with(values: dict[str, int], name: str, value: int | None) -> dict[str, int]:
    rest = {key: kept for key, kept in values.items() if key != name}
    return rest if value is None else rest | {name: value}
