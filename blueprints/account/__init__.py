"""Accounts of travellers: signing in, the overview, an eSIM's remaining data, settings."""

from __future__ import annotations

from flask import Blueprint, Response

from blueprints._web import private

blueprint = Blueprint("account", __name__)


@blueprint.after_request
def keep_private(response: Response) -> Response:
    """Keep every page of this area out of caches: each holds somebody's data or a form's token."""
    return private(response)


from blueprints.account import esim, overview, passwords, settings, sign_in  # noqa: E402, F401 - they add their addresses
