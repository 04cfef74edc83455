"""Turning a row of the outbox into a MIME message."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from email.message import EmailMessage, MIMEPart
from email.utils import format_datetime
from urllib.parse import urlsplit

from config import Settings
from models import Mail
from services.languages import get_language


def compose(settings: Settings, mail: Mail) -> EmailMessage:
    """Return the message of a row: text first, HTML with its pictures second, the pictures once more as files.

    Message-ID and Date are the same at every try, so that a doubled delivery is recognisable (RFC 5322, section
    3.6.4). Auto-Submitted keeps out-of-office answers away (RFC 3834, section 5).
    """
    message = EmailMessage()
    message["From"] = settings.smtp.mail_from
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = message_id(settings, mail)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text_body, cte="quoted-printable")
    message.add_alternative(mail.html_body, subtype="html", cte="quoted-printable")
    _add_pictures(message, mail)
    # Last, because every Content- header moves into a part as soon as there are parts.
    message["Content-Language"] = get_language(mail.language).html
    return message


def message_id(settings: Settings, mail: Mail) -> str:
    """Return the Message-ID of a row, which says nothing about its reader."""
    unique = f"{mail.subject_key} {mail.kind} {mail.created_at.isoformat()} {mail.recipient}"
    host = urlsplit(settings.shop_url).hostname or "localhost"
    return f"<{hashlib.sha256(unique.encode()).hexdigest()[:32]}@{host}>"


def _add_pictures(message: EmailMessage, mail: Mail) -> None:
    if not mail.pictures:
        return
    html_part = message.get_payload(1)
    assert isinstance(html_part, MIMEPart)
    for picture in mail.pictures:
        content = b64decode(picture["base64"])
        subtype = picture["type"].removeprefix("image/")
        html_part.add_related(content, "image", subtype, cid=f"<{picture['id']}>", disposition="inline")
    for picture in mail.pictures:
        subtype = picture["type"].removeprefix("image/")
        message.add_attachment(b64decode(picture["base64"]), "image", subtype, filename=picture["name"])
