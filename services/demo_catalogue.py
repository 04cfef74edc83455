"""The demo catalogue: invented retail prices in a real range, and the codes that the sandbox's supplier knows.

What the supplier asks is not here: `sync-catalogue` reads it from the supplier.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import ClockStart, Plan, PlanCountry, PlanPrice, PlanState, PlanText
from services.catalogue import move_catalogue_version
from services.money import GIGABYTE

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
    """Where plans work: `slug` begins their address, `code` their supplier code; texts by language."""

    slug: str
    code: str
    countries: tuple[str, ...]
    network: str
    names: dict[str, str]
    descriptions: dict[str, str]


_MONACO = _Area(
    slug="monaco",
    code="MC",
    countries=("MC",),
    network="Monaco Telecom",
    names={"en": "Monaco", "fr": "Monaco", "zh-hans": "摩纳哥", "ar": "موناكو"},
    descriptions={
        "en": "Works in Monaco only. Going to Nice or Menton as well? Then take the Riviera plan.",
        "fr": "Fonctionne à Monaco uniquement. Vous allez aussi à Nice ou à Menton ? Prenez le forfait Riviera.",
        "zh-hans": "仅在摩纳哥可用。如果还要去尼斯或芒通，请选择里维埃拉套餐。",
        "ar": "تعمل في موناكو فقط. هل تزور نيس أو مانتون أيضًا؟ اختر إذًا باقة الريفييرا.",
    },
)
_FRANCE = _Area(
    slug="france",
    code="FR",
    countries=("FR",),
    network="Demo Mobile France",
    names={"en": "France", "fr": "France", "zh-hans": "法国", "ar": "فرنسا"},
    descriptions={
        "en": "Works in France. Monaco has a network of its own and is not included.",
        "fr": "Fonctionne en France. Monaco a son propre réseau et n'est pas inclus.",
        "zh-hans": "在法国可用。摩纳哥有自己的网络，不包含在内。",
        "ar": "تعمل في فرنسا. لموناكو شبكتها الخاصة، وهي غير مشمولة.",
    },
)
_ITALY = _Area(
    slug="italy",
    code="IT",
    countries=("IT",),
    network="Demo Mobile Italy",
    names={"en": "Italy", "fr": "Italie", "zh-hans": "意大利", "ar": "إيطاليا"},
    descriptions={
        "en": "Works in Italy. Monaco has a network of its own and is not included.",
        "fr": "Fonctionne en Italie. Monaco a son propre réseau et n'est pas inclus.",
        "zh-hans": "在意大利可用。摩纳哥有自己的网络，不包含在内。",
        "ar": "تعمل في إيطاليا. لموناكو شبكتها الخاصة، وهي غير مشمولة.",
    },
)
_EUROPE_AREA = _Area(
    slug="europe",
    code="EU",
    countries=_EUROPE,
    network="Demo Mobile",
    names={"en": "Europe", "fr": "Europe", "zh-hans": "欧洲", "ar": "أوروبا"},
    descriptions={
        "en": "Works in 32 European countries. Monaco is not one of them: for Monaco, take a Monaco or Riviera plan.",
        "fr": "Fonctionne dans 32 pays d'Europe. Monaco n'en fait pas partie : prenez un forfait Monaco ou Riviera.",
        "zh-hans": "在 32 个欧洲国家可用，但不包括摩纳哥。去摩纳哥请选择摩纳哥或里维埃拉套餐。",
        "ar": "تعمل في 32 دولة أوروبية ليست موناكو منها: إلى موناكو اختر باقة موناكو أو الريفييرا.",
    },
)
_RIVIERA = _Area(
    slug="riviera",
    code="RIV",
    countries=("FR", "IT", "MC"),
    network="Monaco Telecom, Demo Mobile",
    names={"en": "Riviera", "fr": "Riviera", "zh-hans": "里维埃拉", "ar": "الريفييرا"},
    descriptions={
        "en": "France, Italy and Monaco on one eSIM: stay connected along the whole coast.",
        "fr": "La France, l'Italie et Monaco sur une seule eSIM : connecté tout le long de la côte.",
        "zh-hans": "一张 eSIM 通用法国、意大利和摩纳哥：沿海一路在线。",
        "ar": "فرنسا وإيطاليا وموناكو على شريحة eSIM واحدة: ابقَ متصلًا على طول الساحل.",
    },
)

_NAME = {
    "en": "{area} {size} GB, {days} days",
    "fr": "{area} {size} Go, {days} jours",
    "zh-hans": "{area} {size} GB · {days} 天",
    "ar": "{area} {size} غيغابايت، {arabic_days}",
}
_DAILY_NAME = {
    "en": "{area} {size} GB a day",
    "fr": "{area} {size} Go par jour",
    "zh-hans": "{area} 每天 {size} GB",
    "ar": "{area} {size} غيغابايت يوميًا",
}
_DAILY_DESCRIPTION = {
    "en": "A fresh 1 GB every day, for as many days as you stay. Works in Monaco only.",
    "fr": "1 Go chaque jour, pour le nombre de jours de votre séjour. Fonctionne à Monaco uniquement.",
    "zh-hans": "每天 1 GB，按停留天数购买。仅在摩纳哥可用。",
    "ar": "غيغابايت واحد جديد كل يوم، بعدد أيام إقامتك. تعمل في موناكو فقط.",
}

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
    """Put the demo plans that are missing on the shelf and return how many; plans that exist stay as they are."""
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
            texts={
                language: (
                    name.format(area=area.names[language], size=size, days=days, arabic_days=_arabic_days(days)),
                    area.descriptions[language],
                )
                for language, name in _NAME.items()
            },
        )
    yield _daily_plan()


def _arabic_days(days: int) -> str:
    """Return three days or more with the word that goes with their number: 7 أيام, but 30 يومًا."""
    return f"{days} {'أيام' if days <= 10 else 'يومًا'}"


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
        texts={
            language: (name.format(area=_MONACO.names[language], size=1), _DAILY_DESCRIPTION[language])
            for language, name in _DAILY_NAME.items()
        },
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
    texts: dict[str, tuple[str, str]],
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
        texts=[
            PlanText(language=language, name=name, description=description)
            for language, (name, description) in texts.items()
        ],
    )
