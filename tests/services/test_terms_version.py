"""Which terms a buyer agreed to: the version that an order keeps, also when it is made again from Stripe."""

from __future__ import annotations

import pytest
from sqlalchemy import String
from sqlalchemy.orm import Session

from models import Consent, Order, PageName, Staff, db
from services.orders import TERMS_VERSION, terms_version
from services.payments import attempts
from services.payments.lost_orders import details_of
from services.shop import Shop
from tests import both_databases
from tests.money_world import MoneyWorld
from tests.services.lost_world import Backup, facts, found, reconciled
from tests.text_world import Writer

OTHERS = {"immediate_delivery": TERMS_VERSION, "phone_supports_esim": TERMS_VERSION}


@pytest.fixture
def writer(money: MoneyWorld) -> Writer:
    member: Staff = money.factories.make_staff()
    return Writer(money.shop, member)


def agreed(order: Order) -> dict[str, str]:
    """Return what was agreed to, and the version of its text."""
    return {consent.kind: consent.text_version for consent in order.consents}


@both_databases
def test_an_order_keeps_the_version_in_force_in_its_language(money: MoneyWorld, writer: Writer) -> None:
    """Staff's text in it, else the English one that stands in for it, else the terms that come with the shop."""
    assert agreed(money.order(language="fr")) == {"terms": TERMS_VERSION, **OTHERS}
    english = writer.write(PageName.TERMS, "en", "English terms")
    assert agreed(money.order(language="fr")) == {"terms": f"page-text-{english}", **OTHERS}
    french = writer.write(PageName.TERMS, "fr", "Conditions")
    assert agreed(money.order(language="fr")) == {"terms": f"page-text-{french}", **OTHERS}
    assert agreed(money.order(language="de")) == {"terms": f"page-text-{english}", **OTHERS}
    writer.take_back(PageName.TERMS, "fr")
    writer.take_back(PageName.TERMS, "en")
    assert agreed(money.order(language="fr")) == {"terms": TERMS_VERSION, **OTHERS}


def test_only_the_terms_count(money: MoneyWorld, writer: Writer) -> None:
    writer.write(PageName.PRIVACY, "en", "Privacy")
    writer.write(PageName.HELP, "en", "Help")
    assert agreed(money.order()) == {"terms": TERMS_VERSION, **OTHERS}


def test_an_order_that_was_placed_keeps_its_version(money: MoneyWorld, writer: Writer) -> None:
    """What staff writes afterwards does not touch it."""
    first = writer.write(PageName.TERMS, "en", "Old terms")
    order = money.paid(money.order())
    writer.write(PageName.TERMS, "en", "New terms")
    assert agreed(money.row(Order, order.id))["terms"] == f"page-text-{first}"


@both_databases
def test_a_lost_order_comes_back_with_what_was_agreed_to(money: MoneyWorld, writer: Writer) -> None:
    """Stripe keeps both versions beside the session: that of the terms, and that of the words beside the boxes."""
    version = writer.write(PageName.TERMS, "en", "Terms")
    backup = Backup(money)
    order = money.paid(money.order())
    known = facts(order)
    backup.restore()
    writer.write(PageName.TERMS, "en", "Terms that nobody had read yet")
    reconciled(money)
    back = found(money, order)
    assert facts(back) == known
    assert agreed(back) == {"terms": f"page-text-{version}", **OTHERS}


def test_a_session_with_one_version_holds_for_all(money: MoneyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were opened before staff could write terms carry one."""

    def details_of_before(shop: Shop, session: Session, order: Order) -> dict[str, str]:
        return {name: value for name, value in details_of(shop, session, order).items() if name != "wording"}

    monkeypatch.setattr(attempts, "details_of", details_of_before)
    backup = Backup(money)
    order = money.order()
    with money.shop.transaction() as session:
        for consent in session.get_one(Order, order.id).consents:
            consent.text_version = "2026-01" if consent.kind == "terms" else "2026-02"
    order = money.paid(order)
    backup.restore()
    reconciled(money)
    assert set(agreed(found(money, order)).values()) == {"2026-01"}


def test_the_longest_version_fits(money: MoneyWorld, writer: Writer) -> None:
    """PostgreSQL gives numbers of up to ten digits."""
    writer.write(PageName.TERMS, "en", "Terms")
    column = Consent.__table__.c.text_version.type
    assert isinstance(column, String)
    length = column.length or 0
    assert len(terms_version(db.session(), "en").rstrip("0123456789")) + len(str(2**31 - 1)) <= length
