"""Pages are made once, kept for everybody, and thrown away when the catalogue moves."""

from __future__ import annotations

import gzip
from pathlib import Path

import brotli
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import update

from blueprints import _page_cache
from models import PlanPrice, db
from services.catalogue import move_catalogue_version
from tests.pages.front_world import counted_statements, make_shop

PUBLIC = ("/en/", "/en/plans", "/en/plans/monaco-1gb-a-day", "/en/renew", "/en/help", "/en/install", "/en/terms")


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_shop(tmp_path)


@pytest.fixture
def made(app: Flask) -> list[str]:
    """Collect the addresses that Flask itself had to answer."""
    addresses: list[str] = []
    app.before_request_funcs.setdefault(None, []).append(lambda: addresses.append(request.full_path))
    return addresses


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_page_is_made_once(client: FlaskClient, made: list[str], address: str) -> None:
    first, second = client.get(address), client.get(address)
    assert first.status_code == second.status_code == 200
    assert first.data == second.data
    assert len(made) == 1


@pytest.mark.parametrize("address", PUBLIC)
def test_a_kept_page_holds_nothing_of_one_visitor(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert "Set-Cookie" not in answer.headers
    assert "cookie" not in answer.headers["Vary"].lower()
    assert "csrf_token" not in answer.text
    assert answer.headers["Cache-Control"] == "public, max-age=0, must-revalidate"


def test_a_kept_page_costs_no_sql_but_the_version(app: Flask, client: FlaskClient) -> None:
    client.get("/en/plans")
    with counted_statements(app) as statements:
        for _time in range(5):
            client.get("/en/plans")
    assert len(statements) <= 2  # BEGIN and the version, should the second be over


def test_a_moved_catalogue_is_seen(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_page_cache, "VERSION_SECONDS", 0.0)
    before = client.get("/en/plans/monaco-1gb-7-days")
    assert "€14.90" in before.text
    with app.app_context(), app.extensions["shop"].transaction() as session:
        session.execute(update(PlanPrice).where(PlanPrice.amount_minor == 1490).values(amount_minor=1500))
        move_catalogue_version(session)
    after = client.get("/en/plans/monaco-1gb-7-days", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert "€15.00" in after.text


def test_an_unchanged_page_is_not_sent_again(client: FlaskClient) -> None:
    first = client.get("/en/")
    again = client.get("/en/", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Vary"] == first.headers["Vary"]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip"), ("", None), ("identity", None)],
)
def test_each_browser_gets_the_smallest_it_understands(
    client: FlaskClient, accepted: str, encoding: str | None
) -> None:
    plain = client.get("/en/")
    answer = client.get("/en/", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    undo = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[encoding]
    assert undo(answer.data) == plain.data
    assert (answer.headers["ETag"] == plain.headers["ETag"]) == (encoding is None)
    assert int(answer.headers["Content-Length"]) == len(answer.data)


def test_a_page_and_its_fragment_are_kept_apart(client: FlaskClient) -> None:
    page, fragment = client.get("/en/plans"), client.get("/en/plans", headers={"HX-Request": "true"})
    assert page.text.startswith("<!doctype html>")
    assert not fragment.text.startswith("<!doctype html>")
    assert client.get("/en/plans").data == page.data
    restored = client.get("/en/plans", headers={"HX-Request": "true", "HX-Request-Type": "full"})
    assert restored.data == page.data


def test_head_is_answered_without_a_body(client: FlaskClient) -> None:
    page = client.get("/en/")
    head = client.head("/en/")
    assert head.data == b""
    assert head.headers["Content-Length"] == str(len(page.data))


@pytest.mark.parametrize("address", ["/en/?from=mail", "/en/plans?days=x", "/en/nowhere", "/en/plans?days=1&days=2"])
def test_what_anybody_can_invent_is_not_kept(client: FlaskClient, made: list[str], address: str) -> None:
    client.get(address)
    client.get(address)
    assert len(made) == 2


def test_only_so_many_pages_are_kept(client: FlaskClient, monkeypatch: pytest.MonkeyPatch, made: list[str]) -> None:
    monkeypatch.setattr(_page_cache, "MOST_PAGES", 2)
    for currency in ("EUR", "USD", "GBP"):
        client.get(f"/en/?currency={currency}")
    client.get("/en/?currency=GBP")
    assert len(made) == 3
    client.get("/en/?currency=EUR")
    assert len(made) == 4


def test_the_root_is_made_for_each_visitor(client: FlaskClient, made: list[str]) -> None:
    client.get("/")
    client.get("/")
    assert len(made) == 2


def test_without_a_catalogue_pages_are_made_each_time(app: Flask, client: FlaskClient, made: list[str]) -> None:
    with app.app_context():
        db.drop_all()
    assert client.get("/en/install").status_code == 200
    assert client.get("/en/install").status_code == 200
    assert len(made) == 2
