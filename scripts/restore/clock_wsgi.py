"""What the web server serves in place of wsgi.py once the hour has gone by: the same shop with the other clock."""

from __future__ import annotations

import scripts.restore.clock  # noqa: F401 - the clock that the shop is to be made with
from wsgi import application

__all__ = ["application"]
