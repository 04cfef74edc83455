"""What a traveller gets to install an eSIM."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from models import Esim
from services.activation_codes import InvalidActivationCode
from services.delivery import InstallInfo, install_info, is_demo

FACTS = {"clock_start": "first_connection", "days": 7, "topup": True}
LPA = "LPA:1$rsp.shop.example$04386-agyft-A74Y8-3F815"


def make_install(**values: Any) -> InstallInfo:
    defaults = {
        "smdp_address": "rsp.shop.example",
        "matching_id": "04386-agyft-A74Y8-3F815",
        "iccid": "8944538532008160222",
        "apn": "internet",
    }
    return install_info(Esim(**{**defaults, **values}), FACTS)


def test_the_links_hold_the_whole_code_encoded() -> None:
    install = make_install()

    assert install.lpa == LPA
    for url, host in ((install.iphone_url, "esimsetup.apple.com"), (install.android_url, "esimsetup.android.com")):
        parts = urlsplit(url)
        assert (parts.scheme, parts.hostname, parts.path) == ("https", host, "/esim_qrcode_provisioning")
        assert parse_qs(parts.query) == {"carddata": [LPA]}
        assert "$" not in url


def test_the_picture_is_dark_on_light_with_its_quiet_zone() -> None:
    root = ElementTree.fromstring(str(make_install().qr_svg))  # noqa: S314 - our own drawing
    ground, code = root

    width, height = (int(number) for number in root.attrib["viewBox"].split()[2:])
    assert width == height
    assert (ground.attrib["fill"], ground.attrib["d"]) == ("#fff", f"M0 0h{width}v{width}h-{width}z")
    assert code.attrib["stroke"] == "#000"
    assert code.attrib["d"].startswith("M4 4.5h7")
    assert "style" not in {name for element in root.iter() for name in element.attrib}


def test_the_mailed_picture_is_a_png() -> None:
    assert make_install().qr_png.startswith(b"\x89PNG\r\n")


def test_a_confirmation_code_stands_apart() -> None:
    install = make_install(confirmation_code="4711")

    assert install.confirmation_code == "4711"
    assert install.lpa == f"{LPA}$$1"
    assert make_install(confirmation_code="").confirmation_code is None


@pytest.mark.parametrize(
    ("address", "demo"), [("smdp.example.com", True), ("SMDP.EXAMPLE.COM", True), ("rsp.shop.example", False)]
)
def test_an_esim_of_the_sandbox_is_marked(address: str, demo: bool) -> None:
    assert is_demo(Esim(smdp_address=address)) is demo
    assert make_install(smdp_address=address).demo is demo


def test_install_info_does_not_print_itself() -> None:
    assert "04386" not in repr(make_install())


def test_parts_that_make_no_code_are_refused() -> None:
    with pytest.raises(InvalidActivationCode):
        make_install(smdp_address="localhost")
