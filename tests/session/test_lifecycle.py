"""The transition table, walked as a whole: which pairs exist, where they lead, and what can be reached from where.

`EXPECTED` is written down a second time on purpose, by event instead of by row: a change of the table has to be meant.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from backstay.session.errors import ImpossibleTransitionError
from backstay.session.lifecycle import (
    ALL_STATES,
    BUSY_STATES,
    PUBLIC_STATES,
    ROWS,
    SOCKET_STATES,
    TRANSITIONS,
    Action,
    Event,
    Link,
    State,
    public_state,
    step,
)

S, E = State, Event
HANDSHAKE = "handshaking awaiting_acceptance"
LINKED = f"{HANDSHAKE} starting verifying syncing ready"
BUSY = f"connecting {LINKED}"
RESTING = "waiting parked"
IDLE = "stopped paused"
STAYS = "."

EXPECTED: dict[Event, dict[str, str]] = {
    E.START: {IDLE: "connecting", f"{RESTING} {BUSY} draining": STAYS},
    E.CONNECTED: {"connecting": "handshaking"},
    E.DIAL_FAILED: {"connecting": "waiting"},
    E.HELLO: {HANDSHAKE: "starting"},
    E.UNUSABLE: {HANDSHAKE: "parked"},
    E.REDIRECT: {HANDSHAKE: "connecting"},
    E.IDENTIFIED: {"starting": "verifying"},
    E.ID_TAKEN: {"starting": "waiting"},
    E.ID_STUCK: {"starting": "parked"},
    E.PROBE_ANSWERED: {"verifying": "syncing", "syncing ready draining": STAYS},
    E.PROBE_MISSED: {"verifying syncing ready draining": STAYS},
    E.PROBES_EXHAUSTED: {"verifying syncing ready": "waiting", "draining": "stopped"},
    E.SYNCED: {"syncing": "ready"},
    E.STABLE: {"ready": STAYS},
    E.TIMED_OUT: {
        "handshaking": "awaiting_acceptance",
        "connecting awaiting_acceptance starting": "waiting",
        "draining": "stopped",
    },
    E.LOST: {BUSY: "waiting", "draining": "stopped"},
    E.CUT: {BUSY: "waiting"},
    E.RETRY: {RESTING: "connecting"},
    E.PAUSE: {f"{RESTING} {BUSY}": "paused", f"{IDLE} draining": STAYS},
    E.RESUME: {IDLE: "connecting", f"{RESTING} {BUSY} draining": STAYS},
    E.RESTART: {f"{RESTING} {BUSY}": "connecting", f"{IDLE} draining": STAYS},
    E.RESET: {RESTING: "connecting", f"{IDLE} {BUSY} draining": STAYS},
    E.DRAIN: {
        "syncing ready": "draining",
        f"{IDLE} {RESTING} connecting {HANDSHAKE} starting verifying": "stopped",
        "draining": STAYS,
    },
    E.DRAINED: {"draining": "stopped"},
    E.STOP: {f"{IDLE} {RESTING} {BUSY} draining": "stopped"},
}


def expectation(state: State, event: Event) -> State | None:
    """Where the pair leads; None if it cannot happen."""
    for states, to in EXPECTED[event].items():
        if state.value in states.split():
            return state if to == STAYS else State(to)
    return None


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_pair_of_state_and_event_leads_where_it_should_or_is_refused(state: State, event: Event) -> None:
    expected = expectation(state, event)
    if expected is not None:
        assert step(state, event).to is expected
        return
    with pytest.raises(ImpossibleTransitionError, match=f"{event.value!r}.*{state.value!r}") as refused:
        step(state, event)
    assert (refused.value.state, refused.value.event) == (state.value, event.value)


def test_the_expectation_can_fail() -> None:
    assert expectation(S.STOPPED, E.CONNECTED) is None
    assert expectation(S.READY, E.LOST) is not S.READY


def test_no_pair_stands_in_two_rows() -> None:
    pairs = [(state, event) for states, event, _, _ in ROWS for state in states]
    assert len(pairs) == len(set(pairs)) == len(TRANSITIONS)


def reachable(start: Iterable[State], without: frozenset[Event] = frozenset()) -> set[State]:
    found = set(start)
    while True:
        more = {t.to for (state, event), t in TRANSITIONS.items() if state in found and event not in without}
        if more <= found:
            return found
        found |= more


def test_every_state_can_be_reached_from_the_beginning() -> None:
    assert reachable([S.STOPPED]) == set(State)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_ready_or_the_end_can_be_reached_from_everywhere(state: State) -> None:
    orders = frozenset({E.START, E.PAUSE, E.RESUME, E.RESTART, E.RESET, E.DRAIN, E.STOP})
    by_itself = reachable([state], without=orders)
    if state in (S.STOPPED, S.PAUSED):
        assert by_itself == {state}, "only an order ends these"
        assert S.READY in reachable([state], without=frozenset({E.STOP, E.DRAIN}))
    else:
        assert by_itself & {S.READY, S.STOPPED}


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_stop_ends_everything_from_everywhere(state: State) -> None:
    transition = step(state, E.STOP)
    assert transition.to is S.STOPPED
    assert transition.actions == (Action.HANG_UP, Action.END)


def test_a_socket_is_always_hung_up_before_it_is_left_behind() -> None:
    """A dial, and every state without a socket, comes after the end of the old one."""
    for (state, event), transition in TRANSITIONS.items():
        if state not in (*SOCKET_STATES, S.CONNECTING) or transition.to in SOCKET_STATES:
            continue
        if transition.to is S.CONNECTING and Action.DIAL not in transition.actions:
            assert transition.to is state, (state, event)
            continue
        assert transition.actions[:1] == (Action.HANG_UP,), (state, event)
        if Action.DIAL in transition.actions:
            assert transition.actions.index(Action.HANG_UP) < transition.actions.index(Action.DIAL)


def test_a_failure_is_grieved_before_the_next_attempt_is_planned() -> None:
    for (state, event), transition in TRANSITIONS.items():
        if transition.to is S.WAITING and state is not S.WAITING:
            planned = () if event is E.CUT else (Action.BACK_OFF,)  # an order is no failure, and dials itself
            assert transition.actions == (Action.HANG_UP, Action.GRIEVE, *planned)
        if transition.to is S.PARKED and state is not S.PARKED:
            assert transition.actions == (Action.HANG_UP, Action.GRIEVE, Action.PARK)


def test_only_a_stable_connection_or_an_operator_forgets_failed_attempts() -> None:
    settling = {event for (_, event), transition in TRANSITIONS.items() if Action.SETTLE in transition.actions}
    assert settling == {E.STABLE, E.RESTART, E.RESET}


def test_what_is_ready_has_been_identified_verified_and_restored() -> None:
    """Without any one of these events, ready cannot be reached."""
    for event in (E.CONNECTED, E.HELLO, E.IDENTIFIED, E.PROBE_ANSWERED, E.SYNCED):
        assert S.READY not in reachable([S.STOPPED], without=frozenset({event}))


def test_all_states_are_busy_resting_idle_or_draining() -> None:
    assert set(ALL_STATES) == {*BUSY_STATES, S.STOPPED, S.PAUSED, S.WAITING, S.PARKED, S.DRAINING}


@pytest.mark.parametrize("link", Link, ids=lambda link: link.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_only_a_ready_connection_without_ib_is_degraded(state: State, link: Link) -> None:
    expected = "degraded" if (state, link) == (S.READY, Link.DOWN) else state.value
    assert public_state(state, link) == expected
    assert expected in PUBLIC_STATES
