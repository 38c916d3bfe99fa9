"""The status page: one document without outside resources, made of the three files beside this one.

Style and script stand in the document and are allowed by their hashes, so that nothing else can run or be loaded, also
if a name from outside should ever find its way into the markup.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

BASE_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_POLICY = (
    "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)


class Page(NamedTuple):
    """The document, and the headers that belong to it."""

    text: str
    headers: Mapping[str, str]


@functools.cache
def status_page() -> Page:
    """Put it together, once."""
    document, style, script = (_read(suffix) for suffix in (".html", ".css", ".js"))
    policy = _POLICY.format(style=_hash(style), script=_hash(script))
    text = document.replace("{style}", style).replace("{script}", script)
    return Page(text, {**BASE_HEADERS, "Content-Security-Policy": policy})


def _read(suffix: str) -> str:
    return Path(__file__).with_suffix(suffix).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
