"""The handle of the stand-in: what tests and people can make it do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Protocol

from flask import Blueprint

from sandbox.clock import Clock
from sandbox.esim_access import esim as life
from sandbox.esim_access import pages, variants
from sandbox.esim_access.api import Api
from sandbox.esim_access.control_routes import register_controls
from sandbox.esim_access.esim import Esim
from sandbox.esim_access.faults import Fault, Faults
from sandbox.esim_access.gateway import BASE_PATH, Gateway
from sandbox.esim_access.journal import Entry
from sandbox.esim_access.orders import Orders
from sandbox.esim_access.webhooks import Webhooks
from sandbox.esim_access.wire import Printer
from sandbox.esim_access.worker import Worker
from sandbox.esim_access.world import World
from sandbox.store import Document, Store


class Credentials(Protocol):
    """The part of the sandbox's settings that this stand-in needs."""

    @property
    def esim_access_code(self) -> str:
        """Return the access code that the API accepts."""

    @property
    def esim_access_secret(self) -> str:
        """Return the key that signatures are made with."""


class EsimAccessSandbox:
    """The eSIM Access stand-in: its API, its control API and its page for people.

    Every method below `url` is also a control over HTTP; the package's documentation lists them all.
    """

    def __init__(self, store: Store, settings: Credentials) -> None:
        self._world = World(store, lambda happening: self.webhooks.happened(happening))
        self._timer = Worker("sandbox-esim-access-allocation")
        self.webhooks = Webhooks(self._world)
        self.orders = Orders(self._world, self.webhooks.order_ready, self._timer.schedule)
        self.faults = Faults()
        api = Api(self._world, self.orders, self.webhooks)
        self._gateway = Gateway(self._world, api, self.faults, settings.esim_access_code, settings.esim_access_secret)
        self._address = ""

    def start(self, base_url: str) -> None:
        """Start the background threads; `base_url` is the address of the HTTP server that serves `blueprint`."""
        self._address = base_url
        self._gateway.stopping.clear()
        self._timer.start()
        self.webhooks.start()
        self.orders.reschedule()

    def stop(self) -> None:
        """Stop the background threads and let hanging requests go."""
        self._gateway.stopping.set()
        self._timer.stop()
        self.webhooks.stop()

    def blueprint(self) -> Blueprint:
        """Return the API under /api/v1/open, the controls under /_control/esim-access and the page /esims/."""
        blueprint = Blueprint("esim_access", __name__, root_path=pages.TEMPLATE_ROOT, template_folder="templates")
        self._gateway.register(blueprint)
        register_controls(blueprint, self)
        pages.register_pages(blueprint, self)
        return blueprint

    @property
    def url(self) -> str:
        """Return the base address of the API for the shop's settings, without a slash at its end."""
        return self._address + BASE_PATH

    @property
    def clock(self) -> Clock:
        """Return the stand-in's clock."""
        return self._world.clock

    def esims(self) -> list[Esim]:
        """Return every eSIM ever ordered, oldest first, also those not handed out yet."""
        return self._world.esims()

    def esim(self, esim_tran_no: str) -> Esim:
        """Return one eSIM as it is now; raises ApiError 310272 when there is none."""
        return self._world.esim(esim_tran_no)

    def is_visible(self, esim: Esim) -> bool:
        """Tell whether the eSIM's profile was handed out."""
        return self.orders.is_visible(esim)

    def install(self, esim_tran_no: str) -> Esim:
        """Download the profile to a phone; raises ApiError when its state does not allow it."""
        return self._world.change(esim_tran_no, lambda esim, _: life.install(esim))

    def connect(self, esim_tran_no: str) -> Esim:
        """Connect to a network, installing first if need be: the first time starts the validity."""
        return self._world.change(esim_tran_no, life.connect)

    def burn(self, esim_tran_no: str, bytes: int | None = None, percent: float | None = None) -> Esim:
        """Use data: `bytes`, or `percent` of the eSIM's total; connects first if need be and stops at zero."""
        if (bytes is None) == (percent is None):
            raise ValueError("say either bytes or percent")
        total = self.esim(esim_tran_no).total_volume
        volume = bytes if bytes is not None else round(total * (percent or 0) / 100)
        return self._world.change(esim_tran_no, lambda esim, now: life.burn(esim, volume, now))

    def delete_from_phone(self, esim_tran_no: str) -> Esim:
        """Remove the installed profile from its phone, for good."""
        return self._world.change(esim_tran_no, lambda esim, _: life.delete_from_phone(esim))

    def advance(self, days: float = 0, hours: float = 0) -> None:
        """Skip time: plans run out, and every date the API prints slips into the past."""
        self._world.advance(timedelta(days=days, hours=hours))

    def make_non_rechargeable(self, esim_tran_no: str) -> Esim:
        """Refuse top-ups of this eSIM from now on."""

        def rule(esim: Esim, _: object) -> list[life.Happening]:
            esim.rechargeable = False
            return []

        return self._world.change(esim_tran_no, rule)

    def reuse_iccid(self, earlier: str, later: str | None = None) -> None:
        """Give the ICCID of one eSIM (esimTranNo) to another one, or else to the next that is ordered."""
        self._world.reuse_iccid(earlier, later)

    def set_allocation(self, **changes: float | bool | None) -> None:
        """Change how profiles come: after `seconds` (None: never) and `polls` queries; `held`: none at all for now."""
        self.orders.set_allocation(**changes)

    def allocate(self) -> None:
        """Hand out every profile that is still waiting, now."""
        self.orders.allocate_now()

    @property
    def balance(self) -> int:
        """Return the merchant's balance in USD x 10,000."""
        return self._world.account.balance

    def set_balance(self, balance: int) -> None:
        """Make `balance` (USD x 10,000) the merchant's balance."""
        self._world.account.set_balance(balance)

    def set_stock(self, package_code: str, stock: int | None) -> None:
        """Limit the eSIMs left of a package; None lifts the limit."""
        self._world.account.set_stock(package_code, stock)

    def set_price(self, package_code: str, price: int | None) -> None:
        """Change a package's price (USD x 10,000); None restores the price list's."""
        self._world.account.set_price(package_code, price)

    @property
    def variants(self) -> variants.Variants:
        """Return the switches as they are set."""
        return self._world.variants

    def set_variants(self, **changes: Any) -> None:
        """Change switches; raises ValueError for an unknown name or value."""
        variants.change(self._world.settings, **changes)

    def refresh_usage(self) -> None:
        """Let the API print exact usage once, while the variant `stale_usage` freezes it."""
        self._world.refresh_usage()

    def fault(
        self,
        path: str,
        kind: str,
        count: int | None = 1,
        seconds: float = 0.0,
        probability: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Let requests to `path` fail; raises ValueError for an unknown kind."""
        fault = Fault(path=path, kind=kind, count=count, seconds=seconds, probability=probability, seed=seed)
        self.faults.add(fault)

    def log(self) -> list[Entry]:
        """Return the latest requests to the API, oldest first."""
        return self._world.journal.entries()

    def counters(self) -> Document:
        """Return how many purchases were really carried out, in all and per transactionId, and what faults were met."""
        return {**self._world.journal.counters(), "faults": self.faults.met()}

    def summary(self) -> Document:
        """Return the state of everything as JSON values, without activation codes."""
        printer = Printer(self.clock, self.variants.time_format)
        esims = []
        for esim in self.esims():
            shown = {name: value for name, value in printer.esim(esim).items() if name not in _SECRET}
            esims.append(shown | {"usage": esim.usage, "visible": self.is_visible(esim)})
        return {
            "esims": esims,
            "balance": self.balance,
            "skippedSeconds": self.clock.skipped.total_seconds(),
            "allocation": self.orders.allocation,
            "variants": vars(self.variants),
            "webhook": self.webhooks.url,
            "counters": self.counters(),
        }

    def send_unknown_order_webhook(self) -> None:
        """Tell the shop that an order is ready which nobody made."""
        content = {"orderNo": "B00000000000000", "transactionId": "unknown", "orderStatus": "GOT_RESOURCE"}
        self.webhooks.send("ORDER_STATUS", content)

    def reset(self) -> None:
        """Forget everything, also the webhook address, the faults and the time skipped."""
        self.faults.forget()
        self.webhooks.reset()
        self._world.reset()


_SECRET = frozenset({"ac", "qrCodeUrl", "shortUrl"})
