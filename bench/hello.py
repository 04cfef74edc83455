"""The yardstick: the smallest answer that Flask can give."""

from __future__ import annotations

from flask import Flask

GREETING = "Hello, traveller"

application = Flask(__name__, static_folder=None)


@application.get("/")
def hello() -> str:
    """Greet."""
    return GREETING
