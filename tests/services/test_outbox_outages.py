"""The outbox while the mail server or the worker fails: every mail arrives, and once wherever SMTP allows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from models import Mail, MailStatus, db
from services import failpoints
from services.mail import outbox
from tests import both_databases
from tests.money_world import MoneyWorld


class Killed(BaseException):
    """The end of a process, which runs no handler of the shop's."""


@contextmanager
def killed_at(name: str) -> Iterator[None]:
    """Let the worker die the first time it reaches a failpoint."""
    reached: list[str] = []

    def die(failpoint: str) -> None:
        if failpoint == name and not reached:
            reached.append(name)
            raise Killed

    failpoints.listen(die)
    try:
        yield
    finally:
        failpoints.listen(None)
    assert reached == [name]


@pytest.fixture
def mail_server(money: MoneyWorld) -> Iterator[MoneyWorld]:
    """Give the world with a mail server that a test may take down."""
    yield money
    money.sandbox.inbox.server.up()


def mails(money: MoneyWorld) -> list[Mail]:
    money.fresh()
    return list(db.session.scalars(select(Mail).order_by(Mail.id)))


def arrived(money: MoneyWorld) -> list[str]:
    """Return the Message-ID of everything in the mailbox, in the order of its arrival."""
    return [message.header("Message-ID") for message in money.sandbox.inbox.messages()]


def queue_mail(money: MoneyWorld, number: int = 1) -> int:
    with money.shop.transaction():
        mail_id = outbox.queue(
            money.shop,
            kind="receipt",
            subject_key=f"order:{number}",
            recipient="buyer@example.org",
            language="en",
            subject="Receipt",
            text="Receipt\n",
            html="<p>Receipt</p>",
        )
    assert mail_id is not None
    return mail_id


@both_databases
def test_a_mail_server_that_is_down_for_an_hour_delays_mails_and_loses_none(mail_server: MoneyWorld) -> None:
    money = mail_server
    orders = [money.order() for _ in range(3)]
    paid_at_minute = dict(zip((0, 10, 59), orders, strict=True))
    money.sandbox.inbox.server.down()
    for minute in range(60):
        if minute in paid_at_minute:
            money.paid(paid_at_minute[minute])
        money.work(minutes=1)
    assert arrived(money) == []
    assert {mail.status for mail in mails(money)} == {MailStatus.QUEUED}
    assert all(money.mails(order, "receipt") == money.mails(order, "esim-ready") == 1 for order in orders)

    money.sandbox.inbox.server.up()
    for _minute in range(5):
        money.work(minutes=1)

    assert {mail.status for mail in mails(money)} == {MailStatus.SENT}
    assert len(arrived(money)) == len(set(arrived(money))) == len(mails(money)) == 6
    for order in orders:
        subjects = [message.subject for message in money.sandbox.inbox.messages(to=order.email)]
        assert sorted(subjects) == [
            f"Receipt for order {order.public_id}",
            f"Your eSIM for order {order.public_id} is ready to install",
        ]
    money.work(days=3)
    assert len(arrived(money)) == 6


@both_databases
@pytest.mark.parametrize(("failpoint", "copies"), [("mail.claimed", 1), ("mail.accepted", 2)])
def test_a_worker_that_dies_over_a_mail_is_followed_by_the_next_one(
    money: MoneyWorld, failpoint: str, copies: int
) -> None:
    """After the server has taken it, a second copy cannot be avoided; mailboxes know it by its Message-ID."""
    mail_id = queue_mail(money)
    with killed_at(failpoint), pytest.raises(Killed):
        outbox.send(money.shop, mail_id)
    money.work(minutes=4)
    assert len(arrived(money)) == copies - 1
    assert [mail.status for mail in mails(money)] == [MailStatus.SENDING]

    money.work(minutes=1)

    assert [(mail.status, mail.tries) for mail in mails(money)] == [(MailStatus.SENT, 2)]
    assert Counter(arrived(money)).most_common() == [(arrived(money)[0], copies)]
    money.work(days=1)
    assert len(arrived(money)) == copies


def test_a_worker_that_dies_before_the_mail_is_committed_sends_nothing(money: MoneyWorld) -> None:
    order = money.order()
    session_id = money.open(order)
    money.stripe.pay(session_id, wait=False)
    with killed_at("settle.recorded"), pytest.raises(Killed):
        money.settle(session_id)
    money.work(minutes=5)
    assert mails(money) == []
    assert arrived(money) == []


@both_databases
def test_eight_workers_send_a_mail_once(money: MoneyWorld) -> None:
    mail_id = queue_mail(money)
    results = money.at_once(*[lambda: outbox.send(money.shop, mail_id)] * 8)
    assert Counter(results) == {True: 1, False: 7}
    assert len(arrived(money)) == 1


@pytest.mark.parametrize(
    ("trouble", "copies"),
    [
        (lambda server: server.refuse(2, "temporary", "recipient"), 1),
        (lambda server: server.refuse(2, "temporary", "data"), 1),
        (lambda server: server.drop(2, "before"), 1),
        (lambda server: server.drop(2, "after"), 3),
    ],
    ids=["451 to its reader", "451 to its text", "dropped before", "dropped after"],
)
def test_a_mail_outlasts_what_passes(money: MoneyWorld, trouble: Callable[[object], None], copies: int) -> None:
    """Where the server has kept a mail and its answer was lost, the copies are recognisably the same mail."""
    trouble(money.sandbox.inbox.server)
    queue_mail(money)
    for _minute in range(5):
        money.work(minutes=1)
    assert [(mail.status, mail.tries) for mail in mails(money)] == [(MailStatus.SENT, 3)]
    assert len(arrived(money)) == copies
    assert len(set(arrived(money))) == 1


@pytest.mark.parametrize("stage", ["recipient", "data"])
def test_a_mail_that_is_refused_for_good_is_kept_with_the_reason(
    money: MoneyWorld, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    money.sandbox.inbox.server.refuse(1, "permanent", stage)
    mail_id = queue_mail(money)
    money.work()
    money.work(days=3)
    (mail,) = mails(money)
    assert (mail.status, mail.tries, mail.next_try_at) == (MailStatus.FAILED, 1, None)
    assert mail.error.startswith("550 5.1.1")
    assert mail.text_body, "it may be sent once the reason is mended"
    assert f"mail {mail_id} (receipt) failed at try 1: {mail.error}" in caplog.text
    assert "buyer@example.org" not in caplog.text
    assert arrived(money) == []
