"""Why a connection is as it is, what happens next, and what a person can do about it: a table of causes.

Pure: a row of the status in, sentences out. The causes are those of `backstay.session.causes`, by the name with which a
reason begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backstay.control.goals import ABSENT

HELP_BY_CAUSE: Mapping[str, tuple[str, ...]] = {
    "dns": ("Check the host name under endpoints of the gateway, and the name server of this machine.",),
    "refused": (
        "Is TWS or IB Gateway running there? Log in to it.",
        (
            "Is its API switched on, on this port? (Configure, API, Settings: Enable ActiveX and Socket Clients.) "
            "TWS listens on 7496 (live) and 7497 (paper), IB Gateway on 4001 and 4002 by default."
        ),
    ),
    "dial_timeout": ("Check the host, the port, and any firewall between here and there.",),
    "unreachable": ("Check the network and the host's address.",),
    "rejected": (
        "If the gateway is still starting, wait: it is tried again.",
        "Otherwise add this machine's address to the trusted ones (Configure, API, Settings: Trusted IPs).",
        "A port forwarder in front of the gateway (socat, Docker) accepts also while there is nothing behind it.",
    ),
    "not_tws": ("Something else listens on that port: check endpoints of the gateway.",),
    "version": ("Update TWS or IB Gateway: its API is too old for what the client offers.",),
    "redirected": ("Set endpoints to where the gateway sends us, or allow it: lifecycle.redirect_anywhere.",),
    "dialog": (
        (
            "Look at the gateway's screen: a dialog asks whether to accept the connection. Accept it, or trust this "
            "machine's address to be asked no more."
        ),
        "If there is no dialog, the gateway hangs: restart it.",
    ),
    "not_started": ("The gateway took the connection and is not logged in to IB yet: look at its screen.",),
    "client_id_taken": (
        "Another program is connected with this client id: end it, or give one of the two another id.",
        "A gateway may believe for a minute or two that a connection which broke is still there: wait.",
    ),
    "unresponsive": ("The gateway is up and not joined to IB: look at its screen, and at IB's system status.",),
    "silent": ("The gateway hangs, or the network swallows what is sent: look at its screen, restart it.",),
    "upstream_lost": (
        "The gateway is up and has no link to IB: look at its screen, its network, and at IB's system status.",
    ),
    "bad_frame": ("What arrived is no TWS message: is there a proxy in between? Please report it with backstay dump.",),
    "reader_died": ("A part of backstay failed: see backstay events, and report it with backstay dump.",),
    "session_died": ("A part of backstay failed: see backstay events, and report it with backstay dump.",),
    "port_changed": ("TWS has moved its API to another port: set endpoints to it.",),
}
"""What a person can do, by cause. Causes that mend themselves have no row."""

_BY_STATE: Mapping[str, tuple[str, str]] = {
    "ready": ("It works.", "Nothing: it is watched."),
    "degraded": (
        "The gateway is up and has lost IB's servers (1100); streams are silent, orders do not reach the exchange.",
        "It comes back by itself when the gateway has them again (1101, 1102); what was subscribed is checked then.",
    ),
    "connecting": ("It is being dialled.", "The greeting, as soon as the socket stands."),
    "handshaking": (
        "The gateway has taken the socket and says nothing yet: it is busy, or shows a dialog on its screen, or hangs.",
        "It is waited for; the socket stays open, in case there is a dialog.",
    ),
    "starting": (
        "The gateway has answered and has not said its order id and accounts yet: as a rule it is not logged in to IB.",
        "They are waited for, and after a while it is dialled anew.",
    ),
    "verifying": (
        "It has been started, and no request has been answered yet: a gateway that is not joined to IB answers none.",
        "It is asked again, and then dialled anew.",
    ),
    "syncing": ("The gateway answers; what the client had asked for is being put back.", "Ready, once that is done."),
    "draining": ("It is ending, and lets out what is queued.", "It ends."),
    "stopped": ("It has ended.", "Nothing, until it is wanted again."),
    "awaiting_acceptance": (
        "The gateway has said nothing to the greeting for long: a dialog waits for a person, or it hangs.",
        "The socket is kept open for the dialog.",
    ),
}

LONG_SECONDS = 120.0
"""From here on minutes are what a person thinks in."""

_CAUSE_BY_STATE: Mapping[str, str] = {
    "connecting": "dial_timeout",
    "handshaking": "dialog",
    "awaiting_acceptance": "dialog",
    "starting": "not_started",
    "verifying": "unresponsive",
}
"""What a state on the way up ends as if it lasts: what a person can do then is known from its beginning."""

_TROUBLE_BY_STATE: Mapping[str, str] = {
    "handshaking": "no answer to the greeting yet",
    "awaiting_acceptance": "a dialog waits on the gateway's screen, or it hangs",
    "starting": "the gateway is not logged in yet, as it seems",
    "verifying": "no request has been answered yet",
    "degraded": "the gateway has lost IB's servers (1100)",
}

_ON_THE_WAY = ("connecting", "handshaking", "starting", "verifying", "syncing")

_DOWN = ("waiting", "parked", "paused")

_TODO_BY_STATE: Mapping[str, tuple[str, ...]] = {
    "ready": (),
    "degraded": ("Look at IB's system status, and at the network of the gateway's machine.",),
}

OPERATOR = "operator"

JOURNAL_HELP = (
    "Look at journal.path: is there room on its disk, and may the daemon's user write there? It is tried again then.",
)

MOVED_HELP = "TWS has moved its API from {} (1300): write {} into endpoints, since a restart of backstay forgets it."

READ_ONLY_HELP = (
    "If orders are to pass, take the tick from Read-Only API (Configure, API, Settings) in the gateway.",
    "If not, set read_only = true for what uses this gateway: orders are then refused at once, with a clear text.",
)


CLOCK_SECONDS = 5.0
"""A difference that matters: fills and bars are ordered by the gateway's clock, alarms by ours."""

