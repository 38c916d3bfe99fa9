"""Ways to break a gateway, each with the one alert that has to come of it.

Each has a gateway of its own, with two connections that backstay keeps, so that all of them happen at the same time and
none is taken for another. What a break is undone with makes the alert end.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from backstay.demo_client import QuoteClient
from backstay.protocol.builders import build
from backstay.protocol.builders_orders import place_order
from backstay.protocol.builders_terms import Contract, Order
from backstay.protocol.framing import frame
from deploy.watch.live_stack import HOST, LiveError, Stage

FIRST_ID, OTHER_ID, RELAY_ID = 900, 901, 7
"""Client ids: of the connection that is broken, of the one beside it, and of a relay's client."""

Way = Callable[[Stage, str], None]

ASK_SECONDS = 0.3
"""Between two questions of the client of a healthy day."""

APPLE = Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """`gateway` names it. `subjects`: the connections, or the gateway, that have to be called for."""

    gateway: str
    alert: str
    subjects: tuple[str, ...]
    do: Way
    undo: Way
    story: str


def first(gateway: str) -> str:
    """The connection that is broken."""
    return f"{gateway}.first"


def other(gateway: str) -> str:
    """The one beside it."""
    return f"{gateway}.other"


def relayed(gateway: str) -> str:
    """The connection of a relay's client."""
    return f"{gateway}/{RELAY_ID}"


def refuse_configuration(stage: Stage) -> None:
    """Somebody has a file reloaded that cannot be used, and takes it back without another reload."""
    file = stage.folder / "backstay.toml"
    good = file.read_text()
    file.write_text(good + "[nonsense]\n")
    try:
        stage.backstay("reload")
    except LiveError:
        return
    finally:
        file.write_text(good)
    raise LiveError("a configuration with nonsense in it was accepted")


def _nothing(_: Stage, __: str) -> None:
    """Mends itself."""


def _vanish(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "refuse")
    stage.fault(gateway, "eof")


def _accept(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "accept")


def _stall(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "slow", bytes_per_second=1, client_id=FIRST_ID)
    stage.fault(gateway, "eof", client_id=FIRST_ID)


def _full_speed(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "slow", bytes_per_second=0, client_id=FIRST_ID)


def _lose_upstream(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "upstream_lost")


def _restore_upstream(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "upstream_restored")


def _break_farm(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "farm", name="usfarm", up=False)


def _mend_farm(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "farm", name="usfarm", up=True)


def _flap(stage: Stage, gateway: str) -> None:
    for _ in range(5):
        _cut(stage, gateway)


def _cut(stage: Stage, gateway: str) -> None:
    """Cut the first connection, and wait until it is back."""
    name = first(gateway)
    before = stage.epoch(name)
    stage.fault(gateway, "eof", client_id=FIRST_ID)
    stage.until(lambda: stage.epoch(name) > before, f"{name} is dialled anew")
    stage.until_state(name, "ready")
    ready = time.time()
    seen = f'timestamp(backstay_connection_up{{connection="{name}"}} == 1) > {ready}'
    stage.until(lambda: bool(stage.query(seen)), f"Prometheus has seen {name} up")


def _contend(stage: Stage, gateway: str) -> None:
    """Another program takes the client id for a moment, again and again; never long enough to be parked."""
    for _ in range(2):
        stage.fault(gateway, "client_id_in_use", count=2, client_id=FIRST_ID)
        _cut(stage, gateway)


def _take_id(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "client_id_in_use", count=1000, client_id=FIRST_ID)
    stage.fault(gateway, "eof", client_id=FIRST_ID)


def _give_id_back(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "client_id_in_use", count=0, client_id=FIRST_ID)
    stage.backstay("reset", first(gateway))


def _freeze(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "freeze", client_id=FIRST_ID)


def _thaw(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "thaw", client_id=FIRST_ID)


def _crawl(stage: Stage, gateway: str) -> None:
    """So slowly that an answer to a probe, twenty bytes, takes almost three seconds."""
    stage.fault(gateway, "slow", bytes_per_second=7, client_id=FIRST_ID)


@contextmanager
def _client(stage: Stage, gateway: str, symbols: int) -> Iterator[QuoteClient]:
    client = QuoteClient((HOST, stage.relays[gateway]), ["AAPL"] * symbols, client_id=RELAY_ID)
    try:
        client.start()
        yield client
    finally:
        client.stop()


def _ask_too_much(stage: Stage, gateway: str) -> None:
    """A gateway with few market data lines takes ten messages a second; one burst is one violation."""
    stage.fault(gateway, "pacing_reject", messages_per_second=10)
    stage.keep(_client(stage, gateway, 20))


def _allow_much(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "pacing_reject", messages_per_second=0)


def _lose_order(stage: Stage, gateway: str) -> None:
    """The gateway ends the socket over an order, and afterwards tells no list of orders."""
    client = stage.keep(_client(stage, gateway, 1))
    stage.until_state(relayed(gateway), "ready")
    stage.fault(gateway, "lose_orders", count=1, then_eof=True)
    stage.fault(gateway, "drop_requests", seconds=600)
    order = Order(action="BUY", quantity=1, order_type="LMT", limit_price=1)
    client.send(frame(place_order(APPLE, order, order_id=1, version=client.version)))


