"""Which phone a page is read on: user agents as phones, browsers and apps send them."""

from __future__ import annotations

import pytest

from services.devices import Device, Phone, recognise

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS {} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{} "
    "Mobile/15E148 Safari/604.1"
)
IN_IOS_APP = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
)
CHROME = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36"
)
IN_ANDROID_APP = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9 Build/AP4A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/143.0.0.0 Mobile Safari/537.36"
)
MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Safari/605.1.15"
)
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
)
WINDOWS_PHONE = (
    "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15254"
)


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (SAFARI.format("18_6", "26.0"), Device(Phone.IPHONE, True, None)),
        (SAFARI.format("17_4", "17.4"), Device(Phone.IPHONE, True, None)),
        (SAFARI.format("17_3_1", "17.3.1"), Device(Phone.IPHONE, False, None)),
        (SAFARI.format("9_3", "9.0"), Device(Phone.IPHONE, False, None)),
        (
            SAFARI.format("18_6", "26.0").replace("Version/26.0", "CriOS/143.0.7499.100"),
            Device(Phone.IPHONE, True, None),
        ),
        (CHROME, Device(Phone.ANDROID, True, None)),
        ("Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0", Device(Phone.ANDROID, True, None)),
        (MAC, Device(Phone.OTHER, False, None)),
        (WINDOWS, Device(Phone.OTHER, False, None)),
        (WINDOWS_PHONE, Device(Phone.OTHER, False, None)),
        ("curl/8.5.0", Device(Phone.OTHER, False, None)),
        ("", Device(Phone.OTHER, False, None)),
        ("Mozilla/5.0 (iPhone; U; like nothing else) Safari/1", Device(Phone.IPHONE, True, None)),
    ],
)
def test_a_phone_and_its_browser_are_recognised(user_agent: str, device: Device) -> None:
    assert recognise(user_agent) == device


@pytest.mark.parametrize(
    ("user_agent", "app"),
    [
        (f"{IN_IOS_APP} MicroMessenger/8.0.56(0x1800382d) NetType/WIFI Language/zh_CN", "WeChat"),
        (f"{IN_ANDROID_APP} MicroMessenger/8.0.56 WeChat/arm64", "WeChat"),
        (f"{IN_IOS_APP} Instagram 350.0.0.28.90 (iPhone15,3; iOS 18_5)", "Instagram"),
        (f"{IN_ANDROID_APP} Instagram 350.0.0.46.85 Android", "Instagram"),
        (f"{IN_IOS_APP} [FBAN/FBIOS;FBAV/480.0.0.30.110;FBDV/iPhone15,3]", "Facebook"),
        (f"{IN_IOS_APP} [FBAN/MessengerForiOS;FBAV/480.0.0.30.110]", "Messenger"),
        (f"{CHROME} WhatsApp/2.25.1", "WhatsApp"),
        (f"{IN_ANDROID_APP} Telegram-Android/11.5.3 (Google Pixel 9; Android 15; SDK 35; HIGH)", "Telegram"),
        (f"{SAFARI.format('18_5', '18.5')} Line/15.1.0", "LINE"),
        (f"{IN_IOS_APP} GSA/350.0.1 Mobile/15E148 Safari/604.1", "Google"),
        (IN_IOS_APP, ""),
        (IN_ANDROID_APP, ""),
        # On a computer these apps open the computer's own browser or can do what it can.
        (f"{WINDOWS} MicroMessenger/7.0.20 WindowsWechat", None),
    ],
)
def test_an_app_that_shows_the_page_inside_itself_is_recognised(user_agent: str, app: str | None) -> None:
    assert recognise(user_agent).app == app


def test_anything_may_call_itself_a_browser() -> None:
    """No user agent, however long or odd, is an error."""
    for odd in ("OS 999_999 " * 500, "(iPhone" * 200, "\x7f\u202eAndroid", "iPhone OS 99999999_1"):
        recognise(odd)
