"""The language that a visitor chose, remembered by the browser: noticed without a script and without a detour.

Whoever comes from a page of the shop to a page in another language has used the menu of languages. Nothing else sets
the cookie: it is kept because the visitor asked for it (Article 29 Working Party, Opinion 04/2012, section 3.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.http import dump_cookie
from werkzeug.wsgi import get_host

from blueprints._language import COOKIE
from config import Settings
from services.languages import LANGUAGES

A_YEAR = 365 * 24 * 60 * 60
Headers = list[tuple[str, str]]


class LanguageChoice:
    """A WSGI application that stands before the page cache and adds the cookie where a language was chosen."""

    def __init__(self, wsgi_app: WSGIApplication, settings: Settings) -> None:
        self._wsgi_app = wsgi_app
        self._secure = settings.secure_cookies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Let the shop answer; a page in a language that was just chosen carries the cookie."""
        chosen = _chosen(environ) if "HTTP_REFERER" in environ else None
        if chosen is None:
            return self._wsgi_app(environ, start_response)

        def start(status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
            cookie = dump_cookie(
                COOKIE, chosen, max_age=A_YEAR, path="/", secure=self._secure, httponly=True, samesite="Lax"
            )
            # It is one visitor's answer now, whatever the page is.
            kept = [(name, value) for name, value in headers if name.lower() != "cache-control"]
            return start_response(status, [*kept, ("Cache-Control", "no-store"), ("Set-Cookie", cookie)], exc_info)

        return self._wsgi_app(environ, start)


def _chosen(environ: WSGIEnvironment) -> str | None:
    """Return the code of the language that this request comes to from another one of this shop; None otherwise."""
    code = _language(environ["PATH_INFO"])
    if code is None or environ["REQUEST_METHOD"] != "GET" or environ.get("HTTP_HX_REQUEST") == "true":
        return None
    try:
        referrer = urlsplit(environ["HTTP_REFERER"])
    except ValueError:
        return None
    before = _language(referrer.path)
    return code if before not in (code, None) and referrer.netloc == get_host(environ) else None


def _language(path: str) -> str | None:
    code = path.split("/", 2)[1] if path.startswith("/") else ""
    return code if code in LANGUAGES else None
