"""Courses of connections and gateways. A reading every 15 seconds."""

from __future__ import annotations

from deploy.watch.cases_model import JOB, KEEPER, Case, Course, Firing, Quiet, course, info, minutes

WITH_GATEWAY = KEEPER | {"gateway": "paper"}
EXPECTED = course("connection_expected", "1x200")
UP = course("connection_up", "1x200")
LOST = "1x8 0x100"
GAP = "stale _x2"


def _second(name: str, values: str, **labels: str) -> Course:
    return course(name, values, connection="second", **labels)


_DOWN = (
    Case(
        alert="BackstayConnectionDown",
        story="lost for good, with a scrape missed meanwhile",
        given=(info(), EXPECTED, course("connection_up", f"1x8 0x6 {GAP} 0x60")),
        at=("7m",),
        fires=(Firing(WITH_GATEWAY),),
    ),
    Case(
        alert="BackstayConnectionDown",
        story="down in its maintenance window, and not wanted",
        given=(info(), course("connection_expected", LOST), course("connection_up", LOST)),
        at=minutes(20),
        quiet=Quiet.MAINTENANCE,
    ),
    Case(
        alert="BackstayConnectionDown",
        story="a process that has just begun takes two minutes to its first connection",
        given=(info(), EXPECTED, course("connection_up", "0x8 1x60")),
        at=minutes(12),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayConnectionDown",
        story="scrapes fail for a minute, the connection stands",
        given=(info(values=f"1x8 {GAP} _ 1x60"), EXPECTED, course("connection_up", f"1x8 {GAP} _ 1x60")),
        at=minutes(12),
        quiet=Quiet.MISSED,
    ),
    Case(
        alert="BackstayAvailabilityBudgetBurn",
        window="1h",
        story="ten minutes in one piece, which BackstayConnectionDown tells, and then all is well",
        given=(
            info(values="1x300"),
            course("connection_expected", "1x300"),
            course("connection_up", "1x200 0x39 1x60"),
            course("connection_expected_seconds_total", "0+15x300"),
            course("connection_unavailable_seconds_total", "0x200 0+15x40 600x60"),
        ),
        at=minutes(74),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayConnectionDown",
        story="the socket stands and IB's servers are lost",
        given=(
            info(),
            EXPECTED,
            course("connection_up", LOST),
            course("connection_state", "0x8 1x100", state="degraded"),
        ),
        at=minutes(20),
        quiet=Quiet.OTHER,
    ),
)

_TWO = (info(), info("second"), EXPECTED, _second("connection_expected", "1x200"))

# A program that gives up after a while and tries again: who is there in one reading of four is not there in the others.
_THERE, _NOT_THERE = " ".join(["0x2 1"] * 80), " ".join(["1x2 0"] * 80)
_IN_VAIN = (
    info("paper/7", values="1x320"),
    info("paper/waiting", values="1x320"),
    course("connection_up", "0x320", connection="paper/7"),
    course("connection_up", "0x320", connection="paper/waiting"),
    course("connection_expected", _THERE, connection="paper/7"),
    course("connection_expected", _NOT_THERE, connection="paper/waiting"),
)

_OTHER_DAEMON = JOB | {"instance": "other:9464", "connection": "keeper"}

