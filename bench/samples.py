"""One sample: a fresh gateway, a fresh client, for the relay a fresh daemon; what both ends measured as one value."""

import json
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from daemon import RelayDaemon
from plan import Plan, Suite
from processes import MEASURED_CORE, SERVING_CORE, Child, SampleError, loop_seconds
from report import LOOP_SECONDS

_START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Something measured: the script that plays the client and whether the relay stands between it and the gateway."""

    name: str
    script: str
    relayed: bool = False
    requests: bool = True


SUBJECTS: Final = (
    Subject("ibapi", "client_ibapi.py"),
    Subject("ib_async", "client_ib_async.py"),
    Subject("direct", "client_counting.py"),
    Subject("relay", "client_counting.py", relayed=True),
    Subject("library", "client_library.py", requests=False),
    Subject("callbacks", "client_callbacks.py"),
)
"""`direct` is the counting client without a relay: the floor, and the base line of what the relay adds."""


def plays(subject: Subject, plan: Plan) -> bool:
    """Whether a suite is about this subject: many clients and metrics are the relay's business alone."""
    return subject.relayed or plan.suite not in (Suite.MANY, Suite.SCRAPE)


def take(subject: Subject, plan: Plan) -> dict[str, float]:
    """Take one sample; SampleError when a process fails or frames are missing."""
    before = loop_seconds(MEASURED_CORE)
    values = _take(subject, plan)
    return {**values, LOOP_SECONDS: (before + loop_seconds(MEASURED_CORE)) / 2}


def _take(subject: Subject, plan: Plan) -> dict[str, float]:
    with ExitStack() as stack:
        plan = replace(plan, requests=subject.requests)
        gateway = stack.enter_context(Child.script("gateway.py", plan.to_argument(), core=SERVING_CORE))
        plan = replace(plan, **json.loads(gateway.line(_START_SECONDS)))
        core = MEASURED_CORE
        if subject.relayed:
            daemon = stack.enter_context(RelayDaemon(plan.port))
            plan = replace(plan, port=daemon.port, watched_pid=daemon.pid)
            core = SERVING_CORE
            if plan.suite is Suite.SCRAPE:
                plan = replace(plan, http_port=daemon.http_port)
                stack.enter_context(Child.script("scraping.py", plan.to_argument(), core=core))
        client = stack.enter_context(Child.script(subject.script, plan.to_argument(), core=core))
        measured = json.loads(gateway.line(plan.timeout, partner=client))
    return _VALUES[plan.suite](plan, measured)


def _throughput(plan: Plan, measured: dict[str, Any]) -> dict[str, float]:
    client = measured["client"]
    received, pushed = client["received_bytes"], measured["pushed_bytes"]
    if 0 < received < pushed:
        raise SampleError(f"only {received} of {pushed} bytes arrived")
    values = {
        "messages_per_second": plan.pushed / measured["seconds"],
        "cpu_seconds_per_million": client["cpu_seconds"] / plan.pushed * 1e6,
        "peak_rss_mb": client["peak_rss_mb"],
    }
    if "first_window_seconds" in measured:
        values["first_window_ms"] = measured["first_window_seconds"] * 1e3
    return values


def _latency(_: Plan, measured: dict[str, Any]) -> dict[str, float]:
    client = measured["client"]
    values = {name: client[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")}
    return {**values, "cpu_share": client["cpu_seconds"] / measured["seconds"]}


def _recovery(_: Plan, measured: dict[str, Any]) -> dict[str, float]:
    seconds = measured["recoveries"]
    return {"ready_ms": statistics.median(seconds) * 1e3, "slowest_ms": max(seconds) * 1e3}


def _slow(_: Plan, measured: dict[str, Any]) -> dict[str, float]:
    return {"grown_mb": measured["client"]["grown_mb"], "accepted_per_second": measured["accepted_per_second"]}


def _scrape(_: Plan, measured: dict[str, Any]) -> dict[str, float]:
    names = ("scrape_cpu_ms", "p99_us", "p99_us_scraped", "p99_ratio", "p99_us_second")
    return {name: measured["client"][name] for name in names}


def _many(_: Plan, measured: dict[str, Any]) -> dict[str, float]:
    return {"rss_mb": measured["client"]["rss_mb"]}


_VALUES: Final[dict[Suite, Callable[[Plan, dict[str, Any]], dict[str, float]]]] = {
    Suite.STEADY: _throughput,
    Suite.BLAST: _throughput,
    Suite.LATENCY: _latency,
    Suite.RECOVERY: _recovery,
    Suite.SLOW: _slow,
    Suite.SCRAPE: _scrape,
    Suite.MANY: _many,
}
