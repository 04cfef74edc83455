"""What can be kept of an eSIM outside of this shop."""

from __future__ import annotations

from flask import Response

from blueprints._access import account_required
from blueprints._pack import Pack, pack_of_esim, send_copy, send_file, send_qr, send_reminder
from blueprints.account import blueprint
from blueprints.account.esim import load_esim
from models import db
from services import overview


@blueprint.get("/account/esims/<public_id>/pack.html")
@account_required
def pack(public_id: str) -> Response:
    """Return codes, steps and help as one file."""
    return send_file(_load_pack(public_id))


@blueprint.get("/account/esims/<public_id>/qr.png")
@account_required
def qr(public_id: str) -> Response:
    """Return the QR code as a picture."""
    return send_qr(_load_pack(public_id))


@blueprint.get("/account/esims/<public_id>/reminder.ics")
@account_required
def reminder(public_id: str) -> Response:
    """Return the next date of the eSIM for a calendar."""
    return send_reminder(_load_pack(public_id))


@blueprint.get("/account/esims/<public_id>/copy")
@account_required
def copy(public_id: str) -> Response:
    """Return what the browser keeps of the eSIM's page."""
    return send_copy(_load_pack(public_id))


def _load_pack(public_id: str) -> Pack:
    found = load_esim(public_id)
    return pack_of_esim(found, overview.first_order(db.session(), found.id))