_GATEWAY = (
    Case(
        alert="BackstayGatewayDown",
        story="it has never been there, and a client comes and goes",
        given=_IN_VAIN,
        at=minutes(15)[4:],
        fires=(Firing(JOB | {"gateway": "paper"}, "1"),),
    ),
    Case(
        alert="BackstayGatewayDown",
        story="that of one daemon, while another one with the same names is well",
        given=(
            info(),
            EXPECTED,
            course("connection_up", LOST),
            Course("backstay_connection_info", "1x200", _OTHER_DAEMON | {"gateway": "paper"}),
            Course("backstay_connection_expected", "1x200", _OTHER_DAEMON),
            Course("backstay_connection_up", "1x200", _OTHER_DAEMON),
        ),
        at=minutes(15)[5:],
        fires=(Firing(JOB | {"gateway": "paper"}, "1"),),
    ),
    Case(
        alert="BackstayAvailabilityBudgetBurn",
        window="1h",
        story="clients come and go for more than an hour, and the gateway is not there: that is told as GatewayDown",
        given=(
            *_IN_VAIN,
            course("connection_expected_seconds_total", "0+10x320", connection="paper/waiting"),
            course("connection_unavailable_seconds_total", "0+10x320", connection="paper/waiting"),
        ),
        at=minutes(75)[30::5],
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayGatewayDown",
        story="both connections are lost, with a scrape missed meanwhile",
        given=(
            *_TWO,
            course("connection_up", f"1x8 0x4 {GAP} 0x60"),
            _second("connection_up", f"1x8 0x4 {GAP} 0x60"),
        ),
        at=("6m",),
        fires=(Firing(JOB | {"gateway": "paper"}, "2"),),
    ),
    Case(
        alert="BackstayGatewayDown",
        story="it comes back, and one connection takes half a minute longer",
        given=(*_TWO, course("connection_up", "1x8 0x20 1x60"), _second("connection_up", "1x8 0x22 1x60")),
        at=("7m45s",),
        fires=(Firing(JOB | {"gateway": "paper"}, "2"),),
    ),
    Case(
        alert="BackstayGatewayDown",
        story="one of two is lost",
        given=(*_TWO, course("connection_up", LOST), _second("connection_up", "1x200")),
        at=minutes(20),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayGatewayDown",
        story="the only one is lost, and the gateway says that it has lost IB's servers",
        given=(
            info(),
            EXPECTED,
            course("connection_up", LOST),
            course("connection_state", "0x8 1x100", state="degraded"),
        ),
        at=minutes(20),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayGatewayDown",
        story="the only one is parked: the gateway answers, and says no",
        given=(
            info(),
            EXPECTED,
            course("connection_up", LOST),
            course("connection_state", "0x8 1x100", state="parked"),
        ),
        at=minutes(20),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayGatewayDown",
        story="restarted in its maintenance window",
        given=(info(), course("connection_expected", LOST), course("connection_up", LOST)),
        at=minutes(20),
        quiet=Quiet.MAINTENANCE,
    ),
    Case(
        alert="BackstayGatewayDown",
        story="scrapes fail for a minute, the connections stand",
        given=(
            info(values=f"1x8 {GAP} _ 1x60"),
            course("connection_expected", f"1x8 {GAP} _ 1x60"),
            course("connection_up", f"1x8 {GAP} _ 1x60"),
        ),
        at=minutes(12),
        quiet=Quiet.MISSED,
    ),
)


def _cut_off(upstream: str, *, degraded: str) -> tuple[Course, Course]:
    return course("upstream_connected", upstream), course("connection_state", degraded, state="degraded")


_UPSTREAM = (
    Case(
        alert="BackstayUpstreamDisconnected",
        story="1100, and nothing after it; a scrape is missed meanwhile",
        given=(EXPECTED, *_cut_off(f"1x8 0x6 {GAP} 0x60", degraded=f"0x8 1x6 {GAP} 1x60")),
        at=("9m",),
        fires=(Firing(KEEPER),),
    ),
    Case(
        alert="BackstayUpstreamDisconnected",
        story="IB's nightly reset, in the maintenance window",
        given=(course("connection_expected", LOST), *_cut_off(LOST, degraded="0x8 1x100")),
        at=minutes(20),
        quiet=Quiet.MAINTENANCE,
    ),
    Case(
        alert="BackstayUpstreamDisconnected",
        story="a process that has just begun and is not yet connected",
        given=(EXPECTED, *_cut_off("0x12 1x60", degraded="0x73")),
        at=minutes(15),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayUpstreamDisconnected",
        story="an interruption of three minutes",
        given=(EXPECTED, *_cut_off("1x8 0x12 1x60", degraded="0x8 1x12 0x60")),
        at=minutes(15),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstayUpstreamDisconnected",
        story="the gateway itself is gone, and says nothing of IB's servers",
        given=(EXPECTED, *_cut_off(LOST, degraded="0x108")),
        at=minutes(20),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayFarmDown",
        story="a farm stays broken; a scrape is missed meanwhile",
        given=(EXPECTED, course("farm_up", f"1x8 0x20 {GAP} 0x60", farm="usfarm")),
        at=("15m",),
        fires=(Firing(KEEPER | {"farm": "usfarm"}),),
    ),
    Case(
        alert="BackstayFarmDown",
        story="farms are restarted in the maintenance window",
        given=(course("connection_expected", LOST), course("farm_up", LOST, farm="usfarm")),
        at=minutes(25),
        quiet=Quiet.MAINTENANCE,
    ),
    Case(
        alert="BackstayFarmDown",
        story="a farm flaps for a few minutes",
        given=(EXPECTED, course("farm_up", "1x8 0x30 1x2 0x30 1x40", farm="usfarm")),
        at=minutes(25),
        quiet=Quiet.BELOW,
    ),
)


