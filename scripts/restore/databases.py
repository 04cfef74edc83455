"""The databases of the exercise: a fresh one of its own, and the end of it."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql
from sqlalchemy import make_url

POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


class NotHere(Exception):
    """This database cannot be tried on this machine; the message says what is missing."""


class Database(Protocol):
    """A fresh, empty database; `name` is as the manual writes it, `tools` the folder of its programs."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def tools(self) -> Path | None: ...

    def destroy(self) -> None:
        """Lose it, as a disk that breaks does."""
        ...

    def close(self) -> None:
        """Leave nothing of it behind."""
        ...


class Sqlite:
    """The file in INSTANCE."""

    name = "SQLite"
    tools = None

    def __init__(self, instance: Path) -> None:
        self._instance = instance
        self.url = f"sqlite:///{instance / 'shop.sqlite3'}"

    def destroy(self) -> None:
        """Lose INSTANCE, and the file with it."""
        shutil.rmtree(self._instance)

    def close(self) -> None:
        """Nothing: the folder is the exercise's own."""


class Postgresql:
    """A database with a random name on a server; raises NotHere when there is none, or no pg_dump for it."""

    name = "PostgreSQL"

    def __init__(self, server: str) -> None:
        self._server = make_url(server)
        self._name = f"shop_exercise_{secrets.token_hex(4)}"
        self.url = self._server.set(database=self._name).render_as_string(hide_password=False)
        version = self._run("create database {}")
        self.tools = _tools(version)
        if self.tools is None:
            self.close()
            raise NotHere(f"no pg_dump of version {version} or newer, as the server at {self._server!r} needs")

    def destroy(self) -> None:
        """Drop it under whoever is connected."""
        self._run("drop database if exists {} with (force)")

    def close(self) -> None:
        """Drop it."""
        self.destroy()

    def _run(self, statement: str) -> int:
        """Run a statement about the database and return the server's major version."""
        url = self._server.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=3) as connection:
                connection.execute(sql.SQL(statement).format(sql.Identifier(self._name)))
                return connection.info.server_version // 10_000
        except psycopg.OperationalError as error:
            raise NotHere(f"no PostgreSQL at {self._server!r} ({str(error).splitlines()[0]})") from error


def _tools(version: int) -> Path | None:
    """Return the folder of a pg_dump that can read a server of this major version (it refuses newer ones)."""
    on_path = shutil.which("pg_dump")
    places = [Path(on_path)] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), reverse=True)
    for place in places:
        printed = subprocess.run([place, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"(\d+)\.", printed)
        if found and int(found[1]) >= version:
            return place.parent
    return None
