"""`make weight`: what a first visit to each page sends over the wire, in every language; fails when a limit is broken.

Counted are the compressed bodies of the page, its scripts, its icon and what the scripts ask for as soon as the page is
there; headers are not. Whoever comes back has scripts and icon already.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

import brotli
import httpx
from bs4 import BeautifulSoup

from blueprints._static import inline_stylesheet
from scripts.served import Address, ServedShop, served_shop
from services.languages import LANGUAGES

# Ten packets of 1,460 bytes, less TLS and headers: what a server may send before the first word comes back
# (RFC 6928, section 2). A page that fits arrives in one round trip.
CRITICAL_BYTES = 14 * 1024
TOTAL_BYTES = 40 * 1024
BROWSER = {"Accept-Encoding": "br", "User-Agent": "shop-weight"}
HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}


@dataclass(frozen=True, kw_only=True)
class Weight:
    """Bytes on the wire for one page in one language; `html` holds the stylesheet, too."""

    page: Address
    language: str
    html: int
    scripts: int
    other: int
    requests: int

    @property
    def total(self) -> int:
        """Return all bytes of a first visit."""
        return self.html + self.scripts + self.other


def main() -> int:
    """Print the table and what is too heavy; return 1 when something is."""
    with served_shop() as shop:
        weights = weigh_all(shop)
    print(table(weights))
    broken = too_heavy(weights)
    print("\n".join(broken), file=sys.stderr)
    return 1 if broken else 0


def weigh_all(shop: ServedShop) -> list[Weight]:
    """Return the weight of every page in every language; raises httpx.HTTPError for a page that is not answered."""
    with httpx.Client(base_url=shop.url, headers=BROWSER, timeout=20) as client:
        return [
            weigh(client, page, code, {"Cookie": shop.cookie} if page.mine else {})
            for page in shop.pages
            for code in LANGUAGES
        ]


def weigh(client: httpx.Client, page: Address, code: str, headers: Mapping[str, str]) -> Weight:
    """Return what a first visit to one page weighs."""
    client.cookies.clear()
    path = f"/{code}/{page.path}"
    soup, html = _get(client, path, headers)
    scripts = [_get(client, urljoin(path, str(tag["src"])), {})[1] for tag in soup.select("script[src]")]
    files = soup.select('img[src], link[rel~="icon"], link[rel="stylesheet"], link[rel="manifest"]')
    other = [_get(client, urljoin(path, str(tag.get("src") or tag["href"])), {})[1] for tag in files]
    loads = [str(tag["hx-get"]) for tag in soup.select("[hx-get][hx-trigger]") if _at_once(str(tag["hx-trigger"]))]
    other += [_get(client, urljoin(path, address), {**headers, **HTMX})[1] for address in loads]
    # static/js/shop.js: the copy for when there is no connection, and the worker that shows it.
    for copy in [str(tag["data-keep"]) for tag in soup.select('[data-keep]:not([data-keep=""])')]:
        other += [_get(client, urljoin(path, address), headers)[1] for address in (copy, "/worker.js")]
    return Weight(
        page=page,
        language=code,
        html=html,
        scripts=sum(scripts),
        other=sum(other),
        requests=1 + len(scripts) + len(other),
    )


def too_heavy(weights: Sequence[Weight]) -> list[str]:
    """Return a line for each limit that is broken."""
    broken = []
    for each in weights:
        where = f"{each.page.name} in {each.language}"
        if each.page.critical and each.html > CRITICAL_BYTES:
            broken.append(f"too heavy: {where}: {each.html:,} bytes of HTML and CSS, at most {CRITICAL_BYTES:,}")
        if each.total > TOTAL_BYTES:
            broken.append(f"too heavy: {where}: {each.total:,} bytes in all, at most {TOTAL_BYTES:,}")
    return broken


def table(weights: Sequence[Weight]) -> str:
    """Return a line for each page: HTML and CSS in each language, and the heaviest first visit."""
    codes = list(dict.fromkeys(each.language for each in weights))
    width = max(len(each.page.name) for each in weights) + 2
    head = "".join(f"{name:>8}" for name in (*codes, "scripts", "other", "requests", "total"))
    lines = [
        "Bytes on the wire, compressed with Brotli: HTML and CSS by language, then the heaviest of them with all.",
        "",
    ]
    lines.append(f"{'page':{width}}{head.replace('requests', ' requests')}")
    for page in dict.fromkeys(each.page for each in weights):
        mine = [each for each in weights if each.page == page]
        most = max(mine, key=lambda each: each.total)
        html = "".join(f"{each.html:8,}" for each in mine)
        star = "*" if page.critical else ""
        lines.append(
            f"{page.name + star:{width}}{html}{most.scripts:8,}{most.other:8,}{most.requests:9}{most.total:8,}"
        )
    lines += ["", f"* HTML and CSS at most {CRITICAL_BYTES:,}; every page in all at most {TOTAL_BYTES:,}."]
    lines.append(f"The stylesheet, in every page, is {len(brotli.compress(inline_stylesheet().encode())):,} by itself.")
    return "\n".join(lines)


def _at_once(trigger: str) -> bool:
    """Return whether an hx-trigger sends its request as soon as the page is there."""
    return any(part.split()[:1] == ["load"] for part in trigger.split(","))


def _get(client: httpx.Client, path: str, headers: Mapping[str, str]) -> tuple[BeautifulSoup, int]:
    """Return the tree of an answer and the bytes of its body as they were sent."""
    answer = client.get(path, headers=headers)
    if answer.status_code != 200:
        raise httpx.HTTPStatusError(f"{path} answered {answer.status_code}", request=answer.request, response=answer)
    return BeautifulSoup(answer.text, "html5lib"), answer.num_bytes_downloaded


if __name__ == "__main__":
    sys.exit(main())
