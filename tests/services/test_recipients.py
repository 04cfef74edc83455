"""Correcting an address: what is sent again and where, what stays unsent, and whose the order is afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from models import Account, AccountToken, Esim, Mail, MailStatus, Order, OrderStatus, TokenPurpose, db
from services import account_tokens, accounts, links, passwords, recipients
from services.account_tokens import TokenInvalid
from services.accounts import EmailInvalid
from services.audit import COMMAND
from services.mail import outbox, reminders
from services.mail.transport import MailDelayed, MailRefused
from services.recipients import MOST_CORRECTIONS, Correction, TooManyCorrections
from tests import both_databases
from tests.money_world import MoneyWorld

RIGHT = "ana@gmail.com"
PASSWORD = "four words are enough"
CLAIM = re.compile(r"/claim/(\S+)")


def correcting(money: MoneyWorld, order: Order, email: str = RIGHT) -> Callable[[], Correction]:
    """Return the call that corrects the address of an order, for any thread."""
    order_id = order.id

    def call() -> Correction:
        money.fresh()
        with money.shop.transaction() as session:
            found = session.get_one(Order, order_id)
            return recipients.correct_recipient(money.shop, session, found, email, money.clock.now())

    return call


def correct(money: MoneyWorld, order: Order, email: str = RIGHT) -> Correction:
    return correcting(money, order, email)()


def delivered(money: MoneyWorld, **wish: Any) -> Order:
    """Return an order that was delivered and whose mails have arrived."""
    return money.verified(money.order(**wish))


def mails(money: MoneyWorld, order: Order) -> list[tuple[str, str, MailStatus]]:
    """Return kind, recipient and status of every mail about an order."""
    money.fresh()
    about = db.session.scalars(select(Mail).where(Mail.subject_key == f"order:{order.id}").order_by(Mail.id))
    return [(mail.kind, mail.recipient, mail.status) for mail in about]


def texts(money: MoneyWorld, email: str) -> list[str]:
    return [message.text for message in money.sandbox.inbox.messages(to=email)]


def subjects(money: MoneyWorld, email: str) -> list[str]:
    return [re.sub(r" [0-9A-Z]{10}", "", message.subject) for message in money.sandbox.inbox.messages(to=email)]


def secrets(money: MoneyWorld, email: str) -> list[str]:
    """Return the secrets of the claim links that this mailbox holds."""
    return [secret for text in texts(money, email) for secret in CLAIM.findall(text)]


def opens(money: MoneyWorld, order: Order, text: str) -> bool:
    """Return whether the link to the order in a mail's text opens it now."""
    (key,) = re.findall(rf"/orders/{order.public_id}\?key=(\S+)", text)
    return links.check_order_key(money.shop.settings, money.row(Order, order.id), key)


def claim(money: MoneyWorld, secret: str) -> Account:
    with money.shop.transaction() as session:
        hashed = passwords.hash_new(PASSWORD, "")
        return accounts.open_with_link(session, TokenPurpose.CLAIM, secret, hashed, money.clock.now())


RECEIPT, READY = "Receipt for order", "Your eSIM for order is ready to install"


@both_databases
def test_what_the_buyer_should_have_is_sent_again_once(money: MoneyWorld) -> None:
    order = delivered(money)
    wrong = order.email
    assert correct(money, order) is Correction.CORRECTED
    money.work()
    assert subjects(money, RIGHT) == [RECEIPT, READY]
    assert subjects(money, wrong) == [RECEIPT, READY]
    assert [opens(money, order, text) for text in texts(money, RIGHT)] == [True, True]
    assert [opens(money, order, text) for text in texts(money, wrong)] == [False, False]
    assert mails(money, order) == [
        ("receipt", wrong, MailStatus.SENT),
        ("esim-ready", wrong, MailStatus.SENT),
        ("receipt-again-1", RIGHT, MailStatus.SENT),
        ("esim-ready-again-1", RIGHT, MailStatus.SENT),
    ]
    esim = money.esim_of(order)
    assert esim.matching_id in texts(money, RIGHT)[1]

    assert correct(money, order) is Correction.KEPT
    money.work(days=1)
    assert len(mails(money, order)) == len(texts(money, RIGHT)) + len(texts(money, wrong)) == 4


