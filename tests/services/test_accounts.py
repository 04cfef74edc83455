"""Accounts, passwords and one-time links."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import argon2
import pytest

from models import Account, TokenPurpose, db
from services import account_tokens, accounts, passwords
from services.account_tokens import TokenInvalid
from services.passwords import Weakness
from tests.account_world import EMAIL, PASSWORD, World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.mark.parametrize("typed", ["Anna@Example.ORG", " anna@example.org ", "ANNA@EXAMPLE.ORG"])
def test_an_address_is_one_account_however_it_is_typed(typed: str) -> None:
    assert accounts.normalise_email(typed) == EMAIL


@pytest.mark.parametrize("theirs", ["anna@exampleß.org", "anna@example\u1e9e.org"])
def test_domains_that_look_alike_are_never_one_account(theirs: str) -> None:
    """Different people can own the two domains: one of them must not get into the other one's account."""
    assert accounts.normalise_email(theirs) != accounts.normalise_email("anna@exampless.org")


@pytest.mark.parametrize("typed", ["änna@example.org", "a" * 250 + "@example.org"])
def test_what_no_mail_server_takes_is_refused(typed: str) -> None:
    """Neither Stripe nor most servers take letters beyond ASCII before the @ (RFC 6531)."""
    with pytest.raises(accounts.EmailInvalid):
        accounts.normalise_email(typed)


@pytest.mark.parametrize("typed", ["", "anna", "anna@", "@example.org", "anna@example", "a b@example.org", "a@b@c.org"])
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(accounts.EmailInvalid):
        accounts.normalise_email(typed)


def test_a_purchase_makes_one_unclaimed_account_per_address(world: World) -> None:
    now = world.clock.now()
    with world.app.app_context(), world.shop.transaction() as session:
        first = accounts.get_or_create_for_purchase(session, EMAIL, "fr", "CHF", now)
        again = accounts.get_or_create_for_purchase(session, EMAIL.upper(), "en", "EUR", now)
        assert first is again
        assert (first.language, first.currency, first.password_hash, first.claimed_at) == ("fr", "CHF", None, None)


def test_a_password_opens_only_its_own_account(world: World) -> None:
    account_id = world.add_traveller()
    with world.app.app_context():
        assert accounts.authenticate(world.shop, EMAIL.upper(), PASSWORD).id == account_id
        for email, password in (
            (EMAIL, "another password"),
            ("bob@example.org", PASSWORD),
            ("", PASSWORD),
            (EMAIL, ""),
        ):
            with pytest.raises(accounts.WrongPassword):
                accounts.authenticate(world.shop, email, password)


def test_an_unclaimed_account_cannot_be_opened(world: World) -> None:
    with world.app.app_context():
        with world.shop.transaction() as session:
            accounts.get_or_create_for_purchase(session, EMAIL, "en", "EUR", world.clock.now())
        for password in ("", "nobody has this password"):
            with pytest.raises(accounts.WrongPassword):
                accounts.authenticate(world.shop, EMAIL, password)


def test_an_unknown_address_costs_a_comparison_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str | None] = []

    def note(stored: str | None, _password: str) -> bool:
        compared.append(stored)
        return False

    monkeypatch.setattr(passwords, "matches", note)
    with world.app.app_context(), pytest.raises(accounts.WrongPassword):
        accounts.authenticate(world.shop, "nobody@example.org", PASSWORD)
    assert compared == [None]


def test_an_old_hash_is_replaced_when_its_owner_signs_in(world: World) -> None:
    world.add_traveller()
    old = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with world.app.app_context():
        with world.shop.transaction() as session:
            session.query(Account).update({"password_hash": old})
        version = accounts.authenticate(world.shop, EMAIL, PASSWORD).session_version
        db.session.remove()
        account = world.account()
        assert account is not None
        assert account.password_hash not in (None, old)
        assert accounts.authenticate(world.shop, EMAIL, PASSWORD).session_version == version


