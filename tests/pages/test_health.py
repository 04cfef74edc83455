"""The front door, and what machines ask for."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from flask import Flask
from sqlalchemy import text

from config import Settings
from models import db
from services.languages import LANGUAGES
from tests import both_databases
from tests.factories import Factories
from tests.page_client import PageClient

SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("fr-CH,fr;q=0.9,en;q=0.8", "fr"),
        ("zh-CN", "zh-hans"),
        ("ar-AE,en;q=0.5", "ar"),
        ("xx", "en"),
        ("", "en"),
        ("en;q=0.1,fr;q=0.2", "fr"),
    ],
)
def test_the_front_door_leads_to_the_visitors_language(client: PageClient, accepted: str, language: str) -> None:
    """The answer says that it depends on the header."""
    page = client.get("/", 302, headers={"Accept-Language": accepted})
    assert page.location == f"/{language}/"
    assert "Accept-Language" in page.response.headers["Vary"]
    assert "Set-Cookie" not in page.response.headers


def test_alive_needs_no_database(app: Flask, client: PageClient) -> None:
    """A process that lost its database is alive and not ready."""
    client.get("/healthz")
    client.get("/readyz")
    db.session.execute(text("drop table alembic_version"))
    db.session.commit()
    client.get("/healthz")
    assert "flask --app app db upgrade" in client.get("/readyz", 503).text


@both_databases
def test_a_database_of_another_version_is_not_ready(client: PageClient) -> None:
    """Before migrating, traffic stays with the version that fits."""
    client.get("/readyz")
    db.session.execute(text("delete from alembic_version"))
    db.session.execute(text("insert into alembic_version values ('0000')"))
    db.session.commit()
    client.get("/readyz", 503)


def test_metrics_count_requests_without_saying_who_asked(client: PageClient, factories: Factories) -> None:
    """Endpoints and codes stand there, addresses and names do not."""
    account = factories.make_account()
    client.get(f"/en/orders/{account.email}", 404)
    client.get("/healthz")
    figures = client.get("/metrics").response.text
    assert 'shop_requests_total{endpoint="health.healthz",method="GET",status="200"}' in figures
    assert "shop_request_seconds_bucket" in figures
    assert account.email not in figures


@pytest.mark.parametrize(
    "options",
    [{"environ_base": {"REMOTE_ADDR": "8.8.8.8"}}, {"headers": {"X-Forwarded-For": "10.0.0.1"}}],
    ids=["from afar", "through a proxy we were not told of"],
)
def test_metrics_are_not_for_everybody(client: PageClient, options: dict[str, dict[str, str]]) -> None:
    """To everybody but neighbours the address does not exist."""
    client.get("/metrics", 404, **options)


def test_crawlers_are_kept_out_of_what_is_personal(client: PageClient, settings: Settings) -> None:
    """Every language has its lines, and the sitemap is named."""
    lines = client.get("/robots.txt").response.text.splitlines()
    for code in LANGUAGES:
        for path in ("account", "orders", "checkout"):
            assert f"Disallow: /{code}/{path}" in lines
    assert "Disallow: /staff/" in lines
    assert f"Sitemap: {settings.shop_url}/sitemap.xml" in lines


def test_the_sitemap_lists_pages_that_exist_in_every_language(client: PageClient, settings: Settings) -> None:
    """Each address answers, and names the same page in all languages."""
    root = ElementTree.fromstring(client.get("/sitemap.xml").response.text)  # noqa: S314 - our own answer
    entries = root.findall(f"{SITEMAP}url")
    addresses = [str(entry.findtext(f"{SITEMAP}loc")) for entry in entries]
    assert len(addresses) == len(set(addresses)) > 20
    assert all(len(entry.findall(f"{XHTML}link")) == len(LANGUAGES) + 1 for entry in entries)
    for address in addresses:
        client.get(address.removeprefix(settings.shop_url))
