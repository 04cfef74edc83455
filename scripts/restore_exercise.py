"""`make restore-exercise`: lose the database of a shop that has sold for an hour since its backup, and get it all back.

Follows docs/operating.md by running the commands that stand there, on a shop of its own with processes, database and
sandbox of its own. The sandbox is the outside world and forgets nothing. Ends with 1 when anything is missing.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flask_migrate import upgrade

from sandbox.server import Sandbox
from scripts.restore import books, checks
from scripts.restore.checks import Check, Moment
from scripts.restore.databases import POSTGRESQL, Database, NotHere, Postgresql, Sqlite
from scripts.restore.manual import ROOT, CommandFailed, commands
from scripts.restore.people import Lost
from scripts.restore.shop import AHEAD_SECONDS, Shop, until
from scripts.restore.story import Story
from services.catalogue_sync import sync_catalogue
from services.demo_accounts import seed_accounts
from services.demo_catalogue import seed_catalogue
from services.supplier_webhooks import webhook_url

MOST_RUNS = 6
# What is shown of the processes' log when the exercise stops.
LOG_LINES = 40
IN_STEP = "Put the books in step"


def main() -> int:
    """Run the exercise on the databases that were asked for; 0 when everything came back on all of them."""
    parser = argparse.ArgumentParser(prog="make restore-exercise", description=__doc__)
    parser.add_argument("--database", choices=("postgresql", "sqlite", "both"), default="both")
    parser.add_argument("--server", default=os.environ.get("TEST_DATABASE_URL") or POSTGRESQL, help="of PostgreSQL")
    arguments = parser.parse_args()
    wanted = ("postgresql", "sqlite") if arguments.database == "both" else (arguments.database,)
    problems = 0
    with tempfile.TemporaryDirectory(prefix="restore-exercise-") as folder:
        for name in wanted:
            try:
                problems += exercise(name, arguments.server, Path(folder) / name)
            except NotHere as error:
                say(f"NOT TRIED on PostgreSQL: {error}")
                problems += arguments.database == "postgresql"
            except (CommandFailed, LookupError, Lost, RuntimeError, TimeoutError) as error:
                say(f"STOPPED: {error}")
                problems += 1
    return 1 if problems else 0


def say(line: str = "") -> None:
    """Print a line at once."""
    print(line, flush=True)


def exercise(name: str, server: str, folder: Path) -> int:
    """Run the exercise on one database, in a folder of its own, and return how many checks failed."""
    began = time.monotonic()
    folder.mkdir()
    with running_shop(folder, name, server) as shop:
        step = Steps(shop.database.name)
        story = Story(shop)
        step(f"the shop runs at {shop.url}: web server and worker, by the Procfile's lines")
        story.before()
        step(f"a day as any other: {len(story.told)} orders")
        shop.follow(f"Back up {shop.database.name}")
        backup = Moment.of(shop)
        step("the backup:", commands(f"Back up {shop.database.name}"))
        story.hour()
        was, old_links = Moment.of(shop), checks.links_by_order(story)
        step(f"the hour after: {len(was.orders) - len(backup.orders)} orders more, and one of before is paid")
        shop.kill()
        shop.lose()
        story.meanwhile()
        step("every process was killed; database, queue and INSTANCE are gone; somebody pays at Stripe all the same")
        come_back(shop, step)
        story.afterwards()
        step("somebody pays on the page of a session of before, and a bank has decided")
        in_step = put_in_step(shop, story, step)
        now = Moment.of(shop)
        found = [
            *checks.orders_are_back(story, backup, was, now),
            *checks.nothing_twice(story, was, now),
            *checks.people_get_in(story, old_links, now),
            in_step,
            person_asked(shop),
        ]
        print_table(story, was, now)
        return print_result(found, checks.sent_again(backup, was, now), time.monotonic() - began)


class Steps:
    """Prints what was done, with the seconds that it took."""

    def __init__(self, database: str) -> None:
        say(f"\n== Restore exercise on {database} ==\n")
        self._since = time.monotonic()

    def __call__(self, what: str, typed: str = "", printed: str = "") -> None:
        """Say that a step is done, with the commands that were typed for it and what they printed."""
        now = time.monotonic()
        say(f"{now - self._since:5.1f} s  {what}")
        for line in typed.splitlines():
            say(f"           $ {line}")
        for line in printed.splitlines():
            say(f"             {line}")
        self._since = now


@contextmanager
def running_shop(folder: Path, name: str, server: str) -> Iterator[Shop]:
    """Give a shop with a full shelf, running on a fresh database; nothing of it is left afterwards."""
    with ExitStack() as stack:
        database: Database = Sqlite(folder / "instance") if name == "sqlite" else Postgresql(server)
        stack.callback(database.close)
        sandbox = stack.enter_context(Sandbox())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        shop = Shop(folder, port, sandbox, database)
        stack.callback(shop.close)
        with shop.books():
            upgrade(directory=str(ROOT / "migrations"))
            tools = shop.app.extensions["shop"]
            with tools.transaction() as session:
                seed_catalogue(session)
                seed_accounts(session, tools.clock.now())
            sync_catalogue(tools)
        sandbox.stripe.webhook_url = f"{shop.url}/webhooks/stripe"
        # A shop that is down is asked again until it is back.
        sandbox.stripe.webhooks.retry_delays = (0.5,) * 600
        sandbox.esim_access.webhooks.set_url(webhook_url(tools.settings, tools.supplier.code))
        sandbox.esim_access.set_allocation(seconds=0.3)
        shop.start()
        try:
            yield shop
        except Exception:
            say("\n".join(shop.log.read_text(errors="replace").splitlines()[-LOG_LINES:]))
            raise


def come_back(shop: Shop, step: Steps) -> None:
    """Do what the manual tells, up to the moment when customers can come in again."""
    heading = f"Restore {shop.database.name}"
    shop.follow(heading)
    step("the restore:", commands(heading))
    printed = shop.follow(IN_STEP)
    step("before the shop is opened:", commands(IN_STEP), printed)
    shop.start()
    step(f"web server and worker run again; their clock says that an hour has gone by ({AHEAD_SECONDS} s ahead)")


def put_in_step(shop: Shop, story: Story, step: Steps) -> Check:
    """Run reconcile, with the worker delivering in between, until a run changes nothing, and return whether one did."""
    until(lambda: all_there(shop, story), "what was paid later is delivered")
    changed: list[str] = []
    for _run in range(MOST_RUNS):
        until(lambda: books.at_rest(shop), "the worker has delivered what came back")
        before = books.everything(shop)
        printed = shop.run("flask --app app reconcile")
        after = books.everything(shop)
        changed = [
            f"{table}: {set(rows) ^ set(after[table])}" for table, rows in before.items() if rows != after[table]
        ]
        news = "something new" if changed else "nothing new"
        step(f"once more, {news}:", "flask --app app reconcile", printed)
        if not changed:
            break
    return Check("a further reconcile changes nothing", changed)


def all_there(shop: Shop, story: Story) -> bool:
    """Return whether the orders that were paid late are delivered."""
    found = books.orders(shop)
    return all(number in found and found[number].state == "paid, verified" for number in story.later)


def person_asked(shop: Shop) -> Check:
    """Print what waits for a person, and return whether it is what the manual says."""
    stuck = shop.run("flask --app app stuck")
    say(f"\nWhat waits for a person (flask --app app stuck):\n{stuck}")
    return Check("only the eSIM of the refunded order waits for a person", [] if stuck.endswith(": 1") else [stuck])


def print_table(story: Story, was: Moment, now: Moment) -> None:
    """Print every order: what it was when the database was lost, and what it is."""
    say(f"\n{'order':<11} {'what':<64} {'was':<25} {'is':<25} {'eSIM':<6} kept")
    for number, words in story.told.items():
        before, after = was.orders.get(number), now.orders.get(number)
        esim = ""
        if before and after and before.iccid:
            esim = (
                "same" if before.supplier_esim_id == after.supplier_esim_id else "none" if not after.iccid else "OTHER"
            )
        money = f"{checks.at_stripe(now.outside, number)} {after.currency}" if after else ""
        states = [facts.state if facts else "-" for facts in (before, after)]
        say(f"{number:<11} {words:<64} {states[0]:<25} {states[1]:<25} {esim:<6} {money}")


def print_result(found: list[Check], again: dict[str, int], seconds: float) -> int:
    """Print the checks and return how many failed."""
    say()
    for check in found:
        say(f"  {'FAILED' if check.problems else 'ok':<7} {check.what}")
        for problem in check.problems:
            say(f"          {problem}")
    mails = ", ".join(f"{kind} {count}" for kind, count in sorted(again.items()))
    say(f"\n  Mails that left a second time: {sum(again.values())} ({mails}).")
    say("  That is expected: the books that knew that they had left are lost.")
    failed = sum(bool(check.problems) for check in found)
    say(f"  {len(found) - failed} of {len(found)} checks passed in {seconds:.0f} s; the hour was told by the clock.")
    return failed


if __name__ == "__main__":
    sys.exit(main())
