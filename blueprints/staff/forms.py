"""What staff fills in."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from services.passwords import MAX_LENGTH, MIN_LENGTH


class SignInForm(FlaskForm):
    """E-mail and password."""

    email = StringField("E-mail", validators=[InputRequired("Enter your e-mail address.")])
    password = PasswordField("Password", validators=[InputRequired("Enter your password.")])


class SetUpForm(FlaskForm):
    """The first password, or a new one."""

    password = PasswordField(
        "Password",
        validators=[Length(MIN_LENGTH, MAX_LENGTH, f"Enter {MIN_LENGTH} to {MAX_LENGTH} characters.")],
    )
