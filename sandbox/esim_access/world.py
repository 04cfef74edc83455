"""Everything eSIM Access knows: the eSIMs it sold, to whom a number belongs, what happened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sandbox.clock import Clock
from sandbox.esim_access import esim as life
from sandbox.esim_access import variants
from sandbox.esim_access.account import Account
from sandbox.esim_access.errors import ApiError
from sandbox.esim_access.esim import Esim, Happening
from sandbox.esim_access.journal import Journal
from sandbox.store import Store

Told = Callable[[Happening], None]
_COLLECTIONS = ("esims", "orders", "transactions", "pending", "iccids", "account", "settings", "executions", "clock")


class World:
    """The eSIMs of one stand-in, kept in `store`; every change is told to `tell` after it was kept."""

    def __init__(self, store: Store, tell: Told) -> None:
        self.store = store
        self.clock = Clock(store.collection("esim_access.clock"))
        self.account = Account(store)
        self.journal = Journal(store)
        self.settings = store.collection("esim_access.settings")
        self._esims = store.collection("esim_access.esims")
        self._iccids = store.collection("esim_access.iccids")
        self._tell = tell

    @property
    def variants(self) -> variants.Variants:
        """Return the switches as they are set now."""
        return variants.load(self.settings)

    def esims(self) -> list[Esim]:
        """Return every eSIM ever ordered, oldest first, as it is now."""
        with self.store.lock:
            return [self.settled(Esim.from_document(document)) for document in self._esims.all()]

    def esim(self, esim_tran_no: str) -> Esim:
        """Return one eSIM as it is now; raises ApiError 310272 when there is none."""
        with self.store.lock:
            document = self._esims.get(esim_tran_no)
            if document is None:
                raise ApiError("310272", "No such eSIM")
            return self.settled(Esim.from_document(document))

    def by_iccid(self, iccid: str) -> list[Esim]:
        """Return the eSIMs that carry or carried this number, oldest first: numbers are reused."""
        with self.store.lock:
            return [self.esim(number) for number in (self._iccids.get(iccid) or {"holders": []})["holders"]]

    def named(self, esim_tran_no: str, iccid: str) -> Esim:
        """Return the eSIM with this number, or else the latest holder of `iccid`; raises ApiError for none."""
        if esim_tran_no:
            return self.esim(esim_tran_no)
        if not iccid:
            raise ApiError("000105", "esimTranNo is missing")
        holders = self.by_iccid(iccid)
        if not holders:
            raise ApiError("310403", "No eSIM has this ICCID")
        return holders[-1]

    def keep(self, esim: Esim, happenings: list[Happening]) -> Esim:
        """Keep `esim` and tell what happened to it."""
        with self.store.lock:
            if not self.variants.stale_usage:
                life.report_usage(esim, self.clock.now())
            self._esims.put(esim.esim_tran_no, esim.to_document())
            for happening in happenings:
                self._tell(happening)
            return esim

    def change(self, esim_tran_no: str, rule: Callable[[Esim, datetime], list[Happening]]) -> Esim:
        """Apply a rule of life to one eSIM, keep it, tell what happened; ApiError from the rule changes nothing."""
        with self.store.lock:
            esim = self.esim(esim_tran_no)
            return self.keep(esim, rule(esim, self.clock.now()))

    def settled(self, esim: Esim) -> Esim:
        """Return `esim` after what time did to it, telling it the first time it is noticed."""
        happenings = life.settle(esim, self.clock.now())
        return self.keep(esim, happenings) if happenings else esim

    def advance(self, delta: timedelta) -> None:
        """Skip `delta` and let every eSIM notice."""
        with self.store.lock:
            self.clock.advance(delta)
            self.esims()

    def refresh_usage(self) -> None:
        """Make the usage figures that the API prints exact, also while they are stale by variant."""
        with self.store.lock:
            for esim in self.esims():
                life.report_usage(esim, self.clock.now())
                self._esims.put(esim.esim_tran_no, esim.to_document())

    def hold_iccid(self, esim: Esim) -> None:
        """Note that `esim` is now the holder of its ICCID."""
        holders = (self._iccids.get(esim.iccid) or {"holders": []})["holders"]
        self._iccids.put(esim.iccid, {"holders": [*holders, esim.esim_tran_no]})

    def next_iccid(self) -> str:
        """Return the number for the next profile: a new one, unless a number waits to be reused."""
        waiting = self.settings.get("iccid_to_reuse")
        if waiting is not None:
            self.settings.remove("iccid_to_reuse")
            return str(waiting["iccid"])
        return life.iccid(self.next_number("iccid"))

    def reuse_iccid(self, earlier: str, later: str | None) -> None:
        """Give the ICCID of the eSIM `earlier` to the eSIM `later`, or to the next one that is ordered."""
        with self.store.lock:
            iccid = self.esim(earlier).iccid
            if later is None:
                self.settings.put("iccid_to_reuse", {"iccid": iccid})
                return
            esim = self.esim(later)
            esim.iccid = iccid
            self.keep(esim, [])
            self.hold_iccid(esim)

    def next_number(self, series: str) -> int:
        """Return 1, 2, 3 ... for each `series`, remembered over restarts."""
        with self.store.lock:
            number = (self.settings.get(f"number.{series}") or {"last": 0})["last"] + 1
            self.settings.put(f"number.{series}", {"last": number})
            return int(number)

    def reset(self) -> None:
        """Forget everything: eSIMs, orders, money, switches, time skipped, requests."""
        with self.store.lock:
            for name in _COLLECTIONS:
                collection = self.store.collection(f"esim_access.{name}")
                for key in list(self.store._read(collection.name)):
                    collection.remove(key)
            self.journal.clear()
