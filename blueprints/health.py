"""Addresses without a language: the front door, and what machines ask for."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Blueprint, Flask, Response, abort, current_app, make_response, redirect, request, url_for
from flask.blueprints import BlueprintSetupState
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from blueprints._access import signed_in_account
from blueprints._language import chosen_language
from blueprints._metrics import prepare_metrics, read_metrics
from blueprints._static import service_worker
from blueprints._web import current_shop, limiter, private
from models import Plan, PlanState, db
from services.languages import DEFAULT_LANGUAGE, LANGUAGES, best_language

blueprint = Blueprint("health", __name__)

PUBLIC_ENDPOINTS = (
    "catalogue.home",
    "catalogue.plans",
    "renewal.guide",
    "pages.guide",
    "pages.compatibility",
    "pages.install",
    "pages.help",
    "pages.terms",
    "pages.privacy",
    "pages.accessibility",
)
_PERSONAL = ("account", "checkout", "claim", "email", "orders", "password-reset", "renew/esims", "sign-in", "sign-up")
_HOUR = "public, max-age=3600"


@blueprint.record
def _measure_requests(state: BlueprintSetupState) -> None:
    assert isinstance(state.app, Flask)
    prepare_metrics(state.app)


@blueprint.get("/")
def front_door() -> Response:
    """Send the visitor to a language: of the account, then the one chosen here, then what the browser asks for."""
    account = signed_in_account()
    language = LANGUAGES.get(account.language) if account is not None else chosen_language()
    language = language or best_language(request.accept_languages)
    response = private(make_response(redirect(url_for("catalogue.home", lang=language.code))))
    response.vary.update(("Accept-Language", "Cookie"))
    return response


@blueprint.get("/healthz")
@limiter.exempt
def healthz() -> Response:
    """Say that this process is alive."""
    return _plain("alive\n")


@blueprint.get("/readyz")
@limiter.exempt
def readyz() -> Response:
    """Say whether the shop can serve: the database answers and its tables are those that this code expects."""
    try:
        revisions = set(db.session.scalars(text("select version_num from alembic_version")))
    except SQLAlchemyError:
        return _plain("the database does not answer, or was never migrated: flask --app app db upgrade\n", 503)
    if revisions != _newest_revisions(Path(current_app.root_path) / "migrations"):
        return _plain("the database is not migrated to this version: flask --app app db upgrade\n", 503)
    return _plain("ready\n")


@blueprint.get("/metrics")
@limiter.exempt
def metrics() -> Response:
    """Return the figures to a scraper in the same network; to everybody else this address does not exist."""
    if not _is_neighbour():
        abort(404)
    body, content_type = read_metrics()
    response = make_response(body)
    response.headers.update({"Content-Type": content_type, "Cache-Control": "no-store"})
    return response


@blueprint.get("/worker.js")
@limiter.exempt
def worker() -> Response:
    """Return the service worker, which the pages that can be kept register for themselves (ADR 14).

    It stands at the root because a service worker may not serve what lies above it (W3C Service Workers, 3.4.3).
    """
    response = make_response(service_worker())
    response.headers.update({"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache"})
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.get("/robots.txt")
def robots() -> Response:
    """Tell crawlers to stay out of what is personal (RFC 9309)."""
    lines = ["User-agent: *", "Disallow: /staff/", "Disallow: /webhooks/", "Disallow: /metrics"]
    lines += [f"Disallow: /{code}/{path}" for code in LANGUAGES for path in _PERSONAL]
    lines.append(f"Sitemap: {current_shop().settings.shop_url}{url_for('health.sitemap')}")
    return _plain("\n".join(lines) + "\n", cache_control=_HOUR)


@blueprint.get("/sitemap.xml")
def sitemap() -> Response:
    """List every public page in every language with its alternates (sitemaps.org; Google's localised versions)."""
    slugs = db.session.scalars(select(Plan.slug).where(Plan.state == PlanState.ACTIVE).order_by(Plan.position)).all()
    pages = [_addresses(endpoint) for endpoint in PUBLIC_ENDPOINTS]
    pages += [_addresses("catalogue.plan", slug=slug) for slug in slugs]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml">',
        *(_entry(page, code) for page in pages for code in page),
        "</urlset>\n",
    ]
    response = make_response("\n".join(lines))
    response.headers.update({"Content-Type": "application/xml; charset=utf-8", "Cache-Control": _HOUR})
    return response


def _addresses(endpoint: str, **values: Any) -> dict[str, str]:
    shop_url = current_shop().settings.shop_url
    return {code: shop_url + url_for(endpoint, **{**values, "lang": code}) for code in LANGUAGES}


def _entry(page: dict[str, str], code: str) -> str:
    links = [(LANGUAGES[other].html, address) for other, address in page.items()]
    links.append(("x-default", page[DEFAULT_LANGUAGE]))
    alternates = "".join(
        f'<xhtml:link rel="alternate" hreflang="{html}" href="{escape(address)}"/>' for html, address in links
    )
    return f"<url><loc>{escape(page[code])}</loc>{alternates}</url>"


def _is_neighbour() -> bool:
    """Return whether the request comes from loopback or a private network, and not through a proxy we were not told of.

    Behind a proxy that TRUSTED_PROXIES does not count, everybody would look like a neighbour.
    """
    if request.headers.get("X-Forwarded-For") and not current_shop().settings.trusted_proxies:
        return False
    address = ip_address(request.remote_addr or "0.0.0.0")  # noqa: S104 - a stand-in for "unknown", nothing is bound
    return address.is_loopback or (address.is_private and not address.is_unspecified)


@lru_cache(maxsize=1)
def _newest_revisions(directory: Path) -> set[str]:
    config = Config()
    config.set_main_option("script_location", str(directory))
    return set(ScriptDirectory.from_config(config).get_heads())


def _plain(body: str, status: int = 200, cache_control: str = "no-store") -> Response:
    response = make_response(body, status)
    response.headers.update({"Content-Type": "text/plain; charset=utf-8", "Cache-Control": cache_control})
    return response
