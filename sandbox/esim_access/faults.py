"""What can go wrong between a client and the API, on demand or at random."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field

from sandbox.store import Document

KINDS = frozenset(
    {
        "timeout_before",
        "timeout_after_commit",
        "500",
        "500_after_commit",
        "429",
        "bad_json",
        "bad_json_after_commit",
        "slow",
    }
)


@dataclass(kw_only=True)
class Fault:
    """One rule: `count` None means until cleared; `probability` is per matching request, drawn from `seed`."""

    path: str
    kind: str
    count: int | None = 1
    seconds: float = 0.0
    probability: float = 1.0
    seed: int = 0
    draws: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS and not (self.kind.startswith("error:") and self.kind[6:]):
            raise ValueError(f"unknown kind of fault {self.kind}")
        if not 0 <= self.probability <= 1 or self.seconds < 0:
            raise ValueError("probability is between 0 and 1, seconds are not negative")
        self.draws = random.Random(self.seed)  # noqa: S311 - chaos that can be repeated, not a secret

    @property
    def executes(self) -> bool:
        """Tell whether the request is carried out although its answer is spoiled."""
        return self.kind.endswith("_after_commit") or self.kind == "slow"


class Faults:
    """The rules that are switched on; the first that matches a request is used."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._met: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Switch `fault` on, behind those already on."""
        with self._lock:
            self._rules.append(fault)

    def clear(self) -> None:
        """Switch everything off."""
        with self._lock:
            self._rules.clear()

    def forget(self) -> None:
        """Switch everything off and begin to count anew."""
        with self._lock:
            self._rules.clear()
            self._met.clear()

    def met(self) -> dict[str, int]:
        """Return how many requests have met a fault of each kind."""
        with self._lock:
            return dict(self._met)

    def listed(self) -> list[Document]:
        """Return the rules still on."""
        with self._lock:
            rules = [{name: value for name, value in vars(rule).items() if name != "draws"} for rule in self._rules]
        return rules

    def take(self, path: str) -> Fault | None:
        """Return the fault for a request to `path` ("/esim/order"; a rule's "*" matches all), using it up."""
        with self._lock:
            for rule in self._rules:
                if rule.path not in {path, "*"} or rule.draws.random() >= rule.probability:
                    continue
                if rule.count is not None:
                    rule.count -= 1
                    if rule.count <= 0:
                        self._rules.remove(rule)
                self._met[rule.kind] += 1
                return rule
            return None
