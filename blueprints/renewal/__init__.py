"""Renewing an eSIM: the guide for everybody, and the way to do it for its owner."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("renewal", __name__)

from blueprints.renewal import guide, views  # noqa: E402, F401 - the views need the blueprint
