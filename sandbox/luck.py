"""What becomes of a webhook by chance: lost, sent twice, or late, drawn from a seed."""

from __future__ import annotations

import random
import threading


class Luck:
    """Draws the fate of one message after the other; the same seed draws the same fates.

    Of all messages a share `dropped` is never sent and a share `doubled` is sent twice. Each copy that is sent is late
    with probability `delayed`, by up to `seconds`, so that later messages overtake it.
    """

    def __init__(
        self, *, doubled: float = 0, dropped: float = 0, delayed: float = 0, seconds: float = 5, seed: int = 0
    ) -> None:
        if min(doubled, dropped, delayed, seconds) < 0 or doubled + dropped > 1 or delayed > 1:
            raise ValueError("doubled, dropped and delayed are shares of 1, seconds are not negative")
        self._doubled, self._dropped = doubled, dropped
        self._delayed, self._seconds = delayed, seconds
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - chaos that can be repeated, not a secret

    def draw(self) -> list[float]:
        """Return after how many seconds each copy of the next message is sent; none at all for a lost one."""
        with self._lock:
            chance = self._random.random()
            if chance < self._dropped:
                return []
            copies = 2 if chance < self._dropped + self._doubled else 1
            return [self._delay() for _ in range(copies)]

    def _delay(self) -> float:
        return self._random.uniform(0, self._seconds) if self._random.random() < self._delayed else 0.0
