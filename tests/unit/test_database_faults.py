"""What an error of the database says of its transaction, and what is begun anew because of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import psycopg.errors as postgresql
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, OperationalError, TimeoutError

from services.database import engine_options
from services.database_faults import RUNS, Fault, describe, fault_of, run_again

STATEMENT = "update mails set text_body = 'LPA:1$secret'"


def failed(
    original: BaseException,
    statement: str | None = STATEMENT,
    *,
    lost: bool = False,
    as_: type[DBAPIError] = OperationalError,
) -> DBAPIError:
    """Return the exception that SQLAlchemy makes of a driver's; without a statement, COMMIT or connecting failed."""
    return as_(statement, {}, original, connection_invalidated=lost)


@pytest.mark.parametrize("statement", [STATEMENT, None], ids=["at a statement", "at COMMIT"])
@pytest.mark.parametrize(
    "original",
    [
        postgresql.DeadlockDetected(),
        postgresql.SerializationFailure(),
        postgresql.TransactionRollback(),
        postgresql.LockNotAvailable(),
        postgresql.QueryCanceled(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_postgresql_has_rolled_back_is_undone(original: psycopg.Error, statement: str | None) -> None:
    assert fault_of(failed(original, statement)) is Fault.UNDONE


@pytest.mark.parametrize(
    "original",
    [
        postgresql.AdminShutdown(),
        postgresql.CrashShutdown(),
        postgresql.IdleInTransactionSessionTimeout(),
        postgresql.ConnectionFailure(),
        psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_lost_at_a_statement_has_committed_nothing(original: psycopg.Error) -> None:
    """At COMMIT, nobody knows."""
    assert fault_of(failed(original, lost=True)) is Fault.UNDONE
    assert fault_of(failed(original, None, lost=True)) is Fault.UNKNOWN


@pytest.mark.parametrize(
    "error",
    [
        failed(psycopg.OperationalError("connection failed: Connection refused"), None),
        failed(psycopg.errors.ConnectionTimeout("connection timeout expired"), None),
        failed(postgresql.TooManyConnections(), None),
        failed(postgresql.DiskFull()),
        failed(postgresql.CannotConnectNow(), None),
        failed(postgresql.ReadOnlySqlTransaction(), as_=InternalError),
        TimeoutError("QueuePool limit of size 5 overflow 5 reached"),
    ],
    ids=lambda error: type(getattr(error, "orig", error)).__name__,
)
def test_a_database_that_is_not_there_has_done_nothing(error: Exception) -> None:
    assert fault_of(error) is Fault.UNREACHABLE


def test_a_commit_that_postgresql_itself_knows_nothing_of() -> None:
    assert fault_of(failed(postgresql.StatementCompletionUnknown(), None)) is Fault.UNKNOWN


@pytest.mark.parametrize(
    "error",
    [
        failed(postgresql.UniqueViolation(), as_=IntegrityError),
        failed(postgresql.TransactionIntegrityConstraintViolation()),
        failed(postgresql.UndefinedTable()),
        failed(postgresql.InFailedSqlTransaction(), as_=InternalError),
        failed(psycopg.DataError("bad value")),
        failed(psycopg.OperationalError("no code")),
        RuntimeError("ours"),
    ],
    ids=lambda error: type(getattr(error, "orig", error)).__name__,
)
def test_everything_else_is_a_fault_of_ours(error: Exception) -> None:
    assert fault_of(error) is None


def sqlite_error(act: Callable[[], object]) -> DBAPIError:
    """Return what SQLite says to an act, in SQLAlchemy's wrapping."""
    with pytest.raises(sqlite3.Error) as caught:
        act()
    return failed(caught.value)


def test_what_sqlite_says(tmp_path: Path) -> None:
    """The errors are real ones; SQLite tells them apart by a number that Python hands on."""
    file = tmp_path / "shop.sqlite3"
    writer, other = (sqlite3.connect(file, timeout=0, isolation_level=None) for _connection in range(2))
    writer.execute("pragma journal_mode = wal")
    writer.execute("create table notes (id integer primary key)")
    writer.execute("begin immediate")
    busy = sqlite_error(lambda: other.execute("begin immediate"))
    assert (fault_of(busy), describe(busy)) == (Fault.UNDONE, "undone OperationalError SQLITE_BUSY")
    writer.execute("rollback")

    # A reader that turns writer after somebody else has written.
    other.execute("begin")
    other.execute("select * from notes").fetchall()
    writer.execute("insert into notes values (1)")
    stale = sqlite_error(lambda: other.execute("insert into notes values (2)"))
    assert (fault_of(stale), describe(stale)) == (Fault.UNDONE, "undone OperationalError SQLITE_BUSY_SNAPSHOT")
    other.execute("rollback")

    read_only = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    assert fault_of(sqlite_error(lambda: read_only.execute("insert into notes values (1)"))) is Fault.UNREACHABLE
    assert fault_of(sqlite_error(lambda: sqlite3.connect(tmp_path / "nowhere" / "x"))) is Fault.UNREACHABLE

    writer.execute("pragma max_page_count = 2").fetchall()
    full = sqlite_error(lambda: writer.execute("create table more (text text)"))
    assert fault_of(full) is Fault.UNREACHABLE

    assert fault_of(sqlite_error(lambda: writer.execute("insert into notes values (1)"))) is None
    assert fault_of(sqlite_error(lambda: writer.execute("select * from nowhere"))) is None
    for connection in (writer, other, read_only):
        connection.close()


def test_an_error_of_the_disk_may_have_come_after_the_commit() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    assert fault_of(failed(error, None)) is Fault.UNKNOWN


def test_a_description_holds_neither_statement_nor_values() -> None:
    assert describe(failed(postgresql.DeadlockDetected())) == "undone DeadlockDetected 40P01"
    assert describe(TimeoutError("pool")) == "unreachable TimeoutError"
    assert describe(RuntimeError("secret")) == "RuntimeError"


class Runs:
    """Something to run that fails a number of times with an error, then returns how often it was run."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.count = failures, error, 0

    def __call__(self) -> int:
        self.count += 1
        if self.count <= self.failures:
            raise self.error
        return self.count


def test_what_was_undone_is_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    """Each time after forgetting the run before, and in one line of the log each."""
    forgotten: list[int] = []
    runs = Runs(RUNS - 1, failed(postgresql.DeadlockDetected()))
    assert run_again(runs, forget=lambda: forgotten.append(runs.count)) == RUNS
    assert forgotten == [1, 2]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "secret" not in caplog.text


def test_it_ends_sometime() -> None:
    runs = Runs(RUNS, failed(postgresql.DeadlockDetected()))
    with pytest.raises(OperationalError):
        run_again(runs)
    assert runs.count == RUNS


@pytest.mark.parametrize(
    "error",
    [failed(postgresql.AdminShutdown(), None, lost=True), TimeoutError("pool"), RuntimeError("ours")],
    ids=["unknown", "unreachable", "ours"],
)
def test_everything_else_is_run_once(error: Exception) -> None:
    runs = Runs(1, error)
    with pytest.raises(type(error)):
        run_again(runs)
    assert runs.count == 1


def test_the_caller_may_allow_more() -> None:
    runs = Runs(1, failed(postgresql.AdminShutdown(), None, lost=True))
    assert run_again(runs, may_run_again=lambda fault: fault is Fault.UNKNOWN) == 2


def test_the_address_of_the_database_has_the_last_word() -> None:
    """Whatever DATABASE_URL says itself is not said a second time."""
    chosen = engine_options("postgresql+psycopg://shop@db/shop?connect_timeout=2&options=-c%20lock_timeout%3D9s")
    assert not {"connect_timeout", "options"} & set(chosen["connect_args"])
    assert {"connect_timeout", "options"} <= set(engine_options("postgresql+psycopg://shop@db/shop")["connect_args"])
    assert engine_options("sqlite:////srv/shop.sqlite3?timeout=0.5")["connect_args"] == {}
    assert engine_options("sqlite:////srv/shop.sqlite3")["connect_args"] == {"timeout": 5.0}