CLOCK_HELP = ("Set the clocks of both machines by NTP.",)
UNLISTED_HELP = (
    "Look at the gateway's screen: does it hang, or is Read-Only API ticked (Configure, API, Settings)? Then orders "
    "cannot pass, and read_only = true for what uses this gateway says so at once."
)

UNPLANNED_HELP = "Let the gateway's maintenance cover that time, or take it away: then what the gateway tells counts."
SLACK_SECONDS = 1.0
"""A probe that is just out, and answered at once, is no silence to speak of."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is heard of a connection. `heard_wall`: the last byte, 0 for none; `broken_wall`: since when a farm is down.

    `idle_seconds`: so long without a byte, and it is asked; `patience_seconds`: so long, and it is given up.
    `clock_seconds`: the gateway's clock less ours. `stands_in_for`: the first endpoint, if it is on another one, and
    `prefer_first_seconds` how often it is looked whether it can go back, 0 for never.
    `unplanned`: how the gateway ends by itself at a time that its `maintenance` does not name, if it does.
    """

    heard_wall: float
    idle_seconds: float
    patience_seconds: float
    farms: Sequence[str] = ()
    broken_wall: float = 0.0
    clock_seconds: float = 0.0
    stands_in_for: str = ""
    prefer_first_seconds: float = 0.0
    unplanned: str = ""


def explain(
    row: Mapping[str, Any],
    hold: Mapping[str, Any] | None,
    *,
    now: float,
    journal: str = "",
    line: Line | None = None,
    unlisted: tuple[str, float] = ("", 0.0),
    in_doubt: int = 0,
) -> Mapping[str, object]:
    """`why`, `next` and `todo` (a list) for a connection of the status.

    `now`: seconds since 1970. `journal`: why orders cannot be written down, and are refused therefore; else empty.
    `line`: what is heard of it, which tells whether one that is ready has trouble all the same. `unlisted`: lists of
    orders that the gateway owes, so that orders are refused, and when it is asked again (seconds since 1970).
    `in_doubt`: so many orders whose fate is open.
    """
    told = _explain_line(row, hold, now=now, line=line)
    told = _explain_journal(row, told, now=now, journal=journal, unlisted=unlisted) if hold is None else told
    return _explain_doubt(row, told, in_doubt) if in_doubt and (hold is not None or row["state"] != ABSENT) else told


def _explain_doubt(row: Mapping[str, Any], told: Mapping[str, Any], in_doubt: int) -> Mapping[str, Any]:
    """Orders whose fate is open come before anything else that a person can do."""
    what, them = ("1 order is", "it") if in_doubt == 1 else (f"{in_doubt} orders are", "them")
    why = f"{told['why']}{'' if told['why'].endswith('.') else '.'} {what} in doubt: TWS may have {them}, or not."
    following = f"{told['next']} TWS is asked what became of {them} once the connection is up."
    todo = f"See which: backstay orders {row['name']}. In TWS you can look for {them}, and cancel what should not be."
    return {"why": why, "next": following, "todo": [todo, *told["todo"]]}


def _explain_line(
    row: Mapping[str, Any], hold: Mapping[str, Any] | None, *, now: float, line: Line | None
) -> Mapping[str, Any]:
    told = _explain(row, hold, now=now)
    if line is None or hold is not None or row["state"] != "ready":
        return told
    return {**told, **_trouble_explained(line, now=now)}


