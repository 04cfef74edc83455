"""Accounts of travellers: made by a purchase or by signing up, opened by a mailed link, kept by a password."""

from __future__ import annotations

from datetime import datetime

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models import Account, Order, TokenPurpose, db
from services import account_tokens, links, passwords
from services.mail import messages
from services.shop import Shop

# RFC 5321, section 4.5.3.1.3, less the angle brackets.
LONGEST_EMAIL = 254


class EmailInvalid(Exception):
    """This is not an e-mail address; the message says in English what is wrong with it."""


class EmailTaken(Exception):
    """The address belongs to another account."""


class WrongPassword(Exception):
    """Address and password do not belong together."""


def mail_address(email: str) -> str:
    """Return the address as every mail server takes it, an international domain in its ASCII form; raises EmailInvalid.

    Names with letters beyond ASCII before the @ (RFC 6531) are refused: neither Stripe nor most servers take them.
    """
    try:
        address = validate_email(email.strip(), check_deliverability=False, allow_smtputf8=False).ascii_email
    except EmailNotValidError as error:
        raise EmailInvalid(str(error)) from error
    if address is None or len(address) > LONGEST_EMAIL:
        raise EmailInvalid("too long")
    return address


def normalise_email(email: str) -> str:
    """Return the address as accounts are kept by it; raises EmailInvalid.

    Mail servers may tell `A@` from `a@` (RFC 5321, section 2.4), but none in use does, and people type both. Lower
    case, never case folding: that makes one name of two domains that different people can own (straße.de, strasse.de).
    """
    return mail_address(email).lower()


def find_by_email(session: Session, email: str) -> Account | None:
    """Return the account of an address, in whatever way it is written."""
    try:
        key = normalise_email(email)
    except EmailInvalid:
        return None
    return session.scalar(select(Account).where(Account.email == key))


def get_or_create_for_purchase(session: Session, email: str, language: str, currency: str, now: datetime) -> Account:
    """Return the account of an address; a new one has no password and waits to be claimed. Raises EmailInvalid."""
    key = normalise_email(email)
    account = find_by_email(session, key)
    if account is not None:
        return account
    account = Account(email=key, language=language, currency=currency, created_at=now)
    try:
        with session.begin_nested():
            session.add(account)
            session.flush()
    except IntegrityError:
        # Somebody else made it since we looked; the unique constraint decides.
        return session.scalars(select(Account).where(Account.email == key)).one()
    return account


def sign_up(shop: Shop, session: Session, email: str, language: str, currency: str, now: datetime) -> None:
    """Mail the link that opens the account of an address, making the account when there is none.

    What happens differs only in the mailbox, so that nobody learns who has an account. Raises EmailInvalid.
    """
    account = get_or_create_for_purchase(session, email, language, currency, now)
    send_access_link(shop, session, account, now)


def send_link_if_known(shop: Shop, session: Session, email: str, now: datetime) -> None:
    """Mail the owner of an address a link to choose a password; does nothing for an address without an account."""
    account = find_by_email(session, email)
    if account is not None:
        send_access_link(shop, session, account, now)


def send_sign_in_link_if_known(shop: Shop, session: Session, email: str, now: datetime) -> None:
    """Mail the owner of an address a link that opens the account; does nothing for an address without an account."""
    account = find_by_email(session, email)
    if account is not None:
        token = account_tokens.issue(session, account, TokenPurpose.SIGN_IN, now)
        url = links.sign_in_link_url(shop, account.language, token.secret)
        messages.sign_in_link(shop, account, token.token_id, url)


def send_access_link(shop: Shop, session: Session, account: Account, now: datetime) -> None:
    """Mail the link with which the owner chooses a password: a claim for a new account, a reset for a claimed one."""
    if account.claimed_at is None:
        send_claim_link(shop, session, account, now)
        return
    token = account_tokens.issue(session, account, TokenPurpose.PASSWORD_RESET, now)
    url = links.password_reset_url(shop, account.language, token.secret)
    messages.password_reset(shop, account, token.token_id, url)


def send_claim_link(shop: Shop, session: Session, account: Account, now: datetime) -> None:
    """Mail the link that makes an account of a guest's purchases."""
    token = account_tokens.issue(session, account, TokenPurpose.CLAIM, now)
    url = links.claim_url(shop, account.language, token.secret)
    messages.claim(shop, account, token.token_id, url)


def claim_url_for(shop: Shop, session: Session, order: Order, now: datetime) -> str | None:
    """Return a link by which an order's buyer without a password takes the account, None for everybody else."""
    if order.account.claimed_at is not None or normalise_email(order.email) != order.account.email:
        return None
    token = account_tokens.issue(session, order.account, TokenPurpose.CLAIM, now)
    return links.claim_url(shop, order.language, token.secret)


def authenticate(shop: Shop, email: str, password: str) -> Account:
    """Return the account that address and password open, in the same time for an unknown address.

    A hash made with older parameters is replaced on the way. Raises WrongPassword.
    """
    account = find_by_email(db.session(), email)
    stored = account.password_hash if account is not None else None
    if not passwords.matches(stored, password) or account is None or stored is None:
        raise WrongPassword
    if passwords.is_outdated(stored):
        fresh = passwords.rehash(password)
        with shop.transaction() as session:
            session.execute(
                update(Account)
                .where(Account.id == account.id, Account.password_hash == stored)
                .values(password_hash=fresh)
            )
    return account


def check_password(account: Account, password: str) -> None:
    """Make sure that whoever sits there knows the account's password; raises WrongPassword."""
    if not passwords.matches(account.password_hash, password):
        raise WrongPassword


def set_password(session: Session, account: Account, password_hash: str, now: datetime) -> None:
    """Store a hash from `passwords.hash_new`, sign the account out everywhere and let its open links die."""
    session.execute(
        update(Account)
        .where(Account.id == account.id)
        .values(password_hash=password_hash, session_version=Account.session_version + 1)
        .execution_options(synchronize_session=False)
    )
    session.refresh(account)
    account_tokens.withdraw_all(session, account.id, now)


def open_with_link(session: Session, purpose: TokenPurpose, secret: str, password_hash: str, now: datetime) -> Account:
    """Use a mailed claim or reset link up, set the password and return the account, which is claimed from now on.

    Raises TokenInvalid.
    """
    account = account_tokens.use(session, purpose, secret, now).account
    set_password(session, account, password_hash, now)
    if account.claimed_at is None:
        account.claimed_at = now
    return account


def ask_email_change(shop: Shop, session: Session, account: Account, new_email: str, now: datetime) -> None:
    """Mail a link to the new address; the old one stays until the link is used. Raises EmailInvalid.

    Whether the address belongs to another account is told only to someone who can open that link.
    """
    key = normalise_email(new_email)
    token = account_tokens.issue(session, account, TokenPurpose.EMAIL_CHANGE, now, new_email=key)
    url = links.email_change_url(shop, account.language, token.secret)
    messages.email_change(shop, account, token.token_id, key, url)


def change_email(session: Session, secret: str, now: datetime) -> Account:
    """Use a mailed link up and move the account to its new address; raises TokenInvalid or EmailTaken."""
    token = account_tokens.use(session, TokenPurpose.EMAIL_CHANGE, secret, now)
    assert token.new_email is not None
    taken = select(Account.id).where(Account.email == token.new_email, Account.id != token.account_id)
    if session.scalar(taken) is not None:
        raise EmailTaken
    try:
        token.account.email = token.new_email
        session.flush()
    except IntegrityError as error:
        raise EmailTaken from error
    return token.account
