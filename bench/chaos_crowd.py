"""Many people and a few hands: whoever waits for something lets somebody else go on."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass, field

from bench.chaos_browser import GaveUp, Steps


@dataclass
class Intent:
    """One thing that one person means to have once, whatever happens; `order` is the shop's number for it.

    `paid` is whether this person has seen Stripe accept a card for it.
    """

    email: str
    kind: str
    order: str = ""
    paid: bool = False
    # How often the shop offered a payment page to somebody who had paid already.
    asked_again: int = 0


class Ledger:
    """What everybody meant to buy, written down by themselves and not by the shop."""

    def __init__(self) -> None:
        self.intents: list[Intent] = []
        self._lock = threading.Lock()

    def add(self, email: str, kind: str) -> Intent:
        """Write down that somebody begins to buy something."""
        intent = Intent(email, kind)
        with self._lock:
            self.intents.append(intent)
        return intent


@dataclass(order=True)
class _Person:
    due: float
    number: int
    name: str = field(compare=False)
    steps: Steps[None] = field(compare=False)


class Crowd:
    """People who come one after the other as soon as a hand is free, each going on when their time has come."""

    def __init__(self, hands: int) -> None:
        self._changed = threading.Condition()
        self._door: deque[tuple[str, Steps[None]]] = deque()
        self._waiting: list[_Person] = []
        self._numbers = itertools.count()
        self._busy = 0
        self._stopping = False
        self.came = self.left = 0
        # Those who could not go on: a name and what they ran into.
        self.stuck: list[tuple[str, str]] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(hands)]

    def admit(self, name: str, steps: Steps[None]) -> None:
        """Let somebody come when there is time for a new one."""
        with self._changed:
            self._door.append((name, steps))
            self._changed.notify()

    def join(self, name: str, steps: Steps[None]) -> None:
        """Let somebody go on at once, who comes with a person that is there already."""
        with self._changed:
            self.came += 1
            self._wait(name, steps, 0)

    def start(self) -> None:
        """Open the door."""
        for thread in self._threads:
            thread.start()

    def is_gone(self) -> bool:
        """Return whether everybody who came has left."""
        with self._changed:
            return not self._door and not self._waiting and not self._busy

    def stop(self) -> None:
        """Send everybody home."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _wait(self, name: str, steps: Steps[None], seconds: float) -> None:
        heapq.heappush(self._waiting, _Person(time.monotonic() + seconds, next(self._numbers), name, steps))
        self._changed.notify()

    def _work(self) -> None:
        while (person := self._next()) is not None:
            name, steps = person
            seconds = self._go_on(name, steps)
            with self._changed:
                self._busy -= 1
                if seconds is None:
                    self.left += 1
                else:
                    self._wait(name, steps, seconds)

    def _go_on(self, name: str, steps: Steps[None]) -> float | None:
        """Let somebody take the next step; return for how many seconds they wait then, None when they leave."""
        try:
            return next(steps)
        except StopIteration:
            return None
        except GaveUp as error:
            self.stuck.append((name, f"gave up: {error}"))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.stuck.append((name, f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"))
        return None

    def _next(self) -> tuple[str, Steps[None]] | None:
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if self._waiting and self._waiting[0].due <= now:
                    self._busy += 1
                    person = heapq.heappop(self._waiting)
                    return person.name, person.steps
                if self._door:
                    self._busy += 1
                    self.came += 1
                    return self._door.popleft()
                self._changed.wait(self._waiting[0].due - now if self._waiting else None)
        return None
