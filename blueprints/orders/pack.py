"""What can be kept of an order's eSIM outside of this shop."""

from __future__ import annotations

from flask import Response

from blueprints._pack import pack_of_order, send_copy, send_file, send_qr, send_reminder
from blueprints.orders import blueprint
from blueprints.orders.views import load_order


@blueprint.get("/orders/<public_id>/pack.html")
def pack(public_id: str) -> Response:
    """Return codes, steps and help as one file."""
    return send_file(pack_of_order(load_order(public_id)))


@blueprint.get("/orders/<public_id>/qr.png")
def qr(public_id: str) -> Response:
    """Return the QR code as a picture."""
    return send_qr(pack_of_order(load_order(public_id)))


@blueprint.get("/orders/<public_id>/reminder.ics")
def reminder(public_id: str) -> Response:
    """Return the next date of the eSIM for a calendar."""
    return send_reminder(pack_of_order(load_order(public_id)))


@blueprint.get("/orders/<public_id>/copy")
def copy(public_id: str) -> Response:
    """Return what the browser keeps of the order page."""
    return send_copy(pack_of_order(load_order(public_id)))