def _tell_lists(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "drop_requests", seconds=0)


def _keep_asking(stage: Stage, gateway: str, *, one_wrong_in: int) -> None:
    """A client that streams, places an order and asks on; now and then for an instrument that there is not."""
    client = stage.keep(_client(stage, gateway, 3))
    order = Order(action="BUY", quantity=1, order_type="LMT", limit_price=1)
    client.send(frame(place_order(APPLE, order, order_id=1, version=client.version)))
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


def _one(gateway: str, alert: str, story: str, *, do: Way, undo: Way) -> Break:
    return Break(gateway=gateway, alert=alert, subjects=(first(gateway),), do=do, undo=undo, story=story)


BREAKS: tuple[Break, ...] = (
    Break(
        gateway="gone",
        alert="BackstayGatewayDown",
        subjects=("gone",),
        do=_vanish,
        undo=_accept,
        story="the gateway ends",
    ),
    _one("stalls", "BackstayConnectionDown", "one client's handshake crawls", do=_stall, undo=_full_speed),
    Break(
        gateway="cutoff",
        alert="BackstayUpstreamDisconnected",
        subjects=(first("cutoff"), other("cutoff")),
        do=_lose_upstream,
        undo=_restore_upstream,
        story="the gateway loses IB's servers",
    ),
    Break(
        gateway="farmless",
        alert="BackstayFarmDown",
        subjects=(first("farmless"), other("farmless")),
        do=_break_farm,
        undo=_mend_farm,
        story="a data farm breaks",
    ),
    _one("flaps", "BackstayConnectionFlapping", "the socket is cut five times", do=_flap, undo=_nothing),
    _one("contended", "BackstayClientIdInUse", "the client id is taken, twice", do=_contend, undo=_nothing),
    _one("taken", "BackstayCircuitOpen", "the client id stays taken", do=_take_id, undo=_give_id_back),
    _one("frozen", "BackstaySilentConnection", "the gateway freezes", do=_freeze, undo=_thaw),
    _one("crawls", "BackstayHeartbeatSlow", "seven bytes a second", do=_crawl, undo=_full_speed),
    Break(
        gateway="strict",
        alert="BackstayPacingViolations",
        subjects=(relayed("strict"),),
        do=_ask_too_much,
        undo=_allow_much,
        story="ten messages a second, no more",
    ),
    Break(
        gateway="doubt",
        alert="BackstayOrdersInDoubt",
        subjects=(relayed("doubt"),),
        do=_lose_order,
        undo=_tell_lists,
        story="the socket ends over an order",
    ),
    Break(
        gateway="unknown",
        alert="BackstayRequestFailureRatioHigh",
        subjects=(relayed("unknown"),),
        do=partial(_keep_asking, one_wrong_in=4),
        undo=_nothing,
        story="one contract in four is unknown",
    ),
)


def _hold(stage: Stage, gateway: str) -> None:
    """An operator takes the connection down, and the gateway goes away behind it."""
    stage.backstay("pause", first(gateway), "--reason", "planned work")
    stage.backstay("pause", other(gateway), "--reason", "planned work")
    _vanish(stage, gateway)


def _release(stage: Stage, gateway: str) -> None:
    _accept(stage, gateway)
    stage.backstay("resume", first(gateway))
    stage.backstay("resume", other(gateway))


QUIET: tuple[Break, ...] = (
    Break(
        gateway="busy",
        alert="",
        subjects=(),
        do=partial(_keep_asking, one_wrong_in=50),
        undo=_nothing,
        story="a healthy day with a client",
    ),
    Break(gateway="held", alert="", subjects=(), do=_hold, undo=_release, story="paused by an operator"),
    Break(gateway="planned", alert="", subjects=(), do=_vanish, undo=_accept, story="down in its maintenance window"),
)
"""Nobody may be called for these."""

ALL_DAY = 'maintenance = ["00:00-12:00 UTC", "12:00-00:00 UTC"]'

RELAYS = ("strict", "doubt", "unknown", "busy")
"""Gateways with a relay."""


def configuration(ports: dict[str, int]) -> str:
    """A backstay.toml for all of them. Silence is found as late as by default, and asked about sooner."""
    parts = ['[http]\nlisten = "127.0.0.1:{http}"', '[log]\nlevel = "warning"', "[lifecycle]\nclient_id_attempts = 3"]
    parts.append("[backoff]\ncap_seconds = 3.0")  # thirty seconds, a tenth as the rules: the last comes within `keep`
    parts += ["[pulse]\nidle_seconds = 2.0\nprobe_seconds = 10.0\nprobes = 2", "[orders]\nsettle_seconds = 1.0"]
    for one in (*BREAKS, *QUIET):
        name = one.gateway
        planned = ALL_DAY if name == "planned" else ""
        parts.append(f'[gateways.{name}]\nendpoints = ["127.0.0.1:4002"]\n{planned}')
        parts += [
            f'[connections."{connection}"]\ngateway = "{name}"\nclient_id = {client_id}'
            for connection, client_id in ((first(name), FIRST_ID), (other(name), OTHER_ID))
        ]
    parts += [f'[relays.{name}]\ngateway = "{name}"\nlisten = "127.0.0.1:{port}"' for name, port in ports.items()]
    return "\n\n".join(parts) + "\n"
