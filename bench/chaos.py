"""`make chaos`: many purchases and renewals while everything around the shop goes wrong; then the books are opened.

A shop of its own, as the Procfile starts it, sells to buyers who are in a hurry while answers are lost, requests fail,
webhooks are doubled and dropped, mails are refused and its processes are killed. Afterwards faults end, the shop
reconciles and comes to rest, and what Stripe, the supplier and the mailbox really did is compared with what it was to
do. Prints a table and exits with 1 when something is not as it must be (docs/chaos.md).
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from types import FrameType

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.chaos_browser import Seen
from bench.chaos_buyers import PLANS, Buyer, Scene
from bench.chaos_crowd import Crowd, Ledger
from bench.chaos_drain import come_to_rest, how_many_are_due
from bench.chaos_faults import Shares, let_loose
from bench.chaos_mail import Mailroom
from bench.chaos_report import Run, collect, table
from bench.chaos_travellers import Tickets, Traveller
from bench.chaos_verdict import judge
from bench.chaos_world import World, WorldError, running_world

# Of all buyers, one in so many more comes only to look.
LOOKERS = 33
RENEWALS_EACH = 4
PROGRESS_SECONDS = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Buyers who have not left by then are stuck.
LONGEST_RUN_SECONDS = 3600


def main() -> int:
    """Run it and print the table; 0 when every required zero is one, 1 when not, 2 when it could not run."""
    options = _options()
    for number in SIGNALS:
        signal.signal(number, _stop)
    folder = Path(tempfile.mkdtemp(prefix="shop-chaos-"))
    problems = True
    try:
        with running_world(folder, options.database) as world:
            run = _run(world, options)
            evidence = collect(world, run)
        found = judge(evidence)
        print(table(evidence, run, found))
        problems = bool(found)
        return int(problems)
    except WorldError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if problems:
            _say(f"the logs are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _stop(number: int, _frame: FrameType | None) -> None:
    """End the run in order; a second signal does not end the ending."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    _say(f"ended by {signal.Signals(number).name}")
    sys.exit(128 + number)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=_count, default=1000, help="purchases and renewals together")
    parser.add_argument("--renewals", type=_share, default=0.4, help="the share of renewals")
    parser.add_argument("--seed", type=int, default=1, help="what goes wrong and who does what is drawn from it")
    parser.add_argument("--buyers", type=_count, default=16, help="how many do something at the same moment")
    parser.add_argument("--database", default="", help="postgresql, sqlite or the address of an empty one")
    parser.add_argument("--kill-every", type=float, default=30, help="seconds between two kills of the worker")
    parser.add_argument("--kill-web-every", type=float, default=45, help="the same for a web process")
    parser.add_argument("--lost", type=_share, default=0.05, help="the share of answers that are lost")
    parser.add_argument("--errors", type=_share, default=0.05, help="the share of requests answered with 500")
    parser.add_argument("--doubled", type=_share, default=0.10, help="the share of webhooks that come twice")
    parser.add_argument("--dropped", type=_share, default=0.05, help="the share of webhooks that never come")
    parser.add_argument("--mail", type=_share, default=0.05, help="the share of mails that meet trouble")
    parser.add_argument("--catch-up", type=float, default=180, help="faults go on for so many seconds while work waits")
    parser.add_argument("--refuse-duplicates", action="store_true", help="a supplier that refuses what it has already")
    return parser.parse_args()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 0.5:
        raise argparse.ArgumentTypeError("a share of 1, at most 0.5")
    return share


