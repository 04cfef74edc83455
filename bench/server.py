"""A web server as the Procfile starts it, and what the kernel says of its processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
START_WITHIN_SECONDS = 60
STOP_WITHIN_SECONDS = 15
_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A context manager: an application served on 127.0.0.1 with the options of the Procfile's `web` line.

    `target` stands in for the application that the line names last; `probe` answers 200 once the server is ready.
    """

    def __init__(self, target: str, port: int, probe: str, environment: Mapping[str, str], log: Path) -> None:
        self.port = port
        self._address = f"http://127.0.0.1:{port}{probe}"
        self._log = log
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                ["sh", "-c", f"exec {_command(target)}"],
                cwd=ROOT,
                env={**environment, "HOST": "127.0.0.1", "PORT": str(port), "WEB_WORKERS": str(WORKERS)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Server:
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server and all its processes have used so far."""
        return sum(_cpu_ticks(pid) for pid in (self._process.pid, *_descendants(self._process.pid))) / _TICKS

    def worker_memory(self) -> tuple[str, list[int]]:
        """Return how memory was measured (PSS, or RSS where PSS cannot be read) and the bytes of each worker."""
        readings = [_memory(pid) for pid in web_workers(self._process.pid)]
        kind = "PSS" if all(kind == "PSS" for kind, _size in readings) else "RSS"
        return kind, [size for _kind, size in readings]

    def parent_memory(self) -> int:
        """Return the bytes of the process that started the workers, measured in the same way."""
        return _memory(self._process.pid)[1]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_WITHIN_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(self._address, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"{self._address} did not answer:\n{self._log.read_text()}")

    def _stop(self) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_WITHIN_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    """Return a port on 127.0.0.1 that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def web_workers(server: int) -> list[int]:
    """Return the processes that answer requests for the server with this process id."""
    # The server also keeps small helpers of Python's own; the workers are the big ones.
    readings = []
    for pid in _descendants(server):
        with suppress(OSError):
            readings.append((_memory(pid)[1], pid))
    return [pid for _size, pid in sorted(readings, reverse=True)[:WORKERS]]


def _command(target: str) -> str:
    lines = (ROOT / "Procfile").read_text().splitlines()
    web = next(line for line in lines if line.startswith("web:"))
    command, _space, _application = web.rpartition("exec ")[2].rpartition(" ")
    return f"{command} {target}"


def _descendants(parent: int) -> list[int]:
    parents = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal():
            fields = _stat(int(directory.name))
            if fields:
                parents[int(directory.name)] = int(fields[1])
    found: list[int] = []
    waiting = [parent]
    while waiting:
        children = [pid for pid, its_parent in parents.items() if its_parent in waiting]
        found += children
        waiting = children
    return found


def _cpu_ticks(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _stat(pid: int) -> list[str]:
    """Return the fields of proc(5) stat from the state on (field 3); nothing for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _memory(pid: int) -> tuple[str, int]:
    try:
        return "PSS", _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
    except PermissionError:
        return "RSS", _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:")


def _kilobytes(file: Path, name: str) -> int:
    line = next(line for line in file.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
