"""HTTP in, HTML out: the whole map of addresses."""

from __future__ import annotations

from flask import Flask

from blueprints.account import blueprint as account
from blueprints.catalogue import blueprint as catalogue
from blueprints.checkout import blueprint as checkout
from blueprints.health import blueprint as health
from blueprints.orders import blueprint as orders
from blueprints.pages import blueprint as pages
from blueprints.renewal import blueprint as renewal
from blueprints.staff import blueprint as staff
from blueprints.webhooks import blueprint as webhooks


def register_blueprints(app: Flask) -> None:
    """Put every address of the shop on the map."""
    for blueprint in (catalogue, pages, checkout, orders, renewal, account):
        app.register_blueprint(blueprint, url_prefix="/<lang:lang>")
    app.register_blueprint(staff, url_prefix="/staff")
    app.register_blueprint(webhooks, url_prefix="/webhooks")
    app.register_blueprint(health)
