"""One received mail, taken apart."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from email import policy
from email.message import MIMEPart
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

from sandbox.store import Document

if TYPE_CHECKING:
    # Generic for type checkers only.
    _Part = MIMEPart[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A part of a mail that is not its text: attached, or shown inside the HTML by its `content_id`."""

    number: int
    filename: str
    content_type: str
    content_id: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Message:
    """A mail as it was received; `text` and `html` are decoded, "" when the mail has no such part."""

    id: str
    received_at: str
    sender: str
    recipients: list[str]
    subject: str
    headers: list[tuple[str, str]]
    text: str
    html: str
    attachments: list[Attachment]
    raw: bytes

    def header(self, name: str) -> str:
        """Return the first header called `name`, in any case; "" when there is none."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), "")

    def to_json(self) -> Document:
        """Return the mail as the control API prints it; contents of attachments are at /inbox/<id>/part/<number>."""
        return {
            "id": self.id,
            "received_at": self.received_at,
            "from": self.sender,
            "to": self.recipients,
            "subject": self.subject,
            "headers": [list(header) for header in self.headers],
            "text": self.text,
            "html": self.html,
            "attachments": [
                {
                    "number": each.number,
                    "filename": each.filename,
                    "content_type": each.content_type,
                    "content_id": each.content_id,
                    "size": len(each.content),
                }
                for each in self.attachments
            ],
        }


def parse(identifier: str, received_at: str, sender: str, recipients: list[str], raw: bytes) -> Message:
    """Return the mail `raw`; `sender` and `recipients` are those of the envelope."""
    mail = BytesParser(policy=policy.default).parsebytes(raw)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    bodies = [part for part in (text, html) if part is not None]
    return Message(
        id=identifier,
        received_at=received_at,
        sender=sender,
        recipients=recipients,
        subject=str(mail["subject"] or ""),
        headers=[(name, str(value)) for name, value in mail.items()],
        text=_decoded(text),
        html=_decoded(html),
        attachments=_attachments(mail, bodies),
        raw=raw,
    )


def encode_raw(raw: bytes) -> str:
    """Return `raw` as text that JSON can hold."""
    return base64.b64encode(raw).decode()


def decode_raw(text: str) -> bytes:
    """Return what `encode_raw` was given."""
    return base64.b64decode(text)


def _decoded(part: _Part | None) -> str:
    if part is None:
        return ""
    return str(part.get_content()).replace("\r\n", "\n")


def _attachments(mail: _Part, bodies: list[_Part]) -> list[Attachment]:
    attachments: list[Attachment] = []
    for part in mail.walk():
        if part.is_multipart() or any(part is body for body in bodies):
            continue
        content = part.get_payload(decode=True)
        attachments.append(
            Attachment(
                number=len(attachments) + 1,
                filename=part.get_filename() or "",
                content_type=part.get_content_type(),
                content_id=str(part["content-id"] or "").strip().strip("<>"),
                content=content if isinstance(content, bytes) else b"",
            )
        )
    return attachments