def _explain_journal(
    row: Mapping[str, Any], told: Mapping[str, Any], *, now: float, journal: str, unlisted: tuple[str, float]
) -> Mapping[str, Any]:
    if unlisted[0]:
        told = _explain_unlisted(told, *unlisted, now=now)
    if not journal:
        return told
    rest = "the rest works." if row["state"] == "ready" and not told["todo"] else str(told["why"])
    why = f"Orders are refused: {journal}; {rest}"
    return {**told, "why": why, "todo": [*JOURNAL_HELP, *told["todo"]]}


def _explain_unlisted(told: Mapping[str, Any], lists: str, at_wall: float, *, now: float) -> Mapping[str, Any]:
    return {
        "why": f"Orders are refused: the gateway was asked for lists, and these did not come: {lists}; {told['why']}",
        "next": f"{told['next']} It is asked for them again in {max(0.0, at_wall - now):.0f} s.",
        "todo": [UNLISTED_HELP, *told["todo"]],
    }


def trouble_of(state: str, line: Line, *, now: float, journal: str = "") -> str:
    """What a status says of trouble that the state does not tell, in a word or two; empty if there is none."""
    trouble = _TROUBLE_BY_STATE.get(state, "") if state != "ready" else _trouble_of_line(line, now)
    return "; ".join(filter(None, (trouble, f"orders are refused: {journal}" if journal else "")))


def _trouble_of_line(line: Line, now: float) -> str:
    if silent := _silence(line, now):
        return f"silent for {silent:.0f} s"
    since = f" since {_clock(line.broken_wall)}" if line.broken_wall > 0.0 else ""
    if line.farms:
        return f"data farm {', '.join(line.farms)} down{since}"
    if abs(line.clock_seconds) > CLOCK_SECONDS:
        return f"clock {line.clock_seconds:+.0f} s"
    return f"on a stand-in for {line.stands_in_for}" if line.stands_in_for else ""


def _silence(line: Line, now: float) -> float:
    """For how many seconds nothing has come that should have; 0 if something has."""
    silent = now - line.heard_wall
    return silent if line.heard_wall > 0.0 and silent > line.idle_seconds + SLACK_SECONDS else 0.0


def _trouble_explained(line: Line, *, now: float) -> Mapping[str, Any]:
    """What is the matter with one that is ready all the same; empty if nothing is."""
    if silent := _silence(line, now):
        left = max(0.0, line.patience_seconds - silent)
        return {
            "why": f"The gateway has been silent for {silent:.0f} s, since {_clock(line.heard_wall)}, and was asked.",
            "next": f"If it goes on saying nothing, it is given up in {left:.0f} s and dialled anew.",
            "todo": list(HELP_BY_CAUSE["silent"]),
        }
    if line.farms:
        since = f" since {_clock(line.broken_wall)}" if line.broken_wall > 0.0 else ""
        return {
            "why": f"IB's data farm {', '.join(line.farms)} is down{since}: what it serves stands still.",
            "next": "It comes back by itself; streams that stay silent then are asked for again.",
            "todo": ["Wait, and look at IB's system status."],
        }
    if abs(line.clock_seconds) > CLOCK_SECONDS:
        ahead = "ahead of" if line.clock_seconds > 0.0 else "behind"
        return {
            "why": f"It works, but the gateway's clock is {abs(line.clock_seconds):.0f} s {ahead} ours.",
            "next": "Nothing: fills and bars carry its time, events and alarms ours.",
            "todo": list(CLOCK_HELP),
        }
    if line.stands_in_for:
        return {
            "why": f"It works, on a stand-in: {line.stands_in_for} did not answer when it had its turn.",
            "next": _way_back(line),
        }
    if line.unplanned:
        return {
            "why": f"It works. The gateway tells that it {line.unplanned}, which is outside its planned downtime.",
            "todo": [UNPLANNED_HELP],
        }
    return {}


def _way_back(line: Line) -> str:
    if line.prefer_first_seconds > 0.0:
        every = f"{line.prefer_first_seconds:.0f} s"
        return f"Every {every} it is looked whether it can go back without a loss (prefer_first_seconds)."
    return (
        "It stays there for as long as that one works (prefer_first_seconds = 0). The way back is "
        f"backstay move, with --endpoint {line.stands_in_for}, and a backstay reload when that one works for good."
    )


