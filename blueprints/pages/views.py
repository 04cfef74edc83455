"""Pages that explain; the same for everybody."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, render_template, request

from blueprints._language import current_language
from blueprints._page_cache import keep_out_of_cache, public_page
from blueprints._web import limiter, render_page
from blueprints.pages import blueprint
from blueprints.pages.phones import line_of
from models import PageName, db
from services.database_faults import DATABASE_ERRORS, fault_of
from services.page_texts import ShownText, shown_text
from services.phones import LONGEST_QUERY, search

# When somebody last compared the accessibility statement with the shop (docs/accessibility.md).
ACCESSIBILITY_TESTED_ON = datetime(2026, 11, 25, tzinfo=UTC)


@blueprint.get("/compatibility")
@limiter.limit("240 per minute", exempt_when=lambda: not request.args)
@public_page()
def compatibility() -> Response:
    """Show how to find out whether a phone takes an eSIM, and what the list says of the one that was typed.

    Only the page without a query is kept: anybody can type anything.
    """
    query = request.args.get("phone", "").strip()[:LONGEST_QUERY]
    found = search(query)
    lines = [line_of(phone) for phone in found.phones]
    return render_page(
        "pages/compatibility.html", "pages/compatibility.htmx.html", query=query, lines=lines, total=found.total
    )


@blueprint.get("/guide")
@public_page()
def guide() -> str:
    """Show what the card is, how to buy it and how to activate it."""
    return render_template("pages/guide.html")


@blueprint.get("/install")
@public_page()
def install() -> str:
    """Show how to install an eSIM, and what to do when there is no data."""
    return render_template("pages/install.html")


@blueprint.get("/help")
@public_page()
def help() -> str:  # noqa: A001 - the name of the address
    """Answer what people ask and say how to reach a person, also while the database is away."""
    try:
        text = _text(PageName.HELP)
    except DATABASE_ERRORS as error:
        if fault_of(error) is None:
            raise
        # Whoever is told that the database is away is sent here, and how to reach a person does not stand in it.
        db.session.remove()
        keep_out_of_cache()
        text = None
    return render_template("pages/help.html", text=text)


@blueprint.get("/terms")
@public_page()
def terms() -> str:
    """Show the terms of sale."""
    return render_template("pages/terms.html", text=_text(PageName.TERMS))


@blueprint.get("/privacy")
@public_page()
def privacy() -> str:
    """Show what is kept about a visitor and why."""
    return render_template("pages/privacy.html", text=_text(PageName.PRIVACY))


@blueprint.get("/accessibility")
@public_page()
def accessibility() -> str:
    """Show what was tested for everybody to be able to use the shop, what falls short, and how to report a barrier."""
    return render_template("pages/accessibility.html", tested_on=ACCESSIBILITY_TESTED_ON)


def _text(page: PageName) -> ShownText | None:
    return shown_text(db.session(), page, current_language().code)
