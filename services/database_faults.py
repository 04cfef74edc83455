"""What an error of the database means for the transaction it struck, and which of them are answered by trying again.

Sources: PostgreSQL, Appendix A "PostgreSQL Error Codes" (class 40 is "transaction rollback"; 55P03, 57014, class 53 and
57P01 likewise end the transaction, the last one with its connection) and section 13.5 "Serialization Failure Handling";
sqlite.org/rescode.html; sqlite.org/lang_transaction.html, section 3, on a COMMIT that finds the database busy.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# Everything that `fault_of` may find a fault in, for `except`.
DATABASE_ERRORS = (DBAPIError, TimeoutError)

# How often the same thing is begun in all. Whoever waits for a lock each time has then waited for some ten seconds.
RUNS = 3
# Two that were in each other's way must not meet again: a pause of this many seconds, longer each time, never the same.
PAUSES = (0.02, 0.08)

_SQLITE_BUSY, _SQLITE_LOCKED, _SQLITE_READONLY, _SQLITE_IOERR, _SQLITE_FULL, _SQLITE_CANTOPEN = 5, 6, 8, 10, 13, 14
# Serialization failure, deadlock, rollback; a lock that did not come free; a statement that was cancelled.
_UNDONE = frozenset({"40000", "40001", "40P01", "55P03", "57014"})
# Ended by an administrator, by a crash, for being idle, for being idle in a transaction.
_ENDED = frozenset({"57P01", "57P02", "57P05", "25P03"})
# A standby that takes no changes; a server that is starting or stopping.
_REFUSING = frozenset({"25006", "57P03"})


class Fault(StrEnum):
    """What is known of the transaction that an error struck.

    `undone`: it has certainly not been committed, and the next try may well succeed. `unknown`: the connection was lost
    while it was being committed, so it may or may not have been. `unreachable`: it has certainly not been committed,
    and trying again at once is of no use.
    """

    UNDONE = "undone"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"


def fault_of(error: BaseException) -> Fault | None:
    """Return what an exception says of its transaction; None when it is no fault of the database but one of ours.

    A connection that is lost during a statement has not sent its COMMIT, and PostgreSQL then rolls back; SQLAlchemy
    names the statement, and names none when COMMIT itself failed or no connection came about.
    """
    if isinstance(error, TimeoutError):
        return Fault.UNREACHABLE
    if not isinstance(error, DBAPIError):
        return None
    sqlite_code = getattr(error.orig, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return _of_sqlite(sqlite_code)
    return _of_postgresql(error, getattr(error.orig, "sqlstate", None))


def _of_sqlite(code: int) -> Fault | None:
    primary = code & 0xFF
    if primary in (_SQLITE_BUSY, _SQLITE_LOCKED):
        return Fault.UNDONE
    if primary == _SQLITE_IOERR:
        return Fault.UNKNOWN
    return Fault.UNREACHABLE if primary in (_SQLITE_CANTOPEN, _SQLITE_FULL, _SQLITE_READONLY) else None


def _of_postgresql(error: DBAPIError, state: str | None) -> Fault | None:
    if error.connection_invalidated or (state is not None and (state.startswith("08") or state in _ENDED)):
        return Fault.UNKNOWN if error.statement is None else Fault.UNDONE
    if state is None:
        # libpq gives no code for a connection that did not come about.
        connecting = isinstance(error, OperationalError) and error.statement is None
        return Fault.UNREACHABLE if connecting else None
    if state in _UNDONE:
        return Fault.UNDONE
    if state == "40003":
        return Fault.UNKNOWN
    return Fault.UNREACHABLE if state in _REFUSING or state.startswith("53") else None


def describe(error: BaseException) -> str:
    """Return an error in a few words for the log: without the statement, whose values are nobody's business."""
    original = getattr(error, "orig", None) or error
    code = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    return " ".join(str(part) for part in (fault_of(error), type(original).__name__, code) if part)


def run_again(
    call: Callable[[], Result],
    *,
    may_run_again: Callable[[Fault], bool] = lambda fault: fault is Fault.UNDONE,
    forget: Callable[[], None] = lambda: None,
) -> Result:
    """Return what `call` returns, beginning it anew after a fault that allows it: at most RUNS times in all.

    `forget` is called before each new run. Raises what the last run raised.
    """
    for run in range(1, RUNS):
        try:
            return call()
        except DATABASE_ERRORS as error:
            fault = fault_of(error)
            if fault is None or not may_run_again(fault):
                raise
            log.warning("run %d of %d ended by the database: %s", run, RUNS, describe(error))
        forget()
        time.sleep(run * random.uniform(*PAUSES))  # noqa: S311 - a pause, not a secret
    return call()