def _clock(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%H:%M:%S UTC")


def _explain(row: Mapping[str, Any], hold: Mapping[str, Any] | None, *, now: float) -> Mapping[str, Any]:
    told = _explain_state(row, hold, now=now)
    if moved := row.get("moved_from", ""):
        told = {**told, "todo": [MOVED_HELP.format(moved, row["endpoint"]), *told["todo"]]}
    if hold is None:
        for move in row.get("operator_moves", ()):
            told = _explain_move(row, move, told)
    return told


def _explain_move(row: Mapping[str, Any], move: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    """One that an operator has moved works as if it were meant so; in trouble, the way back comes first."""
    what, before, now = move["what"], str(move["before"]), move["after"]
    kind = "client id " if what == "client-id" else ""
    why = f"An operator has moved it, at {_clock(move['at_wall'])}, from {kind}{before} to {kind}{now}. {told['why']}"
    if row["state"] == "ready":
        return {**told, "why": why}
    back = f"backstay move {row['name']} --{what} {before}" if " " not in before else "backstay reload"
    return {**told, "why": why, "todo": [f"To move it back: {back}", *told["todo"]]}


def _explain_state(row: Mapping[str, Any], hold: Mapping[str, Any] | None, *, now: float) -> Mapping[str, Any]:
    name, state, reason = row["name"], row["state"], str(row["reason"])
    if hold is not None:
        return _explain_hold(row, hold)
    if state == ABSENT:
        return _explain_absent(name, reason, wanted=row["wanted"])
    why, following, todo = _what_is_known(row, now)
    planned = row.get("downtime", "")
    if planned and row["wanted"]:
        why = f"{why} No orders are taken before {planned}."
    elif planned and state == "ready":
        why, following = f"{why} No orders are taken: {planned}.", "Orders are taken again after it."
    elif planned:
        return {
            "why": f"{planned[:1].upper()}{planned[1:]}: {reason or state}",
            "next": f"{following} No alarm is raised, and orders are taken again after it.",
            "todo": [],
        }
    if state == "parked":
        todo.append(f"When that is done: backstay reset {name} (it is tried once a minute all the same).")
    elif state == "waiting":
        todo.append(f"To try at once: backstay reset {name}")
    return {"why": why, "next": following, "todo": todo}


def _what_is_known(row: Mapping[str, Any], now: float) -> tuple[str, str, list[str]]:
    """Of this state and this reason: why, what comes, and what a person can do."""
    state, reason = row["state"], str(row["reason"])
    cause, _, detail = reason.partition(": ")
    why, following = _BY_STATE.get(state, (reason or state, "It is tried again."))
    todo = [*_TODO_BY_STATE.get(state, HELP_BY_CAUSE.get(_CAUSE_BY_STATE.get(state, cause), ()))]
    if state in _DOWN:
        why = reason or why
    if state in {"waiting", "parked"}:
        following = _attempt(row["next_attempt_wall"], now)
    if state in _ON_THE_WAY:
        if reason:
            why += f" An operator had it begun anew: {detail}." if cause == OPERATOR else f" Before that: {reason}."
        todo[:1] = [f"If it lasts: {line}" for line in todo[:1]]
    return why, following, todo


def _explain_absent(name: str, reason: str, *, wanted: bool) -> Mapping[str, Any]:
    """Of a name that nobody has now: clients that got no gateway, or (not `wanted`) one with orders in doubt."""
    if wanted:
        return {
            "why": f"Clients of this relay get no gateway: {reason}",
            "next": "The gateway is dialled while a client is there; whoever comes next waits for it.",
            "todo": list(HELP_BY_CAUSE.get(reason.partition(":")[0], ())),
        }
    return {
        "why": f"Its client has left with {reason}.",
        "next": "When a client comes back under this name, the gateway's lists are asked what became of them.",
        "todo": [
            f"See which: backstay orders {name}",
            "Look in TWS whether they live; to have backstay find out, connect a client under this name.",
        ],
    }


def _explain_hold(row: Mapping[str, Any], hold: Mapping[str, Any]) -> Mapping[str, Any]:
    name = row["name"]
    look = f"backstay requests {name}, backstay orders {name}"
    since = datetime.fromtimestamp(hold["since_wall"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    if until := hold.get("until_wall", 0.0):
        why = f"An operator drains it, since {since}" + (f": {hold['reason']}" if hold["reason"] else ".")
        at = datetime.fromtimestamp(until, UTC).strftime("%H:%M:%S UTC")
        following = f"It takes nothing new, and is held down once nothing is under way, at {at} at the latest."
        todo = [f"What is under way: {look}", f"To let it stay up: backstay resume {name}"]
        return {"why": why, "next": following, "todo": todo}
    why = f"An operator has {hold['wanted']} it, {since}" + (f": {hold['reason']}" if hold["reason"] else ".")
    following = "Who comes under this name is held down." if row["state"] == ABSENT else "Nothing, until it is resumed."
    unfinished = [f"Not everything had finished when it was taken down: {look}"] if row.get("unfinished") else []
    return {"why": why, "next": following, "todo": [*unfinished, f"backstay resume {name}"]}


def _attempt(wall: float, now: float) -> str:
    if wall <= 0.0:
        return "It is tried again."
    seconds = max(0.0, wall - now)
    wait = f"{seconds:.0f} s" if seconds < LONG_SECONDS else f"{seconds / 60:.0f} min"
    return f"It is tried again in {wait}, and then as often as it takes."
