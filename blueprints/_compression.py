"""Answers that are made for one visitor, compressed on their way out; kept pages are the page cache's business.

What is compressed together with something a stranger can choose betrays itself by its length, guess by guess (BREACH,
breachattack.com), and personal pages hold form tokens and activation codes. Here a stranger cannot ask for them: the
session cookie is SameSite=Lax, so only a page that the victim sees opening is a guess, and pages of orders are limited
to 240 a minute. The length of each answer is also changed at random (Heal-the-BREACH, Palacios et al. 2022; Django's
GZipMiddleware does the same), so that telling one byte takes thousands of such guesses instead of one.
"""

from __future__ import annotations

import secrets

import brotli
from flask import Flask, Response, request

from blueprints._page_cache import is_kept_page

# Below this the headers are most of the answer.
LEAST_BYTES = 500
MOST_PADDING = 100
# Level 5 of 11: one byte in twelve more than the best, for a fiftieth of its time (docs/performance.md).
QUALITY = 5
COMPRESSIBLE = ("text/html", "text/plain", "text/calendar", "application/xml")


def prepare_compression(app: Flask) -> None:
    """Compress what takes compression; to be called before anything else that changes answers, so that it comes last.

    Brotli alone: browsers that know zstd know it, too, and it is the smaller of the two (docs/performance.md).
    """

    @app.after_request
    def compress(response: Response) -> Response:
        kept = response.status_code == 200 and is_kept_page()
        if kept or response.mimetype not in COMPRESSIBLE or response.is_streamed:
            return response
        response.vary.add("Accept-Encoding")
        body = response.get_data()
        if len(body) < LEAST_BYTES or "Content-Encoding" in response.headers or not request.accept_encodings["br"]:
            return response
        response.set_data(compress_padded(body))
        response.headers["Content-Encoding"] = "br"
        return response


def compress_padded(body: bytes) -> bytes:
    """Return `body` as Brotli with 1 to MOST_PADDING bytes more than it needs, in a block that every reader skips."""
    padding = secrets.token_bytes(1 + secrets.randbelow(MOST_PADDING))
    compressor = brotli.Compressor(quality=QUALITY)
    data = compressor.process(body) + compressor.flush()
    # After the flush a byte begins. RFC 7932, section 9.2: not the last block (0), metadata (11), reserved (0), its
    # length takes one byte (01) and is given less one; bits from the least significant, the rest of the byte is zero.
    header = (0b01_0_11_0 | (len(padding) - 1) << 6).to_bytes(2, "little")
    return bytes(data + header + padding + compressor.finish())
