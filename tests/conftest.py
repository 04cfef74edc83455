"""What every test can ask for: a shop on a fresh database, the sandbox, a clock to move, a client that checks pages.

A test runs on SQLite unless it is marked `postgresql` (or parametrised with `tests.both_databases`), and keeps its
queue in a file unless it is marked `redis`. Nothing but loopback can be reached.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from _pytest.nodeid import NodeId
from flask import Flask
from jinja2 import BytecodeCache, FileSystemBytecodeCache
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy.orm import Session

from app import create_app
from config import Settings
from models import db
from sandbox.server import Sandbox
from scripts.chromium import chromium
from services.shop import Shop
from tests import running
from tests.clock import FakeClock
from tests.factories import Factories
from tests.money_world import MoneyWorld, no_call_inside_a_transaction
from tests.page_client import PageClient
from tests.servers import PostgresqlServer, SqliteServer, empty_redis, unavailable

# What Chromium would do by itself beside showing the pages.
QUIET = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


def environment(sandbox: Sandbox, shop_url: str, instance: Path) -> dict[str, str]:
    """Return the environment of a shop that uses this sandbox."""
    return {
        "SECRET_KEY": "a-secret-of-the-tests-0123456789abcdef",
        "SHOP_URL": shop_url,
        "INSTANCE": str(instance),
        "STRIPE_SECRET_KEY": sandbox.settings.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRET": sandbox.settings.stripe_webhook_secret,
        "STRIPE_API_BASE": sandbox.url,
        "ESIM_ACCESS_BASE_URL": f"{sandbox.url}/api/v1/open",
        "ESIM_ACCESS_CODE": sandbox.settings.esim_access_code,
        "ESIM_ACCESS_SECRET": sandbox.settings.esim_access_secret,
        "SMTP_URL": sandbox.smtp_url,
        "MAIL_FROM": "shop@example.com",
        "SANDBOX_URL": sandbox.url,
    }


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """Refuse every connection that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any, /) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def one_tls_context() -> Iterator[None]:
    """Read this machine's certificates once; every HTTP client of every test's shop would read them again."""
    patch = pytest.MonkeyPatch()
    patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[Sandbox]:
    """Run one sandbox for the whole session; tests ask for `sandbox` instead."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_server: Sandbox) -> Iterator[Sandbox]:
    """Give the stand-ins for Stripe, eSIM Access and the mailbox, with nothing in them.

    Events reach the shop only where it is served: ask for `live_shop`. eSIMs are allocated at once.
    """
    running.empty_sandbox(sandbox_server)
    yield sandbox_server
    running.empty_sandbox(sandbox_server)


@pytest.fixture(scope="session")
def shop_port() -> int:
    """Return a free port for the shop."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def make_template_app(sandbox_server: Sandbox, shop_port: int, template_instance: Path) -> Callable[[str], Flask]:
    """Return the function that makes a shop on a database address, to fill that database."""

    def make(database_url: str) -> Flask:
        environ = environment(sandbox_server, f"http://127.0.0.1:{shop_port}", template_instance)
        return create_app(Settings.from_env({**environ, "DATABASE_URL": database_url}))

    return make


@pytest.fixture(scope="session")
def template_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the INSTANCE folder whose static files every test's folder is a copy of."""
    return tmp_path_factory.mktemp("instance")


@pytest.fixture(scope="session")
def sqlite_server(make_template_app: Callable[[str], Flask], tmp_path_factory: pytest.TempPathFactory) -> SqliteServer:
    """Return what makes SQLite databases."""
    return SqliteServer(tmp_path_factory.mktemp("sqlite"), make_template_app)


@pytest.fixture(scope="session")
def postgresql_server(make_template_app: Callable[[str], Flask]) -> Iterator[PostgresqlServer]:
    """Give what makes PostgreSQL databases; skips the test, or fails it in CI, when there is no server."""
    server = PostgresqlServer(make_template_app)
    yield server
    server.close()


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Return the name of the server that the shop's database is on: sqlite or postgresql."""
    default = "postgresql" if request.node.get_closest_marker("postgresql") else "sqlite"
    return str(getattr(request, "param", default))


