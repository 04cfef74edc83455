"""Signing in with a mailed link, for whoever bought with an e-mail alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.account_world import EMAIL, World, make_world
from tests.services.mail_world import add_account

LINK = "/en/sign-in/link"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def add_guest(world: World, **values: str) -> int:
    """Add somebody who bought with an address alone and never chose a password."""
    with world.app.app_context(), world.shop.transaction() as session:
        account = add_account(session, email=EMAIL, **values)
        account.password_hash = account.claimed_at = None
        return account.id


def ask(world: World, email: str = EMAIL) -> str:
    """Ask for a link and return the path of it that was mailed last."""
    visitor = world.visitor()
    visitor.get(LINK)
    assert visitor.post(LINK, email=email).location == "/en/sign-in/link-sent"
    return world.mailed_path()


def test_the_link_opens_the_esims_of_a_guest(world: World) -> None:
    esim = world.add_esim(add_guest(world))
    path = ask(world)
    visitor = world.visitor()
    for _scanner in range(3):
        assert EMAIL in visitor.get(path).text
    answer = visitor.post(path)
    assert (answer.status_code, answer.location) == (303, "/en/account#fresh")
    assert f"/en/account/esims/{esim.public_id}" in visitor.get("/en/account").text
    assert visitor.get(f"/en/account/esims/{esim.public_id}").status_code == 200


def test_the_link_works_once(world: World) -> None:
    world.add_traveller()
    path = ask(world)
    first, second = world.visitor(), world.visitor()
    first.get(path)
    second.get(path)
    assert first.post(path).status_code == 303
    again = second.post(path)
    assert again.status_code == 410
    assert 'action="/en/sign-in/link"' in again.text
    assert second.get("/en/account").status_code == 303


def test_the_link_is_of_no_use_after_an_hour(world: World) -> None:
    world.add_traveller()
    path = ask(world)
    world.clock.move(timedelta(hours=1))
    assert world.visitor().get(path).status_code == 410


def test_opening_it_leaves_password_and_other_links_as_they_are(world: World) -> None:
    world.add_traveller()
    elsewhere = world.traveller()
    visitor = world.visitor()
    visitor.get("/en/password-reset")
    visitor.post("/en/password-reset", email=EMAIL)
    reset = world.mailed_path()
    path = ask(world)
    visitor.get(path)
    assert visitor.post(path).status_code == 303
    assert world.visitor().get(reset).status_code == 200
    assert elsewhere.get("/en/account").status_code == 200
    world.traveller()


def test_a_new_password_ends_the_links_that_sign_in(world: World) -> None:
    world.add_traveller()
    path = ask(world)
    visitor = world.visitor()
    visitor.get("/en/password-reset")
    visitor.post("/en/password-reset", email=EMAIL)
    reset = world.mailed_path()
    visitor.get(reset)
    assert visitor.post(reset, password="five words are even more").status_code == 303
    assert world.visitor().get(path).status_code == 410


def test_a_link_of_another_kind_does_not_sign_in(world: World) -> None:
    world.add_traveller()
    visitor = world.visitor()
    visitor.get("/en/password-reset")
    visitor.post("/en/password-reset", email=EMAIL)
    secret = world.mailed_path().rpartition("/")[2]
    assert world.visitor().get(f"/en/sign-in/link/{secret}").status_code == 410
    other = ask(world).rpartition("/")[2]
    assert world.visitor().get(f"/en/password-reset/{other}").status_code == 410


def test_nobody_learns_which_address_has_bought(world: World) -> None:
    world.add_traveller()
    pages = []
    for email in (EMAIL, "nobody@example.org"):
        visitor = world.visitor()
        visitor.get(LINK)
        answer = visitor.post(LINK, email=email)
        pages.append((answer.status_code, answer.location, visitor.get(answer.location).text))
    assert len(set(pages)) == 1
    assert [mail.recipient for mail in world.mails()] == [EMAIL]


def test_an_address_that_is_none_is_named(world: World) -> None:
    visitor = world.visitor()
    visitor.get(LINK)
    answer = visitor.post(LINK, email="anna at example")
    assert answer.status_code == 422
    assert 'id="email-error"' in answer.text


def test_the_mail_is_in_the_language_of_the_account(world: World) -> None:
    add_guest(world, language="fr")
    assert ask(world).startswith("/fr/sign-in/link/")
    assert world.mails()[-1].language == "fr"


def test_asking_too_often_is_paused(world: World) -> None:
    world.add_traveller()
    visitor = world.visitor()
    visitor.get(LINK)
    for _ in range(5):
        assert visitor.post(LINK, email=EMAIL).status_code == 303
    answer = visitor.post(LINK, email=EMAIL.upper())
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_whoever_has_no_password_is_told_how_to_choose_one(world: World) -> None:
    add_guest(world)
    path = ask(world)
    visitor = world.visitor()
    visitor.get(path)
    visitor.post(path)
    settings = visitor.get("/en/account/settings")
    assert "You have no password yet." in settings.text
    assert "current_password" not in settings.text
    assert visitor.post("/en/claim", email=EMAIL).status_code == 303
    assert world.mailed_path().startswith("/en/claim/")


def test_a_made_up_link_is_gone(world: World) -> None:
    visitor = world.visitor()
    assert visitor.get("/en/sign-in/link/nonsense").status_code == 410
    assert visitor.post("/en/sign-in/link/nonsense").status_code == 410
