"""The shop's processes as the Procfile starts them, on one database and one sandbox of their own.

They end with the test session, also when that is killed: the kernel ends them with their parent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import httpx

from scripts.processes import die_with_parent
from tests.faults.levers import Levers

ROOT = Path(__file__).parent.parent.parent
LOADED = "tests.faults.process"
PATIENCE = 60
LOOK_EVERY = 0.01
STOP_WITHIN = 15
WEB_PROCESSES = 2


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Look again and again until the condition holds; fails with `what` after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(LOOK_EVERY)


def procfile() -> dict[str, str]:
    """Return the command of every line of the Procfile, with our module in place of the shop's own."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    commands = {name: command.strip() for name, _colon, command in (line.partition(":") for line in lines)}
    return {
        name: command.replace("--app app", f"--app {LOADED}").replace("wsgi:application", f"{LOADED}:application")
        for name, command in commands.items()
    }


def is_alive(process_id: int) -> bool:
    """Return whether there is such a process, even if it has ended and nobody has asked how."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


class House:
    """Web server and worker; `web` and `worker` start, stop and kill them by these names."""

    def __init__(self, directory: Path, environment: Mapping[str, str], levers: Levers) -> None:
        self._directory = directory
        self._environment = {
            **environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "WEB_WORKERS": str(WEB_PROCESSES),
        }
        self._levers = levers
        self._commands = procfile()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._read: dict[str, int] = {}

    def start(self) -> None:
        """Start whatever does not run, without waiting for it."""
        for name in [name for name in self._commands if not self.runs(name)]:
            with self._log(name).open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    ["sh", "-c", self._commands[name]],
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=die_with_parent if sys.platform == "linux" else None,
                )

    def wait_until_ready(self) -> None:
        """Return when the web server answers and the worker takes tasks."""
        wait_until(lambda: self._answers() or self._has_ended("web"), "the web server answers")
        wait_until(lambda: self.worker_is_ready() or self._has_ended("worker"), "the worker takes tasks")
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}: {self._log(name).read_text()}"

    def worker_is_ready(self) -> bool:
        """Return whether the worker takes tasks."""
        return self.runs("worker") and self._levers.is_ready(self.process_id("worker"))

    def runs(self, name: str) -> bool:
        """Return whether a process is there."""
        return name in self._processes and self._processes[name].poll() is None

    def process_id(self, name: str) -> int:
        """Return the id of a process; of the web server it is that of the one that starts the others."""
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """End a process as a power cut does, with all that it has started."""
        process = self._processes[name]
        self._signal(process, signal.SIGKILL)
        process.wait(STOP_WITHIN)

    def stop(self, name: str) -> None:
        """End a process as the operator does: after what it is at."""
        process = self._processes[name]
        self._signal(process, signal.SIGTERM)
        process.wait(STOP_WITHIN)

    def end(self) -> None:
        """End all processes at once; nobody needs what they were at."""
        for process in self._processes.values():
            # Also when it has ended: what it started may have stayed behind in its group.
            self._signal(process, signal.SIGKILL)
            process.wait(STOP_WITHIN)

    def revive(self) -> None:
        """Start again whatever has ended, and wait until all of it is ready.

        The web server starts its own processes again by itself, and gives up when they die too often: see granian's
        "Worker crash loop detected".
        """
        wait_until(lambda: not self.runs("web") or self._web_processes() >= WEB_PROCESSES, "the web server is whole")
        self.start()
        self.wait_until_ready()

    def news(self, name: str) -> str:
        """Return what a process has printed since this was last asked."""
        with self._log(name).open("rb") as log:
            log.seek(self._read.get(name, 0))
            text = log.read()
            self._read[name] = log.tell()
        return text.decode(errors="replace")

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _web_processes(self) -> int:
        """Return how many processes the web server has at work."""
        main = self.process_id("web")
        try:
            return len(Path(f"/proc/{main}/task/{main}/children").read_text().split())
        except FileNotFoundError:
            return 0

    def _has_ended(self, name: str) -> bool:
        return not self.runs(name)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self._environment['SHOP_URL']}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
