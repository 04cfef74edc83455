"""What the buyer of an order fills in."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from wtforms import StringField

from blueprints._email import EmailForm


class RecipientForm(EmailForm):
    """Where the mails about an order go from now on."""

    email = StringField(_l("The right address"))
