"""An e-mail address as forms take it: refused when it is none, and asked about once when it looks mistyped."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField, ValidationError

from services.accounts import EmailInvalid, mail_address
from services.email_hints import suggest_email


class EmailForm(FlaskForm):
    """A form with an address that mail will be sent to; its template shows `suggestion`."""

    email = StringField(_l("E-mail"))
    # The address that the visitor was asked about and chose to keep.
    kept_email = HiddenField()

    @property
    def suggestion(self) -> str | None:
        """Return the address that was probably meant, unless the visitor has said that this one is right."""
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
