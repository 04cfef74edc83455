"""What reconciling found and did."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from models import db
from services.database_faults import Fault, fault_of
from services.payments import PaymentError
from services.suppliers import SupplierError

log = logging.getLogger(__name__)


@dataclass
class Report:
    """What reconciling found and did: how often each outcome, and what could not be looked up."""

    outcomes: dict[str, int] = field(default_factory=dict)
    unknown_sessions: list[str] = field(default_factory=list)
    errors: int = 0

    def count(self, outcome: str) -> None:
        """Add one to an outcome."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    @contextmanager
    def looking_at(self, what: str) -> Iterator[None]:
        """Note when something cannot be looked up, and go on: one row must not keep all others from being found.

        A database that is away does: it would be away for all of them.
        """
        try:
            yield
        except (PaymentError, SupplierError) as error:
            log.warning("%s: %s", what, error)
            self.errors += 1
        except Exception as error:
            db.session.rollback()
            if fault_of(error) is Fault.UNREACHABLE:
                raise
            log.exception("%s could not be reconciled", what)
            self.errors += 1
