"""Lives of a session under faults, each from a seed: the driver asserts what must never happen, and what must be true.

`make schedules` lives ten thousand of them; see docs/testing.md.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import schedules_run
from schedules import FAULTS, REQUESTS_EACH, Player, plan
from schedules_run import live, shorten, told, trace

from backstay.session.causes import Cause
from backstay.session.ledger import Ledger
from backstay.session.lifecycle import State

SHARES = 20
TRACED = 107
"""A seed with a crash, a restarted gateway and a full disk."""


@pytest.mark.parametrize("share", range(SHARES))
def test_promises_hold_in_every_schedule_and_the_session_recovers(share: int, pytestconfig: pytest.Config) -> None:
    for seed in range(share, pytestconfig.getoption("--schedules"), SHARES):
        failure = live(seed)
        assert failure is None, told(failure)


def test_each_schedule_has_a_hundred_requests() -> None:
    for seed in range(8):
        player = Player(plan(seed))
        player.run()
        assert player.asked >= REQUESTS_EACH


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    digests = {_digest_elsewhere(hash_seed) for hash_seed in ("0", "1", "4711")}
    lines, failure = trace(TRACED)
    assert failure is None
    assert len(lines) > 1_000
    assert digests == {_digest(lines)}


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest_elsewhere(hash_seed: str) -> str:
    code = "import hashlib, schedules_run as run; "
    code += f"print(hashlib.sha256('\\n'.join(run.trace({TRACED})[0]).encode()).hexdigest())"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(schedules_run.__file__).parent)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return ended.stdout.strip()


def test_the_schedules_meet_every_state_every_fault_and_most_causes() -> None:
    states: set[object] = set()
    causes: set[object] = set()
    faults: set[str] = set()
    for seed in range(100):
        planned = plan(seed)
        faults |= {step.kind for step in planned.steps}
        player = Player(planned)
        world = player.run()
        states |= {fields["to"] for _, event, fields in world.log if event == "state_changed"}
        causes |= {fields["cause"] for _, _, fields in world.log if "cause" in fields}
    assert set(FAULTS) <= faults
    assert {state.value for state in State} - states <= {"stopped", "draining"}
    rare = {
        "write_failed",
        "shutdown",
        "session_died",
        "dialog",
        "unresponsive",
        "not_started",
        "version",
        "upstream_lost",
        "preferred",
    }
    assert {cause.value for cause in Cause} - causes <= rare


def test_a_failure_names_the_command_that_shows_it_and_the_few_steps_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "take_halves", lambda _self, _epoch: [])  # half answers are asked again
    failure = next(found for seed in range(100) if (found := live(seed)) is not None)
    keep = shorten(failure)
    steps = len(plan(failure.seed).steps)
    assert len(keep) <= steps // 3
    again = live(failure.seed, keep)
    assert again is not None
    assert again.sort == failure.sort
    words = told(failure)
    assert f"schedules_run.py replay {failure.seed}\n" in words
    assert f"replay {failure.seed} --keep {','.join(map(str, keep))}" in words
    for index in keep:
        fewer = [kept for kept in keep if kept != index]
        other = live(failure.seed, fewer)
        assert other is None or other.sort != failure.sort, "no step is left that could be left out"
