"""Settings: e-mail, password, language, currency."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.account_world import EMAIL, PASSWORD, Visitor, World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    world.add_traveller()
    return world


@pytest.fixture
def visitor(world: World) -> Visitor:
    visitor = world.traveller()
    visitor.get("/en/account/settings")
    return visitor


def test_a_new_address_counts_once_its_mailbox_has_confirmed_it(world: World, visitor: Visitor) -> None:
    new = {"email-new_email": "New@example.org", "email-current_password": PASSWORD}
    answer = visitor.post("/en/account/settings/email", **new)
    assert answer.location == "/en/account/settings?done=email"
    assert EMAIL in visitor.get(answer.location).text
    assert world.mails()[-1].recipient == "new@example.org"
    path = world.mailed_path()
    assert "new@example.org" in visitor.get(path).text
    assert world.account("new@example.org") is None
    assert visitor.post(path).status_code == 303
    assert world.account() is None
    assert "new@example.org" in visitor.get("/en/account/settings?done=address").text
    assert visitor.get(path).status_code == 410


def test_an_address_of_another_account_is_told_only_to_its_owner(world: World, visitor: Visitor) -> None:
    world.add_traveller("bob@example.org")
    new = {"email-new_email": "bob@example.org", "email-current_password": PASSWORD}
    assert visitor.post("/en/account/settings/email", **new).status_code == 303
    path = world.mailed_path()
    visitor.get(path)
    assert visitor.post(path).status_code == 409
    assert world.account() is not None


@pytest.mark.parametrize(
    ("address", "password", "field"),
    [("no address", PASSWORD, "email-new_email"), ("new@example.org", "wrong one", "email-current_password")],
)
def test_a_failed_change_of_address_names_the_field(
    world: World, visitor: Visitor, address: str, password: str, field: str
) -> None:
    form = {"email-new_email": address, "email-current_password": password}
    answer = visitor.post("/en/account/settings/email", **form)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert world.mails() == []


def test_a_new_password_keeps_this_browser_and_signs_out_the_others(world: World, visitor: Visitor) -> None:
    elsewhere = world.traveller()
    form = {"current_password": PASSWORD, "new_password": "five words are even more"}
    assert visitor.post("/en/account/settings/password", **form).status_code == 303
    assert visitor.get("/en/account/settings").status_code == 200
    assert elsewhere.get("/en/account/settings").status_code == 303


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [("wrong one", "five words are even more", "current_password"), (PASSWORD, "short", "new_password")],
)
def test_a_failed_change_of_password_names_the_field(visitor: Visitor, current: str, new: str, field: str) -> None:
    answer = visitor.post("/en/account/settings/password", current_password=current, new_password=new)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text


def test_language_and_currency(world: World, visitor: Visitor) -> None:
    answer = visitor.post("/en/account/settings/language", language="zh-hans")
    assert answer.location == "/zh-hans/account/settings?done=language"
    visitor.get(answer.location)
    assert visitor.post("/zh-hans/account/settings/currency", currency="CNY").status_code == 303
    account = world.account()
    assert account is not None
    assert (account.language, account.currency) == ("zh-hans", "CNY")


@pytest.mark.parametrize(("setting", "value"), [("language", "tlh"), ("currency", "XXX"), ("currency", "")])
def test_what_is_not_offered_is_refused(visitor: Visitor, setting: str, value: str) -> None:
    answer = visitor.post(f"/en/account/settings/{setting}", **{setting: value})
    assert answer.status_code == 422
    assert f'id="{setting}-error"' in answer.text


@pytest.mark.parametrize("setting", ["email", "password", "language", "currency"])
def test_a_stranger_changes_nothing(world: World, setting: str) -> None:
    visitor = world.visitor()
    visitor.get("/en/sign-in")
    answer = visitor.post(f"/en/account/settings/{setting}")
    assert answer.location.startswith("/en/sign-in")
