"""The running shop for the tests of this folder: started once per database, emptied before each test."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from config import Settings
from models import db
from sandbox.server import Sandbox
from tests.conftest import environment
from tests.faults import books
from tests.faults.house import House
from tests.faults.levers import Levers, MovedClock
from tests.faults.running_shop import RunningShop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of one running shop in one process, so that it is started once."""
    for item in items:
        if "running_shop" in getattr(item, "fixturenames", ()):
            on_postgresql = item.get_closest_marker("postgresql") is not None
            item.add_marker(pytest.mark.xdist_group(f"running-{'postgresql' if on_postgresql else 'sqlite'}"))


@pytest.fixture(scope="session")
def start_shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartShop]:
    """Give the function that returns the running shop on a database, started when it is asked for first."""
    with ExitStack() as stack:
        started: dict[str, RunningShop] = {}

        def start(database: str) -> RunningShop:
            if database not in started:
                server = request.getfixturevalue(f"{database}_server")
                template = request.getfixturevalue("template_instance")
                directory = tmp_path_factory.mktemp(f"running-{database}")
                shutil.copytree(template, directory / "instance")
                database_url = stack.enter_context(server.database(directory))
                started[database] = stack.enter_context(run_shop(directory, database_url))
            return started[database]

        yield start


StartShop = Callable[[str], RunningShop]


@pytest.fixture
def running_shop(start_shop: StartShop, database: str) -> Iterator[RunningShop]:
    """Give the shop as it runs in production, with no orders; afterwards the books of all orders must be in order."""
    running = start_shop(database)
    with running.app.app_context():
        running.revive()
        running.calm()
        running.empty()
        yield running
        running.revive()
        running.calm()
        books.look_over(running)
        db.session.remove()


@contextmanager
def run_shop(directory: Path, database_url: str) -> Iterator[RunningShop]:
    """Run web server and worker on a database of their own, with a sandbox of their own, while the block runs."""
    with Sandbox() as sandbox:
        instance, url = directory / "instance", f"http://127.0.0.1:{free_port()}"
        environ = {
            **environment(sandbox, url, instance),
            "DATABASE_URL": database_url,
            "HOST": "127.0.0.1",
            "PORT": url.rpartition(":")[2],
            "TRUSTED_PROXIES": "1",
            "LOG_LEVEL": "WARNING",
        }
        levers = Levers(instance)
        app = create_app(Settings.from_env(environ), MovedClock(levers))
        house = House(directory, environ, levers)
        house.start()
        try:
            house.wait_until_ready()
            with app.app_context():
                running = RunningShop(app, sandbox, house, levers)
            yield running
        finally:
            house.end()
            dispose(app)


def dispose(app: Flask) -> None:
    """Close the test's own connections, or the database cannot be dropped."""
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
