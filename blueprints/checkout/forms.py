"""What a buyer fills in."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, HiddenField
from wtforms.validators import InputRequired

from blueprints._email import EmailForm


class CheckoutForm(EmailForm):
    """E-mail and consents; days, currency and amount come from the summary that the buyer saw."""

    phone_supports_esim = BooleanField(
        _l("My phone supports eSIM and is not locked to an operator"),
        validators=[InputRequired(_l("Please confirm that your phone supports eSIM and is unlocked."))],
    )
    terms = BooleanField(
        _l("I accept the terms of sale"), validators=[InputRequired(_l("Please accept the terms of sale."))]
    )
    immediate_delivery = BooleanField(
        _l("Deliver my eSIM at once; I know that I lose the right of withdrawal once it is installed"),
        validators=[InputRequired(_l("Please agree to delivery at once, or the eSIM cannot be sent to you now."))],
    )
    checkout_key = HiddenField()
    days = HiddenField()
    currency = HiddenField()
    # What is wrong with a hidden field is shown where the buyer sees it: in the summary.
    amount = HiddenField(id="summary")
