"""A clock that a person or a test can push forward."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sandbox.store import Collection


class Clock:
    """Time inside one stand-in: the machine's time plus what was skipped.

    A stand-in computes with `now()` and prints with `shown()`. A client whose own clock was not moved then sees
    every stored date slip into the past by what was skipped, exactly as if that time had gone by.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._followed: Callable[[], datetime] | None = None

    def follow(self, client: Callable[[], datetime] | None) -> None:
        """Go by the client's own clock from now on, so that moving that one moves both; None: by the machine's."""
        self._followed = client

    @property
    def skipped(self) -> timedelta:
        """Return how much time has been skipped so far."""
        document = self._collection.get("clock")
        return timedelta(seconds=document["skipped_seconds"] if document else 0)

    def now(self) -> datetime:
        """Return the stand-in's time, in UTC."""
        moment = self._followed() if self._followed is not None else datetime.now(UTC)
        return moment + self.skipped

    def shown(self, moment: datetime) -> datetime:
        """Return the stand-in's `moment` as a client with an unmoved clock must read it."""
        return moment - self.skipped

    def advance(self, delta: timedelta) -> None:
        """Skip `delta`; raises ValueError when it is negative, because time does not run backwards."""
        if delta < timedelta(0):
            raise ValueError("time does not run backwards")
        self._collection.put("clock", {"skipped_seconds": (self.skipped + delta).total_seconds()})
