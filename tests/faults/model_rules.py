"""What must hold in the model test: after every step, and once nothing is wrong any more and time has gone on."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from models import (
    AttemptStatus,
    FindingKind,
    FulfilmentStatus,
    Mail,
    MailStatus,
    OrderKind,
    OrderStatus,
    PaymentKind,
    RefundStatus,
    SupplierAttemptStatus,
)
from services.mail.composition import message_id
from services.order_states import WORKED_ON
from services.payments.refund_books import COUNTED, MOVING
from tests.faults.model_books import Books, OrderBooks, grouped, is_open, took_money
from tests.faults.model_world import ModelWorld

PAID = (OrderStatus.PAID, OrderStatus.PART_REFUNDED, OrderStatus.REFUNDED)
UNCLEAR = (SupplierAttemptStatus.SENDING, SupplierAttemptStatus.UNKNOWN)
ENDED = (FulfilmentStatus.VERIFIED, FulfilmentStatus.REFUSED)


class AlwaysTrue:
    """What holds after every step of one example, whatever is wrong at that moment."""

    def __init__(self, world: ModelWorld) -> None:
        self._world = world
        self._before: dict[int, Any] = {}

    def check(self, books: Books) -> None:
        """Fail when the shop shows more than has happened, does something twice, or takes something back."""
        assert self._world.errors.found == [], "an exception was swallowed"
        _nothing_twice(books)
        for order in books.orders:
            try:
                _is_sound(order)
                self._goes_on(order)
            except AssertionError as failure:
                failure.add_note(str(order))
                raise
        self._before = {order.row.id: order.row for order in books.orders}

    def _goes_on(self, order: OrderBooks) -> None:
        before, now = self._before.get(order.row.id), order.row
        if before is None:
            return
        if before.status is not OrderStatus.PENDING:
            assert now.status is before.status or (before.status in PAID and now.status in PAID), "an order went back"
        assert before.paid_at in (None, now.paid_at), "paid twice"
        if before.fulfilment in ENDED:
            assert now.fulfilment is before.fulfilment, "a delivery went back"


def _nothing_twice(books: Books) -> None:
    assert all(count == 1 for count in books.carried_out.values()), f"bought twice: {books.carried_out}"
    keys = Counter(refund["metadata"].get("request") for refund in books.refunds_at_stripe)
    twice = [key for key, count in keys.items() if key is not None and count > 1]
    assert twice == [], "one refund of ours was made twice at Stripe"
    keys_here = {refund.idempotency_key for order in books.orders for refund in order.refunds}
    assert keys.keys() - {None} <= keys_here, "a refund that nobody has asked for"
    references = Counter(refund.reference for order in books.orders for refund in order.refunds if refund.reference)
    assert all(count == 1 for count in references.values()), "one refund of Stripe's is on the books twice"


def _is_sound(order: OrderBooks) -> None:
    row, settling = order.row, [each for each in order.payments if each.kind is PaymentKind.SETTLING]
    paid = row.status in PAID
    assert paid == (row.paid_at is not None) == (row.fulfilment is not None), "half paid"
    assert len(settling) == int(paid), "not one payment for a paid order"
    _is_told_once(order, "receipt", paid)
    assert all((each.amount_minor, each.currency) == (row.amount_minor, row.currency) for each in settling)
    _is_true(order)
    assert order.carried_out <= int(paid), "the supplier has carried out what is not paid, or more than that"
    assert len(order.packages) <= order.carried_out, "more is on the books than was bought"
    if row.fulfilment is FulfilmentStatus.VERIFIED:
        assert len(order.packages) == 1, "verified without a package"
    assert len(order.live_attempts) <= 1


def _is_told_once(order: OrderBooks, kind: str, due: bool) -> None:
    """Fail unless a mail was written exactly when it is due, once, and once more at most for each other address."""
    mails = order.mails_of(kind)
    assert [mail.kind for mail in mails][:1] == [kind] * due, f"not one {kind}"
    assert len(mails) <= 1 + order.row.corrections, f"{kind} again and again"


def _is_true(order: OrderBooks) -> None:
    """Fail when the books hold money that never came, or more has gone back than came."""
    charges = {charge["payment_intent"]: charge for charge in order.charges}
    for payment in order.payments:
        charge = charges.get(payment.reference)
        assert charge is not None, "a payment that never was"
        assert (charge["amount_captured"], charge["currency"].upper()) == (payment.amount_minor, payment.currency)
        # Somebody may send the same money back in Stripe's Dashboard; ours is then refused.
        ours = [each for each in order.refunds if each.payment_id == payment.id and each.source != "stripe"]
        going = sum(each.amount_minor for each in ours if each.status in COUNTED)
        assert going <= payment.amount_minor, "more goes back than came in"
    assert all(charge["amount_refunded"] <= charge["amount_captured"] for charge in order.charges)
    gone = sum(
        refund.amount_minor
        for refund in order.refunds
        if refund.status is RefundStatus.SUCCEEDED and refund.payment_kind is PaymentKind.SETTLING
    )
    if order.row.status in PAID:
        expected = OrderStatus.PART_REFUNDED if gone else OrderStatus.PAID
        expected = OrderStatus.REFUNDED if gone >= order.row.amount_minor else expected
        assert order.row.status is expected, "the order does not say what has gone back"


class TrueAtRest:
    """What holds once nothing is wrong any more and enough time has gone by."""

    def __init__(self, world: ModelWorld) -> None:
        self._world = world

    def check(self, books: Books) -> None:
        """Fail when money or an eSIM is where nobody looks for it."""
        for order in books.orders:
            try:
                self._money_is_where_it_belongs(order)
                self._note(self._standing(order))
                self._supplier_has_no_more(order)
                self._buyer_was_told(order)
            except AssertionError as failure:
                failure.add_note(str(order))
                raise
        known = {payment.reference for order in books.orders for payment in order.payments}
        assert {charge["payment_intent"] for charge in books.charges} == known, "money that is not on the books"
        self._mails_have_left(books)

    def _note(self, what: str) -> None:
        """Remember that something has happened, to see that the model does not walk past it."""
        self._world.happened[what] += 1

    def _money_is_where_it_belongs(self, order: OrderBooks) -> None:
        assert [refund for refund in order.refunds if refund.status in MOVING] == [], "a refund is under way"
        for refund in order.refunds:
            self._note(f"a refund {'made at Stripe' if refund.source == 'stripe' else 'sent'}: {refund.status.value}")
        for dispute in order.disputes:
            self._note(f"a dispute: {dispute['status']}")
        for payment in order.payments:
            charge = next(each for each in order.charges if each["payment_intent"] == payment.reference)
            gone = [each for each in order.refunds if each.payment_id == payment.id]
            back = sum(each.amount_minor for each in gone if each.status is RefundStatus.SUCCEEDED)
            assert back == charge["amount_refunded"], "the books do not say what has gone back"
            if payment.kind is PaymentKind.SURPLUS:
                self._note("a surplus payment")
                assert order.kept(payment.reference) == 0 or _a_person_refunds(order), "kept what was too much"
        if order.row.status in (OrderStatus.PENDING, OrderStatus.CANCELLED):
            processing = any(attempt.status is AttemptStatus.PROCESSING for attempt in order.live_attempts)
            assert order.row.status is OrderStatus.CANCELLED or processing, "left open for ever"

    def _standing(self, order: OrderBooks) -> str:
        """Return where an order stands; fails for a place where nobody looks for it."""
        row, settling = order.row, order.settling()
        if settling is None:
            return f"an order {row.status.value}"
        kept = order.kept(settling.reference)
        if row.fulfilment is FulfilmentStatus.VERIFIED:
            return f"a {row.kind.value} delivered"
        assert row.fulfilment not in WORKED_ON, "still worked on"
        if row.fulfilment is FulfilmentStatus.HELD:
            self._may_be_held(order, settling.reference)
            return f"a {row.kind.value} held: {row.reason}"
        disputed = any(took_money(each) for each in order.disputes_of(settling.reference))
        assert kept == 0 or disputed or _a_person_refunds(order), "neither delivered nor paid back"
        return f"a {row.kind.value} refused: {row.reason}"

    def _may_be_held(self, order: OrderBooks, reference: str) -> None:
        """Fail for an order before a person about which the shop could have known what to do."""
        unclear = any(request.status in UNCLEAR for request in order.requests)
        why = order.row.reason
        if why == "disputed":
            assert any(is_open(dispute) for dispute in order.disputes_of(reference)), "held for a dispute that is over"
        elif why in ("outcome_unknown", "refunded", "price_changed"):
            assert unclear, "held although it is known what became of it"
            assert order.row.kind is OrderKind.RENEWAL or order.carried_out == 0 or not self._listed(order), (
                "held although the supplier lists it"
            )
        else:
            raise AssertionError(f"held: {why}")

    def _listed(self, order: OrderBooks) -> bool:
        return any(self._world.supplier.is_visible(esim) for esim in order.esims)

    def _supplier_has_no_more(self, order: OrderBooks) -> None:
        """Fail when the supplier has sold us an eSIM that nobody has got and nobody is to give back."""
        if order.row.fulfilment is not FulfilmentStatus.REFUSED or order.row.esim_id is not None:
            return
        left = [esim for esim in order.esims if esim.esim_status != "CANCEL" and self._world.supplier.is_visible(esim)]
        noticed = any(finding.kind is FindingKind.ESIM_REFUNDED for finding in order.findings)
        assert left == [] or noticed, "an eSIM that nobody has got was not given back"

    def _buyer_was_told(self, order: OrderBooks) -> None:
        row, verified = order.row, order.row.fulfilment is FulfilmentStatus.VERIFIED
        came = row.kind is OrderKind.PURCHASE and row.esim_id is not None
        _is_told_once(order, "esim-ready", came)
        _is_told_once(order, "renewal-confirmed", row.kind is OrderKind.RENEWAL and verified)
        if row.paid_at is not None:
            assert order.mails_of("receipt")[-1].recipient == row.email, "the receipt went to an address that is wrong"
        for refund in order.refunds:
            if refund.status in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
                # What the bank has sent back was told before, or never.
                told = refund.status is RefundStatus.SUCCEEDED or bool(order.mails_of(f"refund-{refund.id}"))
                _is_told_once(order, f"refund-{refund.id}", told)

    def _mails_have_left(self, books: Books) -> None:
        arrived = grouped(self._world.inbox.messages(), lambda message: message.header("Message-ID"))
        settings = self._world.shop.settings
        ids = {message_id(settings, cast(Mail, mail)): mail for mail in books.mails}
        assert len(ids) == len(books.mails), "two mails have one Message-ID"
        # A mail that was on its way to a wrong address has no row any more.
        corrected = any(order.row.corrections for order in books.orders)
        assert arrived.keys() <= ids.keys() or corrected, "a mail without a row"
        failed = 0
        for identity, mail in ids.items():
            failed += mail.status is MailStatus.FAILED
            assert mail.status in (MailStatus.SENT, MailStatus.FAILED), "a mail has not left"
            assert mail.status is MailStatus.FAILED or arrived[identity], "a mail did not arrive"
            assert all(message.recipients == [mail.recipient] for message in arrived[identity])
            if mail.status is MailStatus.FAILED:
                self._note("a mail given up")
        assert failed <= self._world.refused_for_good, "a mail was given up that nobody has refused"


def _a_person_refunds(order: OrderBooks) -> bool:
    """Return whether somebody is told that the money has not gone back."""
    kinds = {finding.kind for finding in order.findings}
    return bool(kinds & {FindingKind.REFUND_FAILED, FindingKind.WRONG_AMOUNT})
