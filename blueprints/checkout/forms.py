"""What a buyer fills in."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, StringField, ValidationError
from wtforms.validators import InputRequired

from services.accounts import EmailInvalid, mail_address
from services.email_hints import suggest_email


class CheckoutForm(FlaskForm):
    """E-mail and consents; days, currency and amount come from the summary that the buyer saw."""

    email = StringField(_l("E-mail"))
    # The address that the buyer was asked about and chose to keep.
    kept_email = HiddenField()
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

    @property
    def suggestion(self) -> str | None:
        """Return the address that was probably meant, unless the buyer has said that this one is right."""
        email = (self.email.data or "").strip()
        return None if email == self.kept_email.data else suggest_email(email)

    def validate_email(self, field: StringField) -> None:
        """Refuse what is no address, and ask once about one that looks mistyped."""
        email = (field.data or "").strip()
        try:
            field.data = mail_address(email)
        except EmailInvalid as error:
            raise ValidationError(_l("Enter an e-mail address like name@example.com.")) from error
        if self.suggestion is not None:
            raise ValidationError(_l("This address looks mistyped. Please check it below."))
