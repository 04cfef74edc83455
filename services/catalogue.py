"""What is for sale, in one language and one currency."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, String, bindparam, case, or_, select, update
from sqlalchemy.orm import Session

from models import CatalogueVersion, ClockStart, Plan, PlanCountry, PlanPrice, PlanState, PlanText
from services.languages import DEFAULT_LANGUAGE

MONACO = "MC"


class PlanNotFound(Exception):
    """No plan with this name is on the shelf, or it has no price in this currency."""


class DaysNotOffered(Exception):
    """The plan is not sold for this number of days; `days_min` and `days_max` say for how many it is."""

    def __init__(self, days_min: int, days_max: int) -> None:
        super().__init__(f"sold for {days_min} to {days_max} days")
        self.days_min = days_min
        self.days_max = days_max


@dataclass(frozen=True, kw_only=True)
class PlanView:
    """A plan as a traveller sees it.

    `amount_minor` is in minor units of `currency`, per day when `days_choosable`; `data_bytes` is per day when
    `per_day`, None for unlimited; `supplier_cost` is in ten-thousandths of a US dollar.
    """

    id: int
    slug: str
    name: str
    description: str
    countries: tuple[str, ...]
    data_bytes: int | None
    per_day: bool
    days_min: int
    days_max: int
    voice_minutes: int | None
    sms_count: int | None
    clock_start: ClockStart
    install_within_days: int
    network: str
    speed: str
    fair_use: bool
    currency: str
    amount_minor: int
    supplier_plan_code: str
    supplier_topup_code: str | None
    supplier_cost: int | None

    @property
    def covers_monaco(self) -> bool:
        """Return whether Monaco is one of the countries."""
        return MONACO in self.countries

    @property
    def days_choosable(self) -> bool:
        """Return whether the traveller chooses how many days, and pays by the day."""
        return self.days_min < self.days_max

    @property
    def topup(self) -> bool:
        """Return whether an eSIM with this plan can be renewed."""
        return self.supplier_topup_code is not None


@dataclass(frozen=True, kw_only=True)
class PlanFilter:
    """What a traveller looks for; None means that it does not matter.

    A plan fits when it covers `country`, lasts or can be bought for `days`, and holds at least `data_bytes` in all.
    """

    country: str | None = None
    days: int | None = None
    data_bytes: int | None = None


def _plans() -> Select[*tuple[Any, ...]]:
    """Return the statement that reads all plans, with the parameters `language` and `currency`."""
    language, currency = bindparam("language", type_=String()), bindparam("currency", type_=String())
    # A plan without a text in this language is still sold, under its English name.
    text_id = (
        select(PlanText.language)
        .where(PlanText.plan_id == Plan.id, or_(PlanText.language == language, PlanText.language == DEFAULT_LANGUAGE))
        .order_by(case((PlanText.language == language, 0), else_=1))
        .limit(1)
        .correlate(Plan)
        .scalar_subquery()
    )
    return (
        select(
            *(Plan.id, Plan.slug, PlanText.name, PlanText.description, Plan.data_bytes, Plan.per_day),
            *(Plan.days_min, Plan.days_max, Plan.voice_minutes, Plan.sms_count, Plan.clock_start),
            *(Plan.install_within_days, Plan.network, Plan.speed, Plan.fair_use, PlanPrice.currency),
            *(PlanPrice.amount_minor, Plan.supplier_plan_code, Plan.supplier_topup_code, Plan.supplier_cost),
        )
        .join(PlanText, (PlanText.plan_id == Plan.id) & (PlanText.language == text_id))
        .join(PlanPrice, (PlanPrice.plan_id == Plan.id) & (PlanPrice.currency == currency))
        .order_by(Plan.position, Plan.id)
    )


# A statement costs more to build than to run, so these are built once.
_ALL = _plans()
_ANY_PLAN = _ALL.where(Plan.slug == bindparam("slug"))
_SHELF = _ALL.where(Plan.state == PlanState.ACTIVE)
_ONE_PLAN = _SHELF.where(Plan.slug == bindparam("slug"))
_TOPUPS = _SHELF.where(Plan.supplier_topup_code.in_(bindparam("topup_codes", expanding=True)))
_COUNTRIES = (
    select(PlanCountry.plan_id, PlanCountry.country)
    .where(PlanCountry.plan_id.in_(bindparam("plan_ids", expanding=True)))
    .order_by(PlanCountry.plan_id, PlanCountry.position)
)


def quote(plan: PlanView, days: int) -> int:
    """Return what `days` days of a plan cost in all, in minor units of its currency; raises DaysNotOffered."""
    if not plan.days_min <= days <= plan.days_max:
        raise DaysNotOffered(plan.days_min, plan.days_max)
    return plan.amount_minor * days if plan.days_choosable else plan.amount_minor


def list_plans(session: Session, wanted: PlanFilter, language: str, currency: str) -> list[PlanView]:
    """Return the plans on the shelf that fit, in the shop's order, by two SQL statements."""
    return [plan for plan in _views(session, _SHELF, language, currency) if _fits(plan, wanted)]


