"""What the public listener lets in at all: GET and HEAD, asked for by an address or a name that is ours.

A web page of somebody else can have its own name lead to 127.0.0.1 and then read what a browser here may read (DNS
rebinding). It can not make the browser ask under a name that is not its own. So names are taken from a list only;
addresses are no names, and a page that came from an address came from there.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.metrics.routes import METHODS, WRONG_HOST, WRONG_METHOD
from backstay.metrics.status_page import BASE_HEADERS


class Guard:
    """ASGI middleware. `hosts`: names that are ours, beside localhost and the name of this machine."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in ("localhost", socket.gethostname(), *hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what may not be asked; let the rest through."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        closing = {**BASE_HEADERS, "Connection": "close"}  # whatever body it has is not waited for
        if scope["method"] not in METHODS:
            headers = {**closing, "Allow": ", ".join(METHODS)}
            return PlainTextResponse(WRONG_METHOD.text, WRONG_METHOD.status, headers=headers)
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) > 1 or not all(map(self._is_ours, hosts)):
            return PlainTextResponse(WRONG_HOST.text, WRONG_HOST.status, headers=closing)
        return None

    def _is_ours(self, host: str) -> bool:
        name = host_name(host)
        return name is not None and (name in self._names or is_address(name))


def host_name(host: str) -> str | None:
    """The name in a Host header, without its port, in lower case; None if it makes no sense."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        return name.lower() if bracket and (not rest or _is_port(rest)) and ":" in name else None
    name, colon, port = host.rpartition(":")
    if not colon:
        return host.lower()
    return name.lower() if _is_port(f":{port}") and ":" not in name else None


def _is_port(text: str) -> bool:
    return text[:1] == ":" and (not text[1:] or (text[1:].isascii() and text[1:].isdigit()))


def is_address(name: str) -> bool:
    """Whether this is an IP address, not a name."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
