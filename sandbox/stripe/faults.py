"""Faults on the way to the API: chosen ones for the next requests, or random ones with a seed."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

KINDS = ("status", "drop_before", "drop_after", "slow", "bad_json")
_DEFAULT_EXECUTED = {"drop_after": True, "bad_json": True}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    `method` is an HTTP method or `*`, `path` a shell pattern such as `/v1/refunds*`; `count` is how many requests it
    meets (None: all) after `skip` matching ones were let through. `executed` says whether the request has its effect:
    for `slow` whether it has it before the wait of `seconds` instead of after, None being the kind's own way. `saved`
    keeps a `status` answer under the request's idempotency key, as Stripe does with a 500 once execution began.
    `should_retry` sets the header `Stripe-Should-Retry`. With a `probability` below 1, drawn from `seed`, only some of
    the matching requests meet it.
    """

    kind: str
    method: str = "*"
    path: str = "/v1/*"
    count: int | None = 1
    skip: int = 0
    status: int = 500
    seconds: float = 1.0
    executed: bool | None = None
    saved: bool = False
    should_retry: bool | None = None
    probability: float = 1.0
    seed: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault: {self.kind}; there are {', '.join(KINDS)}")
        if self.count is not None and self.count < 1:
            raise ValueError("count must be at least 1")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability must be between 0 and 1")

    @property
    def name(self) -> str:
        """Return what went wrong, as the log says it."""
        return f"status {self.status}" if self.kind == "status" else self.kind

    @property
    def executes(self) -> bool:
        """Return whether the request has its effect although it is answered wrongly or late."""
        return _DEFAULT_EXECUTED.get(self.kind, False) if self.executed is None else self.executed

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault is for this request."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)


@dataclass(frozen=True, kw_only=True)
class Chaos:
    """Random faults: each request matching `method` and `path` meets one of `kinds` with `probability`."""

    probability: float
    seed: int = 0
    kinds: Sequence[str] = ("500", "503", "429", "409", "drop_before", "drop_after")
    method: str = "*"
    path: str = "/v1/*"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError("probability must be between 0 and 1")
        for kind in self.kinds:
            fault_of(kind)


def fault_of(kind: str, **fields: Any) -> Fault:
    """Return a fault of a kind that may also be written as a status: "503"; raises ValueError for an unknown one."""
    return Fault(kind="status", status=int(kind), **fields) if kind.isdigit() else Fault(kind=kind, **fields)


class Faults:
    """The faults that wait for requests; the oldest that matches is met first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: list[Fault] = []
        self._draws: dict[int, random.Random] = {}
        self._met: Counter[str] = Counter()
        self._chaos: Chaos | None = None
        self._random = random.Random(0)  # noqa: S311  # faults to test with, not secrets

    def add(self, fault: Fault) -> int:
        """Let `fault` wait for its requests and return its number."""
        with self._lock:
            numbered = replace(fault, number=next(self._numbers))
            self._waiting.append(numbered)
            self._draws[numbered.number] = random.Random(fault.seed)  # noqa: S311  # as above
        return numbered.number

    def remove(self, number: int) -> bool:
        """Take a fault back; return whether it was still waiting."""
        with self._lock:
            before = len(self._waiting)
            self._waiting = [fault for fault in self._waiting if fault.number != number]
            return len(self._waiting) < before

    def set_chaos(self, chaos: Chaos | None) -> None:
        """Begin random faults anew from their seed, or end them."""
        with self._lock:
            self._chaos = chaos
            self._random = random.Random(chaos.seed if chaos else 0)  # noqa: S311  # as above

    def clear(self) -> None:
        """Take all faults back and end random ones."""
        self.set_chaos(None)
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> dict[str, Any]:
        """Return what waits, as JSON values."""
        with self._lock:
            return {
                "faults": [asdict(fault) for fault in self._waiting],
                "chaos": {**asdict(self._chaos), "kinds": list(self._chaos.kinds)} if self._chaos else None,
            }

    def met(self) -> dict[str, int]:
        """Return how many requests have met a fault of each name, with an effect ("executed") and without."""
        with self._lock:
            return dict(self._met)

    def forget(self) -> None:
        """Take everything back and begin to count anew."""
        self.clear()
        with self._lock:
            self._met.clear()

    def next_for(self, method: str, path: str) -> Fault | None:
        """Return what goes wrong with this request, and count it."""
        with self._lock:
            fault = self._waiting_fault(method, path) or self._random_fault(method, path)
            if fault is not None:
                self._met[f"{fault.name}, executed" if fault.executes else fault.name] += 1
            return fault

    def _waiting_fault(self, method: str, path: str) -> Fault | None:
        for index, fault in enumerate(self._waiting):
            if not fault.matches(method, path):
                continue
            if fault.skip:
                self._waiting[index] = replace(fault, skip=fault.skip - 1)
                continue
            if fault.probability < 1 and self._draws[fault.number].random() >= fault.probability:
                continue
            if fault.count == 1:
                del self._waiting[index]
            elif fault.count is not None:
                self._waiting[index] = replace(fault, count=fault.count - 1)
            return fault
        return None

    def _random_fault(self, method: str, path: str) -> Fault | None:
        chaos = self._chaos
        if chaos is None or not Fault(kind="status", method=chaos.method, path=chaos.path).matches(method, path):
            return None
        if self._random.random() >= chaos.probability:
            return None
        return fault_of(self._random.choice(list(chaos.kinds)))
