"""The shop as the web server serves it: made once, with everything that its processes can share already in memory.

scripts/serve.py imports this module before it forks, so nothing here may hold a connection, a lock or a thread.
"""

from __future__ import annotations

from sqlalchemy.orm import configure_mappers

from app import create_app

application = create_app()
# Made at first use otherwise, in each process again.
configure_mappers()
for name in application.jinja_env.list_templates():
    application.jinja_env.get_template(name)
# SQLite forbids to carry a connection into a fork (sqlite.org/howtocorrupt.html, section 2.6); the next use opens one.
application.extensions["queue"].storage.close()
