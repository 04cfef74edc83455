"""Static files: named by their content, compressed once, and served by WhiteNoise with a year to keep.

The stylesheet is no file of its own for a visitor: it stands in every page, which saves the phone one round trip.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from wsgiref.headers import Headers

import brotli
from flask import Flask
from markupsafe import Markup
from whitenoise import WhiteNoise

SOURCE = Path(__file__).parent.parent / "static"
PUBLISHED = frozenset({".js", ".svg", ".png", ".webmanifest"})
COMPRESSIBLE = frozenset({".js", ".svg", ".webmanifest"})
# A browser looks for a newer service worker where it got the last one: this file has an address that stays.
WORKER = "js/worker.js"


def prepare_static(app: Flask) -> None:
    """Publish the static files under /static/ and give templates `static_url(path)`, which raises KeyError."""
    contents = {
        file.relative_to(SOURCE).as_posix(): file.read_bytes()
        for file in sorted(SOURCE.rglob("*"))
        if file.is_file() and file.suffix in PUBLISHED and file != SOURCE / WORKER
    }
    names = {path: _hashed_name(path, content) for path, content in contents.items()}
    edition = hashlib.sha256("\n".join(names.values()).encode()).hexdigest()[:16]
    directory = Path(app.instance_path) / "static" / edition
    if not directory.is_dir():
        _publish(directory, {names[path]: content for path, content in contents.items()})
    addresses = {path: f"/static/{name}" for path, name in names.items()}
    app.jinja_env.globals["static_url"] = addresses.__getitem__
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app,
        root=directory,
        prefix="static",
        immutable_file_test=lambda _path, _url: True,
        add_headers_function=_add_headers,
    )


@lru_cache(maxsize=1)
def inline_stylesheet() -> Markup:
    """Return the stylesheet as it stands in every page; its hash is what the Content-Security-Policy allows."""
    source = (SOURCE / "css" / "shop.css").read_text(encoding="utf-8")
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    source = re.sub(r"\s+", " ", source)
    source = re.sub(r" ?([{};,]) ?", r"\1", source)
    source = re.sub(r": ", ":", source)
    return Markup(source.replace(";}", "}").strip())  # noqa: S704 - our own file


@lru_cache(maxsize=1)
def service_worker() -> str:
    """Return the service worker as it is served: without comments and indentation."""
    lines = (line.strip() for line in (SOURCE / WORKER).read_text(encoding="utf-8").splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


def _hashed_name(path: str, content: bytes) -> str:
    stem, dot, suffix = path.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}{dot}{suffix}"


def _publish(directory: Path, contents: dict[str, bytes]) -> None:
    """Write the files beside their place and move them there in one step: several processes may start at once."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=directory.parent, prefix="draft-"))
    draft.chmod(0o755)
    try:
        for name, content in contents.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            if file.suffix in COMPRESSIBLE:
                file.with_name(file.name + ".br").write_bytes(brotli.compress(content))
                file.with_name(file.name + ".gz").write_bytes(gzip.compress(content, mtime=0))
        draft.rename(directory)
    except OSError:
        # Another process was faster: its files are the same ones.
        if not directory.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _add_headers(headers: Headers, _path: str, _url: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
