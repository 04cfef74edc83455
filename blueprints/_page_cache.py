"""Public pages, kept ready to send: rendered and compressed once, then answered before Flask is even asked.

A page is kept only when its view says that it is the same for everybody, when it sets no cookie and when making it
did not read the session. It is thrown away as soon as the version of the catalogue moves; while the database is away,
what is kept goes on being served.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import brotli
from flask import Flask, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.http import parse_accept_header, parse_list_header

from models import db
from services.catalogue import catalogue_version
from services.database_faults import fault_of
from services.languages import LANGUAGES, visitor_locale

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")
Headers = list[tuple[str, str]]
Key = tuple[str, str, bool, str]

FLAG = "shop.public_page"
STORABLE = "shop.storable_page"
MOST_PAGES = 1024
VERSION_SECONDS = 1.0
# After the database has failed: asking it may take as long as a visitor has patience.
VERSION_SECONDS_WHEN_AWAY = 5.0
# Caches may keep the page but must ask each time: the question is answered by 304 for next to nothing, and a changed
# price is seen at once.
CACHE_CONTROL = "public, max-age=0, must-revalidate"


def public_page(*arguments: str) -> Callable[[Callable[Parameters, Answer]], Callable[Parameters, Answer]]:
    """Mark a view as the same for every visitor; it is kept when its query holds nothing but `arguments`, once each.

    Other queries are answered, too, but not kept, so that invented ones cannot fill the cache.
    """

    def decorate(view: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
        @wraps(view)
        def marked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
            names = [name for name, _value in request.args.items(multi=True)]
            request.environ[FLAG] = True
            request.environ[STORABLE] = len(set(names)) == len(names) and set(names) <= set(arguments)
            return view(*args, **kwargs)

        return marked

    return decorate


def is_public_page() -> bool:
    """Return whether the page that is being made is the same for every visitor."""
    return FLAG in request.environ


def is_kept_page() -> bool:
    """Return whether the page cache keeps, and compresses, what is being answered when that is 200."""
    return bool(request.environ.get(STORABLE))


def keep_out_of_cache() -> None:
    """Let the page that is being made be sent once and not kept: it holds less than it should."""
    request.environ[STORABLE] = False


@dataclass(frozen=True)
class _Encoded:
    body: bytes
    headers: Headers
    etag: str


@dataclass(frozen=True)
class _Page:
    version: int
    encoded: dict[str, _Encoded]


class PageCache:
    """A WSGI application that stands before the shop and answers for it where it can."""

    def __init__(self, app: Flask, wsgi_app: WSGIApplication) -> None:
        self._app = app
        self._wsgi_app = wsgi_app
        self._pages: OrderedDict[Key, _Page] = OrderedDict()
        self._lock = threading.Lock()
        self._version: int | None = None
        self._version_due = float("-inf")
        self._asking = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request from what is kept, or let the shop answer and keep what may be kept."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self._wsgi_app(environ, start_response)
        version = self._current_version()
        if version is None:
            return self._wsgi_app(environ, start_response)
        key = _key(environ)
        page = self._pages.get(key)
        if page is None or page.version != version:
            return self._make(key, version, environ, start_response)
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
        return _send(page, environ, start_response)

    def _current_version(self) -> int | None:
        """Return the version of the catalogue, at most a second old; None when it cannot be read.

        While the database is away it is the last one that was read: an old price is noticed when the checkout is sent.
        """
        # One asks for all, or a database that hangs would keep every thread waiting.
        if time.monotonic() >= self._version_due and self._asking.acquire(blocking=False):
            try:
                pause = self._read_version()
                self._version_due = time.monotonic() + pause
            finally:
                self._asking.release()
        return self._version

    def _read_version(self) -> float:
        """Read the version and return after how many seconds to read it again."""
        try:
            with self._app.app_context():
                self._version = catalogue_version(db.session())
        except SQLAlchemyError as error:
            if fault_of(error) is not None:
                return VERSION_SECONDS_WHEN_AWAY
            self._version = None
        return VERSION_SECONDS

    def _make(self, key: Key, version: int, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Let the shop answer; keep the answer when its view, and the answer itself, allow it."""
        kept: list[tuple[str, Headers]] = []

        def start(status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
            # The view has run by now, so it is known whether this is a page to keep.
            if _may_be_kept(environ, status, headers):
                kept.append((status, headers))
                return _ignore
            return start_response(status, headers, exc_info)

        chunks = self._wsgi_app(environ, start)
        if not kept:
            return chunks
        try:
            body = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        # The slowest compression pays for the few pages everybody asks for, not for every choice in a form.
        page = _encode(version, body, kept[0][1], brotli_quality=5 if key[1] else 11)
        with self._lock:
            self._pages[key] = page
            self._pages.move_to_end(key)
            while len(self._pages) > MOST_PAGES:
                self._pages.popitem(last=False)
        return _send(page, environ, start_response)


def _ignore(_data: bytes) -> None:
    """Stand in for the write() of WSGI, which Flask does not use."""


def _key(environ: WSGIEnvironment) -> Key:
    fragment = environ.get("HTTP_HX_REQUEST") == "true" and environ.get("HTTP_HX_REQUEST_TYPE") != "full"
    path = environ["PATH_INFO"]
    code = path.split("/", 2)[1]
    # Prices and dates are written as the visitor's region writes them, in few ways for each language.
    locale = visitor_locale(code, environ.get("HTTP_ACCEPT_LANGUAGE", "")) if code in LANGUAGES else ""
    return path, environ.get("QUERY_STRING", ""), fragment, locale


def _may_be_kept(environ: WSGIEnvironment, status: str, headers: Headers) -> bool:
    if environ["REQUEST_METHOD"] != "GET" or not environ.get(STORABLE) or not status.startswith("200 "):
        return False
    found = {(name.lower(), value) for name, value in headers}
    # Flask writes `Vary: Cookie` as soon as the session was looked at.
    varies = {part.lower() for name, value in found if name == "vary" for part in parse_list_header(value)}
    return "cookie" not in varies and not any(name == "set-cookie" for name, _value in found)


def _encode(version: int, body: bytes, headers: Headers, brotli_quality: int) -> _Page:
    replaced = ("content-length", "cache-control", "etag", "vary")
    common = [(name, value) for name, value in headers if name.lower() not in replaced]
    common += [
        ("Cache-Control", CACHE_CONTROL),
        ("Vary", "Accept-Encoding, Accept-Language, HX-Request, HX-Request-Type"),
    ]
    # The headers count, too: a browser that is told 304 goes on with the old ones.
    digest = hashlib.sha256(repr(common).encode() + body).hexdigest()[:20]
    bodies = {
        "identity": body,
        "br": brotli.compress(body, quality=brotli_quality),
        "gzip": gzip.compress(body, mtime=0),
    }
    encoded = {}
    for encoding, data in bodies.items():
        etag = f'"{digest}-{encoding}"'
        own = [("ETag", etag), ("Content-Length", str(len(data)))]
        if encoding != "identity":
            own.append(("Content-Encoding", encoding))
        encoded[encoding] = _Encoded(body=data, headers=common + own, etag=etag)
    return _Page(version=version, encoded=encoded)


def _send(page: _Page, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    answer = page.encoded[_best_encoding(environ.get("HTTP_ACCEPT_ENCODING", ""))]
    known = environ.get("HTTP_IF_NONE_MATCH")
    if known is not None and (answer.etag in known or known.strip() == "*"):
        start_response("304 Not Modified", [pair for pair in answer.headers if not pair[0].startswith("Content-")])
        return []
    start_response("200 OK", list(answer.headers))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


@lru_cache(maxsize=256)
def _best_encoding(accepted: str) -> str:
    """Return the smallest encoding that an Accept-Encoding header allows (RFC 9110, section 12.5.3)."""
    allowed = {item for item, quality in parse_accept_header(accepted) if quality > 0}
    return next((encoding for encoding in ("br", "gzip") if encoding in allowed), "identity")
