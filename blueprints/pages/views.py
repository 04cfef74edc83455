"""Pages that explain; the same for everybody."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import render_template

from blueprints._page_cache import public_page
from blueprints.pages import blueprint

# When somebody last compared the accessibility statement with the shop (docs/accessibility.md).
ACCESSIBILITY_TESTED_ON = datetime(2026, 11, 25, tzinfo=UTC)


@blueprint.get("/compatibility")
@public_page()
def compatibility() -> str:
    """Show how to find out whether a phone takes an eSIM."""
    return render_template("pages/compatibility.html")


@blueprint.get("/install")
@public_page()
def install() -> str:
    """Show how to install an eSIM, and what to do when there is no data."""
    return render_template("pages/install.html")


@blueprint.get("/help")
@public_page()
def help() -> str:  # noqa: A001 - the name of the address
    """Answer what people ask and say how to reach a person."""
    return render_template("pages/help.html")


@blueprint.get("/terms")
@public_page()
def terms() -> str:
    """Show the terms of sale."""
    return render_template("pages/terms.html")


@blueprint.get("/privacy")
@public_page()
def privacy() -> str:
    """Show what is kept about a visitor and why."""
    return render_template("pages/privacy.html")


@blueprint.get("/accessibility")
@public_page()
def accessibility() -> str:
    """Show what was tested for everybody to be able to use the shop, what falls short, and how to report a barrier."""
    return render_template("pages/accessibility.html", tested_on=ACCESSIBILITY_TESTED_ON)
