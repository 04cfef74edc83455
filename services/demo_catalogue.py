"""The demo catalogue: invented retail prices in a real range, and the codes that the sandbox's supplier knows.

What the supplier asks is not here: `sync-catalogue` reads it from the supplier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from flask_babel import LazyString, force_locale, gettext, lazy_gettext, ngettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from models import ClockStart, Plan, PlanCountry, PlanPrice, PlanState, PlanText
from services.catalogue import move_catalogue_version
from services.languages import LANGUAGES
from services.money import GIGABYTE, format_data

SUPPLIER = "esim_access"
INSTALL_WITHIN_DAYS = 180

# Price points, set for each currency: (EUR, USD, GBP, CHF, CNY, AED) in hundredths and JPY in yen.
_CURRENCIES = ("EUR", "USD", "GBP", "CHF", "CNY", "AED", "JPY")
_PRICES = (
    (390, 450, 350, 390, 3200, 1700, 690),
    (690, 790, 590, 690, 5600, 2900, 1200),
    (890, 990, 790, 890, 7300, 3800, 1550),
    (1290, 1490, 1090, 1290, 10500, 5500, 2250),
    (1390, 1590, 1190, 1390, 11300, 5900, 2400),
    (1490, 1690, 1290, 1490, 12200, 6300, 2600),
    (1590, 1850, 1390, 1590, 12900, 6700, 2750),
    (1990, 2290, 1750, 1990, 16200, 8400, 3450),
    (3690, 4190, 3190, 3590, 29900, 15500, 6400),
    (4900, 5590, 4290, 4790, 39800, 20500, 8500),
    (5690, 6490, 4990, 5590, 45900, 23900, 9900),
    (9900, 11400, 8600, 9700, 79900, 41900, 17200),
)
_PRICES_BY_EURO = {row[0]: dict(zip(_CURRENCIES, row, strict=True)) for row in _PRICES}

# fmt: off
_EUROPE = (
    "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU",
    "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
)
# fmt: on


@dataclass(frozen=True)
class _Area:
    """Where plans work: `slug` begins their address, `code` their supplier code; its texts as catalogues have them."""

    slug: str
    code: str
    countries: tuple[str, ...]
    network: str
    name: LazyString
    description: LazyString


_MONACO = _Area(
    slug="monaco",
    code="MC",
    countries=("MC",),
    network="Monaco Telecom",
    name=lazy_gettext("Monaco"),
    description=lazy_gettext("Works in Monaco only. Going to Nice or Menton as well? Then take the Riviera plan."),
)
_FRANCE = _Area(
    slug="france",
    code="FR",
    countries=("FR",),
    network="Demo Mobile France",
    name=lazy_gettext("France"),
    description=lazy_gettext("Works in France. Monaco has a network of its own and is not included."),
)
_ITALY = _Area(
    slug="italy",
    code="IT",
    countries=("IT",),
    network="Demo Mobile Italy",
    name=lazy_gettext("Italy"),
    description=lazy_gettext("Works in Italy. Monaco has a network of its own and is not included."),
)
_EUROPE_AREA = _Area(
    slug="europe",
    code="EU",
    countries=_EUROPE,
    network="Demo Mobile",
    name=lazy_gettext("Europe"),
    description=lazy_gettext(
        "Works in 32 European countries. Monaco is not one of them: for Monaco, take a Monaco or Riviera plan."
    ),
)
_RIVIERA = _Area(
    slug="riviera",
    code="RIV",
    countries=("FR", "IT", "MC"),
    network="Monaco Telecom, Demo Mobile",
    name=lazy_gettext("Riviera"),
    description=lazy_gettext("France, Italy and Monaco on one eSIM: stay connected along the whole coast."),
)

_DAILY_DESCRIPTION = lazy_gettext("A fresh 1 GB every day, for as many days as you stay. Works in Monaco only.")

# (area, gigabytes, days, price in euro cents, can be topped up), in the order of the shelf.
_COUNTRY_SIZES = ((1, 7, 390), (3, 30, 690), (5, 30, 890), (10, 30, 1390), (20, 30, 1990))
_SHELF: tuple[tuple[_Area, int, int, int, bool], ...] = (
    (_MONACO, 1, 7, 1490, True),
    (_MONACO, 3, 30, 3690, True),
    (_MONACO, 5, 30, 5690, True),
    (_MONACO, 10, 30, 9900, False),
    (_RIVIERA, 5, 15, 4900, True),
    *((_FRANCE, size, days, price, True) for size, days, price in _COUNTRY_SIZES),
    *((_ITALY, size, days, price, True) for size, days, price in _COUNTRY_SIZES),
    (_EUROPE_AREA, 5, 30, 1290, True),
    (_EUROPE_AREA, 10, 30, 1990, True),
)


def seed_catalogue(session: Session) -> int:
    """Put the demo plans that are missing on the shelf and return how many; plans that exist stay as they are.

    Their texts are those of the catalogues, so that it takes an application context.
    """
    existing = set(session.scalars(select(Plan.supplier_plan_code).where(Plan.supplier == SUPPLIER)))
    added = [plan for plan in _demo_plans() if plan.supplier_plan_code not in existing]
    if added:
        session.add_all(added)
        session.flush()
        move_catalogue_version(session)
    return len(added)


def _demo_plans() -> Iterator[Plan]:
    for position, (area, size, days, euro_cents, topup) in enumerate(_SHELF):
        code = f"SIM-{area.code}-{size}-{days}"
        yield _plan(
            area,
            slug=f"{area.slug}-{size}gb-{days}-days",
            code=code,
            position=position * 10,
            size=size,
            days=(days, days),
            topup_code=f"TOPUP_{code}" if topup else None,
            euro_cents=euro_cents,
            texts=_texts(partial(_name, area, size, days), area.description),
        )
    yield _daily_plan()


def _name(area: _Area, size: int, days: int, locale: str) -> str:
    return gettext(
        "%(area)s %(data)s, %(days)s",
        area=area.name,
        data=_data(size, locale),
        days=ngettext("%(num)s day", "%(num)s days", days).replace("\u00a0", " "),
    )


def _data(size: int, locale: str) -> str:
    # A name is searched for and typed: its spaces are those of a keyboard.
    return format_data(size * GIGABYTE, locale).replace("\u00a0", " ")


def _daily_name(locale: str) -> str:
    return gettext("%(area)s %(data)s a day", area=_MONACO.name, data=_data(1, locale))


def _texts(name: Callable[[str], str], description: LazyString) -> list[PlanText]:
    """Return the texts of a plan in every language; `name` is asked with that language in force, and its locale."""
    texts = []
    for language in LANGUAGES.values():
        with force_locale(language.locale):
            texts.append(PlanText(language=language.code, name=name(language.locale), description=str(description)))
    return texts


def _daily_plan() -> Plan:
    plan = _plan(
        _MONACO,
        slug="monaco-1gb-a-day",
        code="SIM-MC-DAY",
        position=5,
        size=1,
        days=(1, 30),
        topup_code=None,
        euro_cents=1590,
        texts=_texts(_daily_name, _DAILY_DESCRIPTION),
    )
    plan.per_day = True
    plan.fair_use = True
    return plan


def _plan(
    area: _Area,
    *,
    slug: str,
    code: str,
    position: int,
    size: int,
    days: tuple[int, int],
    topup_code: str | None,
    euro_cents: int,
    texts: list[PlanText],
) -> Plan:
    return Plan(
        slug=slug,
        state=PlanState.ACTIVE,
        position=position,
        data_bytes=size * GIGABYTE,
        per_day=False,
        days_min=days[0],
        days_max=days[1],
        clock_start=ClockStart.FIRST_CONNECTION,
        install_within_days=INSTALL_WITHIN_DAYS,
        network=area.network,
        speed="4G/5G",
        fair_use=False,
        supplier=SUPPLIER,
        supplier_plan_code=code,
        supplier_topup_code=topup_code,
        countries=[PlanCountry(country=country, position=place) for place, country in enumerate(area.countries)],
        prices=[
            PlanPrice(currency=currency, amount_minor=amount)
            for currency, amount in _PRICES_BY_EURO[euro_cents].items()
        ],
        texts=texts,
    )
