"""Asking the supplier what is left of an eSIM, and keeping its answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.orm import Session, selectinload

from models import Esim, EsimStatus
from services import usage_history, usage_rules
from services.shop import Shop
from services.suppliers import Reading, SupplierError

log = logging.getLogger(__name__)

SYNC_EVERY = timedelta(hours=1)
SYNC_BATCH = 50


class ReadOutcome(StrEnum):
    """What became of the wish to read an eSIM."""

    READ = "read"
    TOO_EARLY = "too_early"
    SILENT = "silent"


def read(shop: Shop, esim_id: int, force: bool = False) -> ReadOutcome:
    """Ask the supplier about one eSIM and store the answer; asks nothing within its `min_read_interval`.

    However many ask at the same time, one call goes out. `force` asks in any case. Opens its own transactions, so
    call it outside of one; an eSIM that does not exist counts as asked too early.
    """
    supplier_esim_id = _take_turn(shop, esim_id, force)
    if supplier_esim_id is None:
        return ReadOutcome.TOO_EARLY
    return _read_now(shop, esim_id, supplier_esim_id)


def apply_reading(session: Session, esim: Esim, reading: Reading, now: datetime) -> None:
    """Store what the supplier said of `esim`; where it says nothing, the last known value stays."""
    esim.status = reading.status
    esim.usage_as_of = reading.as_of
    esim.usage_read_at = now
    esim.usage_silent_since = None
    for name in ("total_bytes", "used_bytes", "total_days", "activated_at", "expires_at"):
        value = getattr(reading, name)
        if value is not None:
            setattr(esim, name, value)
    _update_packages(esim)
    session.flush()
    if reading.used_bytes is not None:
        usage_history.note_days(session, [(esim.id, reading.used_bytes, reading.as_of)], now)


def sync(shop: Shop) -> int:
    """Read every living eSIM that was not asked about for an hour; return how many were answered."""
    answered = 0
    while batch := _take_due(shop):
        enough, closer = _read_in_bulk(shop, batch)
        answered += enough
        for esim_id, supplier_esim_id in closer:
            answered += _read_now(shop, esim_id, supplier_esim_id) is ReadOutcome.READ
    return answered


def _take_turn(shop: Shop, esim_id: int, force: bool) -> str | None:
    moment = shop.clock.now()
    allowed = or_(
        Esim.usage_asked_at.is_(None), Esim.usage_asked_at <= moment - shop.supplier.capabilities.min_read_interval
    )
    turn = update(Esim).where(Esim.id == esim_id).values(usage_asked_at=moment)
    with shop.transaction() as session:
        result = session.execute((turn if force else turn.where(allowed)).execution_options(synchronize_session=False))
        assert isinstance(result, CursorResult)
        if result.rowcount != 1:
            return None
        return session.scalars(select(Esim.supplier_esim_id).where(Esim.id == esim_id)).one()


def _read_now(shop: Shop, esim_id: int, supplier_esim_id: str) -> ReadOutcome:
    try:
        reading = shop.supplier.read_esim(supplier_esim_id)
    except SupplierError as error:
        log.warning("no reading of eSIM %s: %s %s", esim_id, type(error).__name__, error.code)
        _note_silence(shop, [esim_id])
        return ReadOutcome.SILENT
    with shop.transaction() as session:
        esim = session.scalars(
            select(Esim)
            .where(Esim.id == esim_id)
            .options(selectinload(Esim.packages))
            .with_for_update()
            .execution_options(populate_existing=True)
        ).one()
        apply_reading(session, esim, reading, shop.clock.now())
    return ReadOutcome.READ


def _note_silence(shop: Shop, esim_ids: Sequence[int]) -> None:
    with shop.transaction() as session:
        session.execute(
            update(Esim)
            .where(Esim.id.in_(esim_ids), Esim.usage_silent_since.is_(None))
            .values(usage_silent_since=shop.clock.now())
            .execution_options(synchronize_session=False)
        )


def _take_due(shop: Shop) -> list[tuple[int, str]]:
    moment = shop.clock.now()
    with shop.transaction() as session:
        rows = session.execute(
            select(Esim.id, Esim.supplier_esim_id)
            .where(
                Esim.supplier == shop.supplier.code,
                Esim.status.not_in(usage_rules.ENDED),
                or_(Esim.usage_asked_at.is_(None), Esim.usage_asked_at <= moment - SYNC_EVERY),
            )
            .order_by(Esim.id)
            .limit(SYNC_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        session.execute(
            update(Esim)
            .where(Esim.id.in_([row.id for row in rows]))
            .values(usage_asked_at=moment)
            .execution_options(synchronize_session=False)
        )
    return [(row.id, row.supplier_esim_id) for row in rows]


def _read_in_bulk(shop: Shop, batch: Sequence[tuple[int, str]]) -> tuple[int, list[tuple[int, str]]]:
    """Store what one question for all can tell; return how many that was, and those to be read one by one."""
    try:
        figures = shop.supplier.read_usage([supplier_esim_id for _esim_id, supplier_esim_id in batch])
    except SupplierError as error:
        log.warning("no usage of %d eSIMs: %s %s", len(batch), type(error).__name__, error.code)
        _note_silence(shop, [esim_id for esim_id, _supplier_esim_id in batch])
        return 0, []
    closer: list[tuple[int, str]] = []
    noted: list[usage_history.Figure] = []
    now = shop.clock.now()
    with shop.transaction() as session:
        esims = session.scalars(
            select(Esim)
            .where(Esim.id.in_([esim_id for esim_id, _supplier_esim_id in batch]))
            .options(selectinload(Esim.packages))
            .with_for_update()
            .execution_options(populate_existing=True)
        ).all()
        for esim in esims:
            if not _figures_are_enough(esim, figures.get(esim.supplier_esim_id), now):
                closer.append((esim.id, esim.supplier_esim_id))
                continue
            used, _total, as_of = figures[esim.supplier_esim_id]
            esim.used_bytes, esim.usage_as_of = used, as_of
            esim.usage_read_at = now
            esim.usage_silent_since = None
            _update_packages(esim)
            noted.append((esim.id, used, as_of))
        usage_history.note_days(session, noted, now)
    return len(esims) - len(closer), closer


def _figures_are_enough(esim: Esim, figures: tuple[int, int, datetime | None] | None, now: datetime) -> bool:
    """Tell whether usage alone says all that changed: the eSIM runs on, with the same total and some of it left."""
    if figures is None or esim.status is not EsimStatus.ACTIVE:
        return False
    used, total, _as_of = figures
    return total == esim.total_bytes and used < total and esim.expires_at is not None and esim.expires_at > now


def _update_packages(esim: Esim) -> None:
    states = usage_rules.package_states([package.data_bytes for package in esim.packages], esim.status, esim.used_bytes)
    for package, state in zip(esim.packages, states, strict=True):
        package.status = state
