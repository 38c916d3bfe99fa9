"""The page about HTTP: every route, from the tables by which the servers dispatch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from backstay.control.routes import ROUTES as CONTROL_ROUTES
from backstay.control.server import MAX_BODY_BYTES, MAX_COMMANDS
from backstay.control.vocabulary import FAILURES
from backstay.metrics.exporter import KEEPALIVE_SECONDS, MAX_STREAMS
from backstay.metrics.http_protocol import ASKING_SECONDS, MAX_CONNECTIONS, READING_SECONDS
from backstay.metrics.routes import OPEN_PATHS, REFUSALS, ROUTES, HttpRoute
from backstay.simulator import control as simulator

HEAD = """# HTTP

Written by `python -m deploy.pages.generate` from the tables by which the servers dispatch:
[`metrics/routes.py`](../metrics/routes.py), [`control/routes.py`](../control/routes.py) and
[`simulator/control.py`](../simulator/control.py); a test compares, and another asks each route for each of its
answers.

## What backstay shows

On `http.listen`, 127.0.0.1:9464 by default. It only shows: commands go through the
[control socket](#the-control-socket). Everything comes from snapshots, in a thread of its own: it is answered while a
connection's actors hang. NAME is the name of a connection, and may have a slash in it.
"""

REFUSED = """
Whatever is asked, it may be answered with

| status | when |
|---|---|"""

STATUS_PAGE = """
## The status page

![The status page: one connection waits, with the reason and what to do](status-page-light.png)

What is wrong stands first, with the reason, the next attempt, and what a person can do. The bars show the last 24
hours of this process; events come as they happen. It needs no network but its own, works by keyboard and with a
screen reader, follows the system's choice of [light or dark](status-page-dark.png), and fits a telephone.
"""

WHO = """## Who may ask

It listens on loopback by default and asks nobody for a password. Whoever opens it to others gives it a certificate
and users, or puts a proxy in front:

```toml
[http]
listen = "0.0.0.0:9464"
certificate = "chain.pem"   # and those above it
key = "key.pem"

[http.users]
prometheus = "scrypt$16384$8$1$..."   # printed by: python -m backstay.metrics.passwords
```

- With a certificate it speaks HTTPS (TLS 1.2 and newer) and nothing else. A new certificate counts from the next
  start.
- With users everything needs a name and a password (basic authentication) except {open_paths}, which orchestrators
  ask. The configuration holds hashes, and no log or support bundle shows even those.
- The Host header has to be an address, `localhost`, the name of this machine, or one of `http.hosts`. A web page
  elsewhere can make its own name lead to 127.0.0.1, and would otherwise read what a browser here may read.
- The page may load and run nothing but itself (Content-Security-Policy by hash); names from outside are only ever
  text.

## How much it takes

At most {connections} connections at one time: one more, and the one that is silent for longest is cut off. A request
has to arrive within {asking:g} s; whoever takes nothing of an answer for {reading:g} s is cut off, too. {streams} may
follow the events: a silent stream has a comment each {keepalive:g} s, and one who is too slow for it is told how many
were missed. The control socket has the same limits.
"""

CONTROL = """## The control socket

HTTP over the unix socket that `control.socket` names, for whoever writes a program in place of
[`backstay COMMAND`](commands.md). Its owner and root may ask: the daemon asks the kernel who is at the other end. With
`transport = "port"` it is a loopback port instead, and every request brings `Authorization: Bearer TOKEN` out of the
file of the port. A body has at most {body} bytes, and {commands} commands are under way at one time.
"""

FAILED = """
A failure is `{"error": {"code": ..., "message": ...}}`. The command line ends with the exit code beside it.

| code | status | exit code | when |
|---|---|---|---|"""

SIMULATOR = """
## The simulator's control

On `--control` of `backstay simulator`, and on the port that `run --simulator` names. Requests and answers are JSON
(`application/json`); nobody is asked who he is.

| | what | answers |
|---|---|---|"""

SIMULATOR_REFUSED = """
What cannot be done is answered with `{"error": ...}`:

| status | when |
|---|---|"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join((*_public(), *_control(), *_simulator(), ""))


def shown(path: str) -> str:
    """A path as people read it."""
    return re.sub(r"\{name[^}]*\}", "NAME", path)


def _public() -> Iterator[str]:
    yield HEAD
    yield from _table(ROUTES)
    yield REFUSED
    yield from (f"| {one.status} | {one.meaning} |" for one in REFUSALS)
    yield STATUS_PAGE
    *most, last = (f"`{path}`" for path in sorted(OPEN_PATHS))
    yield WHO.format(
        open_paths=f"{', '.join(most)} and {last}",
        connections=MAX_CONNECTIONS,
        asking=ASKING_SECONDS,
        reading=READING_SECONDS,
        streams=MAX_STREAMS,
        keepalive=KEEPALIVE_SECONDS,
    )


def _control() -> Iterator[str]:
    yield CONTROL.format(body=MAX_BODY_BYTES, commands=MAX_COMMANDS)
    yield from _table(CONTROL_ROUTES)
    yield FAILED
    yield from (
        f"| `{code}` | {row.http_status} | {row.exit.value} | {row.meaning} |" for code, row in FAILURES.items()
    )


def _simulator() -> Iterator[str]:
    yield SIMULATOR
    yield from (f"| {row.method} `{row.path}` | {row.meaning} | 200 |" for row in simulator.ROUTES)
    yield SIMULATOR_REFUSED
    yield from (f"| {status.value} | {meaning} |" for status, meaning in simulator.REFUSALS.items())


def _table(rows: Iterable[HttpRoute]) -> Iterator[str]:
    yield "| | what | with | answers |\n|---|---|---|---|"
    for row in rows:
        given = "<br>".join(f"`{name}`: {meaning}" for name, meaning in row.given.items())
        answers = "<br>".join(f"{one.status} `{one.content}`: {one.meaning}" for one in row.answers)
        yield f"| {row.method} `{shown(row.path)}` | {row.meaning} | {given or '-'} | {answers} |"
