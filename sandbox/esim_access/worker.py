"""A thread that does things later, one after the other."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

Job = Callable[[], None]


class Worker:
    """Runs scheduled jobs in one background thread; before `start` and after `stop` nothing runs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._jobs: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._busy = False
        self._running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; jobs scheduled earlier run as soon as they are due."""
        self._running = True
        self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Forget what has not begun and wait up to ten seconds for what has."""
        with self._changed:
            self._running = False
            self._jobs.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None

    def schedule(self, delay: float, job: Job) -> None:
        """Run `job` in the thread after `delay` seconds; jobs due together run in the order of scheduling."""
        with self._changed:
            heapq.heappush(self._jobs, (time.monotonic() + delay, next(self._numbers), job))
            self._changed.notify_all()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing is scheduled or running; returns False when `timeout` seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and not self._busy, timeout)

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            while self._running:
                wait = self._jobs[0][0] - time.monotonic() if self._jobs else None
                if wait is not None and wait <= 0:
                    self._busy = True
                    return heapq.heappop(self._jobs)[2]
                self._changed.wait(wait)
            return None