@both_databases
def test_an_order_of_a_guest_moves_to_the_account_of_the_right_address(money: MoneyWorld) -> None:
    order = delivered(money)
    wrong = order.email
    (old_secret,) = secrets(money, wrong)
    correct(money, order)
    money.work()
    account = money.row(Order, order.id).account
    assert (account.email, account.claimed_at, account.language) == (RIGHT, None, "en")
    assert money.esim_of(order).account_id == account.id
    with pytest.raises(TokenInvalid):
        claim(money, old_secret)
    (secret,) = secrets(money, RIGHT)
    assert claim(money, secret).id == account.id
    # Whoever reads the mistyped mailbox may open an account there, and finds it empty.
    with money.shop.transaction() as session:
        accounts.sign_up(money.shop, session, wrong, "en", "EUR", money.clock.now())
    money.work()
    stranger = claim(money, secrets(money, wrong)[-1])
    assert db.session.scalars(select(Order).where(Order.account_id == stranger.id)).all() == []
    assert db.session.scalars(select(Esim).where(Esim.account_id == stranger.id)).all() == []


def test_the_account_may_be_one_that_the_buyer_has(money: MoneyWorld) -> None:
    mine = money.factories.make_account(email=RIGHT)
    order = delivered(money)
    correct(money, order, "Ana@gmail.com")
    money.work()
    assert money.row(Order, order.id).account_id == mine.id
    assert money.esim_of(order).account_id == mine.id
    assert subjects(money, "Ana@gmail.com") == [RECEIPT, READY]
    assert secrets(money, "Ana@gmail.com") == []


def test_an_order_of_a_claimed_account_stays_there(money: MoneyWorld) -> None:
    owner = money.factories.make_account()
    order = delivered(money, account=owner)
    correct(money, order)
    money.work()
    assert money.row(Order, order.id).account_id == owner.id
    assert money.esim_of(order).account_id == owner.id
    assert money.row(Order, order.id).email == RIGHT
    assert subjects(money, RIGHT) == [RECEIPT, READY]
    assert secrets(money, RIGHT) == []
    assert db.session.scalar(select(Account).where(Account.email == RIGHT)) is None


def test_an_account_that_was_claimed_meanwhile_keeps_its_order(money: MoneyWorld) -> None:
    """Nobody can tell its owner from a stranger by a link; a person has to."""
    order = delivered(money)
    owner = claim(money, secrets(money, order.email)[0])
    correct(money, order)
    assert money.row(Order, order.id).account_id == owner.id
    assert money.esim_of(order).account_id == owner.id


def test_what_others_bought_for_the_old_address_stays(money: MoneyWorld) -> None:
    """The mistyped address may be that of somebody who shops here, too."""
    theirs = delivered(money)
    (their_secret,) = secrets(money, theirs.email)
    order = delivered(money, account=theirs.account)
    correct(money, order)
    assert money.row(Order, order.id).account.email == RIGHT
    assert money.esim_of(order).account.email == RIGHT
    assert money.row(Order, theirs.id).account_id == theirs.account_id
    assert money.esim_of(theirs).account_id == theirs.account_id
    assert claim(money, their_secret).id == theirs.account_id
    # The other order can follow.
    assert opens(money, theirs, texts(money, theirs.email)[0])


