"""Fixtures of the library's tests; the modules beside them can be imported by name."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from library_house import QUICK, House, Lines, merge  # noqa: E402  # found by the lines above

import backstay  # noqa: E402
from backstay.simulator import Simulator  # noqa: E402


@pytest.fixture
def build(tmp_path) -> Iterator[Callable[..., House]]:
    """Start a manager with the connection `keeper` to this address; keywords are merged over the sections."""
    with contextlib.ExitStack() as stack:

        def make(address: tuple[str, int], *, may_resend: Callable[[Any], Any] | None = None, **over: Any) -> House:
            tree: dict[str, Any] = {
                **QUICK,
                "journal": {"path": str(tmp_path / "backstay.db")},
                "gateways": {"paper": {"endpoints": [f"{address[0]}:{address[1]}"]}},
                "connections": {"keeper": {"gateway": "paper", "client_id": 7}},
            }
            logged: list[tuple[str, dict[str, Any]]] = []
            lock = threading.Lock()

            def log(event: str, /, **fields: Any) -> None:
                with lock:
                    logged.append((event, fields))

            manager = stack.enter_context(backstay.Manager(merge(tree, over), log=log, may_resend=may_resend))
            return House(manager, logged)

        yield make


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(server_version=200, tick_seconds=0.02) as running:
        yield running
    assert not running.errors, running.errors[0]


@pytest.fixture
def house(build, simulator) -> House:
    return build(simulator.address)


@pytest.fixture
def lines() -> Iterator[Lines]:
    scripted = Lines()
    yield scripted
    scripted.close()
