"""The servers that tests use: databases made from a template, PostgreSQL and Redis where they answer."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
import redis
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from psycopg import sql
from sqlalchemy import make_url

from models import db
from services.demo_catalogue import seed_catalogue

ROOT = Path(__file__).parent.parent
POSTGRESQL_URL = os.environ.get("TEST_DATABASE_URL") or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
REDIS_URL = os.environ.get("TEST_REDIS_URL") or "redis://127.0.0.1:6379/15"


def unavailable(reason: str) -> NoReturn:
    """Skip the test and say so loudly; fail it where CI is set, because there everything has to be tested."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(f"NOT TESTED: {reason}")


def fill(app: Flask) -> None:
    """Make the tables, as of the newest migration, with the demo catalogue in them."""
    with app.app_context():
        db.create_all()
        config = Config()
        config.set_main_option("script_location", str(ROOT / "migrations"))
        with db.engine.begin() as connection:
            MigrationContext.configure(connection).stamp(ScriptDirectory.from_config(config), "heads")
        with app.extensions["shop"].transaction() as session:
            seed_catalogue(session)
        db.session.remove()
        db.engine.dispose()


class SqliteServer:
    """Fresh SQLite databases as copies of one file."""

    def __init__(self, directory: Path, make_app: Callable[[str], Flask]) -> None:
        self._template = directory / "template.sqlite3"
        fill(make_app(f"sqlite:///{self._template}"))

    @contextmanager
    def database(self, directory: Path) -> Iterator[str]:
        """Yield the address of a fresh database."""
        shutil.copy(self._template, directory / "shop.sqlite3")
        yield f"sqlite:///{directory / 'shop.sqlite3'}"


class PostgresqlServer:
    """Fresh PostgreSQL databases as copies of one, all with names of their own and dropped at the end."""

    def __init__(self, make_app: Callable[[str], Flask]) -> None:
        self._url = make_url(POSTGRESQL_URL)
        self._prefix = f"shop_test_{secrets.token_hex(6)}"
        self._template = f"{self._prefix}_template"
        try:
            self._create(self._template, "template0")
        except psycopg.OperationalError as error:
            unavailable(f"no PostgreSQL at {self._url.render_as_string()} ({str(error).splitlines()[0]})")
        fill(make_app(self._address(self._template)))

    @contextmanager
    def database(self, _directory: Path) -> Iterator[str]:
        """Yield the address of a fresh database."""
        name = f"{self._prefix}_{secrets.token_hex(4)}"
        self._create(name, self._template)
        try:
            yield self._address(name)
        finally:
            self._drop(name)

    def close(self) -> None:
        """Drop the template."""
        self._drop(self._template)

    def _address(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _create(self, name: str, template: str) -> None:
        self._run(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))

    def _drop(self, name: str) -> None:
        self._run(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True, connect_timeout=3) as connection:
            connection.execute(statement)


@contextmanager
def empty_redis() -> Iterator[str]:
    """Yield the address of a Redis database that is empty before and after."""
    client = redis.Redis.from_url(REDIS_URL)
    try:
        client.flushdb()
    except redis.ConnectionError:
        unavailable(f"no Redis at {REDIS_URL}")
    try:
        yield REDIS_URL
    finally:
        client.flushdb()
        client.close()
