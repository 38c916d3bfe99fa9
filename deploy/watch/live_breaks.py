"""Ways to break a gateway, each with the one alert that has to come of it.

Each has a gateway of its own, with two connections that backstay keeps, so that all of them happen at the same time and
none is taken for another. What a break is undone with makes the alert end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from deploy.watch.live_clients import (
    allow_much,
    ask_too_much,
    keep_asking,
    lose_order,
    relayed,
    swamp,
    tell_lists,
    watch_quotes,
)
from deploy.watch.live_stack import Stage

FIRST_ID, OTHER_ID = 900, 901
"""Client ids: of the connection that is broken, and of the one beside it."""

OUTAGES, OUTAGE_SECONDS = 3, 11
"""33 seconds of 360 are lost, of which 26 may be; none of them lasts for as long as the 24 of an alert of its own."""

Way = Callable[[Stage, str], None]


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


def nothing(_: Stage, __: str) -> None:
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
    """A client has a stream from it, whose silence is to call nobody."""
    watch_quotes(stage, gateway)
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
    _seen_up(stage, name)


def _seen_up(stage: Stage, name: str) -> None:
    """Wait until it is ready, and Prometheus knows."""
    stage.until_state(name, "ready")
    ready = time.time()
    seen = f'timestamp(backstay_connection_up{{connection="{name}"}} == 1) > {ready}'
    stage.until(lambda: bool(stage.query(seen)), f"Prometheus has seen {name} up")


def _contend(stage: Stage, gateway: str) -> None:
    """Another program takes the client id for a moment, again and again; never long enough to be parked."""
    for count in (2, 1):
        stage.fault(gateway, "client_id_in_use", count=count, client_id=FIRST_ID)
        _cut(stage, gateway)


def _leak(stage: Stage, gateway: str) -> None:
    """One connection is away three times, each time too shortly to be called for, and together for too long."""
    name = first(gateway)
    for outage in range(1, OUTAGES + 1):
        _stall(stage, gateway)
        lost = f'backstay_connection_unavailable_seconds_total{{connection="{name}"}} > {OUTAGE_SECONDS * outage}'
        stage.until(lambda lost=lost: bool(stage.query(lost)), f"{name} has lost its time")
        _full_speed(stage, gateway)
        _seen_up(stage, name)


def _set_clock(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "clock", seconds=-20)


def _mend_clock(stage: Stage, gateway: str) -> None:
    stage.fault(gateway, "clock", seconds=0)


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


def _one(gateway: str, alert: str, story: str, *, do: Way, undo: Way) -> Break:
    return Break(gateway=gateway, alert=alert, subjects=(first(gateway),), do=do, undo=undo, story=story)


def _relayed(gateway: str, alert: str, story: str, *, do: Way, undo: Way) -> Break:
    return Break(gateway=gateway, alert=alert, subjects=(relayed(gateway),), do=do, undo=undo, story=story)


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
        subjects=(first("farmless"), other("farmless"), relayed("farmless")),
        do=_break_farm,
        undo=_mend_farm,
        story="a data farm breaks",
    ),
    _one("flaps", "BackstayConnectionFlapping", "the socket is cut five times", do=_flap, undo=nothing),
    _one("contended", "BackstayClientIdInUse", "the client id is taken, twice", do=_contend, undo=nothing),
    _one("taken", "BackstayCircuitOpen", "the client id stays taken", do=_take_id, undo=_give_id_back),
    _one("frozen", "BackstaySilentConnection", "the gateway freezes", do=_freeze, undo=_thaw),
    _one("crawls", "BackstayHeartbeatSlow", "seven bytes a second", do=_crawl, undo=_full_speed),
    _one("leaks", "BackstayAvailabilityBudgetBurn", "three short outages", do=_leak, undo=nothing),
    Break(
        gateway="wrong",
        alert="BackstayClockSkew",
        subjects=(first("wrong"), other("wrong")),
        do=_set_clock,
        undo=_mend_clock,
        story="its clock is twenty seconds behind",
    ),
    _relayed("swamped", "BackstaySendQueueBacklog", "a thousand requests at once", do=swamp, undo=nothing),
    _relayed("strict", "BackstayPacingViolations", "ten messages a second, no more", do=ask_too_much, undo=allow_much),
    _relayed("doubt", "BackstayOrdersInDoubt", "the socket ends over an order", do=lose_order, undo=tell_lists),
    _relayed(
        "unknown",
        "BackstayRequestFailureRatioHigh",
        "one contract in four is unknown",
        do=partial(keep_asking, one_wrong_in=4),
        undo=nothing,
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
        do=partial(keep_asking, one_wrong_in=50),
        undo=nothing,
        story="a healthy day with a client",
    ),
    Break(gateway="held", alert="", subjects=(), do=_hold, undo=_release, story="paused by an operator"),
    Break(gateway="planned", alert="", subjects=(), do=_vanish, undo=_accept, story="down in its maintenance window"),
)
"""Nobody may be called for these."""

ALL_DAY = 'maintenance = ["00:00-12:00 UTC", "12:00-00:00 UTC"]'

RELAYS = ("strict", "doubt", "unknown", "farmless", "swamped", "busy")
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
