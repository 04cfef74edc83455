"""Who of the staff is signed in, and what they may do.

The session has a key of its own for staff, so that a traveller never counts as one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from functools import wraps
from typing import ParamSpec

from flask import Response, abort, g, session, url_for

from blueprints._web import now, private, see_other
from models import Staff, StaffRole, db
from services.staff import find_signed_in

KEY = "staff"
LIFETIME = timedelta(hours=12)

Parameters = ParamSpec("Parameters")


class Act(StrEnum):
    """What a member of staff may be allowed to do; whoever is signed in may look at everything."""

    DELIVER = "deliver"
    CORRECT = "correct"
    SETTLE = "settle"
    REFUND = "refund"
    WRITE = "write"
    MONEY = "money"


EVERYBODY = frozenset(StaffRole)
MANAGERS = frozenset({StaffRole.MANAGER, StaffRole.OWNER})
ALLOWED: Mapping[Act, frozenset[StaffRole]] = {
    Act.DELIVER: EVERYBODY,
    Act.CORRECT: EVERYBODY,
    Act.SETTLE: EVERYBODY,
    Act.REFUND: MANAGERS,
    # What travellers read is what the shop promises them.
    Act.WRITE: MANAGERS,
    # What the shop earns, and what it has at the supplier.
    Act.MONEY: MANAGERS,
}


def sign_in(member: Staff) -> None:
    """Let the session belong to `member` for twelve hours."""
    session[KEY] = [member.id, member.session_version, int((now() + LIFETIME).timestamp())]


def sign_out() -> None:
    """Take the staff out of the session; a traveller who is signed in stays so."""
    session.pop(KEY, None)


def signed_in() -> Staff | None:
    """Return the member of staff whom the session belongs to, None when it is nobody's or has ended."""
    staff_id, session_version, until = session.get(KEY) or (0, 0, 0)
    if until <= now().timestamp():
        return None
    return find_signed_in(db.session(), staff_id, session_version)


def staff_required(view: Callable[Parameters, Response]) -> Callable[Parameters, Response]:
    """Let only staff see a view, with `g.staff` set, and send everybody else to the sign-in page."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Response:
        g.staff = signed_in()
        if g.staff is None:
            return private(see_other(url_for("staff.sign_in")))
        return private(view(*args, **kwargs))

    return guarded


def may(act: Act) -> bool:
    """Return whether the member of staff who is signed in may do something."""
    return g.staff.role in ALLOWED[act]


def permission_required(act: Act) -> Callable[[Callable[Parameters, Response]], Callable[Parameters, Response]]:
    """Let only staff see a view that may do something; all others of the staff get 403."""

    def decorate(view: Callable[Parameters, Response]) -> Callable[Parameters, Response]:
        @wraps(view)
        def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Response:
            if not may(act):
                abort(403)
            return view(*args, **kwargs)

        return staff_required(guarded)

    return decorate
