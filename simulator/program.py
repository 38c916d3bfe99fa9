"""The simulator as a program: one line when it listens, SIGTERM or SIGINT to stop."""

import argparse
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Unpack

from backstay.simulator.control import ControlServer
from backstay.simulator.server import Simulator
from backstay.simulator.settings import USUAL_VERSION, Options

DEFAULT_LISTEN = ("127.0.0.1", 4002)
"""Where IB Gateway listens for paper accounts."""

EXIT_OK = 0
EXIT_FAILED = 1


def serve(
    listen: tuple[str, int] = DEFAULT_LISTEN, control: tuple[str, int] | None = None, **options: Unpack[Options]
) -> int:
    """Run a simulator until SIGTERM or SIGINT and return an exit code. Main thread only, because of the signals."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return _serve(Simulator(listen, **options), control, stopping)
    except OSError as error:
        print(f"backstay simulator: can not listen: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_FAILED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(simulator: Simulator, control: tuple[str, int] | None, stopping: threading.Event) -> int:
    with ExitStack() as stack:
        with _naming("--listen", simulator.address):
            stack.enter_context(simulator)
        line = "backstay simulator listens on {}:{}".format(*simulator.address)
        if control is not None:
            with _naming("--control", control):
                server = ControlServer(simulator, control)
            server.start()
            stack.callback(server.stop)
            line += ", control on http://{}:{}".format(*server.address)
        print(line, flush=True)  # noqa: T201  (the one line a program that waits for it reads)
        stopping.wait()
    return EXIT_OK


@contextmanager
def _naming(option: str, address: tuple[str, int]) -> Generator[None, None, None]:
    """Say of an error which of the two addresses it is about."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{option} {address[0]}:{address[1]}: {error.strerror or error}") from error


def read_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; ``ValueError`` when it is not one."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"not HOST:PORT: {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from a command line (``python -m backstay.simulator``)."""
    parser = argparse.ArgumentParser(prog="backstay simulator", description="A TWS that misbehaves on command.")
    parser.add_argument("--listen", type=read_address, default=DEFAULT_LISTEN, metavar="HOST:PORT")
    parser.add_argument("--control", type=read_address, default=None, metavar="HOST:PORT")
    parser.add_argument("--server-version", type=int, default=USUAL_VERSION, metavar="100..226")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tick-seconds", type=float, default=0.25)
    chosen = parser.parse_args(arguments)
    try:
        return serve(
            chosen.listen,
            chosen.control,
            server_version=chosen.server_version,
            seed=chosen.seed,
            tick_seconds=chosen.tick_seconds,
        )
    except ValueError as error:  # an option out of its range
        parser.error(str(error))
