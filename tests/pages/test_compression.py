"""What is made for one visitor travels compressed, and its length does not tell what is in it."""

from __future__ import annotations

from collections.abc import Iterator

import brotli
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from blueprints._compression import MOST_PADDING, QUALITY, compress_padded

BODY = b"<p>A page with a code, LPA:1$smdp.example.com$TEST-1, and what somebody asked for.</p>" * 40


@pytest.fixture
def no_padding_but(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Give the list of the lengths that chance has in store, the last one first."""
    lengths: list[int] = []
    monkeypatch.setattr("blueprints._compression.secrets.randbelow", lambda _most: lengths.pop() - 1)
    yield lengths
    assert not lengths


def ask(app: Flask, path: str, accepted: str = "gzip, deflate, br, zstd", status: int = 200) -> TestResponse:
    """Return the answer to somebody who accepts these encodings."""
    answer = app.test_client().get(path, headers={"Accept-Encoding": accepted})
    assert answer.status_code == status
    return answer


@pytest.mark.parametrize("length", [1, 2, 63, 64, MOST_PADDING])
def test_padding_is_skipped_by_whoever_reads(no_padding_but: list[int], length: int) -> None:
    """Two bytes say how long it is."""
    no_padding_but += [length, 1]
    shortest, padded = compress_padded(BODY), compress_padded(BODY)
    assert len(padded) - len(shortest) == length - 1
    assert len(shortest) <= len(brotli.compress(BODY, quality=QUALITY)) + 6
    assert brotli.decompress(padded) == brotli.decompress(shortest) == BODY


@pytest.mark.parametrize("size", range(200))
def test_padding_fits_after_every_ending(size: int) -> None:
    """Wherever in a byte the text ends."""
    assert brotli.decompress(compress_padded(BODY[:size])) == BODY[:size]


def test_the_same_page_has_many_lengths(app: Flask) -> None:
    lengths = {len(ask(app, "/en/sign-in").data) for _ in range(20)}
    assert len(lengths) > 5


@pytest.mark.parametrize(
    ("path", "status"),
    [("/en/sign-in", 200), ("/en/checkout/monaco-1gb-7-days", 200), ("/en/nothing", 404), ("/en/plans?unkept=1", 200)],
)
def test_every_page_is_compressed(app: Flask, path: str, status: int) -> None:
    answer = ask(app, path, status=status)
    assert answer.headers["Content-Encoding"] == "br"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert answer.content_length == len(answer.data)
    assert b"</html>" in brotli.decompress(answer.data)


@pytest.mark.parametrize("accepted", ["", "gzip", "br;q=0, gzip", "zstd"])
def test_whoever_does_not_know_it_gets_the_page_as_it_is(app: Flask, accepted: str) -> None:
    answer = ask(app, "/en/sign-in", accepted)
    assert "Content-Encoding" not in answer.headers
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert "</html>" in answer.text


def test_little_is_left_alone(app: Flask) -> None:
    assert "Content-Encoding" not in ask(app, "/healthz").headers


def test_a_kept_page_is_compressed_once_and_best(app: Flask) -> None:
    """The page cache does it, at a level that is too slow for every answer."""
    for _ in range(2):
        answer = ask(app, "/en/plans")
        assert answer.headers["Content-Encoding"] == "br"
        assert answer.data == brotli.compress(brotli.decompress(answer.data), quality=11)