_BREAKS = (
    Case(
        alert="BackstayConnectionFlapping",
        story="four losses in four minutes, for two reasons; it fires on for a while",
        given=(
            course("disconnects_total", "0x4 1x4 2x4 2x60", reason="eof"),
            course("disconnects_total", "0x12 1x4 2x60", reason="reset"),
        ),
        at=("6m",),
        fires=(Firing(KEEPER, "4"),),
    ),
    Case(
        alert="BackstayConnectionFlapping",
        story="restarted by an operator and in maintenance, five times",
        given=(
            course("disconnects_total", "0x4 1x4 2x4 3x60", reason="operator"),
            course("disconnects_total", "0x4 1x4 2x60", reason="maintenance"),
        ),
        at=minutes(15),
        quiet=Quiet.MAINTENANCE,
    ),
    Case(
        alert="BackstayConnectionFlapping",
        story="the process is started anew: its counter begins at 0 again",
        given=(course("disconnects_total", "7x8 0x4 1x60", reason="eof"),),
        at=minutes(15),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayConnectionFlapping",
        story="three losses in the first minutes of a process",
        given=(course("disconnects_total", "0 1 1 2 2 3x60", reason="eof"),),
        at=(*(f"{15 * step}s" for step in range(1, 20)), *minutes(15)),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayClientIdInUse",
        story="326 every half minute",
        given=(course("connect_failures_total", "0x8 1x1 2x1 3x1 4x60", reason="client_id_in_use"),),
        at=("5m",),
        fires=(Firing(KEEPER, "4"),),
    ),
    Case(
        alert="BackstayClientIdInUse",
        story="after a cut the gateway holds the old socket for a minute",
        given=(course("connect_failures_total", "0x8 1x1 2x60", reason="client_id_in_use"),),
        at=minutes(12),
        quiet=Quiet.BELOW,
    ),
    Case(
        alert="BackstayClientIdInUse",
        story="twice within the first minute of a process",
        given=(course("connect_failures_total", "0 1 2x60", reason="client_id_in_use"),),
        at=(*(f"{15 * step}s" for step in range(1, 20)), *minutes(12)),
        quiet=Quiet.YOUNG,
    ),
    Case(
        alert="BackstayClientIdInUse",
        story="parked over it, and given back after five minutes: that was told as BackstayCircuitOpen",
        given=(
            course("connect_failures_total", "0x8 1x1 2x1 3x1 4x1 5x1 6x60", reason="client_id_in_use"),
            course("circuit_open", "0x12 1x20 0x60"),
        ),
        at=(*(f"{3 * 60 + 15 * step}s" for step in range(4)), *minutes(15)[4:]),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayClientIdInUse",
        story="refused many times: the gateway is not there",
        given=(
            course("connect_failures_total", "0+1x60", reason="refused"),
            course("connect_failures_total", "0x60", reason="client_id_in_use"),
        ),
        at=minutes(12),
        quiet=Quiet.OTHER,
    ),
    Case(
        alert="BackstayCircuitOpen",
        story="parked after six answers 326",
        given=(info(), EXPECTED, course("circuit_open", "0x8 1x60")),
        at=("3m",),
        fires=(Firing(WITH_GATEWAY),),
    ),
    Case(
        alert="BackstayCircuitOpen",
        story="tried once a minute, and not parked for as long as that takes",
        given=(info(), EXPECTED, course("circuit_open", "0x8 1x3 0 1x3 0 0 1x3 0")),
        at=("4m15s",),
        fires=(Firing(WITH_GATEWAY),),
    ),
    Case(
        alert="BackstayCircuitOpen",
        story="parked, and nobody wants it now",
        given=(info(), course("connection_expected", LOST), course("circuit_open", "0x8 1x60")),
        at=minutes(12),
        quiet=Quiet.MAINTENANCE,
    ),
)

CONNECTION_CASES: tuple[Case, ...] = (*_DOWN, *_GATEWAY, *_UPSTREAM, *_BREAKS)
