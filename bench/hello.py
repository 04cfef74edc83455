"""The yardstick: the smallest answer that Flask can give."""

from __future__ import annotations

from flask import Flask

GREETING = "Hello, traveller"


def create_app() -> Flask:
    """Return an application that greets on `/`."""
    app = Flask(__name__, static_folder=None)

    @app.get("/")
    def hello() -> str:
        return GREETING

    return app
