"""Who of the staff is signed in, and what they may do: one table of acts and roles, one of routes and acts.

The session has a key of its own for staff, so that a traveller never counts as one of them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from functools import wraps
from typing import ParamSpec

from flask import Response, g, make_response, render_template, request, session, url_for

from blueprints._web import current_shop, is_sent_by_htmx, now, private, see_other
from models import Staff, StaffRole, db
from services.audit import Actor
from services.staff import find_signed_in

log = logging.getLogger(__name__)

KEY = "staff"
LIFETIME = timedelta(hours=12)

Parameters = ParamSpec("Parameters")


class Act(StrEnum):
    """What a member of staff may be allowed to do."""

    LOOK = "look"
    DELIVER = "deliver"
    CORRECT = "correct"
    SETTLE = "settle"
    REFUND = "refund"
    WRITE = "write"
    AUDIT = "audit"
    MONEY = "money"


EVERYBODY = frozenset(StaffRole)
MANAGERS = frozenset({StaffRole.MANAGER, StaffRole.OWNER})
ALLOWED: Mapping[Act, frozenset[StaffRole]] = {
    Act.LOOK: EVERYBODY,
    Act.DELIVER: EVERYBODY,
    Act.CORRECT: EVERYBODY,
    Act.SETTLE: EVERYBODY,
    Act.REFUND: MANAGERS,
    # What travellers read is what the shop promises them.
    Act.WRITE: MANAGERS,
    # Who did what, and from where, is about colleagues.
    Act.AUDIT: MANAGERS,
    # What the shop earns, and what it has at the supplier.
    Act.MONEY: MANAGERS,
}

# Every route below /staff and what it takes to use it; None for the doors, which are for whoever is not signed in.
# A route that has no row here is closed to everybody.
ROUTES: Mapping[str, Act | None] = {
    "sign_in": None,
    "set_up": None,
    "sign_out": None,
    "today": Act.LOOK,
    "today_csv": Act.LOOK,
    "today_balance": Act.MONEY,
    "orders": Act.LOOK,
    "order": Act.LOOK,
    "stuck": Act.LOOK,
    "texts": Act.LOOK,
    "page_text": Act.LOOK,
    "plan_text": Act.LOOK,
    "take_up_delivery": Act.DELIVER,
    "end_delivery": Act.DELIVER,
    "correct_recipient": Act.CORRECT,
    "settle_finding": Act.SETTLE,
    "refund": Act.REFUND,
    "save_page_text": Act.WRITE,
    "take_back_page_text": Act.WRITE,
    "save_plan_text": Act.WRITE,
    "remove_plan_text": Act.WRITE,
    "audit": Act.AUDIT,
    "audit_csv": Act.AUDIT,
}
# What a proxy of ours may call a request.
_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


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
    """Let only those of the staff use a view whose role the tables allow, with `g.staff` set.

    Who is not signed in is sent to the sign-in page, and htmx with them (401); all others of the staff get 403.
    """

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Response:
        g.staff = signed_in()
        if g.staff is None:
            return private(_ask_to_sign_in())
        if not may_use(request.endpoint or ""):
            return private(_refuse())
        return private(view(*args, **kwargs))

    return guarded


def may(act: Act) -> bool:
    """Return whether the member of staff who is signed in may do something."""
    return g.staff.role in ALLOWED[act]


def may_use(endpoint: str) -> bool:
    """Return whether the member of staff who is signed in may use a route; nobody may where it has no row."""
    act = _act_of(endpoint)
    return act is not None and may(act)


def actor() -> Actor:
    """Return who is signed in, as the audit names them, with where the request comes from."""
    return stranger().known_as(g.staff)


def stranger() -> Actor:
    """Return nobody in particular, as the audit names them, with where the request comes from."""
    named = request.headers.get("X-Request-Id", "")
    # Without a proxy of ours it is whatever the visitor wanted to be called.
    is_ours = current_shop().settings.trusted_proxies > 0 and _REQUEST_ID.fullmatch(named) is not None
    return Actor(from_address=request.remote_addr or "", request_id=named if is_ours else "")


def _act_of(endpoint: str) -> Act | None:
    blueprint, _dot, route = endpoint.partition(".")
    if blueprint != "staff" or route not in ROUTES:
        log.error("%s has no row in the table of staff's routes, so nobody may use it", endpoint)
        return None
    return ROUTES[route]


def _ask_to_sign_in() -> Response:
    if not is_sent_by_htmx():
        return see_other(url_for("staff.sign_in"))
    response = Response(status=401)
    response.headers["HX-Redirect"] = url_for("staff.sign_in")
    return response


def _refuse() -> Response:
    act = _act_of(request.endpoint or "")
    roles = [role.value for role in StaffRole if act is not None and role in ALLOWED[act]]
    response = make_response(render_template("staff/not_allowed.html", roles=roles), 403)
    if is_sent_by_htmx():
        # The page takes the place of the whole content, wherever a fragment was to go.
        response.headers.update({"HX-Retarget": "#main", "HX-Reselect": "#main", "HX-Reswap": "outerHTML"})
    return response
