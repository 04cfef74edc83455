"""The demo price list: fictional plans at invented prices in a real range."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.store import Document

GIGABYTE = 1024**3
UNUSED_VALID_DAYS = 180
TOP_UP_PREFIX = "TOPUP_"
MAXIMUM_DAILY_PERIOD = 30

COUNTRY_NAMES = {
    "AT": "Austria",
    "BE": "Belgium",
    "BG": "Bulgaria",
    "CH": "Switzerland",
    "CY": "Cyprus",
    "CZ": "Czechia",
    "DE": "Germany",
    "DK": "Denmark",
    "EE": "Estonia",
    "ES": "Spain",
    "FI": "Finland",
    "FR": "France",
    "GB": "United Kingdom",
    "GR": "Greece",
    "HR": "Croatia",
    "HU": "Hungary",
    "IE": "Ireland",
    "IS": "Iceland",
    "IT": "Italy",
    "LI": "Liechtenstein",
    "LT": "Lithuania",
    "LU": "Luxembourg",
    "LV": "Latvia",
    "MC": "Monaco",
    "MT": "Malta",
    "NL": "Netherlands",
    "NO": "Norway",
    "PL": "Poland",
    "PT": "Portugal",
    "RO": "Romania",
    "SE": "Sweden",
    "SI": "Slovenia",
    "SK": "Slovakia",
}
# As most suppliers do, "Europe" leaves Monaco out.
EUROPE = tuple(code for code in COUNTRY_NAMES if code != "MC")
REGIONS = {"EU-30": ("Europe", EUROPE), "RIV": ("Riviera", ("FR", "IT", "MC"))}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One plan on sale; `price` is USD x 10,000 (per day when `daily`), `volume` is bytes (per day when `daily`)."""

    code: str
    slug: str
    name: str
    location_code: str
    locations: tuple[str, ...]
    volume: int
    days: int
    price: int
    daily: bool = False
    rechargeable: bool = True
    hidden: bool = False

    @property
    def top_up_code(self) -> str:
        """Return the code under which the same volume and days are sold as a top-up."""
        return TOP_UP_PREFIX + self.code


def _country(code: str, gigabytes: int, days: int, price: int, rechargeable: bool = True) -> Plan:
    return Plan(
        code=f"SIM-{code}-{gigabytes}-{days}",
        slug=f"{code}_{gigabytes}_{days}",
        name=f"{COUNTRY_NAMES[code]} {gigabytes}GB {days}Days",
        location_code=code,
        locations=(code,),
        volume=gigabytes * GIGABYTE,
        days=days,
        price=price,
        rechargeable=rechargeable,
    )


def _region(code: str, short: str, gigabytes: int, days: int, price: int) -> Plan:
    name, locations = REGIONS[code]
    return Plan(
        code=f"SIM-{short}-{gigabytes}-{days}",
        slug=f"{code}_{gigabytes}_{days}",
        name=f"{name} {gigabytes}GB {days}Days",
        location_code=code,
        locations=locations,
        volume=gigabytes * GIGABYTE,
        days=days,
        price=price,
    )


def _failing(what: str) -> Plan:
    return Plan(
        code=f"SIM-FAIL-{what}",
        slug=f"FAIL_{what}",
        name=f"Monaco 1GB 7Days (fails: {what.lower()})",
        location_code="MC",
        locations=("MC",),
        volume=GIGABYTE,
        days=7,
        price=5_800,
        rechargeable=False,
        hidden=True,
    )


_DAILY = Plan(
    code="SIM-MC-DAY",
    slug="MC_1_Daily",
    name="Monaco 1GB/Day",
    location_code="MC",
    locations=("MC",),
    volume=GIGABYTE,
    days=1,
    price=139_000,
    daily=True,
    rechargeable=False,
)

_COUNTRY_PRICES = ((1, 7, 15_000), (3, 30, 35_000), (5, 30, 52_000), (10, 30, 87_000), (20, 30, 139_000))

