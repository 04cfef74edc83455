"""Work under a lease: once it is over somebody else may be at it, so whoever held it writes and sends nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from services.shop import Shop


class LeaseOver(Exception):
    """This process was away for too long, as on a machine that was suspended; whoever comes next goes on."""


@dataclass(frozen=True, kw_only=True)
class LeasedShop(Shop):
    """The shop's tools for as long as a lease lasts; `lease_until` is in UTC."""

    lease_until: datetime

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Run the block as `Shop.transaction` does; raises LeaseOver instead once the lease is over."""
        if self.clock.now() >= self.lease_until:
            raise LeaseOver
        with super().transaction() as session:
            yield session
