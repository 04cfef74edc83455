"""What goes wrong, how often, and how often it did."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.server import Sandbox

# Of the webhooks that are sent, so many are late by up to so many seconds, so that others overtake them.
LATE, LATE_SECONDS = 0.10, 8.0
# A plan of which the supplier has only so many, so that the money of all others goes back.
SCARCE_PLAN, SCARCE_STOCK = "SIM-IT-1-7", 3
# When the faults are called off, what Stripe still has to send again comes soon.
LAST_RETRIES = (1.0, 2.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of 1: of the requests to Stripe and the supplier, of their webhooks, of the mails."""

    lost: float
    errors: float
    doubled: float
    dropped: float
    mail: float


def let_loose(sandbox: Sandbox, shares: Shares, seed: int) -> None:
    """Let things go wrong at random from now on."""
    stripe, supplier = sandbox.stripe, sandbox.esim_access
    for number, kind in enumerate(("drop_before", "drop_after")):
        stripe.fault(kind, count=None, probability=shares.lost / 2, seed=seed + number)
    # Before anything happened; after it began, kept under the key; after all of it happened.
    for number, effect in enumerate(({}, {"saved": True}, {"executed": True})):
        stripe.fault("500", count=None, probability=shares.errors / 3, seed=seed + 10 + number, **effect)
    for number, kind in enumerate(("timeout_before", "timeout_after_commit")):
        supplier.fault("*", kind, count=None, probability=shares.lost / 2, seed=seed + 20 + number)
    for number, kind in enumerate(("500", "500_after_commit", "bad_json_after_commit")):
        supplier.fault("*", kind, count=None, probability=shares.errors / 3, seed=seed + 30 + number)
    luck = {"doubled": shares.doubled, "dropped": shares.dropped, "delayed": LATE, "seconds": LATE_SECONDS}
    stripe.webhooks.chaos(**luck, seed=seed + 40)
    supplier.webhooks.chaos(**luck, seed=seed + 41)
    sandbox.inbox.server.chaos(shares.mail, seed=seed + 50)
    supplier.set_stock(SCARCE_PLAN, SCARCE_STOCK)


def call_off(sandbox: Sandbox) -> None:
    """Let everything behave from now on; what was lost stays lost."""
    sandbox.stripe.faults.clear()
    sandbox.stripe.webhooks.chaos()
    sandbox.stripe.webhooks.retry_delays = LAST_RETRIES
    sandbox.esim_access.faults.clear()
    sandbox.esim_access.webhooks.chaos()
    sandbox.inbox.server.behave()


def what_went_wrong(sandbox: Sandbox) -> list[tuple[str, int, int]]:
    """Return where, how often, and out of how many, as the stand-ins counted it."""
    stripe, supplier, mail = sandbox.stripe, sandbox.esim_access, sandbox.inbox
    events, notices = stripe.webhooks.deliveries(), supplier.webhooks.sent()
    requests, calls, mails = len(stripe.requests()), len(supplier.log()), len(mail.summaries())
    return [
        *((f"Stripe's API: {kind}", count, requests) for kind, count in sorted(stripe.faults.met().items())),
        *((f"supplier's API: {kind}", count, calls) for kind, count in sorted(supplier.faults.met().items())),
        ("Stripe's webhooks: lost", sum(each["state"] == "dropped" for each in events), len(events)),
        ("Stripe's webhooks: doubled", sum(each["copies"] > 1 for each in events), len(events)),
        ("supplier's webhooks: lost", sum(each["dropped"] for each in notices), len(notices)),
        ("supplier's webhooks: doubled", sum(each["copies"] > 1 for each in notices), len(notices)),
        *((f"mail: {kind}", count, mails) for kind, count in sorted(mail.server.met().items())),
    ]
