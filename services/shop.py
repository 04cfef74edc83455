"""The shop's tools in one bundle, built once by the factory and handed to every service that needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.orm import Session

from config import Settings
from models import db
from services.clock import Clock
from services.database import writing
from services.failpoints import failpoint
from services.mail.transport import Transport
from services.payments import PaymentGateway
from services.suppliers import Supplier

log = logging.getLogger(__name__)

Knocker = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What a service needs to do its work; knows nothing of a web request."""

    settings: Settings
    clock: Clock
    gateway: PaymentGateway
    supplier: Supplier
    transport: Transport
    knocker: Knocker

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Run the block in one writing transaction; after its commit, deliver the knocks made inside it."""
        session: Session = db.session()
        session.info["knocks"] = []
        with writing(session):
            yield session
        failpoint("transaction.committed")
        for task, row_id in session.info.pop("knocks", []):
            self._deliver(task, row_id)

    def knock(self, task: str, row_id: int) -> None:
        """Ask the worker to look at a row as soon as the surrounding transaction has committed.

        A knock may be lost: the row says what is to be done, and a sweep finds it.
        """
        db.session().info["knocks"].append((task, row_id))

    def _deliver(self, task: str, row_id: int) -> None:
        try:
            self.knocker(task, row_id)
        except Exception:
            # The queue may be down; the sweep comes by within a minute, and the buyer must not see an error.
            log.exception("knock lost: %s %s", task, row_id)
