"""The factory: wiring and nothing else."""

from __future__ import annotations

import logging
import os
from typing import Any

from flask import Flask
from flask_babel import Babel
from flask_migrate import Migrate
from jinja2 import StrictUndefined

import jobs
from blueprints import register_blueprints
from blueprints._language import LanguageConverter, select_locale
from blueprints._rerun import RerunningFlask
from blueprints._templates import prepare_templates
from blueprints._web import prepare_web
from commands import register_commands
from config import Settings, SettingsError
from models import db
from services.clock import Clock, SystemClock
from services.database import engine_options, prepare_engine
from services.mail.transport import SmtpTransport
from services.payments.stripe_gateway import StripeGateway
from services.shop import Shop
from services.suppliers.esim_access import EsimAccess


def create_app(settings: Settings | None = None, clock: Clock | None = None) -> Flask:
    """Return the shop as a WSGI application; its settings are those of the environment unless others are given."""
    settings = settings or _settings_from_environment()
    settings.instance.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "httpcore", "stripe", "huey"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

    app = RerunningFlask(__name__, static_folder=None, instance_path=str(settings.instance))
    app.config.update(_flask_config(settings))
    # Babel(app) creates the template environment, which fixes `undefined`: it has to be strict before that.
    app.jinja_options = {**app.jinja_options, "undefined": StrictUndefined}
    app.url_map.converters["lang"] = LanguageConverter
    _prepare_database(app)
    Babel(app, locale_selector=select_locale)

    queue = jobs.create_queue(settings)
    app.extensions["shop"] = Shop(
        settings=settings,
        clock=clock or SystemClock(),
        gateway=StripeGateway(settings.stripe),
        supplier=EsimAccess(settings.esim_access),
        transport=SmtpTransport(settings.smtp),
        knocker=jobs.register_tasks(queue, app),
    )
    app.extensions["queue"] = queue
    prepare_templates(app, settings)
    prepare_web(app, settings)
    register_blueprints(app)
    register_commands(app)
    return app


def _settings_from_environment() -> Settings:
    """Return the settings, or end the program with one line that names the setting that is missing or wrong."""
    try:
        return Settings.from_env(os.environ)
    except SettingsError as error:
        raise SystemExit(f"cannot start: {error}") from None


def _flask_config(settings: Settings) -> dict[str, Any]:
    return {
        "SECRET_KEY": settings.secret_key,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(settings.database_url),
        "BABEL_DEFAULT_LOCALE": "en",
        "BABEL_DEFAULT_TIMEZONE": "Europe/Monaco",
        "MAX_CONTENT_LENGTH": 256 * 1024,
        "MAX_FORM_MEMORY_SIZE": 64 * 1024,
        "SESSION_COOKIE_NAME": "shop",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": settings.secure_cookies,
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": 60 * 60 * 24 * 90,
        "WTF_CSRF_TIME_LIMIT": None,
        "TEMPLATES_AUTO_RELOAD": False,
        "RATELIMIT_STORAGE_URI": settings.redis_url or "memory://",
        # Without Redis each process counts for itself: nobody is to be turned away for that.
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
        "RATELIMIT_HEADERS_ENABLED": True,
    }


def _prepare_database(app: Flask) -> None:
    db.init_app(app)
    Migrate(app, db, directory="migrations", render_as_batch=True)
    with app.app_context():
        prepare_engine(db.engine)