@pytest.mark.parametrize(
    ("password", "weakness"),
    [
        ("too short", Weakness.TOO_SHORT),
        ("x" * 201, Weakness.TOO_LONG),
        ("Anna.Archer@example.org", Weakness.IS_EMAIL),
        ("anna.archer", Weakness.IS_EMAIL),
    ],
)
def test_weak_passwords_are_refused_with_a_reason(password: str, weakness: Weakness) -> None:
    with pytest.raises(passwords.WeakPassword) as caught:
        passwords.hash_new(password, "anna.archer@example.org")
    assert caught.value.weakness is weakness


@pytest.mark.parametrize("purpose", list(TokenPurpose))
def test_a_link_works_once_until_it_expires(world: World, purpose: TokenPurpose) -> None:
    world.add_traveller()
    lifetime = account_tokens.LIFETIMES[purpose]
    with world.app.app_context(), world.shop.transaction() as session:
        account = session.query(Account).one()
        now = world.clock.now()
        token = account_tokens.issue(session, account, purpose, now)
        assert token.secret not in repr(token)
        just_before = now + lifetime - timedelta(seconds=1)
        assert account_tokens.find(session, purpose, token.secret, just_before).account is account
        with pytest.raises(TokenInvalid):
            account_tokens.use(session, purpose, token.secret, now + lifetime)
        assert account_tokens.use(session, purpose, token.secret, just_before).account_id == account.id
        for attempt in (account_tokens.use, account_tokens.find):
            with pytest.raises(TokenInvalid):
                attempt(session, purpose, token.secret, now)


def test_a_link_is_good_for_its_purpose_only_and_takes_the_others_with_it(world: World) -> None:
    world.add_traveller()
    with world.app.app_context(), world.shop.transaction() as session:
        account, now = session.query(Account).one(), world.clock.now()
        older = account_tokens.issue(session, account, TokenPurpose.PASSWORD_RESET, now)
        newer = account_tokens.issue(session, account, TokenPurpose.PASSWORD_RESET, now)
        with pytest.raises(TokenInvalid):
            account_tokens.use(session, TokenPurpose.CLAIM, newer.secret, now)
        account_tokens.use(session, TokenPurpose.PASSWORD_RESET, newer.secret, now)
        with pytest.raises(TokenInvalid):
            account_tokens.use(session, TokenPurpose.PASSWORD_RESET, older.secret, now)


def test_a_new_password_moves_the_session_version(world: World) -> None:
    world.add_traveller()
    with world.app.app_context(), world.shop.transaction() as session:
        account, now = session.query(Account).one(), world.clock.now()
        before = account.get_id()
        accounts.set_password(session, account, passwords.hash_new("another password", EMAIL), now)
        assert account.get_id() != before


def test_what_signing_up_mails_depends_on_the_account(world: World) -> None:
    world.add_traveller("claimed@example.org")
    with world.app.app_context():
        for email in ("claimed@example.org", "new@example.org", "new@example.org"):
            with world.shop.transaction() as session:
                accounts.sign_up(world.shop, session, email, "en", "EUR", world.clock.now())
    assert [(mail.kind.rpartition("-")[0], mail.recipient) for mail in world.mails()] == [
        ("password-reset", "claimed@example.org"),
        ("claim", "new@example.org"),
        ("claim", "new@example.org"),
    ]


def test_an_address_that_was_taken_meanwhile_stays_with_its_owner(world: World) -> None:
    world.add_traveller()
    now = world.clock.now()
    with world.app.app_context():
        with world.shop.transaction() as session:
            account = session.query(Account).one()
            accounts.ask_email_change(world.shop, session, account, "Bob@example.org", now)
        secret = world.mailed_path().rsplit("/", 1)[1]
        with world.shop.transaction() as session:
            accounts.get_or_create_for_purchase(session, "bob@example.org", "en", "EUR", now)
        with pytest.raises(accounts.EmailTaken), world.shop.transaction() as session:
            accounts.change_email(session, secret, now)
    assert world.account() is not None
