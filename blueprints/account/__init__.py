"""Accounts of travellers: signing in, the overview, an eSIM's remaining data, settings."""

from __future__ import annotations

from flask import Blueprint, Response

from blueprints._access import forget_copies
from blueprints._web import private

blueprint = Blueprint("account", __name__)


@blueprint.after_request
def keep_private(response: Response) -> Response:
    """Keep every page of this area out of caches: each holds somebody's data or a form's token."""
    return private(forget_copies(response))


# They add their addresses.
from blueprints.account import esim, overview, pack, passwords, settings, sign_in, sign_in_link  # noqa: E402, F401
