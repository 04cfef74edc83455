"""The shop of the exercise: its processes as the Procfile starts them, its books as a further process reads them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
from flask import Flask

from app import create_app
from config import Settings
from models import db
from sandbox.server import Sandbox
from scripts.processes import die_with_parent
from scripts.restore import manual
from scripts.restore.databases import Database

Answer = TypeVar("Answer")

PATIENCE = 90.0
# How old the lost hour is when the shop comes back.
AHEAD_SECONDS = 3600


def until(question: Callable[[], Answer], what: str, seconds: float = PATIENCE) -> Answer:
    """Ask again until the answer is true, and return it; raises TimeoutError, which says what was waited for."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {seconds:.0f} seconds in vain: {what}")
        threading.Event().wait(0.1)
    return answer


class Shop:
    """One shop on a sandbox and a database of its own, in a folder that is all there is of its machine."""

    def __init__(self, folder: Path, port: int, sandbox: Sandbox, database: Database) -> None:
        self.sandbox = sandbox
        self.database = database
        self.url = f"http://127.0.0.1:{port}"
        self.instance = folder / "instance"
        self.backup = folder / "backup"
        self.log = folder / "shop.log"
        self._ahead = False
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = self._settings(port)
        self.app = self._make_app()

    def _settings(self, port: int) -> dict[str, str]:
        sandbox = self.sandbox
        tools = [str(Path(sys.executable).parent)]
        if self.database.tools is not None:
            tools.append(str(self.database.tools))
        return {
            "PATH": os.pathsep.join([*tools, os.environ.get("PATH", "")]),
            "HOME": os.environ.get("HOME", ""),
            "PYTHONUNBUFFERED": "1",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "WEB_WORKERS": "1",
            "SECRET_KEY": secrets.token_urlsafe(32),
            "SHOP_URL": self.url,
            "DATABASE_URL": self.database.url,
            "INSTANCE": str(self.instance),
            "STRIPE_SECRET_KEY": sandbox.settings.stripe_secret_key,
            "STRIPE_WEBHOOK_SECRET": sandbox.settings.stripe_webhook_secret,
            "STRIPE_API_BASE": sandbox.url,
            "ESIM_ACCESS_BASE_URL": f"{sandbox.url}/api/v1/open",
            "ESIM_ACCESS_CODE": sandbox.settings.esim_access_code,
            "ESIM_ACCESS_SECRET": sandbox.settings.esim_access_secret,
            "SMTP_URL": sandbox.smtp_url,
            "MAIL_FROM": "shop@example.com",
            "SANDBOX_URL": sandbox.url,
            # As a proxy would say it, so that every customer has rate limits of their own.
            "TRUSTED_PROXIES": "1",
            "LOG_LEVEL": "WARNING",
            "BACKUP": str(self.backup),
        }

    def _make_app(self) -> Flask:
        names = ("PATH", "HOME", "BACKUP")
        return create_app(
            Settings.from_env({name: value for name, value in self._environment.items() if name not in names})
        )

    # Its processes.

    def start(self) -> None:
        """Start what the Procfile names and wait until the shop answers."""
        for line in (manual.ROOT / "Procfile").read_text(encoding="utf-8").splitlines():
            name, _, command = line.partition(":")
            with self.log.open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    ["sh", "-c", self._as_now(command.strip())],
                    cwd=manual.ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=die_with_parent if sys.platform == "linux" else None,
                )
        until(self._answers, f"the shop answers at {self.url}/readyz")

    def kill(self) -> None:
        """End every process as a power cut does."""
        for process in self._processes.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for process in self._processes.values():
            process.wait(10)
        self._processes.clear()

    def _answers(self) -> bool:
        dead = [name for name, process in self._processes.items() if process.poll() is not None]
        if dead:
            raise RuntimeError(f"{dead[0]} has ended: {self.log.read_text(errors='replace')[-2000:]}")
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    # What an operator types.

    def follow(self, heading: str) -> str:
        """Run the commands of the manual below a heading, and return what they printed."""
        return self.run(manual.commands(heading))

    def run(self, command: str) -> str:
        """Run a shell command with the settings of the shop, and return what it printed."""
        return manual.run(self._as_now(command), self._environment)

    def lose(self) -> None:
        """Lose database, queue and everything else that the machine held, and an hour."""
        self.forget()
        self.database.destroy()
        if self.instance.exists():
            for file in sorted(self.instance.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            self.instance.rmdir()
        self._ahead = True
        self._environment["EXERCISE_SECONDS_AHEAD"] = str(AHEAD_SECONDS)

    def _as_now(self, command: str) -> str:
        """Return a command for the shop with the clock that it has by now."""
        if not self._ahead:
            return command
        command = command.replace("flask --app app ", "flask --app scripts.restore.clock ")
        return command.replace("wsgi:application", "scripts.restore.clock_wsgi:application")

    # Its books.

    @contextmanager
    def books(self) -> Iterator[None]:
        """Let the block read the database as it is now."""
        with self.app.app_context():
            try:
                yield
            finally:
                db.session.remove()

    def forget(self) -> None:
        """Close our own connections to the database."""
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()

    def close(self) -> None:
        """Leave nothing running and nothing in the way of dropping the database."""
        self.kill()
        self.forget()
