"""The worker and its database: what was undone is done at once, what was lost is found by the sweep, nothing twice."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url, update

from config import Settings
from jobs import PERIODIC, sweep_once
from models import Esim, FulfilmentStatus, Mail, MailStatus, Order, Package, PackageStatus, RefundStatus, db
from tests.conftest import environment
from tests.faults.broken_line import Line
from tests.faults.house import ROOT, wait_until
from tests.faults.saboteur import Rival, at_commit, at_statement, end_connection
from tests.money_world import MoneyWorld
from tests.servers import POSTGRESQL_URL

pytestmark = pytest.mark.postgresql

Said = Callable[[], list[str]]


@pytest.fixture
def line() -> Iterator[Line]:
    """Give the line between the shop and its database."""
    with Line(make_url(POSTGRESQL_URL)) as line:
        yield line


@pytest.fixture
def settings(settings: Settings, line: Line) -> Settings:
    """Return the settings of a shop that speaks to its database over the line."""
    return replace(settings, database_url=line.lead(settings.database_url))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    """Return the function that says what the worker has logged of the database's faults, each in one line."""
    caplog.set_level(logging.WARNING)

    def messages() -> list[str]:
        assert [record for record in caplog.records if record.exc_info] == []
        return [record.getMessage() for record in caplog.records if record.name in ("services.database_faults", "jobs")]

    return messages


def finished(money: MoneyWorld, order: Order) -> Callable[[], bool]:
    """Return whether the order is verified and all of its mails have left."""

    def condition() -> bool:
        verified = money.fulfilment(order).status is FulfilmentStatus.VERIFIED
        mails = db.session.query(Mail).filter_by(subject_key=f"order:{order.id}")
        return verified and {mail.status for mail in mails} == {MailStatus.SENT}

    return condition


# One fault in the middle of a task.


def test_the_loser_of_a_deadlock_is_done_at_once(
    money: MoneyWorld, settings: Settings, run_jobs: Callable[[], int], said: Said
) -> None:
    """The reading of an eSIM holds the eSIM and wants its package; the rival does it the other way round."""
    esim = money.esim_of(money.verified(money.order()))
    with money.shop.transaction() as session:
        session.execute(update(Package).values(status=PackageStatus.EXPIRED))
        money.shop.knock("read_usage", esim.id)
    with ExitStack() as stack:
        rival = Rival(settings.database_url, stack)
        rival.run("update packages set days = days where esim_id = %s", esim.id)

        def want_the_esim(_connection: object) -> None:
            rival.run_until_blocked("update esims set apn = 'changed' where id = %s", esim.id)

        happened = stack.enter_context(at_statement("UPDATE packages", want_the_esim))
        run_jobs()
    assert happened
    assert said() == ["run 1 of 3 ended by the database: undone DeadlockDetected 40P01"]
    (package,) = db.session.query(Package).all()
    assert package.status is not PackageStatus.EXPIRED
    assert money.row(Esim, esim.id).apn != "changed"


@pytest.mark.parametrize("commits", [True, False], ids=["at COMMIT", "before a statement"])
@pytest.mark.parametrize(
    "words", ["UPDATE fulfilments", "INSERT INTO supplier_attempts", "UPDATE supplier_attempts", "INSERT INTO esims"]
)
def test_an_order_whose_connection_ends_is_delivered_once(
    money: MoneyWorld, said: Said, words: str, commits: bool
) -> None:
    """Wherever it was: the lease ends, and the sweep goes on from what is committed."""
    order = money.paid(money.order())
    with (at_commit if commits else at_statement)(words, end_connection) as happened:
        money.work()
    assert happened
    assert len(said()) == 1
    money.work(minutes=5)
    money.work(minutes=5)
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    assert money.supplier_orders(order) == 1
    assert money.mails(order, "esim-ready") == 1
    money.check(order)