def get_plan(session: Session, slug: str, language: str, currency: str) -> PlanView:
    """Return a plan that is on the shelf; raises PlanNotFound."""
    return _one(_views(session, _ONE_PLAN, language, currency, slug=slug), slug)


def get_any_plan(session: Session, slug: str, language: str, currency: str) -> PlanView:
    """Return a plan, also one that is no longer on the shelf; raises PlanNotFound."""
    return _one(_views(session, _ANY_PLAN, language, currency, slug=slug), slug)


def list_topup_plans(session: Session, topup_codes: Collection[str], language: str, currency: str) -> list[PlanView]:
    """Return the plans on the shelf that the supplier sells as top-ups under `topup_codes`."""
    return _views(session, _TOPUPS, language, currency, topup_codes=list(topup_codes))


def list_countries(session: Session) -> list[str]:
    """Return every country that a plan on the shelf covers (ISO 3166 alpha-2), in no order that means anything."""
    statement = select(PlanCountry.country).distinct().join(Plan).where(Plan.state == PlanState.ACTIVE)
    return list(session.scalars(statement))


def catalogue_version(session: Session) -> int:
    """Return a number that moves with every change to plans, prices or texts; 0 before the first plan."""
    return session.scalar(select(CatalogueVersion.version).where(CatalogueVersion.id == 1)) or 0


def move_catalogue_version(session: Session) -> None:
    """Make every kept page stale once the surrounding transaction has committed."""
    moved = session.execute(
        update(CatalogueVersion).where(CatalogueVersion.id == 1).values(version=CatalogueVersion.version + 1)
    )
    if moved.rowcount == 0:  # type: ignore[attr-defined]
        session.add(CatalogueVersion(id=1, version=1))
        session.flush()


def _one(found: list[PlanView], slug: str) -> PlanView:
    if not found:
        raise PlanNotFound(slug)
    return found[0]


def _views(
    session: Session, statement: Select[*tuple[Any, ...]], language: str, currency: str, **wanted: object
) -> list[PlanView]:
    rows = session.execute(statement, {"language": language, "currency": currency, **wanted}).all()
    countries = _countries(session, rows)
    return [PlanView(countries=tuple(countries.get(row.id, ())), **row._mapping) for row in rows]


def _countries(session: Session, rows: Collection[Row[*tuple[Any, ...]]]) -> dict[int, list[str]]:
    countries: dict[int, list[str]] = {}
    for plan_id, country in session.execute(_COUNTRIES, {"plan_ids": [row.id for row in rows]}):
        countries.setdefault(plan_id, []).append(country)
    return countries


def _fits(plan: PlanView, wanted: PlanFilter) -> bool:
    if wanted.country is not None and wanted.country not in plan.countries:
        return False
    if wanted.days is not None and plan.days_max < wanted.days:
        return False
    if wanted.data_bytes is None or plan.data_bytes is None:
        return True
    return _most_data(plan, plan.data_bytes, wanted.days) >= wanted.data_bytes


def _most_data(plan: PlanView, data_bytes: int, days: int | None) -> int:
    if not plan.per_day:
        return data_bytes
    return data_bytes * max(plan.days_min, days or plan.days_max)
