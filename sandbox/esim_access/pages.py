"""The page /esims/: a phone, a border and a calendar for people who try the shop out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from sandbox.esim_access.catalogue import COUNTRY_NAMES, REGIONS, Plan, find
from sandbox.esim_access.errors import ApiError
from sandbox.esim_access.esim import LIVING, Esim

if TYPE_CHECKING:
    from sandbox.esim_access.control import EsimAccessSandbox

TEMPLATE_ROOT = str(Path(__file__).parent.parent)
MEGABYTE = 1024**2
MAXIMUM_SKIP_DAYS = 3650

_STATES = {
    "GOT_RESOURCE": "New",
    "IN_USE": "In use",
    "USED_UP": "Data used up",
    "USED_EXPIRED": "Expired",
    "UNUSED_EXPIRED": "Expired, never used",
    "CANCEL": "Cancelled",
    "SUSPENDED": "Suspended",
    "REVOKED": "Revoked",
}
_DONE = {
    "install": "Installed on the phone.",
    "connect": "Connected to a network.",
    "burn_100_mb": "Burned 100 MB.",
    "burn_half": "Burned half of the data.",
    "burn_all": "Burned all data.",
    "refused": "Nothing happened: the state of this eSIM does not allow it.",
    "skipped": "Time skipped.",
    "not_skipped": f"Nothing happened: enter a number of days, up to {MAXIMUM_SKIP_DAYS}.",
}


def register_pages(blueprint: Blueprint, sandbox: EsimAccessSandbox) -> None:
    """Add the pages for people to `blueprint`."""

    @blueprint.get("/esims/")
    def esims() -> str:
        visible = [esim for esim in sandbox.esims() if sandbox.is_visible(esim)]
        waiting = len(sandbox.esims()) - len(visible)
        rows = [_row(sandbox, esim) for esim in reversed(visible)]
        done, name = request.args.get("done", ""), request.args.get("esim", "")
        about = name if name in {row["number"] for row in rows} else ""
        return render_template(
            "sandbox/esim_access/esims.html",
            rows=rows,
            waiting=waiting,
            said=_DONE.get(done, ""),
            refused=done in {"refused", "not_skipped"},
            about=about,
            balance=f"${sandbox.balance / 10_000:,.2f}",
            now=_date(sandbox.clock.now()),
            skipped=_days(sandbox.clock.skipped.total_seconds() / 86_400),
        )

    @blueprint.post("/esims/<esim_tran_no>")
    def act(esim_tran_no: str) -> Response:
        action = _actions(sandbox).get(request.form.get("action", ""))
        done = request.form.get("action", "") if action else "refused"
        try:
            if action is not None:
                action(esim_tran_no)
        except ApiError:
            done = "refused"
        address = url_for("esim_access.esims", done=done, esim=esim_tran_no, _anchor=f"esim-{esim_tran_no}")
        return redirect(address, code=303)

    @blueprint.post("/esims/clock")
    def skip() -> Response:
        days = request.form.get("days", type=float)
        possible = days is not None and 0 < days <= MAXIMUM_SKIP_DAYS
        if possible and days is not None:
            sandbox.advance(days=days)
        return redirect(url_for("esim_access.esims", done="skipped" if possible else "not_skipped"), code=303)


def _actions(sandbox: EsimAccessSandbox) -> dict[str, Callable[[str], object]]:
    return {
        "install": sandbox.install,
        "connect": sandbox.connect,
        "burn_100_mb": lambda number: sandbox.burn(number, bytes=100 * MEGABYTE),
        "burn_half": lambda number: sandbox.burn(number, percent=50),
        "burn_all": lambda number: sandbox.burn(number, percent=100),
    }


def _row(sandbox: EsimAccessSandbox, esim: Esim) -> dict[str, object]:
    plan = find(esim.package_code)
    state = _STATES.get(esim.esim_status, esim.esim_status)
    if esim.esim_status == "GOT_RESOURCE" and esim.smdp_status == "ENABLED":
        state = "Installed, not connected yet"
    if esim.smdp_status == "DELETED":
        state += ", deleted from the phone"
    living = esim.esim_status in LIVING - {"SUSPENDED"} and esim.smdp_status != "DELETED"
    return {
        "number": esim.esim_tran_no,
        "digits": esim.iccid[-4:],
        "plan": plan.name if plan is not None else esim.package_code,
        "state": state,
        "left": _data(esim.remaining),
        "total": _data(esim.total_volume),
        "share_left": round(100 * esim.remaining / esim.total_volume) if esim.total_volume else 0,
        "connected": esim.activated_at is not None,
        "until": _date(esim.expires_at),
        "place": _place(plan),
        "can_install": living and esim.smdp_status == "RELEASED",
        "can_connect": living and esim.activated_at is None,
        "can_burn": living and esim.remaining > 0,
    }


def _place(plan: Plan | None) -> str:
    if plan is None or "MC" in plan.locations:
        return COUNTRY_NAMES["MC"]
    return COUNTRY_NAMES.get(plan.location_code) or REGIONS[plan.location_code][0]


def _data(volume: int) -> str:
    gigabytes = volume / 1024**3
    if not volume:
        return "0 GB"
    return f"{gigabytes:.2f}".rstrip("0").rstrip(".") + " GB" if gigabytes >= 1 else f"{volume / MEGABYTE:.0f} MB"


def _days(days: float) -> str:
    number = f"{days:g}"
    return f"{number} day" if number == "1" else f"{number} days"


def _date(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