PLANS: tuple[Plan, ...] = (
    _country("MC", 1, 7, 122_000),
    _country("MC", 3, 30, 325_000),
    _country("MC", 5, 30, 522_000),
    _country("MC", 10, 30, 951_000, rechargeable=False),
    _DAILY,
    *(_country("FR", *row) for row in _COUNTRY_PRICES),
    *(_country("IT", *row) for row in _COUNTRY_PRICES),
    _region("EU-30", "EU", 5, 30, 70_000),
    _region("EU-30", "EU", 10, 30, 116_000),
    _region("RIV", "RIV", 5, 15, 441_000),
    *(_failing(what) for what in ("STOCK", "BALANCE", "TIMEOUT", "SLOW")),
)

_BY_CODE = {plan.code: plan for plan in PLANS} | {plan.slug: plan for plan in PLANS}
_BY_TOP_UP_CODE = {plan.top_up_code: plan for plan in PLANS if plan.rechargeable}


def find(code: str) -> Plan | None:
    """Return the plan with this code or slug, or None."""
    return _BY_CODE.get(code)


def find_top_up(code: str) -> Plan | None:
    """Return the plan that the top-up with this code or slug repeats, or None when there is no such top-up."""
    plan = _BY_TOP_UP_CODE.get(code) or _BY_CODE.get(code)
    return plan if plan is not None and plan.rechargeable else None


def top_ups_for(base: Plan) -> list[Plan]:
    """Return the plans whose top-ups fit an eSIM sold as `base`: those that cover exactly the same countries."""
    if not base.rechargeable:
        return []
    return [plan for plan in PLANS if plan.rechargeable and set(plan.locations) == set(base.locations)]


def matches_location(plan: Plan, location_code: str) -> bool:
    """Tell whether the filter `location_code` finds `plan`: a country, `!RG` for regional, `!GL` for global, or all."""
    if location_code == "!RG":
        return len(plan.locations) > 1
    if location_code == "!GL":
        return False
    return not location_code or location_code == plan.location_code or location_code in plan.locations


def package_json(plan: Plan, price: int, *, top_up: bool) -> Document:
    """Return `plan` as /package/list prints it, at `price` (USD x 10,000)."""
    return {
        "packageCode": plan.top_up_code if top_up else plan.code,
        "slug": plan.slug,
        "name": plan.name,
        "price": price,
        "retailPrice": price * 2,
        "currencyCode": "USD",
        "volume": plan.volume,
        "duration": plan.days,
        "durationUnit": "DAY",
        "unusedValidTime": UNUSED_VALID_DAYS,
        "location": ",".join(plan.locations),
        "locationCode": plan.location_code,
        "description": plan.name,
        "activeType": 2,
        "dataType": 2 if plan.daily else 1,
        "speed": "3G/4G/5G",
        "ipExport": "FR",
        "favorite": False,
        "supportTopUpType": 2 if plan.rechargeable else 1,
        "smsStatus": 0,
        "fupPolicy": "384 Kbps" if plan.daily else "",
        "locationNetworkList": [_network_json(code) for code in plan.locations],
    }


def _network_json(country: str) -> Document:
    operator = "Monaco Telecom" if country == "MC" else f"Demo Mobile {COUNTRY_NAMES[country]}"
    return {
        "locationName": COUNTRY_NAMES[country],
        "locationLogo": f"/img/flags/{country.lower()}.png",
        "locationCode": country,
        "operatorList": [{"operatorName": operator, "networkType": "5G"}],
    }


def locations_json() -> list[Document]:
    """Return every country and region on sale as /location/list prints them (type 1 country, 2 region)."""

    def country(code: str) -> Document:
        return {"code": code, "name": COUNTRY_NAMES[code], "type": 1, "subLocation": None}

    countries = [country(code) for code in COUNTRY_NAMES]
    regions = [
        {
            "code": code,
            "name": name,
            "type": 2,
            "subLocation": [{"code": member, "name": COUNTRY_NAMES[member]} for member in members],
        }
        for code, (name, members) in REGIONS.items()
    ]
    return countries + regions
