"""The model test: whatever happens in whatever order, the books hold after every step, and all ends well."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from models import Order, SupplierAttempt
from sandbox.server import Sandbox
from services import fulfilment_rows, fulfilment_steps
from services.identifiers import random_key
from services.payments import refunds
from services.shop import Shop
from tests.clock import FakeClock
from tests.faults.model_machine import Model
from tests.faults.model_world import ModelWorld, model_world
from tests.money_world import no_call_inside_a_transaction

# Tests that two processes share, so that they end in half of the time.
SHARDS = 4
EXAMPLES = 500
STEPS = 12
# Without options every run does the same, so that a change is never blamed for what somebody else's luck has found.
# Who asks for other examples gets new ones, unless they name a seed.
SEED = "1"
# One of which all mistakes that are made on purpose are found soon; other seeds find them too, some after minutes.
SEED_OF_MISTAKES = "k"
# What so many examples do not walk past.
ENOUGH = 100
COVERED = (
    *("a purchase delivered", "a renewal delivered", "an order cancelled", "a refund sent", "a refund made at Stripe"),
    *("a purchase refused", "a process died", "somebody else came in between", "a dispute"),
)
MEMORY = Path("/dev/shm")  # noqa: S108 - in memory, where there is such a folder: a database that is emptied 500 times


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """Keep database and queue in memory, where the machine has such a folder."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with TemporaryDirectory(dir=MEMORY, prefix="model-test-") as folder:
        yield Path(folder)


@pytest.fixture
def world(app: Flask, sandbox: Sandbox, clock: FakeClock) -> Iterator[ModelWorld]:
    """Give the world in which all examples of a test happen."""
    with no_call_inside_a_transaction(), model_world(app, sandbox, clock) as world:
        yield world


def explore(world: ModelWorld, examples: int, start: str, *, shrink: bool = True) -> None:
    """Run so many examples from a seed; fails with the shortest one that does not hold."""
    machine = seed(start)(type("Model", (Model,), {"world": world}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.parametrize("shard", range(SHARDS))
def test_whatever_happens_the_books_hold(world: ModelWorld, pytestconfig: pytest.Config, shard: int) -> None:
    examples = pytestconfig.getoption("--model-examples")
    start = pytestconfig.getoption("--hypothesis-seed")
    if start is None:
        start = SEED if examples is None else str(secrets.randbits(32))
    examples = examples or EXAMPLES
    try:
        explore(world, -(-examples // SHARDS), f"{start}.{shard}")
    except AssertionError as failure:
        failure.add_note(f"Again: --model-examples={examples} --hypothesis-seed={start}, shard {shard}")
        raise
    if examples >= ENOUGH * SHARDS:
        assert [name for name in COVERED if not any(key.startswith(name) for key in world.happened)] == []


# Mistakes that the model must find, by what it says of them.


@dataclass(frozen=True)
class Mistake:
    """A mistake in the shop: how it is made, and what the model says of it."""

    make: Callable[[pytest.MonkeyPatch], None]
    found_as: str


def forget_the_key(patch: pytest.MonkeyPatch) -> None:
    """Send a refund whose answer was lost again under another key."""
    ask = refunds._ask

    def asking(shop: Shop, refund: Any) -> Any:
        if refund.reference is not None:
            return ask(shop, refund)
        return shop.gateway.refund(refund.payment.reference, refund.amount_minor, random_key())

    patch.setattr(refunds, "_ask", asking)


def forget_the_reference(patch: pytest.MonkeyPatch) -> None:
    """Order under another reference at each try."""
    prepare = fulfilment_rows.prepare_request

    def preparing(shop: Shop, order: Order, before: Any) -> SupplierAttempt:
        attempt = prepare(shop, order, before)
        with shop.transaction() as session:
            row = session.get_one(SupplierAttempt, attempt.id)
            row.reference = f"{order.public_id}-{row.sends}"
        return row

    patch.setattr(fulfilment_rows, "prepare_request", preparing)


def forget_to_look(patch: pytest.MonkeyPatch) -> None:
    """Send a top-up whose answer was lost again without a look at the eSIM."""
    patch.setattr(fulfilment_steps, "was_applied", lambda _before, _now: False)
    patch.setattr(fulfilment_steps, "_is_there_already", lambda _order, _esim, _reading: False)


MISTAKES = {
    "a new key for a refund": Mistake(forget_the_key, "a refund that nobody has asked for"),
    "a new reference for an order": Mistake(forget_the_reference, "or more than that"),
    "a top-up sent again without a look": Mistake(forget_to_look, "bought twice"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(world: ModelWorld, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The model is worth its time: it finds a mistake that was made on purpose."""
    mistake = MISTAKES[name]
    mistake.make(monkeypatch)
    with pytest.raises(AssertionError, match=mistake.found_as):
        explore(world, EXAMPLES, SEED_OF_MISTAKES, shrink=False)
