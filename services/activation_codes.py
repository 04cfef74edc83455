"""Activation codes (GSMA SGP.22, section 4.1) and ICCIDs (ITU-T E.118).

An activation code is a bearer secret: who scans it first owns the plan. Nothing here prints or quotes one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A prefix of four characters and what common readers accept behind it.
MAX_LENGTH = 259
_CODE = re.compile(
    r"(?:LPA:)?1\$(?P<host>[^$]+)\$(?P<matching_id>[0-9A-Za-z-]*)"
    r"(?:\$(?P<oid>[0-9.]*)(?:\$(?P<confirmation>[01]?)(?P<rest>(?:\$[^$]*)*))?)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_OID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_ICCID = re.compile(r"[0-9]{18,22}")


class InvalidActivationCode(ValueError):
    """A text is no activation code; the message says which part is wrong and never quotes it."""


class InvalidIccid(ValueError):
    """A text is no ICCID."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ActivationCode:
    """An activation code in its parts; has no repr because the matching ID is a secret.

    `rest` is what later versions of the standard put behind the known fields, with its leading `$`.
    """

    smdp_address: str
    matching_id: str
    oid: str = ""
    confirmation_required: bool = False
    rest: str = ""

    @property
    def lpa(self) -> str:
        """Return the text of the QR code: `LPA:1$<SM-DP+ address>$<matching ID>` and what follows."""
        fields = ["LPA:1", self.smdp_address, self.matching_id]
        if self.oid or self.confirmation_required or self.rest:
            fields.append(self.oid)
        if self.confirmation_required or self.rest:
            fields.append("1" if self.confirmation_required else "")
        return "$".join(fields) + self.rest


def parse_activation_code(text: str) -> ActivationCode:
    """Return the parts of an activation code, with or without its `LPA:` prefix; the case is kept.

    Raises InvalidActivationCode.
    """
    text = text.strip()
    if not text or len(text) > MAX_LENGTH or not text.isascii():
        raise InvalidActivationCode("an activation code has 1 to 255 ASCII characters")
    match = _CODE.fullmatch(text)
    if match is None:
        raise InvalidActivationCode("an activation code looks like 1$<address>$<matching ID>")
    if not _is_host(match["host"]):
        raise InvalidActivationCode("the SM-DP+ address is not a host name")
    oid = match["oid"] or ""
    if oid and not _OID.fullmatch(oid):
        raise InvalidActivationCode("the object identifier is not one")
    return ActivationCode(
        smdp_address=match["host"],
        matching_id=match["matching_id"],
        oid=oid,
        confirmation_required=match["confirmation"] == "1",
        rest=match["rest"] or "",
    )


def build_activation_code(
    smdp_address: str, matching_id: str, *, confirmation_required: bool = False
) -> ActivationCode:
    """Return the activation code of a profile; raises InvalidActivationCode when the parts do not make one.

    With `confirmation_required` the phone asks for the confirmation code, which is never part of the text.
    """
    code = ActivationCode(
        smdp_address=smdp_address, matching_id=matching_id, confirmation_required=confirmation_required
    )
    return parse_activation_code(code.lpa)


def normalise_iccid(text: str) -> str:
    """Return the digits of an ICCID, without blanks and the filler `F`; raises InvalidIccid."""
    digits = re.sub(r"\s", "", text).removesuffix("F").removesuffix("f")
    if not _ICCID.fullmatch(digits):
        raise InvalidIccid("an ICCID has 18 to 22 digits")
    return digits


def iccid_warnings(iccid: str) -> list[str]:
    """Return what is unusual about an ICCID, in words for the log.

    Warnings only: suppliers' own documents print numbers that fail the check digit.
    """
    warnings = []
    if not iccid.startswith("89"):
        warnings.append("does not start with 89")
    if len(iccid) not in (19, 20):
        warnings.append("is not 19 or 20 digits long")
    if not _passes_luhn(iccid):
        warnings.append("has a wrong check digit")
    return warnings


def last_four(iccid: str) -> str:
    """Return the last four digits, by which a traveller tells eSIMs apart; the phone's settings show them too."""
    return iccid[-4:]


def _passes_luhn(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        # Every second digit from the right is doubled, and its own digits are added (ISO/IEC 7812-1, annex B).
        total += sum(divmod(int(digit) * 2, 10)) if position % 2 else int(digit)
    return total % 10 == 0


def _is_host(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= 253 and len(labels) >= 2 and all(_LABEL.fullmatch(label) for label in labels)
