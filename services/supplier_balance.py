"""What is left on our account at the supplier: asked when staff looks, and remembered for a few minutes."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from models import db
from services.shop import Shop
from services.suppliers import SupplierError

log = logging.getLogger(__name__)

FRESH_FOR = timedelta(minutes=5)
# How long a supplier that did not answer is left alone.
PAUSE = timedelta(minutes=1)


@dataclass(frozen=True)
class Balance:
    """What the supplier last said at `as_of` (UTC), in ten-thousandths of a US dollar; both None when it never has.

    `silent` tells that it was asked since, and did not answer.
    """

    amount: int | None = None
    as_of: datetime | None = None
    silent: bool = False


class BalanceWatch:
    """Asks for the balance at most once in FRESH_FOR, for all threads of a process."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._asked_at: datetime | None = None
        self._known = Balance()

    def look(self, shop: Shop) -> Balance:
        """Return the balance, asked now unless it is fresh or somebody else is asking; never raises.

        Ends the transaction that is under way, because the supplier may take its time.
        """
        if not self._is_due(shop.clock.now()) or not self._asking.acquire(blocking=False):
            return self._known
        try:
            if self._is_due(shop.clock.now()):
                db.session.commit()
                self._known = self._ask(shop)
                self._asked_at = shop.clock.now()
        finally:
            self._asking.release()
        return self._known

    def _is_due(self, now: datetime) -> bool:
        return self._asked_at is None or now - self._asked_at >= (PAUSE if self._known.silent else FRESH_FOR)

    def _ask(self, shop: Shop) -> Balance:
        try:
            return Balance(shop.supplier.balance(), shop.clock.now())
        except SupplierError as error:
            log.warning("the balance at the supplier is unknown: %s %s", type(error).__name__, error.code)
            return Balance(self._known.amount, self._known.as_of, silent=True)