def _run(world: World, options: argparse.Namespace) -> Run:
    """Let everybody buy while everything goes wrong, then let the shop come to rest."""
    sandbox = world.sandbox
    if options.refuse_duplicates:
        sandbox.esim_access.set_variants(duplicate_order="310402")
    shares = Shares(
        lost=options.lost, errors=options.errors, doubled=options.doubled, dropped=options.dropped, mail=options.mail
    )
    seen, ledger, crowd = Seen(), Ledger(), Crowd(options.buyers)
    mailroom = Mailroom(sandbox.inbox)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=options.buyers * 2, keepalive_expiry=2)
    scene = Scene(
        shop_url=world.shop_url,
        sandbox=sandbox,
        transport=httpx.HTTPTransport(limits=limits),
        seen=seen,
        ledger=ledger,
        mailroom=mailroom,
        crowd=crowd,
    )
    run = Run(seen=seen, ledger=ledger, crowd=crowd, mailroom=mailroom, shares=shares, seed=options.seed)
    _invite(scene, options)
    let_loose(sandbox, shares, options.seed * 1000)
    started = time.monotonic()
    crowd.start()
    _say(f"{options.orders} orders, {options.buyers} buyers at a time, on {world.engine.dialect.name}")
    _kill_now_and_then(world, run, options)
    crowd.stop()
    run.rest = come_to_rest(world, _say)
    run.total_seconds = time.monotonic() - started
    return run


def _invite(scene: Scene, options: argparse.Namespace) -> None:
    """Let as many people come as it takes; each has a chance of their own, so that it does not matter who is faster."""
    renewals = round(options.orders * options.renewals)
    purchases = options.orders - renewals
    travellers = min(purchases, -(-renewals // RENEWALS_EACH))
    tickets = Tickets(renewals)
    shuffled = Random(options.seed)  # noqa: S311 - chaos that can be repeated, not a secret
    kinds = ["traveller"] * travellers + ["guest"] * (purchases - travellers) + ["looker"] * (options.orders // LOOKERS)
    # Travellers come early, because they have the longer way to go.
    kinds.sort(key=lambda kind: shuffled.random() * (0.6 if kind == "traveller" else 1))
    for number, kind in enumerate(kinds):
        chance = Random(f"{options.seed} {number}")  # noqa: S311 - as above
        email = f"{kind}{number:05d}@example.com"
        if kind == "traveller":
            scene.crowd.admit(email, Traveller(scene, email, chance, tickets).travel())
        elif kind == "guest":
            scene.crowd.admit(email, Buyer(scene, email, chance).buy(chance.choice(PLANS)))
        else:
            scene.crowd.admit(email, Buyer(scene, email, chance).look_around(chance.choice(PLANS)))


def _kill_now_and_then(world: World, run: Run, options: argparse.Namespace) -> None:
    """Kill processes until everybody has left and the worker has caught up, or never will.

    In the main thread, because started processes die with their thread.
    """
    chance = Random(options.seed)  # noqa: S311 - as above
    now = started = time.monotonic()
    worker_at, web_at, progress_at = now + options.kill_every, now + options.kill_web_every, now + PROGRESS_SECONDS
    while _is_under_way(world, run, started, options.catch_up):
        time.sleep(0.1)
        now = time.monotonic()
        _notice_ends(world, run)
        if now >= worker_at:
            world.kill_worker()
            worker_at = now + options.kill_every
        if now >= web_at:
            world.kill_web(chance)
            web_at = now + options.kill_web_every
        if now >= progress_at:
            _say_how_far(world, run, now - started)
            progress_at = now + PROGRESS_SECONDS


def _is_under_way(world: World, run: Run, started: float, catch_up: float) -> bool:
    """Return whether somebody is still buying, or the worker is behind with what they have bought."""
    now = time.monotonic()
    if now > started + LONGEST_RUN_SECONDS:
        return False
    if not run.crowd.is_gone():
        return True
    run.seconds = run.seconds or now - started
    run.behind = how_many_are_due(world)
    return run.behind > 0 and now < started + run.seconds + catch_up


def _say_how_far(world: World, run: Run, seconds: float) -> None:
    paid = sum(intent.paid for intent in run.ledger.intents)
    people = f"{run.crowd.left} of {run.crowd.came} people have left"
    _say(f"{seconds:4.0f} s: {paid} paid, {people}, {how_many_are_due(world)} rows wait for the worker")


def _notice_ends(world: World, run: Run) -> None:
    for process in (world.web, world.worker):
        if process.ended:
            run.ended.append(process.name)
            process.start()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
