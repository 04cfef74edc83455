"""What a traveller confirms before a renewal is paid."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField
from wtforms.validators import InputRequired


class RenewalForm(FlaskForm):
    """Consents, and in hidden fields what the preview showed, so that a change since then is noticed."""

    terms = BooleanField(
        _l("I accept the terms of sale"), validators=[InputRequired(_l("Please accept the terms of sale."))]
    )
    immediate_delivery = BooleanField(
        _l("Renew my eSIM at once; I know that I lose the right of withdrawal once it is renewed"),
        validators=[InputRequired(_l("Please agree to renewing at once, or the renewal cannot start now."))],
    )
    checkout_key = HiddenField()
    currency = HiddenField()
    # What is wrong with a hidden field is shown where the traveller sees it.
    plan = HiddenField(id="renewal")
    amount = HiddenField(id="preview")
    shown = HiddenField(id="preview")

    def refuse_plan(self) -> None:
        """Say that the plan cannot be used for this eSIM."""
        self.plan.errors = [_("This plan cannot be added to this eSIM. Nothing was paid; please choose another one.")]

    def still_holds(self, amount_minor: int, fingerprint: str) -> bool:
        """Return whether price and preview are still what the traveller saw; says what changed when they are not."""
        if self.amount.data != str(amount_minor):
            self.amount.errors = [
                _("The price has changed while this page was open. Nothing was paid; please check the new total.")
            ]
            return False
        if self.shown.data != fingerprint:
            self.shown.errors = [
                _("Your eSIM has changed while this page was open. Nothing was paid; please check what changes now.")
            ]
            return False
        return True