@both_databases
def test_mails_that_wait_are_turned_around(money: MoneyWorld) -> None:
    server = money.sandbox.inbox.server
    server.refuse(1000, "temporary")
    order = money.paid(money.order())
    wrong = order.email
    money.work()
    old_tokens = db.session.scalars(select(AccountToken)).all()
    correct(money, order)
    server.behave()
    money.work(minutes=1)
    assert texts(money, wrong) == []
    assert subjects(money, RIGHT) == [RECEIPT, READY]
    assert all(opens(money, order, text) for text in texts(money, RIGHT))
    assert mails(money, order) == [("receipt", RIGHT, MailStatus.SENT), ("esim-ready", RIGHT, MailStatus.SENT)]
    assert claim(money, secrets(money, RIGHT)[0]).email == RIGHT
    assert [token.used_at is not None for token in old_tokens] == [True]


@both_databases
def test_mails_that_were_refused_go_to_the_right_address(money: MoneyWorld) -> None:
    server = money.sandbox.inbox.server
    server.refuse(2, "permanent")
    order = money.paid(money.order())
    wrong = order.email
    money.work()
    assert [status for _kind, _to, status in mails(money, order)] == [MailStatus.FAILED] * 2
    correct(money, order)
    money.work()
    assert mails(money, order) == [("receipt", RIGHT, MailStatus.SENT), ("esim-ready", RIGHT, MailStatus.SENT)]
    assert subjects(money, RIGHT) == [RECEIPT, READY]
    assert texts(money, wrong) == []


def test_what_was_refused_at_a_right_address_is_tried_once_more(money: MoneyWorld) -> None:
    money.sandbox.inbox.server.refuse(2, "permanent")
    order = money.paid(money.order())
    money.work()
    assert correct(money, order, order.email) is Correction.RETRIED
    assert correct(money, order, order.email) is Correction.KEPT
    money.work()
    assert subjects(money, order.email) == [RECEIPT, READY]
    assert money.row(Order, order.id).corrections == 0
    assert all(opens(money, order, text) for text in texts(money, order.email))


class Meanwhile:
    """A way out during which something happens, and which then takes the mail or does not."""

    def __init__(self, money: MoneyWorld, happen: Callable[[], object], trouble: BaseException | None) -> None:
        self.way_out, self.happen, self.trouble = money.shop.transport, happen, trouble

    def send(self, message: EmailMessage) -> None:
        self.happen()
        if self.trouble is not None:
            raise self.trouble
        self.way_out.send(message)


