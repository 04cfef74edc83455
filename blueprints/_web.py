"""What all views share: the shop, page or fragment, redirects, and the answers to everything that went wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask, Response, abort, current_app, make_response, redirect, render_template, request
from flask_babel import gettext as _
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from blueprints._compression import prepare_compression
from blueprints._language import prepare_language
from blueprints._language_choice import LanguageChoice
from blueprints._page import prepare_page
from blueprints._page_cache import PageCache, is_public_page
from blueprints._rerun import DatabaseAway, is_rerun, plain_refusal
from blueprints._security import prepare_security
from blueprints._static import prepare_static
from blueprints._structured_data import prepare_structured_data
from config import Settings
from services.shop import Shop


class ShopLoginManager(LoginManager):
    """Leaves the session alone on public pages, so that they can be kept for everybody."""

    def _update_remember_cookie(self, response: Response) -> Response:
        if is_public_page():
            return response
        answer: Response = super()._update_remember_cookie(response)
        return answer


csrf = CSRFProtect()
login_manager = ShopLoginManager()
limiter = Limiter(get_remote_address)


def current_shop() -> Shop:
    """Return the shop's tools."""
    shop: Shop = current_app.extensions["shop"]
    return shop


def now() -> datetime:
    """Return the present moment by the shop's clock, in UTC."""
    return current_shop().clock.now()


def is_htmx() -> bool:
    """Return whether htmx asks for a fragment; a restored page of the history is asked for whole."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Request-Type") != "full"


def is_sent_by_htmx() -> bool:
    """Return whether htmx asks, for a fragment or for a page of which it takes a part."""
    return request.headers.get("HX-Request") == "true"


def render_page(page: str, fragment: str, status: int = 200, /, **context: Any) -> Response:
    """Return the fragment to htmx and the page that includes it to everybody else."""
    response = make_response(render_template(fragment if is_htmx() else page, **context), status)
    response.vary.add("HX-Request")
    return response


def see_other(location: str) -> Response:
    """Return a redirect after a POST (RFC 9110, section 15.4.4), in the way htmx follows when htmx asked."""
    if is_sent_by_htmx():
        response = Response(status=204)
        response.headers["HX-Redirect"] = location
        return private(response)
    return make_response(redirect(location, code=303))


def private(response: Response) -> Response:
    """Keep a personal page out of every cache."""
    response.headers["Cache-Control"] = "no-store"
    return response


def prepare_web(app: Flask, settings: Settings) -> None:
    """Install language, sign-in, CSRF, limits, headers, static files, page cache and error pages."""
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    prepare_compression(app)
    prepare_language(app)
    # Its context processor would read the session for every page; templates get a lazy `current_user` instead.
    login_manager.init_app(app, add_context_processor=False)
    csrf.init_app(app)
    limiter.init_app(app)
    limiter.request_filter(is_rerun)
    prepare_security(app, settings)
    prepare_static(app)
    prepare_page(app, settings)
    prepare_structured_data(app, settings)
    app.wsgi_app = PageCache(app, app.wsgi_app)  # type: ignore[method-assign]
    app.wsgi_app = LanguageChoice(app.wsgi_app, settings)  # type: ignore[method-assign]
    app.before_request(_refuse_nul)
    app.register_error_handler(CSRFError, _csrf_failed)
    app.register_error_handler(DatabaseAway, _database_away)
    app.register_error_handler(HTTPException, _http_error)


def _refuse_nul() -> None:
    """Answer a NUL character with 404 or 400: no text of ours holds one, and PostgreSQL takes none."""
    if "\0" in request.path:
        abort(404)
    if "%00" in request.query_string.decode("latin-1"):
        abort(400)
    if request.mimetype == "application/x-www-form-urlencoded":
        values = (value for name, found in request.form.lists() for value in (name, *found))
        if any("\0" in value for value in values):
            abort(400)


def _csrf_failed(_error: CSRFError) -> Response:
    return _error_page(
        400,
        _("This page was open for too long"),
        _("Go back, reload the page and send it again. Nothing was changed and nothing was paid."),
    )


def _database_away(error: DatabaseAway) -> Response:
    """Say that nothing was lost, without asking the database; a fragment leaves the page that is open as it is."""
    # Its own Retry-After, the end of a limit's window, would take the place of ours.
    limiter.context.reset()
    if is_htmx():
        return private(plain_refusal(error))
    page = render_template("errors/database_away.html", again=request.method in ("GET", "HEAD"))
    return private(make_response(page, 503, {"Retry-After": str(error.retry_after)}))


def _http_error(error: HTTPException) -> Response:
    if error.response is not None:
        return make_response(error.response)
    status = error.code or 500
    titles = {
        404: (_("There is no such page"), _("It may have moved, or it belongs to somebody else's account.")),
        413: (_("That is too large"), _("Please send less.")),
        429: (_("Too many tries"), _("Please wait a moment and try again.")),
    }
    title, advice = titles.get(status, (_("That did not work"), _("Nothing was lost. Please go back and try again.")))
    response = _error_page(status, title, advice)
    for name, value in error.get_headers():
        if name in ("Retry-After", "Allow"):
            response.headers[name] = value
    return response


def _error_page(status: int, title: str, advice: str) -> Response:
    page = render_template("errors/error.html", status=status, title=title, advice=advice)
    response = private(make_response(page, status))
    if is_sent_by_htmx():
        # The page takes the place of the whole content, wherever a fragment was to go.
        response.headers.update({"HX-Retarget": "#main", "HX-Reselect": "#main", "HX-Reswap": "outerHTML"})
    return response
