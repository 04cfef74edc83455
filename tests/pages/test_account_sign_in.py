"""Signing in and out, signing up, mailed links."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from blueprints._access import safe_next
from tests.account_world import EMAIL, PASSWORD, World, counted_statements, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_a_page_that_needs_an_account_comes_back_after_signing_in(world: World) -> None:
    world.add_traveller()
    visitor = world.visitor()
    answer = visitor.get("/fr/account?page=2")
    assert (answer.status_code, answer.location) == (303, "/fr/sign-in?next=/fr/account?page%3D2")
    assert 'name="next" value="/fr/account?page=2"' in visitor.get(answer.location).text
    answer = visitor.post("/fr/sign-in", email=EMAIL, password=PASSWORD, next="/fr/account?page=2")
    assert (answer.status_code, answer.location) == (303, "/fr/account?page=2#fresh")
    page = visitor.get(answer.location)
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "/en\r\nX: y", "/\t/evil.example", "", None],
)
def test_next_leads_nowhere_else(target: str | None) -> None:
    assert safe_next(target) is None


def test_an_address_of_another_site_is_not_followed(world: World) -> None:
    world.add_traveller()
    visitor = world.visitor()
    visitor.get("/en/sign-in?next=//evil.example")
    answer = visitor.post("/en/sign-in", email=EMAIL, password=PASSWORD, next="//evil.example")
    assert answer.location == "/en/account#fresh"


def test_htmx_is_told_to_sign_in_with_the_page_it_was_on(world: World) -> None:
    headers = {"HX_Request": "true", "HX_Current_URL": "https://shop.example/en/account/esims/X"}
    answer = world.visitor().get("/en/account/esims/X", **headers)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/en/sign-in?next=/en/account/esims/X"


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [("", PASSWORD, "email"), (EMAIL, "", "password"), (EMAIL, "wrong password", "password"), ("x", "y", "password")],
)
def test_a_failed_sign_in_names_the_field(world: World, email: str, password: str, field: str) -> None:
    world.add_traveller()
    visitor = world.visitor()
    visitor.get("/en/sign-in")
    answer = visitor.post("/en/sign-in", email=email, password=password)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert PASSWORD not in answer.text


def test_a_form_without_its_token_changes_nothing(world: World) -> None:
    world.add_traveller()
    answer = world.visitor().post("/en/sign-in", email=EMAIL, password=PASSWORD)
    assert answer.status_code == 400


def test_too_many_wrong_passwords_for_one_account_pause_it_and_say_how_long(world: World) -> None:
    world.add_traveller()
    visitor = world.visitor()
    visitor.get("/en/sign-in")
    for _ in range(10):
        assert visitor.post("/en/sign-in", email=EMAIL, password="wrong password").status_code == 422
    answer = visitor.post("/en/sign-in", email=EMAIL.upper(), password=PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "minute" in answer.text
    assert visitor.post("/en/sign-in", email="bob@example.org", password=PASSWORD).status_code == 422


def test_signing_out_closes_the_account(world: World) -> None:
    world.add_traveller()
    visitor = world.traveller()
    assert visitor.get("/en/account").status_code == 200
    assert visitor.post("/en/sign-out").status_code == 303
    assert visitor.get("/en/account").status_code == 303
    assert visitor.get("/en/sign-out").status_code == 405


def test_a_signed_in_page_pays_one_statement_for_knowing_who_it_is(world: World) -> None:
    world.add_traveller()
    visitor = world.traveller()
    with counted_statements(world.app) as statements:
        visitor.get("/en/account/settings")
    assert len(statements) == 1


def test_signing_up_and_forgetting_say_the_same_of_known_and_unknown_addresses(world: World) -> None:
    world.add_traveller()
    pages = []
    for path in ("/en/sign-up", "/en/password-reset", "/en/claim"):
        for email in (EMAIL, f"nobody{path[4:]}@example.org"):
            visitor = world.visitor()
            visitor.get("/en/sign-up")
            answer = visitor.post(path, email=email)
            pages.append((answer.status_code, answer.location, visitor.get(answer.location).text))
    assert len(set(pages)) == 1
    kinds = [mail.kind.rpartition("-")[0] for mail in world.mails()]
    assert kinds == ["password-reset", "claim", "password-reset", "password-reset"]


@pytest.mark.parametrize("path", ["/en/sign-up", "/en/password-reset", "/en/claim"])
def test_an_address_that_is_none_is_named(world: World, path: str) -> None:
    visitor = world.visitor()
    visitor.get("/en/sign-up")
    answer = visitor.post(path, email="anna at example")
    assert answer.status_code == 422
    assert 'id="email-error"' in answer.text


def test_from_signing_up_to_signed_in(world: World) -> None:
    visitor = world.visitor()
    visitor.get("/fr/sign-up")
    visitor.post("/fr/sign-up", email=EMAIL)
    path = world.mailed_path()
    assert path.startswith("/fr/claim/")
    for _scanner in range(3):
        page = visitor.get(path)
        assert page.status_code == 200
    assert page.headers["Referrer-Policy"].endswith(", strict-origin")
    weak = visitor.post(path, password="short")
    assert weak.status_code == 422
    assert 'id="password-error"' in weak.text
    assert visitor.post(path, password=PASSWORD).location == "/fr/account#fresh"
    assert EMAIL in visitor.get("/fr/account").text
    account = world.account()
    assert account is not None
    assert account.claimed_at == world.clock.now()
    assert world.visitor().get(path).status_code == 410
    world.traveller()


def test_a_new_password_signs_out_every_other_browser(world: World) -> None:
    world.add_traveller()
    elsewhere = world.traveller()
    visitor = world.visitor()
    visitor.get("/en/password-reset")
    visitor.post("/en/password-reset", email=EMAIL)
    path = world.mailed_path()
    visitor.get(path)
    assert visitor.post(path, password="five words are even more").status_code == 303
    assert visitor.get("/en/account").status_code == 200
    assert elsewhere.get("/en/account").status_code == 303


def test_an_expired_link_offers_a_fresh_one(world: World) -> None:
    visitor = world.visitor()
    visitor.get("/en/sign-up")
    visitor.post("/en/sign-up", email=EMAIL)
    path = world.mailed_path()
    visitor.get(path)
    world.clock.move(timedelta(days=14))
    for answer in (visitor.get(path), visitor.post(path, password=PASSWORD)):
        assert answer.status_code == 410
        assert 'action="/en/claim"' in answer.text
    visitor.post("/en/claim", email=EMAIL)
    assert visitor.get(world.mailed_path()).status_code == 200


@pytest.mark.parametrize("path", ["/en/claim/nonsense", "/en/password-reset/nonsense", "/en/email/nonsense"])
def test_a_made_up_link_is_gone(world: World, path: str) -> None:
    visitor = world.visitor()
    assert visitor.get(path).status_code == 410
    assert visitor.post(path, password=PASSWORD).status_code == 410
