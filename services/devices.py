"""Which phone a page is read on, as far as its browser says: what to offer first, never what to leave out.

User agents lie: an iPad calls itself a Mac, browsers offer a "desktop site", and apps show pages in a browser of
their own. So everything that a device cannot use stays on the page, further down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

# The one-tap link of Apple works from this version on (docs/suppliers.md).
LINK_SINCE_IOS = (17, 4)

# What apps write into the user agent of the browser they carry inside; the first that fits names the app.
_APPS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("WeChat", r"MicroMessenger"),
        ("Instagram", r"Instagram"),
        ("Messenger", r"MessengerForiOS|MessengerLite|FBAN/Messenger|Orca-Android"),
        ("Facebook", r"FBAN|FBAV|FB_IAB"),
        ("WhatsApp", r"WhatsApp"),
        ("Telegram", r"Telegram"),
        ("LINE", r"\bLine/"),
        ("KakaoTalk", r"KAKAOTALK"),
        ("TikTok", r"musical_ly|BytedanceWebview|TikTok"),
        ("Weibo", r"Weibo"),
        ("QQ", r"\bQQ/"),
        ("Alipay", r"AlipayClient"),
        ("Google", r"\bGSA/"),
    )
)
_IOS_VERSION = re.compile(r"OS (\d{1,3})[_.](\d{1,3})")
# Android's own mark of a page inside an app (developer.chrome.com, "WebView user agent string").
_ANDROID_WEB_VIEW = re.compile(r"; wv\)")
# Every browser of an iPhone says so; the views inside apps do not (Safari and the browsers that follow it do).
_IOS_BROWSER = re.compile(r"Safari/")


class Phone(StrEnum):
    """The kind of device that reads the page."""

    IPHONE = "iphone"
    ANDROID = "android"
    OTHER = "other"


@dataclass(frozen=True)
class Device:
    """What a browser says of itself.

    `app` is the name of the app that shows the page inside itself, "" for an app that does not say its name, and None
    for a browser of its own. `takes_link` tells whether the one-tap link of this kind of phone can be expected to work.
    """

    phone: Phone
    takes_link: bool
    app: str | None


def recognise(user_agent: str) -> Device:
    """Return what a User-Agent header says of the device; anything unknown counts as a computer's own browser."""
    phone = _phone(user_agent)
    return Device(phone, takes_link=_takes_link(phone, user_agent), app=_app(phone, user_agent))


def _phone(user_agent: str) -> Phone:
    # Windows phones and some desktop browsers name the others for compatibility; "like iPhone" is no iPhone.
    if "Windows" in user_agent:
        return Phone.OTHER
    if re.search(r"\((?:iPhone|iPad|iPod)", user_agent):
        return Phone.IPHONE
    return Phone.ANDROID if "Android" in user_agent else Phone.OTHER


def _takes_link(phone: Phone, user_agent: str) -> bool:
    if phone is not Phone.IPHONE:
        return phone is Phone.ANDROID
    version = _IOS_VERSION.search(user_agent)
    # One that does not say its version is likelier new than old, and the other ways stay on the page.
    return version is None or (int(version[1]), int(version[2])) >= LINK_SINCE_IOS


def _app(phone: Phone, user_agent: str) -> str | None:
    if phone is Phone.OTHER:
        return None
    name = next((name for name, pattern in _APPS if pattern.search(user_agent)), None)
    if name is not None:
        return name
    inside = _ANDROID_WEB_VIEW.search(user_agent) if phone is Phone.ANDROID else not _IOS_BROWSER.search(user_agent)
    return "" if inside else None
