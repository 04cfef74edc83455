"""What waits for a person."""

from __future__ import annotations

from flask import Response, make_response, render_template, request, url_for

from blueprints._rerun import repeatable
from blueprints._web import current_shop, now, see_other
from blueprints.staff import access, blueprint
from models import db
from services.findings import FindingNotFound, settle_by_hand
from services.stuck import list_stuck

LARGEST_ID = 2**31 - 1


@blueprint.get("/stuck")
@access.staff_required
def stuck() -> Response:
    """List what waits for a person, the longest waiting first, with what to do next."""
    items = list_stuck(db.session(), now())
    page = render_template("staff/stuck.html", items=items, now=now(), settled=request.args.get("done") == "finding")
    return make_response(page)


# Run again, it finds the finding settled, which is what was asked for.
@blueprint.post(f"/findings/<int(max={LARGEST_ID}):finding_id>/settlement")
@repeatable
@access.staff_required
def settle_finding(finding_id: int) -> Response:
    """Take a finding off the list; one that somebody else has settled meanwhile is off it, too."""
    try:
        with current_shop().transaction() as session:
            settle_by_hand(session, finding_id, now(), by=access.actor())
    except FindingNotFound:
        pass
    return see_other(url_for("staff.stuck", done="finding"))
