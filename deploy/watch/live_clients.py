"""What a relay's client does to a gateway, or suffers from it: ways to break things that need one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from backstay.demo_client import QuoteClient
from backstay.protocol.builders import build
from backstay.protocol.builders_orders import place_order
from backstay.protocol.builders_terms import Contract, Order
from backstay.protocol.framing import frame
from deploy.watch.live_stack import HOST, Stage

RELAY_ID = 7
"""Its client id."""

ASK_SECONDS = 0.3
"""Between two questions of the client of a healthy day."""

MANY = 1200
"""Requests at once: at 45 a second more than 250 of them wait for twenty seconds."""

APPLE = Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
RESTING = Order(action="BUY", quantity=1, order_type="LMT", limit_price=1)


def relayed(gateway: str) -> str:
    """The connection of a relay's client."""
    return f"{gateway}/{RELAY_ID}"


@contextmanager
def client_of(stage: Stage, gateway: str, symbols: int) -> Iterator[QuoteClient]:
    """A client that streams so many quotes."""
    client = QuoteClient((HOST, stage.relays[gateway]), ["AAPL"] * symbols, client_id=RELAY_ID)
    try:
        client.start()
        yield client
    finally:
        client.stop()


def ask_too_much(stage: Stage, gateway: str) -> None:
    """A gateway with few market data lines takes ten messages a second; one burst is one violation."""
    stage.fault(gateway, "pacing_reject", messages_per_second=10)
    stage.keep(client_of(stage, gateway, 20))


def allow_much(stage: Stage, gateway: str) -> None:
    """As many as anybody likes."""
    stage.fault(gateway, "pacing_reject", messages_per_second=0)


def lose_order(stage: Stage, gateway: str) -> None:
    """The gateway ends the socket over an order, and afterwards tells no list of orders."""
    client = stage.keep(client_of(stage, gateway, 1))
    stage.until_state(relayed(gateway), "ready")
    stage.fault(gateway, "lose_orders", count=1, then_eof=True)
    stage.fault(gateway, "drop_requests", seconds=600)
    client.send(frame(place_order(APPLE, RESTING, order_id=1, version=client.version)))


def tell_lists(stage: Stage, gateway: str) -> None:
    """The gateway answers again."""
    stage.fault(gateway, "drop_requests", seconds=0)


def keep_asking(stage: Stage, gateway: str, *, one_wrong_in: int) -> None:
    """A client that streams, places an order and asks on; now and then for an instrument that there is not."""
    client = stage.keep(client_of(stage, gateway, 3))
    client.send(frame(place_order(APPLE, RESTING, order_id=1, version=client.version)))
    done = threading.Event()

    def ask() -> None:
        for key in itertools.count(1000):
            contract = APPLE if key % one_wrong_in else replace(APPLE, symbol="NOSUCH")
            asked = frame(build("contract_details", {"contract": contract}, version=client.version, key=key))
            with suppress(OSError):  # the daemon is ended before its clients
                client.send(asked)
            if done.wait(ASK_SECONDS):
                return

    thread = threading.Thread(target=ask)
    thread.start()
    ending = stage.keep(ExitStack())
    ending.callback(thread.join)
    ending.callback(done.set)


def swamp(stage: Stage, gateway: str) -> None:
    """A program asks for everything at once."""
    client = stage.keep(client_of(stage, gateway, 1))
    asked = (build("contract_details", {"contract": APPLE}, version=client.version, key=key) for key in range(MANY))
    client.send(b"".join(map(frame, asked)))


def watch_quotes(stage: Stage, gateway: str) -> QuoteClient:
    """A client with one stream, which flows."""
    client = stage.keep(client_of(stage, gateway, 1))
    stage.until(lambda: client.quotes > 0, f"the client of {gateway} has quotes")
    return client
