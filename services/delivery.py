"""Everything a traveller needs to put an eSIM on a phone: QR code, one-tap links, codes to type."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

import segno
from markupsafe import Markup

from models import Esim
from services.activation_codes import build_activation_code, last_four

# iOS 17.4 and later, Android 10 and later (docs/suppliers.md).
IPHONE_SETUP = "https://esimsetup.apple.com/esim_qrcode_provisioning?carddata="
ANDROID_SETUP = "https://esimsetup.android.com/esim_qrcode_provisioning?carddata="

# What the standard asks for around a QR code (ISO/IEC 18004, section 6.3.8), in modules.
QUIET_ZONE = 4
# A module of the mailed picture, in pixels: about 330 pixels for a usual code.
PNG_SCALE = 8


@dataclass(frozen=True, kw_only=True, repr=False)
class InstallInfo:
    """How one eSIM is installed; has no repr because nearly all of it is a secret of its owner.

    `clock_start` is a value of models.ClockStart; `install_by` is UTC or None where the supplier names no date;
    `renewable` tells whether the plan can be topped up; `demo` marks an eSIM of the sandbox, which no phone installs.
    """

    lpa: str
    smdp_address: str
    matching_id: str
    confirmation_code: str | None
    apn: str
    last_four: str
    install_by: datetime | None
    clock_start: str
    days: int
    renewable: bool
    demo: bool

    @property
    def iphone_url(self) -> str:
        """Return the link that opens the installation on an iPhone (iOS 17.4 or later)."""
        return IPHONE_SETUP + quote(self.lpa, safe="")

    @property
    def android_url(self) -> str:
        """Return the link that opens the installation on many Android phones (Android 10 or later)."""
        return ANDROID_SETUP + quote(self.lpa, safe="")

    @cached_property
    def qr_svg(self) -> Markup:
        """Return the QR code as an inline SVG, black on white whatever the page's theme."""
        svg = self._qr.svg_inline(
            border=QUIET_ZONE, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None
        )
        return Markup(svg)  # noqa: S704 - made of paths by segno; holds no text

    @cached_property
    def qr_png(self) -> bytes:
        """Return the QR code as a PNG picture, for the mail."""
        picture = io.BytesIO()
        self._qr.save(picture, kind="png", border=QUIET_ZONE, scale=PNG_SCALE, dark="#000", light="#fff")
        return picture.getvalue()

    @cached_property
    def _qr(self) -> segno.QRCode:
        return segno.make(self.lpa, error="m", micro=False)


def install_info(esim: Esim, plan_facts: Mapping[str, Any]) -> InstallInfo:
    """Return how `esim` is installed; `plan_facts` are those of the order that bought it.

    Raises InvalidActivationCode when the stored parts make no code.
    """
    code = build_activation_code(
        esim.smdp_address, esim.matching_id, confirmation_required=bool(esim.confirmation_code)
    )
    return InstallInfo(
        lpa=code.lpa,
        smdp_address=esim.smdp_address,
        matching_id=esim.matching_id,
        confirmation_code=esim.confirmation_code or None,
        apn=esim.apn,
        last_four=last_four(esim.iccid),
        install_by=esim.install_by,
        clock_start=str(plan_facts["clock_start"]),
        days=int(plan_facts["days"]),
        renewable=bool(plan_facts["topup"]),
        demo=is_demo(esim),
    )


def is_demo(esim: Esim) -> bool:
    """Return whether the eSIM comes from the sandbox: its server's name can never exist (RFC 2606, section 3)."""
    host = esim.smdp_address.lower()
    return host == "example.com" or host.endswith(".example.com")
