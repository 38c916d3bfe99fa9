"""How long operators wait for an answer: `make bench-control`, or python bench/control.py [--samples N] [--pause S] ...

Three scenes, each with a daemon of its own: at rest, while every actor of a connection hangs in a callback, and while
the clients of a relay are sent as much as it can carry. Each question is a connection of its own to the control socket,
as `backstay status` makes it; what the command line itself takes to start is not in it.
"""

import argparse
import contextlib
import io
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from scene import ACCOUNT, frame

from backstay.actors.connector import Connector
from backstay.actors.dispatcher import Dispatcher
from backstay.actors.session import Session
from backstay.config import load
from backstay.control.client import ControlClient
from backstay.daemon import Daemon
from backstay.logs import EventLog
from backstay.metrics.events import EventRing
from backstay.protocol.framing import Splitter
from backstay.supervisor.book import Book

CONNECT_SECONDS: Final = 60.0
BAR_MILLISECONDS: Final = 100.0
BLOCK: Final = b"".join(frame(1, 6, 11, tick % 8, 100.0 + tick, 100, 0) for tick in range(500))

CONFIGURATION: Final = """
[gateways.bench]
endpoints = ["127.0.0.1:{upstream}"]
[relays.door]
gateway = "bench"
listen = "127.0.0.1:0"
max_clients = 1024
client_ids = "0-899"
[connections.keeper]
gateway = "bench"
client_id = 900
[journal]
path = "{folder}/bench.db"
[http]
enabled = false
[control]
socket = "{folder}/bench.sock"
"""


class Gateway:
    """Greets whoever comes, answers what a start needs, and pushes ticks for as long as they are taken."""

    def __init__(self, *, pushes: bool) -> None:
        self._pushes = pushes
        self._answers: dict[bytes, Callable[[list[bytes]], bytes]] = {
            b"71": lambda _: frame(15, 1, ACCOUNT) + frame(9, 1, 1),
            b"49": lambda _: frame(49, 1, int(time.time())),
            b"5": lambda _: frame(53, 1),
            b"7": lambda fields: frame(55, 1, fields[2].decode()),
            b"16": lambda _: frame(53, 1),
            b"99": lambda _: frame(102),
        }

    def serve(self) -> None:
        """Print the port and accept for ever."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        say(listener.getsockname()[1])
        while True:
            threading.Thread(target=self._talk, args=(listener.accept()[0],), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError), sock.makefile("rb") as stream:
            stream.read(4)
            stream.read(int.from_bytes(stream.read(4), "big"))
            sock.sendall(frame(176, "20260401 12:00:00 EST"))
            threading.Thread(target=_trickle, args=(sock,), daemon=True).start()
            while head := stream.read(4):
                fields = stream.read(int.from_bytes(head, "big")).split(b"\0")
                if fields[0] == b"1" and self._pushes:
                    threading.Thread(target=_push, args=(sock,), daemon=True).start()
                elif answer := self._answers.get(fields[0]):
                    sock.sendall(answer(fields))


def _trickle(sock: socket.socket) -> None:
    """A sign of life ten times a second."""
    pause = threading.Event()
    with contextlib.suppress(OSError):
        while not pause.wait(0.1):
            sock.sendall(frame(4, 2, -1, 2104, "Market data farm connection is OK:usfarm"))


def _push(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock.sendall(BLOCK)


def say(value: object) -> None:
    """One line to the process that measures."""
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


def must(fact: object) -> None:
    """Fail where there is nothing to measure."""
    if not fact:
        raise SystemExit("the scene could not be set")


def clients(port: int, count: int) -> None:
    """Connect, ask for a stream each, and take what comes; prints bytes a second once a second."""
    found = selectors.DefaultSelector()
    for client_id in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(b"API\0" + frame_of(b"v100..176"))
        sock.recv(100)
        stock = (0, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
        sock.sendall(frame(71, 2, client_id, "") + frame(1, 11, 11, *stock, 0, "", 0, 0, ""))
        sock.setblocking(False)
        found.register(sock, selectors.EVENT_READ)
    taken, told = 0, time.monotonic()
    while True:
        for key, _ in found.select(1.0):
            taken += len(key.fileobj.recv(1 << 18))  # type: ignore[union-attr]
        now = time.monotonic()
        if now - told >= 1.0:
            say(round(taken / (now - told)))
            taken, told = 0, now


def frame_of(payload: bytes) -> bytes:
    """A payload behind its length."""
    return len(payload).to_bytes(4, "big") + payload


def daemon(folder: Path, upstream: int, *, hangs: bool) -> None:
    """`backstay run` in this process; with `hangs` every actor of the keeper hangs as soon as it is ready."""
    path = folder / "backstay.toml"
    path.write_text(CONFIGURATION.format(upstream=upstream, folder=folder), encoding="utf-8")
    sys.setswitchinterval(0.0005)  # as `backstay run` does
    config = load(path, {})
    made = Daemon(config, log=EventLog(config.log, io.StringIO()), events=EventRing(), on_end=lambda _: None)
    trap = Trap()
    made.start()
    must(made.manager.wait_ready(CONNECT_SECONDS))
    if hangs:
        root = made.manager.root
        must(root)
        trap.spring(root.book.inner("keeper"))  # type: ignore[union-attr]
    say(made.manager.address("door")[1])
    sys.stdin.read()
    os._exit(0)  # what hangs would be waited for


class Trap:
    """Hangs each actor of the keeper for ever, once it is sprung."""

    def __init__(self) -> None:
        self._reached = threading.Semaphore(0)
        self._sprung = False
        for kind in (Session, Dispatcher, Connector):
            kind.receive = self._hanging(kind.receive, lambda args: args[1] is self)  # type: ignore[method-assign]
        reads = self._hanging(Splitter.push, lambda _: self._sprung and "keeper" in threading.current_thread().name)
        Splitter.push = reads  # type: ignore[method-assign]

    def _hanging(self, original: Callable[..., Any], when: Callable[[Any], bool]) -> Any:
        def receive(*args: Any) -> Any:
            if when(args):
                self._reached.release()
                threading.Event().wait()
            return original(*args)

        return receive

    def spring(self, book: Book) -> None:
        """Returns once all of them hang."""
        self._sprung = True
        must(self._reached.acquire(timeout=CONNECT_SECONDS))  # the reader; what it read before is with the others
        for name in ("session", "dispatcher", "connector"):
            must(book.urge(name, self) and self._reached.acquire(timeout=CONNECT_SECONDS))


def measure(folder: Path, samples: int, pause_seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each answer, by question."""
    client = ControlClient(folder / "bench.sock")
    asks: dict[str, Callable[[], object]] = {
        "status": client.status,
        "explain": lambda: client.command("explain", {"name": "keeper"}),
        "tree": lambda: client.command("tree"),
        "events": lambda: client.command("events", {"seconds": 1}),
    }
    taken: dict[str, list[float]] = {name: [] for name in asks}
    client.status(timeout=CONNECT_SECONDS)  # the first one waits for the servers to be imported
    for _ in range(samples):
        for name, ask in asks.items():
            begun = time.perf_counter()
            ask()
            taken[name].append((time.perf_counter() - begun) * 1e3)
            time.sleep(pause_seconds)
    return taken


