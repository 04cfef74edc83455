"""Who is signed in, and what happens to everybody else; shared by all blueprints of travellers."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from urllib.parse import urlsplit

from flask import Response, g, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_limiter import RequestLimit
from flask_login import current_user, login_user, logout_user
from sqlalchemy import bindparam, select

from blueprints._visitor import knows_orders_of_no_other
from blueprints._web import is_htmx, is_sent_by_htmx, login_manager, private
from models import Account, db

View = Callable[..., Response]
# Built once: a statement costs more to build than to run, and this one runs for every page of an account.
_ACCOUNT = select(Account).where(
    Account.id == bindparam("account_id"), Account.session_version == bindparam("session_version")
)


@login_manager.user_loader
def load_account(cookie_id: str) -> Account | None:
    """Return the account of a session cookie; None when it has been signed out everywhere since."""
    account_id, _dot, version = cookie_id.partition(".")
    if not (account_id.isdecimal() and version.isdecimal()):
        return None
    return db.session.scalar(_ACCOUNT, {"account_id": int(account_id), "session_version": int(version)})


def signed_in_account() -> Account | None:
    """Return the account that is signed in, or None; costs one SELECT per request."""
    if not current_user.is_authenticated:
        return None
    account: Account = current_user._get_current_object()
    return account


def account_required(view: View) -> View:
    """Let only signed-in travellers in; all others sign in first and come back to the page they wanted."""

    @wraps(view)
    def guarded(*args: object, **kwargs: object) -> Response:
        if signed_in_account() is not None:
            return view(*args, **kwargs)
        return _ask_to_sign_in()

    return guarded


def required_account() -> Account:
    """Return the account inside a view that has `account_required`."""
    account = signed_in_account()
    assert account is not None
    return account


def start_session(account: Account) -> None:
    """Sign the account in on this browser, for as long as the cookie lives; what others left here is forgotten."""
    g.forget_copies = not _was_here_before(account)
    session.permanent = True
    login_user(account)


def end_session() -> None:
    """Sign out, and leave nothing of the visitor in this browser's cookie."""
    logout_user()
    session.clear()
    g.forget_copies = True


def forget_copies(response: Response) -> Response:
    """Let the browser drop the pages it kept when this answer changes who is signed in (ADR 14).

    Twice: browsers that know the header (W3C Clear Site Data; Safari 17, Chrome, Firefox) do it without a script, and
    for the others the address that comes next tells shop.js.
    """
    if g.get("forget_copies"):
        response.headers["Clear-Site-Data"] = '"storage"'
        for name in ("Location", "HX-Redirect"):
            if "#" not in (address := response.headers.get(name, "#")):
                response.headers[name] = f"{address}#fresh"
    return response


def _was_here_before(account: Account) -> bool:
    """Return whether all that this browser can have kept belongs to the account, which is about to sign in."""
    before, _dot, _version = str(session.get("_user_id", "")).partition(".")
    # A cookie of an account counts also when that was signed out elsewhere. Without one, a buyer who takes the account.
    return before == str(account.id) if before else knows_orders_of_no_other(account)


def safe_next(target: str | None) -> str | None:
    """Return `target` when it is an address within this shop, None for anything else.

    Browsers read a backslash as a slash and drop control characters (WHATWG URL, sections 4.4 and 4.5), so both are
    refused rather than interpreted.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or any(character < " " or character == "\x7f" for character in target):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target


def too_many_tries(limit: RequestLimit) -> Response:
    """Return the page that says when to come back, for `on_breach` of a limit."""
    seconds = max(1, limit.reset_at - int(time.time()))
    minutes = -(-seconds // 60)
    advice = ngettext(
        "To keep accounts safe we pause here. Please come back in %(num)s minute.",
        "To keep accounts safe we pause here. Please come back in %(num)s minutes.",
        minutes,
    )
    page = render_template("errors/error.html", status=429, title=_("Too many tries"), advice=advice)
    response = private(make_response(page, 429))
    response.headers["Retry-After"] = str(seconds)
    return response


def _ask_to_sign_in() -> Response:
    if is_htmx() or (request.method == "POST" and is_sent_by_htmx()):
        # The page that is open, not the fragment's address: that is where the visitor wants to be afterwards.
        current = urlsplit(request.headers.get("HX-Current-URL", ""))
        response = Response(status=401)
        response.headers["HX-Redirect"] = url_for("account.sign_in", next=safe_next(current.path))
        return private(response)
    wanted = None
    if request.method in ("GET", "HEAD"):
        wanted = request.full_path if request.query_string else request.path
    return private(make_response(redirect(url_for("account.sign_in", next=safe_next(wanted)), code=303)))