@pytest.mark.parametrize("commits", [True, False], ids=["at COMMIT", "before a statement"])
def test_a_refund_whose_connection_ends_goes_out_once(money: MoneyWorld, said: Said, commits: bool) -> None:
    order = money.paid(money.order())
    (payment,) = money.payments(order)
    refund = money.refund(payment, payment.amount_minor)
    with (at_commit if commits else at_statement)("UPDATE refunds SET status", end_connection) as happened:
        money.work()
    assert happened
    assert said()
    money.work(minutes=5)
    assert [each.status for each in money.refunds(order)] == [RefundStatus.SUCCEEDED]
    assert [each["id"] for each in money.stripe.objects("re")] == [money.row(type(refund), refund.id).reference]
    money.check(order, kept=0)


def test_a_mail_that_left_is_noted_in_spite_of_a_lost_connection(money: MoneyWorld, said: Said) -> None:
    """Noting it again is no harm, sending it again would be one."""
    order = money.paid(money.order())
    with at_statement("sent_at=", end_connection) as happened:
        money.work()
    assert happened
    assert len(said()) == 1
    money.work(minutes=5)
    assert {mail.status for mail in db.session.query(Mail)} == {MailStatus.SENT}
    assert len(money.sandbox.inbox.summaries(to=order.email)) == 2


# The database is away.


def test_no_task_fails_while_the_database_is_away(money: MoneyWorld, line: Line, said: Said) -> None:
    """Neither a knock nor a task of the clock; the first sweep afterwards does everything."""
    order = money.paid(money.order())
    db.session.rollback()
    queue = money.app.extensions["queue"]
    line.cut()
    while task := queue.dequeue():
        task.execute()
    for task in queue._registry.periodic_tasks:
        task.execute()
    sweep_once(money.shop)
    line.mend()
    lines = said()
    for task in ("fulfil", "send_mail", "the sweep of fulfilments", "the sweep of mails", *PERIODIC, "what is due"):
        assert any(line.startswith(task.replace("_deep", " --deep")) for line in lines), task
    assert all(line.endswith("is left to the next sweep: unreachable OperationalError") for line in lines)
    sweep_once(money.shop)
    assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
    money.check(order)


def test_a_sweep_stops_at_a_database_that_goes_away(money: MoneyWorld, line: Line, said: Said) -> None:
    """Each row more would wait for it again, and the next sweep begins in a minute."""
    orders = [money.paid(money.order()) for _order in range(3)]
    with at_statement("UPDATE fulfilments", lambda _connection: line.cut()):
        sweep_once(money.shop)
    line.mend()
    # The first order lost its connection, the second found none.
    first, second = said()
    assert (first.rpartition(": ")[2], second.rpartition(": ")[2]) == (
        "undone OperationalError",
        "unreachable OperationalError",
    )
    sweep_once(money.shop)
    assert {money.fulfilment(order).status for order in orders} == {FulfilmentStatus.VERIFIED}


@contextmanager
def worker(money: MoneyWorld, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `flask worker` as the Procfile does, its log in a file."""
    settings = money.shop.settings
    environ = {**environment(money.sandbox, settings.shop_url, settings.instance), "LOG_LEVEL": "WARNING"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", "worker"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environ, "DATABASE_URL": settings.database_url},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def test_the_process_outlives_its_database(money: MoneyWorld, line: Line, tmp_path: Path) -> None:
    """It starts while there is none, goes on when there is one, and again after that one was restarted."""
    log = tmp_path / "worker.log"
    first, second, third = (money.order() for _order in range(3))
    taken = f"fulfil {money.paid(first).id} is left to the next sweep"
    db.session.rollback()
    line.cut()
    with worker(money, log) as process:
        wait_until(lambda: "what is due is left to the next sweep" in log.read_text(), "the worker starts")
        wait_until(lambda: taken in log.read_text(), "it takes a task")
        line.mend()
        money.paid(second)
        wait_until(finished(money, second), "the order is delivered")
        db.session.rollback()
        line.cut()
        line.mend()
        money.paid(third)
        wait_until(lambda: money.fulfilment(third).status is FulfilmentStatus.VERIFIED, "the order is delivered")
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "Traceback" not in log.read_text()
    sweep_once(money.shop)
    for order in (first, second, third):
        assert money.fulfilment(order).status is FulfilmentStatus.VERIFIED
        money.check(order)