@contextlib.contextmanager
def process(*words: object) -> Iterator[subprocess.Popen[str]]:
    """One of the roles above in a process of its own."""
    command = [sys.executable, __file__, *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def line(child: subprocess.Popen[str]) -> str:
    """Its next line."""
    return child.stdout.readline().strip()  # type: ignore[union-attr]


def scene(name: str, options: argparse.Namespace) -> None:
    """One scene, printed as one JSON line a question."""
    count: int = options.clients
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder, contextlib.ExitStack() as stack:
        server = stack.enter_context(process("gateway", "--push" if name == "streaming" else "--still"))
        made = stack.enter_context(process("daemon", folder, line(server), "hung" if name == "hung" else "well"))
        port = line(made)
        megabytes = 0.0
        if name == "streaming":
            taker = stack.enter_context(process("clients", port, count))
            line(taker)
            megabytes = int(line(taker)) / 1e6
        for question, took in measure(Path(folder), options.samples, options.pause).items():
            took.sort()
            figures = {
                "p50": statistics.median(took),
                "p99": took[int(len(took) * 0.99)],
                "max": took[-1],
            }
            rounded = {key: round(value, 2) for key, value in figures.items()}
            row = {"scene": name, "question": question, "samples": len(took), **rounded}
            row |= {"clients": count, "MB_per_second": round(megabytes, 1)} if megabytes else {}
            row["over_100_ms"] = sum(one > BAR_MILLISECONDS for one in took)
            say(json.dumps(row))


def main() -> None:
    """Play a role, or measure all scenes."""
    roles: dict[str, Callable[[list[str]], None]] = {
        "gateway": lambda words: Gateway(pushes=words[0] == "--push").serve(),
        "daemon": lambda words: daemon(Path(words[0]), int(words[1]), hangs=words[2] == "hung"),
        "clients": lambda words: clients(int(words[0]), int(words[1])),
    }
    if len(sys.argv) > 1 and sys.argv[1] in roles:
        roles[sys.argv[1]](sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two questions")
    parser.add_argument("--scenes", nargs="+", default=["at rest", "hung", "streaming"])
    options = parser.parse_args()
    for name in options.scenes:
        scene(name, options)


if __name__ == "__main__":
    main()
