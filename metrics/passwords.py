"""Users of the HTTP side: their passwords are kept as hashes. `python -m backstay.metrics.passwords` makes one.

The hash is slow on purpose, and Prometheus asks every few seconds; so what was right once is remembered for the life of
the process, under a key of its own, and costs nothing more.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import getpass
import hashlib
import hmac
import os
import sys
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.metrics.routes import OPEN_PATHS, WHO_ASKS
from backstay.metrics.status_page import BASE_HEADERS

COST, BLOCK, PARALLEL = 16_384, 8, 1
"""scrypt's parameters as recommended for logins: 16 MiB and some fifty milliseconds a guess."""

MOST_COST = 1 << 17
MAX_REMEMBERED = 32
"""Right combinations that are remembered; there are a handful of users."""

MAX_CREDENTIALS = 1_024
"""Characters of an Authorization header that are looked at."""


def make_hash(password: str, salt: bytes | None = None) -> str:
    """A password as the configuration has it: scrypt$COST$BLOCK$PARALLEL$SALT$KEY."""
    salt = os.urandom(16) if salt is None else salt
    key = hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=PARALLEL)
    return f"scrypt${COST}${BLOCK}${PARALLEL}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def check_hash(text: str) -> str:
    """Return it if it is a hash. Raises ValueError with the reason."""
    _parts(text)
    return text


def is_right(password: str, text: str) -> bool:
    """Whether this is the password of this hash. Slow."""
    cost, block, parallel, salt, key = _parts(text)
    found = hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=parallel, dklen=len(key))
    return hmac.compare_digest(found, key)


def _parts(text: str) -> tuple[int, int, int, bytes, bytes]:
    words = text.split("$")
    try:
        name, cost, block, parallel, salt, key = words
        numbers = int(cost), int(block), int(parallel)
        found = (*numbers, base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True))
    except (ValueError, binascii.Error):
        name, numbers, found = "", (0, 0, 0), (0, 0, 0, b"", b"")
    bad = numbers[0] < 2 or numbers[0] & (numbers[0] - 1) or numbers[0] > MOST_COST or numbers[1:] != (BLOCK, PARALLEL)
    if name != "scrypt" or bad or not found[3] or not found[4]:
        raise ValueError("must be a hash as python -m backstay.metrics.passwords prints it")
    return found


class Login:
    """ASGI middleware: HTTP basic authentication for all but the health checks. `users`: hash by name."""

    def __init__(self, app: ASGIApp, *, users: Mapping[str, str]) -> None:
        self._app = app
        self._users = dict(users)
        self._nobody = make_hash(os.urandom(16).hex())  # an unknown name has to take as long as a known one
        self._secret = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._turn = asyncio.Semaphore(1)  # guesses wait for one another, and for nobody else

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let those through who may."""
        app = self._app
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not await self._may(scope):
            headers = {**BASE_HEADERS, "WWW-Authenticate": 'Basic realm="backstay", charset="UTF-8"'}
            app = PlainTextResponse(WHO_ASKS.text, WHO_ASKS.status, headers=headers)
        await app(scope, receive, send)

    async def _may(self, scope: Scope) -> bool:
        header = Headers(scope=scope).get("authorization", "")
        kind, _, credentials = header.partition(" ")
        if kind.lower() != "basic" or len(header) > MAX_CREDENTIALS:
            return False
        seen = hmac.digest(self._secret, credentials.encode(), "sha256")
        if seen in self._right:
            return True
        try:
            name, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (ValueError, binascii.Error):
            return False
        known = self._users.get(name)
        async with self._turn:
            right = await asyncio.to_thread(is_right, password, known or self._nobody)
        if not (right and colon and known is not None):
            return False
        self._right[seen] = None
        if len(self._right) > MAX_REMEMBERED:
            del self._right[next(iter(self._right))]
        return True


def main() -> int:
    """Ask for a password, or read one line of the standard input, and print its hash."""
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not password:
        sys.stderr.write("no password given\n")
        return 2
    sys.stdout.write(make_hash(password) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