@pytest.fixture
def settings(
    request: pytest.FixtureRequest, database: str, sandbox: Sandbox, shop_port: int, tmp_path: Path
) -> Iterator[Settings]:
    """Give the settings of a shop with a fresh database; `@pytest.mark.settings(NAME="value")` changes some."""
    marked = {mark.name: mark for mark in request.node.iter_markers()}
    server = request.getfixturevalue(f"{database}_server")
    instance = tmp_path / "instance"
    shutil.copytree(request.getfixturevalue("template_instance"), instance)
    environ = environment(sandbox, f"http://127.0.0.1:{shop_port}", instance)
    with ExitStack() as stack:
        environ["DATABASE_URL"] = stack.enter_context(server.database(tmp_path))
        if "redis" in marked:
            environ["REDIS_URL"] = stack.enter_context(empty_redis())
        if "settings" in marked:
            environ.update(marked["settings"].kwargs)
        yield Settings.from_env(environ)


@pytest.fixture
def clock() -> FakeClock:
    """Return the shop's clock: it stands at the moment the test began until the test moves it."""
    return FakeClock()


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> BytecodeCache:
    """Return where templates are kept compiled, so that not every test's shop compiles them again."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(settings: Settings, clock: FakeClock, compiled_templates: BytecodeCache) -> Iterator[Flask]:
    """Give the shop, with the demo catalogue, inside an application context."""
    app = create_app(settings, clock)
    app.jinja_env.bytecode_cache = compiled_templates
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def shop(app: Flask) -> Shop:
    """Return the shop's tools."""
    bundle: Shop = app.extensions["shop"]
    return bundle


@pytest.fixture
def session(app: Flask) -> Session:
    """Return the database session of the test; requests and jobs have their own."""
    session: Session = db.session()
    return session


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give one Chromium that reaches nothing but this machine; skips, or fails in CI, where there is none."""
    path = chromium()
    if path is None:
        unavailable("no Chromium on this machine, so no page was tried in a browser")
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", *QUIET]
    if os.getuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def client(app: Flask) -> PageClient:
    """Return a browser without JavaScript that checks every page it is shown."""
    return PageClient(app)


@pytest.fixture
def factories(shop: Shop) -> Factories:
    """Return what puts accounts, plans, eSIMs and orders into the database."""
    return Factories(shop)


@pytest.fixture
def money(app: Flask, sandbox: Sandbox, clock: FakeClock) -> Iterator[MoneyWorld]:
    """Give what the tests of the money flows use; fails a test that calls outside with a transaction open."""
    with no_call_inside_a_transaction():
        yield MoneyWorld(app, sandbox, clock)


@pytest.fixture
def run_jobs(app: Flask, clock: FakeClock) -> Callable[[], int]:
    """Return the function that does all work that waits in the queue and is due, and says how many tasks it ran."""
    return lambda: running.run_jobs(app, clock.now())


@pytest.fixture
def live_shop(app: Flask, sandbox: Sandbox, shop_port: int) -> Iterator[str]:
    """Serve the shop on its address, which is given; the sandbox's events arrive there."""
    with running.serve(app, shop_port):
        sandbox.stripe.webhook_url = f"http://127.0.0.1:{shop_port}/webhooks/stripe"
        yield f"http://127.0.0.1:{shop_port}"
        sandbox.stripe.wait_for_webhooks(10)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how far the model test and the look at every page go."""
    parser.addoption("--model-examples", type=int, help="run so many examples, new ones without --hypothesis-seed")
    parser.addoption("--every-width", action="store_true", help="look at every language in every width and in the dark")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the tests that share one server in one process."""
    for item in items:
        for name in ("redis", "house"):
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.xdist_group(name))
        groups = sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})
        if groups and config.getoption("loadgroup", default=False):
            # pytest-xdist 3.8 writes the group to a place where pytest 9.2 does not look any more.
            item._id = NodeId.parse(f"{item.nodeid.partition('@')[0]}@{'_'.join(groups)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat at the end what could not be tested on this machine."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = {str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped if report.longrepr}
    for reason in sorted(reason for reason in reasons if reason.startswith("NOT TESTED")):
        terminalreporter.write_line(reason, red=True, bold=True)
