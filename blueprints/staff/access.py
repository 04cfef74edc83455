"""Who of the staff is signed in: a key of the session of its own, so that a traveller never counts as staff."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec

from flask import Response, g, session, url_for

from blueprints._web import now, private, see_other
from models import Staff, db
from services.staff import find_signed_in

KEY = "staff"
LIFETIME = timedelta(hours=12)

Parameters = ParamSpec("Parameters")


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
