"""A backup of the whole database, and restoring it: what the outside world did since is lost here and stays there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select

from models import AuditEvent, FindingKind, Fulfilment, FulfilmentStatus, Order, db
from services.findings import open_findings
from services.reconcile import Report, reconcile
from tests.money_world import MoneyWorld

# After this long Stripe's sessions and the supplier's eSIMs count as old enough to be missed.
A_WHILE = {"minutes": 15}


class Backup:
    """Every row of the database as it is now."""

    def __init__(self, money: MoneyWorld) -> None:
        self._money = money
        money.fresh()
        self._tables = [
            (table, [dict(row) for row in db.session.execute(select(table)).mappings()])
            for table in db.metadata.sorted_tables
            # What is there cannot be taken out again, not even for this.
            if table.name != AuditEvent.__tablename__
        ]
        db.session.rollback()

    def restore(self) -> None:
        """Put the database back to where it was, a while later; rows that a test holds keep what they say."""
        for held in list(db.session.identity_map.values()):
            db.session.refresh(held)
        db.session.expunge_all()
        with self._money.shop.transaction() as session:
            for table, _rows in reversed(self._tables):
                session.execute(delete(table))
            for table, rows in self._tables:
                if rows:
                    session.execute(insert(table), rows)
        self._money.fresh()
        self._money.clock.advance(**A_WHILE)


def reconciled(money: MoneyWorld) -> Report:
    """Put our books beside Stripe's without an error, and return what came of it."""
    money.fresh()
    report = reconcile(money.shop)
    money.fresh()
    assert report.errors == 0
    return report


def found(money: MoneyWorld, order: Order) -> Order:
    """Return the order that has the public id of a lost one."""
    money.fresh()
    return db.session.scalars(select(Order).where(Order.public_id == order.public_id)).one()


def delivered(money: MoneyWorld, order: Order) -> Order:
    """Return the order that has the public id of a lost one, after the worker has delivered it."""
    money.work()
    back = found(money, order)
    assert money.fulfilment(back).status is FulfilmentStatus.VERIFIED
    return back


def findings(money: MoneyWorld) -> list[FindingKind]:
    """Return what waits for a person."""
    money.fresh()
    return [finding.kind for finding in open_findings(db.session())]


def facts(order: Order) -> dict[str, Any]:
    """Return what a buyer, a receipt and the law know an order by."""
    names = (
        *("public_id", "checkout_key", "kind", "status", "days", "email", "language", "currency", "amount_minor"),
        *("plan_id", "plan_name", "plan_facts", "shown_before", "shown_after"),
    )
    consents = sorted((each.kind, each.language, each.text_version) for each in order.consents)
    assert order.paid_at is not None
    return {
        **{name: getattr(order, name) for name in names},
        "account": order.account.email,
        "consents": consents,
        "iccid": order.esim.iccid if order.esim is not None else None,
    }


def fulfilments(money: MoneyWorld) -> list[FulfilmentStatus]:
    """Return how far all orders are, in the order in which they were made."""
    money.fresh()
    return list(db.session.scalars(select(Fulfilment.status).order_by(Fulfilment.order_id)))
