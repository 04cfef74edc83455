"""A few processes that live and die together, their output in one terminal."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

STOP_WITHIN_SECONDS = 15
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked for the end: Ctrl-C, `kill`, or a terminal that was closed. No Exception: nobody handles it."""


class ProcessGroup:
    """A context manager: what was started in it is gone when it is left, with all descendants.

    Each process leads a session of its own, so that Ctrl-C reaches this program alone and the others are stopped in
    order instead of all at once.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.ended = ""
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._ends: queue.SimpleQueue[str] = queue.SimpleQueue()

    def start(self, name: str, command: list[str]) -> None:
        """Start one process; every line that it prints comes out with its name in front."""
        process = subprocess.Popen(  # noqa: S603 - the commands are our own
            command,
            cwd=self._directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
        self._processes[name] = process
        threading.Thread(target=self._print, args=(name, process), daemon=True).start()
        threading.Thread(target=self._watch, args=(name, process), daemon=True).start()

    def wait(self) -> None:
        """Return when one of the processes has ended; `ended` says which one and how."""
        while not self.ended:
            try:
                self._ends.get(timeout=1)
            except queue.Empty:
                continue

    def __enter__(self) -> ProcessGroup:
        self._handlers = {number: signal.signal(number, _stop) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(self._processes.values()):
            _signal(process, signal.SIGTERM)
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_SECONDS)
            # Also when it has ended: what it started may have stayed behind in its group.
            _signal(process, signal.SIGKILL)
            process.wait()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _print(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{name:<8}| {line}", end="", flush=True)

    def _watch(self, name: str, process: subprocess.Popen[str]) -> None:
        code = process.wait()
        if not self.ended:
            self.ended = f"{name} ended with code {code}"
        self._ends.put(name)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def die_with_parent() -> None:
    """Let the kernel end this process when the program that starts it is killed and cannot do it.

    Called in the child before it becomes the other program. The kernel looks at the thread that started it, so that
    has to be one that lasts.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
