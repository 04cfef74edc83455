"""The pages of those who run the shop: sign in, and the list of orders. English only."""

from blueprints.staff.views import blueprint

__all__ = ["blueprint"]
