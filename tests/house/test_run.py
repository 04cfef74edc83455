"""`make run` as a newcomer knows it: it comes up by itself, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
READY = "Ctrl-C ends all of it."

pytestmark = [pytest.mark.house, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]


def free_ports() -> tuple[int, int]:
    """Return a port for the shop and one for the sandbox whose next is free, too."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            second.bind(("127.0.0.1", 0))
            port = second.getsockname()[1]
            try:
                third.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return first.getsockname()[1], port
    raise AssertionError("no free ports")


def processes_of(instance: Path) -> dict[int, str]:
    """Return the processes that work in this INSTANCE, by id with their command line."""
    wanted = f"INSTANCE={instance}".encode()
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (directory / "environ").read_bytes().split(b"\0"):
                found[int(directory.name)] = (directory / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return {number: command for number, command in found.items() if command}


class Demo:
    """A running `make run`, and what it has printed so far."""

    def __init__(self, instance: Path) -> None:
        self.instance = instance
        self.port, self.sandbox_port = free_ports()
        self._log = (instance.parent / "demo.log").open("w+")
        environ = {key: value for key, value in os.environ.items() if key not in ("SECRET_KEY", "DATABASE_URL")}
        ports = {"PORT": str(self.port), "SANDBOX_PORT": str(self.sandbox_port), "INSTANCE": str(instance)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts.demo"],
            cwd=ROOT,
            env={**environ, **ports},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    @property
    def output(self) -> str:
        """Return everything printed so far."""
        return (self.instance.parent / "demo.log").read_text()

    def wait_until_ready(self) -> None:
        """Return when the addresses are on the screen."""
        deadline = time.monotonic() + 90
        while READY not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    def wait_until_gone(self) -> int:
        """Return the exit code; fails when a process of the demo is left."""
        code = self.process.wait(40)
        deadline = time.monotonic() + 5
        while processes_of(self.instance) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert processes_of(self.instance) == {}
        return code

    def close(self) -> None:
        """End whatever is left."""
        for number in processes_of(self.instance):
            # One that ends the others may have been faster.
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self._log.close()


@contextmanager
def running_demo(instance: Path) -> Iterator[Demo]:
    """Yield a demo that is ready."""
    demo = Demo(instance)
    try:
        demo.wait_until_ready()
        yield demo
    finally:
        demo.close()


def get(url: str) -> str:
    """Return the body of a page."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_it_serves_the_shop_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """Addresses and sign-ins are printed, also the second time; nothing but the state stays behind."""
    instance = tmp_path / "instance"
    with running_demo(instance) as demo:
        assert "<h1" in get(f"http://127.0.0.1:{demo.port}/")
        assert get(f"http://127.0.0.1:{demo.sandbox_port}/inbox/")
        for line in (f"http://127.0.0.1:{demo.port}/", "traveller@example.com", "staff@example.com"):
            assert line in demo.output
        for name in ("secret_key", "demo_sign_ins"):
            assert (instance / name).stat().st_mode & 0o777 == 0o600
        key = (instance / "secret_key").read_text()
        demo.process.send_signal(signal.SIGINT)
        assert demo.wait_until_gone() == 0
        assert "Traceback" not in demo.output
        signed_in = [line for line in demo.output.splitlines() if "@example.com" in line]
    with running_demo(instance) as demo:
        assert [line for line in demo.output.splitlines() if "@example.com" in line] == signed_in
        assert (instance / "secret_key").read_text() == key
        demo.process.send_signal(signal.SIGTERM)
        assert demo.wait_until_gone() == 0


@pytest.mark.parametrize("name", ["flask --app app worker", "-m sandbox"])
def test_a_process_that_dies_ends_the_others_and_is_named(tmp_path: Path, name: str) -> None:
    """Half a shop would only puzzle whoever tries it."""
    with running_demo(tmp_path / "instance") as demo:
        (victim,) = (number for number, command in processes_of(demo.instance).items() if name in command)
        os.kill(victim, signal.SIGKILL)
        assert demo.wait_until_gone() == 1
        assert f"{name.split()[-1]} ended with code -9" in demo.output


def test_nothing_outlives_a_killed_demo(tmp_path: Path) -> None:
    """Also where `make run` itself has no time to clean up."""
    with running_demo(tmp_path / "instance") as demo:
        demo.process.kill()
        demo.wait_until_gone()


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """Which one, and how to choose another."""
    port, sandbox_port = free_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        environ = {**os.environ, "PORT": str(port), "SANDBOX_PORT": str(sandbox_port), "INSTANCE": str(tmp_path)}
        command = [sys.executable, "-m", "scripts.demo"]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"port {port} is taken: choose another one, as in make run PORT={port + 20}"]
