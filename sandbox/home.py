"""The sandbox's front page: where everything is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template

if TYPE_CHECKING:
    from sandbox.server import SandboxSettings


def blueprint(settings: SandboxSettings) -> Blueprint:
    """Return the blueprint that serves `/`."""
    pages = Blueprint("home", __name__, template_folder="templates")

    @pages.get("/")
    def index() -> str:
        return render_template("sandbox/home.html", settings=settings)

    return pages