@both_databases
@pytest.mark.parametrize(
    "trouble", [None, MailDelayed("451"), MailRefused("550"), KeyboardInterrupt()], ids=lambda each: type(each).__name__
)
def test_a_mail_that_is_being_sent_meanwhile(money: MoneyWorld, trouble: BaseException | None) -> None:
    """It cannot be stopped; whatever comes of it, the right address gets one of its own."""
    order = money.paid(money.order())
    wrong = order.email
    (mail_id,) = outbox.due(money.shop)
    meanwhile = Meanwhile(money, correcting(money, order), trouble)
    shop = replace(money.shop, transport=meanwhile)
    if isinstance(trouble, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            outbox.send(shop, mail_id)
    else:
        outbox.send(shop, mail_id)
    money.work()
    money.work(days=1)
    assert subjects(money, wrong) == ([RECEIPT] if trouble is None else [])
    assert subjects(money, RIGHT) == [RECEIPT, READY]
    assert {status for _kind, _to, status in mails(money, order)} == {MailStatus.SENT}
    assert not any(opens(money, order, text) for text in texts(money, wrong))


@both_databases
def test_the_same_correction_eight_times_at_once_is_one(money: MoneyWorld) -> None:
    order = delivered(money)
    results = money.at_once(*[correcting(money, order)] * 8)
    assert sorted(map(str, results)) == ["corrected"] + ["kept"] * 7
    money.work()
    assert subjects(money, RIGHT) == [RECEIPT, READY]
    assert money.row(Order, order.id).corrections == 1
    assert len(db.session.scalars(select(Account).where(Account.email == RIGHT)).all()) == 1


@both_databases
def test_two_corrections_at_once_are_made_one_after_the_other(money: MoneyWorld) -> None:
    order = delivered(money)
    addresses = ("one@gmail.com", "two@gmail.com")
    results = money.at_once(*[correcting(money, order, email) for email in addresses])
    assert results == [Correction.CORRECTED] * 2
    money.work()
    found = money.row(Order, order.id)
    (other,) = set(addresses) - {found.email}
    assert (found.corrections, found.account.email) == (2, found.email)
    assert subjects(money, found.email) == [RECEIPT, READY]
    assert texts(money, other) == []
    assert all(opens(money, order, text) for text in texts(money, found.email))


@both_databases
def test_a_claim_and_a_correction_at_once(money: MoneyWorld) -> None:
    """Whichever comes first: the order is not split from its eSIM, and no link of the loser's works."""
    for number in range(4):
        order = delivered(money)
        wrong, right = order.email, f"right{number}@gmail.com"
        secret = secrets(money, wrong)[0]
        results = money.at_once(correcting(money, order, right), partial(claim, money, secret))
        claimed = any(isinstance(result, Account) for result in results)
        assert Correction.CORRECTED in results
        assert claimed or any(isinstance(result, TokenInvalid) for result in results), results
        account = money.row(Order, order.id).account
        assert account.email == (wrong if claimed else right)
        assert money.esim_of(order).account_id == account.id


@both_databases
def test_a_correction_while_the_esim_is_handed_out(money: MoneyWorld) -> None:
    for number in range(3):
        order, right = money.paid(money.order()), f"right{number}@gmail.com"
        money.at_once(money.work, correcting(money, order, right))
        money.work(minutes=2)
        money.work()
        assert money.row(Order, order.id).account.email == right
        assert money.esim_of(order).account.email == right
        assert subjects(money, right) == [RECEIPT, READY]
        assert all(opens(money, order, text) for text in texts(money, right))
        assert claim(money, secrets(money, right)[0]).email == right


def test_after_five_corrections_a_person_is_asked(money: MoneyWorld) -> None:
    order = delivered(money)
    for number in range(MOST_CORRECTIONS):
        assert correct(money, order, f"ana{number}@gmail.com") is Correction.CORRECTED
    with pytest.raises(TooManyCorrections):
        correct(money, order)
    assert correct(money, order, f"ana{MOST_CORRECTIONS - 1}@gmail.com") is Correction.KEPT
    money.work()
    assert texts(money, RIGHT) == []
    assert money.row(Order, order.id).email == f"ana{MOST_CORRECTIONS - 1}@gmail.com"
    money.fresh()
    with money.shop.transaction() as session:
        found = session.get_one(Order, order.id)
        recipients.correct_recipient(money.shop, session, found, RIGHT, money.clock.now(), by=COMMAND)
    money.work()
    assert subjects(money, RIGHT) == [RECEIPT, READY]


def test_what_is_no_address_changes_nothing(money: MoneyWorld) -> None:
    order = delivered(money)
    with pytest.raises(EmailInvalid):
        correct(money, order, "ana at gmail")
    assert money.row(Order, order.id).email == order.email
    assert len(mails(money, order)) == 2


def test_an_order_that_nobody_was_written_to_about_keeps_its_link(money: MoneyWorld) -> None:
    """The buyer may be at Stripe's page, and comes back with it."""
    order = money.order()
    wrong = order.email
    session_id, link = money.open(order), links.order_url(money.shop, order)
    for _ in range(MOST_CORRECTIONS + 1):
        assert correct(money, order, "other@gmail.com") is Correction.CORRECTED
        assert correct(money, order) is Correction.CORRECTED
    assert links.order_url(money.shop, money.row(Order, order.id)) == link
    money.stripe.pay(session_id, wait=False)
    money.settle(session_id)
    money.work()
    assert money.row(Order, order.id).account.email == RIGHT
    assert subjects(money, RIGHT) == [RECEIPT, READY]
    assert texts(money, wrong) == []
    money.check(money.row(Order, order.id))


def test_a_payment_that_failed_is_told_again_until_it_is_made(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    money.pay_later(session_id)
    money.settle(session_id)
    money.stripe.settle_async_payment(session_id, succeeded=False)
    money.settle(session_id)
    money.work()
    assert subjects(money, order.email) == ["Payment for order did not go through"]
    correct(money, order)
    money.work()
    assert subjects(money, RIGHT) == ["Payment for order did not go through"]
    assert money.row(Order, order.id).corrections == 1
    money.paid(money.row(Order, order.id))
    correct(money, order, "ana2@gmail.com")
    money.work()
    assert subjects(money, "ana2@gmail.com") == [RECEIPT, READY]


def test_a_renewal_is_confirmed_again_as_it_was(money: MoneyWorld) -> None:
    order = money.verified(money.renewal(money.esim()))
    wrong = order.email
    correct(money, order)
    money.work()
    assert [subject.split(":")[0] for subject in subjects(money, RIGHT)] == [RECEIPT, "Renewed"]
    before, again = texts(money, wrong)[-1], texts(money, RIGHT)[-1]
    key = re.compile(r"key=\S+")
    assert key.sub("", again) == key.sub("", before)
    # The eSIM has another order, so it stays where that one is.
    assert money.esim_of(order).account.email == wrong


def test_a_refund_is_told_again_and_an_esim_without_its_money_is_not_sent(money: MoneyWorld) -> None:
    order = delivered(money)
    money.refund(money.payments(order)[0], order.amount_minor)
    money.work()
    assert money.row(Order, order.id).status is OrderStatus.REFUNDED
    correct(money, order)
    money.work()
    assert subjects(money, RIGHT) == [RECEIPT, "Refund for order"]


def test_a_delay_is_told_again_while_it_lasts(money: MoneyWorld) -> None:
    money.supplier.fault("/esim/order", "500", count=None)
    order = money.paid(money.order())
    money.keep_working(order, minutes=90)
    assert money.mails(order, "order-delayed") == 1
    correct(money, order)
    money.work()
    assert subjects(money, RIGHT) == [RECEIPT, "Order takes longer than usual"]


def test_what_waits_and_is_not_due_any_more_goes_to_the_right_address_too(money: MoneyWorld) -> None:
    order = delivered(money)
    wrong = order.email
    with money.shop.transaction():
        outbox.queue(
            money.shop,
            kind="word-of-the-future",
            subject_key=f"order:{order.id}",
            recipient=wrong,
            language="en",
            subject="A word",
            text=f"Open {links.order_url(money.shop, order)}\n",
            html=f'<a href="{links.order_url(money.shop, order)}">Open</a>',
        )
    correct(money, order)
    money.work()
    assert "A word" not in subjects(money, wrong)
    (message,) = money.sandbox.inbox.messages(to=RIGHT, subject="A word")
    assert opens(money, order, message.text)
    assert links.order_url(money.shop, money.row(Order, order.id)) in message.html


def test_reminders_go_to_the_account_of_the_right_address(money: MoneyWorld) -> None:
    order = delivered(money)
    esim = money.esim_of(order)
    with money.shop.transaction():
        esim.install_by = money.clock.now().replace(microsecond=0)
    money.clock.advance(days=-1)
    assert reminders.send_reminders(money.shop) == 1
    correct(money, order)
    assert db.session.scalars(select(Mail).where(Mail.subject_key == f"esim:{esim.id}")).all() == []
    assert reminders.send_reminders(money.shop) == 1
    reminder = db.session.scalars(select(Mail).where(Mail.subject_key == f"esim:{esim.id}")).one()
    assert reminder.recipient == RIGHT
    assert opens(money, order, reminder.text_body)


def test_a_link_is_used_under_the_lock_of_its_account(money: MoneyWorld) -> None:
    """Also one that is nobody's: nothing to lock, and nothing to use."""
    with money.shop.transaction() as session, pytest.raises(TokenInvalid):
        account_tokens.use(session, TokenPurpose.CLAIM, "no such secret", money.clock.now())
