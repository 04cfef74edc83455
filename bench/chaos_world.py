"""What chaos happens to: the shop as the Procfile starts it, on a database of its own, with the sandbox around it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psycopg
from psycopg import sql
from sqlalchemy import Engine, create_engine, func, make_url, select

from bench.server import ROOT, WORKERS, free_port, web_workers
from bench.world import shop_environment
from models import Order
from sandbox.server import Sandbox, SandboxSettings
from scripts.processes import die_with_parent

POSTGRESQL_URL = os.environ.get("TEST_DATABASE_URL") or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
READY_WITHIN_SECONDS = 90
STOP_WITHIN_SECONDS = 20


class WorldError(Exception):
    """The shop cannot be started; the message says why."""


class Process:
    """One process of the shop and whatever it starts, its output in one file over all its lives."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str] | None = None) -> None:
        """Start it, with another command from now on if one is given; only the main thread may do this."""
        self._command = command or self._command
        with self._log.open("ab") as stream:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,
            )

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._process is not None, f"{self.name} is not started"
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """End it as an operator does, and whatever it leaves behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_WITHIN_SECONDS)
        self.kill()


@dataclass(kw_only=True)
class World:
    """Everything there is; `kills` counts by name what was killed."""

    sandbox: Sandbox
    environment: Mapping[str, str]
    folder: Path
    engine: Engine
    web: Process
    worker: Process
    kills: dict[str, int] = field(default_factory=lambda: {"worker": 0, "web": 0})

    @property
    def shop_url(self) -> str:
        """Return the address of the shop."""
        return self.environment["SHOP_URL"]

    @property
    def instance(self) -> Path:
        """Return the folder of the shop's own files."""
        return Path(self.environment["INSTANCE"])

    def flask(self, *command: str, app: str = "app") -> str:
        """Run a command of the shop to its end and return what it printed; raises WorldError when it fails."""
        done = subprocess.run(
            [*_flask(app), *command], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        with (self.folder / "commands.log").open("a") as log:
            log.write(f"$ flask {' '.join(command)}\n{done.stderr}{done.stdout}")
        if done.returncode:
            raise WorldError(f"flask {' '.join(command)}: {done.stdout.strip()} {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()

    def kill_worker(self) -> None:
        """Kill the worker in the middle of whatever it does, and start another one."""
        self.worker.kill()
        self.kills["worker"] += 1
        self.worker.start()

    def kill_web(self, chance: Random) -> None:
        """Kill one of the processes that answer requests; the web server starts another one by itself."""
        workers = web_workers(self.web.pid)
        if workers:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
                self.kills["web"] += 1

    def wait_until_ready(self) -> None:
        """Return when the shop answers; raises WorldError."""
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline and not self.web.ended:
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.shop_url}/readyz", timeout=5).close()
                return
            time.sleep(0.2)
        raise WorldError(f"the shop does not answer: {(self.folder / 'web.log').read_text()[-2000:]}")


@contextmanager
def running_world(folder: Path, database: str) -> Iterator[World]:
    """Give a shop that runs, with its catalogue, and a sandbox that behaves; everything has ended afterwards."""
    port = free_port()
    shop_url = f"http://127.0.0.1:{port}"
    settings = SandboxSettings(shop_url=shop_url, stripe_webhook_url=f"{shop_url}/webhooks/stripe")
    with _database(folder, database) as database_url, Sandbox(settings) as sandbox:
        environment = {
            **shop_environment(sandbox, folder / "instance", port),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "WEB_WORKERS": str(WORKERS),
            "DATABASE_URL": database_url,
            "TRUSTED_PROXIES": "1",
            "PYTHONUNBUFFERED": "1",
        }
        engine = create_engine(database_url)
        web = Process("web", ["sh", "-c", _procfile("web")], environment, folder / "web.log")
        worker = Process("worker", ["sh", "-c", _procfile("worker")], environment, folder / "worker.log")
        world = World(sandbox=sandbox, environment=environment, folder=folder, engine=engine, web=web, worker=worker)
        try:
            _open_shop(world)
            yield world
        finally:
            worker.stop()
            web.stop()
            engine.dispose()


def _open_shop(world: World) -> None:
    supplier = world.sandbox.esim_access
    supplier.set_balance(10**12)
    supplier.set_allocation(seconds=1)
    world.flask("db", "upgrade")
    with world.engine.connect() as connection:
        if connection.execute(select(func.count()).select_from(Order)).scalar_one():
            raise WorldError("the database has orders already; chaos needs an empty one")
    world.flask("seed-demo")
    world.flask("sync-catalogue")
    world.web.start()
    world.wait_until_ready()
    world.flask("connect-supplier")
    world.worker.start()


@contextmanager
def _database(folder: Path, wanted: str) -> Iterator[str]:
    """Give the address of an empty database: `postgresql`, `sqlite`, an address, or "" for what is there."""
    if wanted == "sqlite" or (not wanted and not _postgresql_answers()):
        yield f"sqlite:///{folder / 'shop.sqlite3'}"
    elif wanted in ("", "postgresql"):
        with _postgresql_database() as address:
            yield address
    else:
        yield wanted


@contextmanager
def _postgresql_database() -> Iterator[str]:
    name = f"shop_chaos_{secrets.token_hex(6)}"
    _run(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        yield make_url(POSTGRESQL_URL).set(database=name).render_as_string(hide_password=False)
    finally:
        _run(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _postgresql_answers() -> bool:
    try:
        _run(sql.SQL("select 1"))
    except psycopg.OperationalError:
        return False
    return True


def _run(statement: sql.SQL | sql.Composed) -> None:
    url = make_url(POSTGRESQL_URL).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True, connect_timeout=3) as connection:
        connection.execute(statement)


def moved_worker() -> list[str]:
    """Return the command of a worker whose clock can be moved on (`chaos_clock`)."""
    return [*_flask("bench.chaos_clock"), "worker"]


def _flask(app: str) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", app]


def _procfile(name: str) -> str:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}:")).partition(":")[2].strip()
