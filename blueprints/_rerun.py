"""A request whose transaction the database has undone is run again; where that is not safe, the visitor is told.

Running a view anew is what a second click does: what it writes is one transaction, and what it asks of Stripe and of
the supplier stands in rows with keys of their own before it is asked (docs/adr/0010).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from models import db
from services.database_faults import Fault, describe, fault_of, run_again

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

REPEATABLE = "is_repeatable"
# A restart of the database takes seconds.
RETRY_AFTER = 5


class DatabaseAway(ServiceUnavailable):
    """The database did not do its part, and running the request again did not help or was not safe."""


def repeatable(view: View) -> View:
    """Mark a view that may run again after a COMMIT of which nobody knows whether it took place.

    It has to come to the same end whether all, some or none of its transactions were committed before; say at the view
    why it does.
    """
    view.__dict__[REPEATABLE] = True
    return view


def is_rerun() -> bool:
    """Return whether this request has been run before, so that it counts once against a limit."""
    return "rerun" in g


class RerunningFlask(Flask):
    """Flask, but for what becomes of a request that the database did not serve."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Return what the view returns, running it again when a fault of the database allows it.

        A page is made whole before it is sent, so nothing of an earlier run has reached the visitor.
        """
        notes: dict[str, Any] = g._get_current_object().__dict__
        kept = notes.copy()

        def forget() -> None:
            # Rows that were read, and the visitor among them, belong to the session that is gone. What the run wrote
            # into the visitor's cookie stays: the key of a checkout has to be the same one the second time.
            db.session.remove()
            notes.clear()
            notes.update(kept, rerun=True)
            notes.pop("_login_user", None)  # Flask-Login's

        return run_again(super().dispatch_request, may_run_again=self._may_run_again, forget=forget)

    def handle_user_exception(self, e: Exception) -> HTTPException | ResponseReturnValue:
        """Return the answer to an error of a view; one that is the database's is answered as DatabaseAway."""
        fault = fault_of(e)
        if fault is None:
            return super().handle_user_exception(e)
        log.error("%s %s is answered with 503: %s", request.method, request.endpoint, describe(e))
        away = DatabaseAway(retry_after=RETRY_AFTER)
        away.__cause__ = e
        return super().handle_user_exception(away)

    def _may_run_again(self, fault: Fault) -> bool:
        if fault is Fault.UNKNOWN:
            return request.method in ("GET", "HEAD") or hasattr(self.view_functions[request.endpoint or ""], REPEATABLE)
        return fault is Fault.UNDONE


def plain_refusal(error: DatabaseAway) -> Response:
    """Return the answer to a machine, which reads the status alone and comes again by itself."""
    return Response("try again\n", 503, error.get_headers(), mimetype="text/plain")
