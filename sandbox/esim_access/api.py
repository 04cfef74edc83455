"""The endpoints of the API: from a request's JSON to the `obj` of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sandbox.esim_access import catalogue, wire
from sandbox.esim_access import esim as life
from sandbox.esim_access.catalogue import Plan
from sandbox.esim_access.errors import ApiError, NoAnswerError, not_allowed
from sandbox.esim_access.esim import Esim, Happening
from sandbox.esim_access.orders import Line, Orders
from sandbox.esim_access.webhooks import Webhooks
from sandbox.esim_access.world import World
from sandbox.store import Document

MAXIMUM_BATCH = 30
MAXIMUM_USAGE_IDS = 10


@dataclass(frozen=True)
class Answer:
    """The `obj` of an answer; `executed` tells that something changed, `replayed` that it had changed before."""

    obj: object
    executed: bool = False
    replayed: bool = False


class Api:
    """Every endpoint as a function of the request's JSON; each raises ApiError for what it refuses."""

    def __init__(self, world: World, orders: Orders, webhooks: Webhooks) -> None:
        self._world = world
        self._orders = orders
        self._webhooks = webhooks
        self.endpoints: dict[str, Callable[[Document], Answer]] = {
            "/package/list": self._package_list,
            "/location/list": lambda _: Answer({"locationList": catalogue.locations_json()}),
            "/balance/query": self._balance,
            "/esim/order": self._order,
            "/esim/query": self._query,
            "/esim/topup": self._top_up,
            "/esim/cancel": self._cancel,
            "/esim/suspend": lambda body: self._change(body, life.suspend),
            "/esim/unsuspend": lambda body: self._change(body, life.unsuspend),
            "/esim/revoke": lambda body: self._change(body, life.revoke),
            "/esim/usage/query": self._usage,
            "/esim/sendSms": self._send_sms,
            "/webhook/save": self._save_webhook,
            "/webhook/query": lambda _: Answer({"webhook": self._webhooks.url}),
        }

    @property
    def _printer(self) -> wire.Printer:
        return wire.Printer(self._world.clock, self._world.variants.time_format)

    def _package_list(self, body: Document) -> Answer:
        kind = wire.text(body, "type") or "BASE"
        if kind not in {"BASE", "TOPUP"}:
            raise ApiError("200008", "type is BASE or TOPUP")
        top_up = kind == "TOPUP"
        plans = self._top_up_plans(body) if top_up else self._base_plans(body)
        location = wire.text(body, "locationCode")
        account = self._world.account
        packages = [
            catalogue.package_json(plan, account.price(plan, top_up=top_up), top_up=top_up)
            for plan in plans
            if catalogue.matches_location(plan, location)
        ]
        return Answer({"packageList": packages})

    def _base_plans(self, body: Document) -> list[Plan]:
        code = wire.text(body, "packageCode") or wire.text(body, "slug")
        if code:
            plan = catalogue.find(code)
            return [plan] if plan is not None else []
        listed = self._world.variants.list_hidden
        return [plan for plan in catalogue.PLANS if listed or not plan.hidden]

    def _top_up_plans(self, body: Document) -> list[Plan]:
        iccid = wire.text(body, "iccid")
        if iccid:
            return self._top_ups_of(iccid)
        code = wire.text(body, "packageCode") or wire.text(body, "slug")
        if code:
            plan = catalogue.find(code) or catalogue.find_top_up(code)
            return catalogue.top_ups_for(plan) if plan is not None else []
        return [plan for plan in catalogue.PLANS if plan.rechargeable]

    def _top_ups_of(self, iccid: str) -> list[Plan]:
        holders = [esim for esim in self._world.by_iccid(iccid) if self._orders.is_visible(esim)]
        if not holders or holders[-1].esim_status not in life.LIVING or not holders[-1].rechargeable:
            return []
        base = catalogue.find(holders[-1].package_code)
        return catalogue.top_ups_for(base) if base is not None else []

    def _balance(self, _: Document) -> Answer:
        now = self._printer.moment(self._world.clock.now())
        return Answer({"balance": self._world.account.balance, "lastUpdateTime": now})

    def _order(self, body: Document) -> Answer:
        transaction_id = wire.transaction_id(body)
        lines = _lines(body)
        order, made = self._orders.place(transaction_id, lines, wire.number(body, "amount"))
        if made and any(line.plan.code == "SIM-FAIL-TIMEOUT" for line in lines):
            raise NoAnswerError
        obj = {"orderNo": order["orderNo"], "transactionId": order["transactionId"]}
        return Answer(obj, executed=made, replayed=not made)

    def _query(self, body: Document) -> Answer:
        pager = body.get("pager")
        if not isinstance(pager, dict):
            raise ApiError("000105", "The parameter pager is missing")
        size = wire.within(wire.number(pager, "pageSize"), "pageSize", 5, 500)
        page = wire.within(wire.number(pager, "pageNum"), "pageNum", 1, 10_000)
        found = self._found(body)
        shown = found[(page - 1) * size : page * size]
        obj = {
            "esimList": [self._printer.esim(esim) for esim in shown],
            "pager": {"pageSize": size, "pageNum": page, "total": len(found)},
        }
        return Answer(obj)

    def _found(self, body: Document) -> list[Esim]:
        world = self._world
        order_no, number = wire.text(body, "orderNo"), wire.text(body, "esimTranNo")
        iccid = wire.text(body, "iccid")
        if order_no:
            return [world.esim(each) for each in self._orders.poll(order_no)["esims"]]
        if number:
            esim = world.esim(number)
            self._orders.poll(esim.order_no)
            return [esim]
        if iccid:
            holders = [esim for esim in world.by_iccid(iccid) if self._orders.is_visible(esim)]
            if not holders:
                raise ApiError("310403", "No eSIM has this ICCID")
            return holders
        start, end = self._range(body)
        ordered = [esim for esim in world.esims() if start <= esim.ordered_at <= end]
        return [esim for esim in ordered if self._orders.is_visible(esim)]

    def _range(self, body: Document) -> tuple[datetime, datetime]:
        moments = []
        for name in ("startTime", "endTime"):
            value = wire.text(body, name)
            if not value:
                raise ApiError("000105", "One of orderNo, iccid, esimTranNo, startTime with endTime is required")
            moments.append(wire.client_moment(value, name, self._world.clock))
        return moments[0], moments[1]

    def _top_up(self, body: Document) -> Answer:
        transaction_id = wire.transaction_id(body)
        code = wire.text(body, "packageCode", required=True)
        number = self._visible(body).esim_tran_no
        esim, made = self._orders.top_up(transaction_id, number, code, wire.number(body, "amount"))
        obj = {
            "transactionId": transaction_id,
            "iccid": esim.iccid,
            "expiredTime": self._printer.moment(esim.expires_at),
            "totalVolume": esim.total_volume,
            "totalDuration": esim.total_days,
            "orderUsage": esim.reported_usage,
        }
        return Answer(obj, executed=made, replayed=not made)

    def _cancel(self, body: Document) -> Answer:
        with self._world.store.lock:
            answer = self._change(body, life.cancel)
            account = self._world.account
            account.set_balance(account.balance + self._visible(body).paid)
        return answer

    def _change(self, body: Document, rule: Callable[[Esim], list[Happening]]) -> Answer:
        number = self._visible(body).esim_tran_no
        self._world.change(number, lambda esim, _: rule(esim))
        return Answer({}, executed=True)

    def _visible(self, body: Document) -> Esim:
        esim = self._world.named(wire.text(body, "esimTranNo"), wire.text(body, "iccid"))
        self._orders.poll(esim.order_no)
        return esim

    def _usage(self, body: Document) -> Answer:
        numbers = body.get("esimTranNoList")
        if not isinstance(numbers, list) or not numbers:
            raise ApiError("000105", "The parameter esimTranNoList is missing")
        if len(numbers) > MAXIMUM_USAGE_IDS:
            raise ApiError("000107", f"esimTranNoList has more than {MAXIMUM_USAGE_IDS} entries")
        usages = []
        for number in numbers:
            try:
                usages.append(self._printer.usage(self._visible({"esimTranNo": number})))
            except ApiError:
                continue  # Nothing to say about an eSIM that is not there is not an error.
        as_list = self._world.variants.usage_shape == "list"
        return Answer(usages if as_list else {"esimUsageList": usages})

    def _send_sms(self, body: Document) -> Answer:
        self._visible(body)
        raise not_allowed("the eSIM is for data only")

    def _save_webhook(self, body: Document) -> Answer:
        url = wire.text(body, "webhook") or wire.text(body, "webhookUrl", required=True)
        if not url.startswith(("http://", "https://")):
            raise ApiError("200008", "The webhook address must begin with http:// or https://")
        self._webhooks.save(url)
        return Answer({}, executed=True)


def _lines(body: Document) -> list[Line]:
    given = body.get("packageInfoList")
    if not isinstance(given, list) or not given or not all(isinstance(line, dict) for line in given):
        raise ApiError("200008", "packageInfoList must be a list with at least one package")
    lines = []
    for line in given:
        code = wire.text(line, "packageCode", required=True)
        plan = catalogue.find(code)
        if plan is None:
            raise ApiError("310241", f"The package code {code} is unknown")
        count = wire.within(wire.number(line, "count"), "count", 1, MAXIMUM_BATCH)
        days = wire.number(line, "periodNum")
        days = wire.within(1 if days is None else days, "periodNum", 1, catalogue.MAXIMUM_DAILY_PERIOD)
        lines.append(Line(plan, count, wire.number(line, "price"), days))
    if sum(line.count for line in lines) > MAXIMUM_BATCH:
        raise ApiError("200008", f"More than {MAXIMUM_BATCH} eSIMs in one order")
    return lines
