"""After chaos: nothing goes wrong any more, time is skipped instead of waited for, and the shop has to come to rest.

The worker then runs with a clock that is moved on (`chaos_clock`), and Stripe goes by it: step by step, to moments for
which rows wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench.chaos_clock import MovedClock
from bench.chaos_faults import call_off
from bench.chaos_world import World, WorldError, moved_worker
from models import Fulfilment, Mail, MailStatus, Refund, db
from services.order_states import WORKED_ON
from services.payments.refund_books import MOVING

Rows = dict[str, dict[tuple[object, ...], Mapping[str, object]]]
Say = Callable[[str], None]

GIVE_UP_AFTER_SECONDS = 600
MOST_SKIPPED = timedelta(hours=72)
# Time is skipped by steps of at least so much, so that rows that wait for moments close together wait together.
SHORTEST_STEP, LONGEST_STEP = timedelta(seconds=30), timedelta(minutes=16)
NEVER = datetime.max.replace(tzinfo=UTC)
# Reconcile leaves alone what is younger than this; in the shop it comes by every five minutes.
RECONCILE_AFTER = timedelta(minutes=5)
LOOK_EVERY_SECONDS = 0.5
# What is due now gets so long before the next moment is skipped to.
STEP_SECONDS = 30
# Not worth a new worker: this one waits for it.
SOON = timedelta(seconds=10)
# Columns that say when somebody last looked, and what the supplier said then.
LOOKS = frozenset({"checked_at", "seen_at", "usage_read_at", "usage_asked_at", "usage_as_of", "topups_read_at"})
# A table of nothing else: another day, another row.
LOOKED_AT = "usage_days"


@dataclass
class Rest:
    """How the shop came to rest: what reconcile said, how far time was skipped, what is left."""

    skipped: timedelta = timedelta()
    steps: int = 0
    reports: list[str] = field(default_factory=list)
    left_over: list[tuple[str, str]] = field(default_factory=list)
    changed: list[tuple[str, str]] = field(default_factory=list)


def come_to_rest(world: World, say: Say) -> Rest:
    """Call the faults off, reconcile, let the worker finish, reconcile again and note what that changed."""
    call_off(world.sandbox)
    world.sandbox.stripe.wait_for_webhooks(20)
    clock, rest = MovedClock(world.instance), Rest()
    # What Stripe forgets after a day it forgets after a day that was skipped, too. The supplier forgets nothing.
    world.sandbox.stripe.account.clock.follow(clock.now)
    deadline = time.monotonic() + GIVE_UP_AFTER_SECONDS
    world.worker.stop()
    clock.move_to(clock.now() + RECONCILE_AFTER)
    _reconcile(world, rest, say)
    _work_off(world, clock, rest, deadline, say)
    rest.left_over += [(row, f"{state}, due at {due}") for row, state, due in _waiting(world)]
    before = _rows(world)
    _reconcile(world, rest, say)
    rest.changed = _differences(before, _rows(world))
    rest.skipped = clock.ahead
    return rest


def _reconcile(world: World, rest: Rest, say: Say) -> None:
    try:
        report = world.flask("reconcile", app="bench.chaos_clock")
    except WorldError as error:
        report = str(error)
        rest.left_over.append(("reconcile", report))
    rest.reports.append(report)
    say(f"reconcile: {report}")


def _work_off(world: World, clock: MovedClock, rest: Rest, deadline: float, say: Say) -> None:
    """Let the worker work until nothing waits any more, skipping time whenever nothing is due."""
    step = SHORTEST_STEP
    while (waiting := _waiting(world)) and time.monotonic() < deadline:
        moment = min(due for _row, _state, due in waiting)
        if moment > datetime.now(UTC) + MOST_SKIPPED:
            return
        clock.move_to(max(moment, clock.now() + step) + timedelta(seconds=1))
        step = min(2 * step, LONGEST_STEP)
        rest.steps += 1
        # A worker that starts looks at all that is due, without waiting for the next full minute.
        world.worker.stop()
        world.worker.start(moved_worker())
        end = min(time.monotonic() + STEP_SECONDS, deadline)
        while time.monotonic() < end:
            time.sleep(LOOK_EVERY_SECONDS)
            waiting = _waiting(world)
            if all(due > clock.now() + SOON for _row, _state, due in waiting):
                break
        say(f"{clock.ahead.total_seconds() / 60:.0f} minutes skipped, {len(waiting)} rows wait")
    world.worker.stop()


def how_many_are_due(world: World) -> int:
    """Return how many rows the worker might work on now, by the machine's clock."""
    now = datetime.now(UTC)
    return sum(due <= now for _row, _state, due in _waiting(world))


def _waiting(world: World) -> list[tuple[str, str, datetime]]:
    """Return what waits for the worker: which row, how it stands, and when it may be worked on.

    That is at its next try or, when somebody died over it, at the end of their lease.
    """
    with Session(world.engine) as session:
        fulfilments = session.scalars(select(Fulfilment).where(Fulfilment.status.in_(WORKED_ON))).all()
        mails = session.scalars(select(Mail).where(Mail.status.in_((MailStatus.QUEUED, MailStatus.SENDING)))).all()
        refunds = session.scalars(select(Refund).where(Refund.status.in_(MOVING))).all()
    return [
        *(
            (f"fulfilment of {row.order_id}", row.status.value, _due(row.lease_until, row.next_try_at))
            for row in fulfilments
        ),
        *((f"mail {row.id}", row.status.value, _due(row.lease_until, row.next_try_at)) for row in mails),
        *((f"refund {row.id}", row.status.value, _due(row.next_try_at)) for row in refunds),
    ]


def _due(*moments: datetime | None) -> datetime:
    return next((moment for moment in moments if moment is not None), NEVER)


def _rows(world: World) -> Rows:
    """Return every row of every table, without what only says that somebody looked."""
    found: Rows = {}
    with world.engine.connect() as connection:
        for table in db.metadata.sorted_tables:
            if table.name == LOOKED_AT:
                continue
            keys = [column.name for column in table.primary_key]
            rows = [row._asdict() for row in connection.execute(select(table))]
            found[table.name] = {
                tuple(row[key] for key in keys): {name: value for name, value in row.items() if name not in LOOKS}
                for row in rows
            }
    return found


def _differences(before: Rows, after: Rows) -> list[tuple[str, str]]:
    found = []
    for table, rows in after.items():
        for key in rows.keys() | before[table].keys():
            old, new = before[table].get(key, {}), rows.get(key, {})
            changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
            if changed:
                found.append(
                    (f"{table} {key}", ", ".join(f"{name}: {old.get(name)} → {new.get(name)}" for name in changed))
                )
    return found
