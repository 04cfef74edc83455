"""The judge of `make chaos` finds what is wrong: each kind of damage is made up and has to be named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.chaos_verdict import BuyerFacts, Check, EsimFacts, Evidence, OrderFacts, judge

PURCHASE = OrderFacts(
    number="P1",
    kind="purchase",
    amount=1490,
    charges=(1490,),
    booked_in=1490,
    bought=1,
    esims=1,
    handed_over=True,
    mails=("receipt", "esim-ready"),
    state="paid, verified",
)
RENEWAL = replace(PURCHASE, number="R1", kind="renewal", esims=0, mails=("receipt", "renewal-confirmed"))
# Sold out, so that the money went back.
RETURNED = replace(
    PURCHASE,
    number="P2",
    refunds=(1490,),
    booked_out=1490,
    bought=0,
    esims=0,
    handed_over=False,
    mails=("receipt", "refund"),
    state="refunded, refused",
)
UNPAID = OrderFacts(number="P3", kind="purchase", amount=1490, state="pending")
ESIM = EsimFacts(number="E1", packages=2, data_bytes=2**31, days=14, booked=(2, 2**31, 14))
BUYER = BuyerFacts(email="a@example.com", meant=2, charged=2)
SOUND = Evidence(orders=(PURCHASE, RENEWAL, RETURNED, UNPAID), esims=(ESIM,), buyers=(BUYER,))


def found(evidence: Evidence) -> list[tuple[Check, str]]:
    """Return what is wrong and with what."""
    return [(problem.check, problem.about) for problem in judge(evidence)]


def test_nothing_is_wrong_with_a_sound_shop() -> None:
    assert judge(SOUND) == []


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (replace(PURCHASE, charges=(1490, 1490), booked_in=2980), {Check.DOUBLE_CHARGE, Check.BOOKS}),
        # Also when one of them went back: it was charged twice.
        (
            replace(
                PURCHASE,
                charges=(1490, 1490),
                refunds=(1490,),
                booked_in=2980,
                booked_out=1490,
                mails=("receipt", "esim-ready", "refund"),
            ),
            {Check.DOUBLE_CHARGE},
        ),
        (replace(PURCHASE, charges=(1390,), booked_in=1390), {Check.BOOKS}),
        (replace(PURCHASE, booked_in=0), {Check.BOOKS}),
        (replace(RETURNED, booked_out=0), {Check.BOOKS}),
        (replace(RETURNED, refunds=(745,), booked_out=745), {Check.BOOKS, Check.EMPTY_HANDED}),
        (replace(PURCHASE, bought=2), {Check.DOUBLE_ESIM}),
        (replace(RENEWAL, bought=2), {Check.DOUBLE_ESIM}),
        (replace(PURCHASE, esims=2), {Check.DOUBLE_ESIM}),
        (replace(UNPAID, bought=1), {Check.DOUBLE_ESIM}),
        (replace(PURCHASE, bought=0, esims=0, handed_over=False), {Check.EMPTY_HANDED}),
        # Bought, and never handed over.
        (replace(PURCHASE, handed_over=False), {Check.EMPTY_HANDED}),
        (replace(RENEWAL, bought=0), {Check.EMPTY_HANDED}),
        (replace(RETURNED, refunds=(), booked_out=0, mails=("receipt",)), {Check.EMPTY_HANDED}),
        (replace(PURCHASE, mails=("esim-ready",)), {Check.MAIL_MISSING}),
        (replace(PURCHASE, mails=("receipt",)), {Check.MAIL_MISSING}),
        (replace(RENEWAL, mails=("receipt", "esim-ready")), {Check.MAIL_MISSING}),
        (replace(RETURNED, mails=("receipt",)), {Check.MAIL_MISSING}),
        (
            replace(RETURNED, refunds=(745, 745), mails=("receipt", "refund")),
            {Check.MAIL_MISSING},
        ),
    ],
)
def test_an_order_that_is_not_as_it_must_be(order: OrderFacts, expected: set[Check]) -> None:
    problems = judge(replace(SOUND, orders=(*SOUND.orders, replace(order, number="X"))))
    assert {problem.check for problem in problems} == expected
    assert {problem.about for problem in problems} == {"X"}
    assert all(order.state in problem.diagnosis for problem in problems)


@pytest.mark.parametrize(
    ("esim", "check"),
    [
        (replace(ESIM, packages=3, data_bytes=3 * 2**30, days=21), Check.DOUBLE_ESIM),
        (replace(ESIM, packages=1, data_bytes=2**30, days=7), Check.EMPTY_HANDED),
        (replace(ESIM, data_bytes=2**30), Check.EMPTY_HANDED),
    ],
)
def test_an_esim_with_more_or_less_on_it_than_was_paid(esim: EsimFacts, check: Check) -> None:
    assert found(replace(SOUND, esims=(esim,))) == [(check, "eSIM E1")]


def test_an_esim_that_the_shop_does_not_know_is_judged_by_its_order() -> None:
    assert found(replace(SOUND, esims=(replace(ESIM, booked=None),))) == []
    assert found(replace(SOUND, strange_purchases=("P9",))) == [(Check.DOUBLE_ESIM, "P9")]


def test_a_buyer_is_charged_as_often_as_meant() -> None:
    """Whatever the shop calls an order: two orders for one wish are a double charge, too."""
    twice, never = replace(BUYER, charged=3), replace(BUYER, charged=1)
    assert found(replace(SOUND, buyers=(twice,))) == [(Check.DOUBLE_CHARGE, "a@example.com")]
    assert found(replace(SOUND, buyers=(never,))) == [(Check.BOOKS, "a@example.com")]


def test_a_missing_mail_is_told_once() -> None:
    order = replace(PURCHASE, mails=("receipt",))
    evidence = replace(SOUND, orders=(order,), unsent=(("P1", "esim-ready is queued"), ("account:1", "claim-1 failed")))
    assert found(evidence) == [(Check.MAIL_MISSING, "P1"), (Check.MAIL_MISSING, "account:1")]


@pytest.mark.parametrize(
    ("field", "value", "check"),
    [
        ("strange_charges", ("ch_1",), Check.BOOKS),
        ("unsent", (("order:1", "receipt is queued"),), Check.MAIL_MISSING),
        ("server_errors", ("500 /en/orders/P1",), Check.SERVER_ERROR),
        ("stuck", (("a@example.com", "gave up"),), Check.STUCK),
        ("ended", ("worker",), Check.ENDED),
        ("left_over", (("fulfilment of 1", "waiting"),), Check.LEFT_OVER),
        ("reconciled", (("orders (1,)", "status: paid → refunded"),), Check.RECONCILED),
    ],
)
def test_whatever_else_is_noticed_counts(field: str, value: object, check: Check) -> None:
    assert [each for each, _about in found(replace(SOUND, **{field: value}))] == [check]  # type: ignore[arg-type]
