"""What a test and the processes of the shop have in common: a few files in INSTANCE, read anew each time.

They move every process's clock, kill a process at a failpoint, and tell what the worker is at.
"""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.failpoints import NAMES
from tests.clock import FakeClock

PASS, KILL, RAISE = "pass", "kill", "raise"


class Tripped(Exception):
    """Raised at a failpoint that a test has armed with `raising`."""


class Levers:
    """The files; each method says who calls it."""

    def __init__(self, instance: Path) -> None:
        self._clock = instance / "levers" / "clock"
        self._traps = instance / "levers" / "traps"
        self._dead = instance / "levers" / "dead"
        self._busy = instance / "levers" / "busy"
        self._done = instance / "levers" / "done"
        self._ready = instance / "levers" / "ready"
        for folder in (self._traps, self._dead, self._busy, self._done, self._ready):
            folder.mkdir(parents=True, exist_ok=True)

    def reset(self) -> None:
        """Put everything back, except for who is ready; called by tests, while nothing happens."""
        self._clock.unlink(missing_ok=True)
        for folder in (self._traps, self._dead, self._busy, self._done):
            for file in folder.iterdir():
                file.unlink(missing_ok=True)

    # The clock.

    def offset(self) -> timedelta:
        """Return how far the shop's clock is ahead of the machine's; called by everybody."""
        try:
            return timedelta(seconds=float(self._clock.read_text()))
        except FileNotFoundError:
            return timedelta()

    def set_offset(self, offset: timedelta) -> None:
        """Move the clock of every process; called by tests."""
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str(offset.total_seconds()))
        fresh.replace(self._clock)

    # Failpoints.

    def arm(self, name: str, *, at: int, raising: bool) -> None:
        """Let the process that is the `at`-th to reach a failpoint die there, or raise; called by tests."""
        assert name in NAMES, f"there is no failpoint {name}"
        for number in range(1, at + 1):
            action = PASS if number < at else RAISE if raising else KILL
            (self._traps / f"{name}.{number:03d}").write_text(action)

    def is_armed(self) -> bool:
        """Return whether a failpoint has not done yet what it was armed for; called by tests."""
        return any(self._traps.iterdir())

    def reached(self, name: str) -> None:
        """Do what a failpoint was armed for, once over all processes; called by the shop's processes."""
        for trap in sorted(self._traps.glob(f"{name}.*")):
            try:
                action = trap.read_text()
                # Whoever takes it away is the one who has stepped on it; a test that finds it gone finds who dies, too.
                if action == KILL:
                    trap.rename(self._dead / str(os.getpid()))
                else:
                    trap.unlink()
            except FileNotFoundError:
                continue
            if action == KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            if action == RAISE:
                raise Tripped(name)
            return

    def dead(self) -> list[int]:
        """Return the ids of the processes that a failpoint has killed, and forget them; called by tests."""
        found = list(self._dead.iterdir())
        for file in found:
            file.unlink()
        return [int(file.name) for file in found]

    # The worker.

    def begin(self, task_id: str) -> None:
        """Note that a task is being done; called by the worker."""
        (self._busy / f"{os.getpid()}.{task_id}").touch()

    def end(self, task_id: str) -> None:
        """Note that a task is over; called by the worker."""
        (self._done / task_id).touch()
        (self._busy / f"{os.getpid()}.{task_id}").unlink(missing_ok=True)

    def is_busy(self, worker: int) -> bool:
        """Return whether the worker with this process id is at a task; called by tests."""
        return any(self._busy.glob(f"{worker}.*"))

    def is_done(self, task_id: str) -> bool:
        """Return whether a task is over; called by tests."""
        return (self._done / task_id).exists()

    def say_ready(self) -> None:
        """Note that this process takes tasks; called by the worker."""
        (self._ready / str(os.getpid())).touch()

    def is_ready(self, worker: int) -> bool:
        """Return whether the worker with this process id takes tasks; called by tests."""
        return (self._ready / str(worker)).exists()


class MovedClock(FakeClock):
    """The machine's clock and what a test has moved it on by; unlike the other tests' clock it does not stand still."""

    def __init__(self, levers: Levers) -> None:
        self._levers = levers

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        return datetime.now(UTC) + self._levers.offset()

    def advance(self, **delta: float) -> None:
        """Move on for every process, as in `advance(days=3, minutes=5)`."""
        self._levers.set_offset(self._levers.offset() + timedelta(**delta))

    def set(self, moment: datetime) -> None:
        """Move to `moment`, forward or back."""
        self._levers.set_offset(moment - datetime.now(UTC))
