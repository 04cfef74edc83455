"""A worker that is killed in the middle: the next one goes on, and nothing is bought, mailed or paid back twice.

These workers are real processes on the machine's own clock. A killed worker leaves its lease behind, which ends after
90 seconds; instead of waiting, the tests move `lease_until` into the past, which is what the passing of that time does
to the row as seen by everybody else, and likewise the next try of a refund. Nothing else in the database is touched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from models import Esim, FulfilmentStatus, Mail, MailStatus, Order, OrderKind, SupplierAttemptStatus, db
from services.clock import SystemClock
from services.fulfilment import LEASE
from tests.conftest import environment
from tests.money_world import MoneyWorld, varied

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60
SECONDS_OF_SILENCE = 120


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


@contextmanager
def worker(money: MoneyWorld) -> Iterator[subprocess.Popen[bytes]]:
    """Run `flask worker` as the Procfile does; it is killed at the end if it still runs."""
    settings = money.shop.settings
    environ = environment(money.sandbox, settings.shop_url, settings.instance)
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "worker"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ, "DATABASE_URL": settings.database_url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process as a power cut does: it cannot clean up."""
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process as the operator does, after what it is at."""
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def end_lease(money: MoneyWorld, order: Order) -> None:
    """Let the time pass that the lease of a worker lasts that nobody hears of again."""
    now = SystemClock().now()
    with money.shop.transaction():
        fulfilment = money.fulfilment(order)
        assert fulfilment.lease_until is not None
        assert now < fulfilment.lease_until <= now + LEASE
        fulfilment.lease_until -= LEASE
        assert fulfilment.lease_until < now


def mails(money: MoneyWorld) -> list[tuple[str, MailStatus]]:
    money.fresh()
    return [(mail.kind, mail.status) for mail in db.session.scalars(select(Mail).order_by(Mail.id))]


def finished(money: MoneyWorld, order: Order) -> Callable[[], bool]:
    """Return whether the order is verified and all of its mails have left."""

    def condition() -> bool:
        verified = money.fulfilment(order).status is FulfilmentStatus.VERIFIED
        return verified and {status for _kind, status in mails(money)} == {MailStatus.SENT}

    return condition


def finish(money: MoneyWorld, order: Order) -> None:
    """Start a worker and let it do what is left to do."""
    with worker(money) as process:
        wait_until(finished(money, order), "the order is delivered and its mails have left")
        stop(process)


@varied("kind", [OrderKind.RENEWAL, OrderKind.PURCHASE])
def test_killed_while_the_supplier_carries_the_order_out(money: MoneyWorld, kind: OrderKind) -> None:
    """The supplier has carried it out, its answer is on its way, and nobody is there any more to read it."""
    renewal = kind is OrderKind.RENEWAL
    order = money.order() if not renewal else money.renewal(money.esim())
    path = "/esim/topup" if renewal else "/esim/order"
    money.supplier.fault(path, "slow", seconds=SECONDS_OF_SILENCE)
    order = money.paid(order)
    with worker(money) as process:
        wait_until(lambda: money.supplier_orders(order) == 1, "the supplier gets the order")
        kill(process)
    (attempt,) = money.supplier_attempts(order)
    assert (attempt.status, attempt.answered_at) == (SupplierAttemptStatus.SENDING, None)
    assert money.fulfilment(order).status is FulfilmentStatus.WAITING
    end_lease(money, order)
    if renewal:
        # A renewal is looked up, and only after a minute without a trace sent again: here is the trace.
        assert money.at_supplier(money.esim_of(order)).total_days == 14
    finish(money, order)
    # Whatever a sweep might do once more, it does now.
    money.work(minutes=5)
    assert len(db.session.scalars(select(Esim)).all()) == 1
    assert len(money.supplier.esims()) == 1
    assert money.supplier_orders(order) == 1
    done = "renewal-confirmed" if renewal else "esim-ready"
    assert [entry[0] for entry in mails(money)].count(done) == 1
    buyers_mails = money.sandbox.inbox.summaries(to=order.email)
    assert len(buyers_mails) == len(mails(money)) == 2
    money.check(order)


def test_killed_before_the_supplier_gets_the_order(money: MoneyWorld) -> None:
    money.supplier.fault("/esim/order", "timeout_before", seconds=SECONDS_OF_SILENCE)
    order = money.paid(money.order())
    with worker(money) as process:
        wait_until(lambda: money.supplier.faults.listed() == [], "the supplier is called")
        kill(process)
    assert money.supplier_orders(order) == 0
    end_lease(money, order)
    finish(money, order)
    assert money.supplier_orders(order) == 1
    assert len(money.sandbox.inbox.summaries(to=order.email)) == 2
    money.check(order)


def test_killed_while_stripe_sends_the_money_back(money: MoneyWorld) -> None:
    """The supplier has nothing left, the refund is at Stripe, and nobody reads Stripe's answer."""
    money.supplier.set_stock("SIM-MC-1-7", 0)
    money.stripe.fault("slow", method="POST", path="/v1/refunds", seconds=SECONDS_OF_SILENCE, executed=True)
    order = money.paid(money.order())
    with worker(money) as process:
        wait_until(lambda: len(money.stripe.objects("re")) == 1, "Stripe gets the refund")
        kill(process)
    # Not a lease but the next try of the row, a minute later, is what keeps others away here.
    with money.shop.transaction():
        (refund,) = money.refunds(order)
        assert refund.next_try_at is not None
        refund.next_try_at -= timedelta(minutes=1)
    with worker(money) as process:
        wait_until(lambda: {status for _kind, status in mails(money)} == {MailStatus.SENT}, "all mails have left")
        wait_until(lambda: len(mails(money)) == 2, "the refund is told")
        wait_until(lambda: {status for _kind, status in mails(money)} == {MailStatus.SENT}, "all mails have left")
        stop(process)
    assert len(money.stripe.objects("re")) == 1
    assert len(money.sandbox.inbox.summaries(to=order.email)) == 2
    money.check(order)
