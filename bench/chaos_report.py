"""The table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench import chaos_evidence as evidence_of
from bench.chaos_browser import Seen
from bench.chaos_crowd import Crowd, Ledger
from bench.chaos_drain import Rest
from bench.chaos_faults import Shares, what_went_wrong
from bench.chaos_mail import Mailroom
from bench.chaos_verdict import Check, Evidence, Problem
from bench.chaos_world import World
from config import Settings

WIDTH = 58
MOST_LINES = 60


@dataclass(kw_only=True)
class Run:
    """What a run leaves behind, beside the stand-ins and the database."""

    seen: Seen
    ledger: Ledger
    crowd: Crowd
    mailroom: Mailroom
    shares: Shares
    seed: int
    ended: list[str] = field(default_factory=list)
    # How long people bought, and what the worker was behind with when things stopped going wrong.
    seconds: float = 0.0
    behind: int = 0
    total_seconds: float = 0.0
    rest: Rest = field(default_factory=Rest)
    # Seconds from payment to delivery, and the order; shortest first.
    waits: list[tuple[float, str]] = field(default_factory=list)


def collect(world: World, run: Run) -> Evidence:
    """Return everything that is known, taken from the stand-ins and compared with the shop's tables."""
    run.mailroom.look()
    settings = Settings.from_env(world.environment)
    books = evidence_of.Books(world.engine, settings)
    stripe, supplier = evidence_of.read_stripe(world.sandbox), evidence_of.read_supplier(world.sandbox)
    arrived = run.mailroom.arrived
    run.waits = evidence_of.waits(books)
    orders = evidence_of.describe_orders(books, stripe, supplier, arrived)
    known = {order.number for order in orders}
    paid = [order for order in orders if order.paid]
    figures = {
        "orders placed": len(orders),
        "orders paid": len(paid),
        "  purchases": sum(order.kind == "purchase" for order in paid),
        "  renewals": sum(order.kind == "renewal" for order in paid),
        "charges at Stripe": sum(len(charges) for charges in stripe.charges.values()),
        "refunds at Stripe": sum(len(refunds) for refunds in stripe.refunds.values()),
        "eSIMs and top-ups carried out by the supplier": sum(supplier.bought.values()),
        "orders held for a person": sum("held" in order.state for order in orders),
        "bought, and the money went back": sum(order.paid and order.kept <= 0 and order.bought > 0 for order in orders),
        "payment pages on which somebody could have paid twice": sum(each.asked_again for each in run.ledger.intents),
        "mails expected about orders": sum(len(order.expected_mails) for order in orders),
        "mails arrived, all kinds": len({letter.message_id for letter in arrived}),
        "mails that arrived twice (same Message-ID)": evidence_of.doubled_mails(arrived),
        "kills of the worker": world.kills["worker"],
        "kills of a web process": world.kills["web"],
    }
    went_wrong = {f"{name} (of {total})": count for name, count, total in what_went_wrong(world.sandbox)}
    return Evidence(
        orders=orders,
        esims=evidence_of.describe_esims(books, supplier),
        buyers=evidence_of.describe_buyers(run.ledger.intents, stripe),
        strange_charges=[*stripe.nameless, *(number for number in stripe.charges if number not in known)],
        strange_purchases=[number for number in supplier.bought if number not in known],
        unsent=evidence_of.unsent_mails(books, arrived),
        server_errors=[failure for failure in run.seen.failures if failure.startswith("500")],
        stuck=_stuck(run),
        ended=run.ended,
        left_over=run.rest.left_over,
        reconciled=run.rest.changed,
        figures=figures | went_wrong | _answers(run),
    )


def _stuck(run: Run) -> list[tuple[str, str]]:
    if run.crowd.is_gone():
        return run.crowd.stuck
    return [*run.crowd.stuck, ("the crowd", f"{run.crowd.came - run.crowd.left} people had not left")]


def _answers(run: Run) -> dict[str, int]:
    answers = {f"answers to buyers: {what}": count for what, count in sorted(run.seen.statuses.items())}
    return answers | {f"  {what}": count for what, count in sorted(Counter(run.seen.failures).items())}


def table(evidence: Evidence, run: Run, problems: Sequence[Problem]) -> str:
    """Return the table: what there was, what went wrong, and what has to be zero; then each problem in a line."""
    counts = Counter(problem.check for problem in problems)
    paid = sum(order.paid for order in evidence.orders)
    lines = [
        "",
        *(_row(name, f"{count:,}") for name, count in evidence.figures.items()),
        _row(
            "until the last buyer had left",
            f"{run.seconds:.0f} s, {paid / max(run.seconds, 1) * 60:.0f} orders a minute",
        ),
        _row("until the shop had come to rest", f"{run.total_seconds:.0f} s"),
        _row("rows that waited for the worker when faults ended", f"{run.behind:,}"),
        _row("time skipped while coming to rest", f"{run.rest.skipped.total_seconds() / 60:.0f} min"),
        *(
            _row(name, text)
            for name, text in zip(("first reconcile", "second reconcile"), run.rest.reports, strict=False)
        ),
        *_waits(run),
        _row("seed", str(run.seed)),
        "",
        *(_row(check.value, f"{counts[check]}", mark="ok" if not counts[check] else "FAILED") for check in Check),
        *_explained(problems),
        "",
        "everything that has to be zero is zero" if not problems else f"{len(problems)} problems",
    ]
    return "\n".join(lines)


def _waits(run: Run) -> list[str]:
    if not run.waits:
        return []
    shares = {"half of the orders": 0.5, "95 % of the orders": 0.95, "every order": 1.0}
    found = {name: run.waits[max(0, round(len(run.waits) * share) - 1)] for name, share in shares.items()}
    return [
        _row(
            f"from paying to delivered and checked, {name}", f"{seconds:,.0f} s", order if name == "every order" else ""
        )
        for name, (seconds, order) in found.items()
    ]


def _row(name: str, value: str, mark: str = "") -> str:
    return f"{name:<{WIDTH}} {value:>10}  {mark}".rstrip()


def _explained(problems: Iterable[Problem]) -> list[str]:
    lines = [f"{problem.check.value}: {problem.about}: {problem.diagnosis}" for problem in problems]
    more = [f"… and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return ["", *lines[:MOST_LINES], *more] if lines else []
