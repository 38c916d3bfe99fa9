"""Is anybody there?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.session.pulse import Pulse, Verdict
from backstay.session.settings import CLOCK_SPACING_SECONDS, PulseSettings

SETTINGS = PulseSettings(idle_seconds=5.0, probe_seconds=10.0, probes=2, verify_seconds=3.0, verify_probes=3)


def watching() -> Pulse:
    """A pulse whose first probe was answered at 0."""
    pulse = Pulse(SETTINGS)
    pulse.begin()
    pulse.probe_sent(-0.5)
    assert pulse.answered(0.0) == 0.5
    return pulse


def test_right_after_the_start_it_asks_whatever_it_hears():
    pulse = Pulse(SETTINGS)
    pulse.begin()
    assert pulse.look(1.0, heard_at=1.0) == (Verdict.PROBE, 0.0)


def test_while_verifying_only_the_answer_counts():
    pulse = Pulse(SETTINGS)
    pulse.begin()
    for missed in range(1, SETTINGS.verify_probes + 1):
        sent = 10.0 * missed
        pulse.probe_sent(sent)
        assert pulse.look(sent + 1.0, heard_at=sent + 0.9) == (Verdict.QUIET, 2.0)
        last = missed == SETTINGS.verify_probes
        assert pulse.look(sent + 3.0, heard_at=sent + 2.9)[0] is (Verdict.DEAD if last else Verdict.MISSED)


def test_an_answer_that_nobody_asked_for_verifies_nothing():
    pulse = Pulse(SETTINGS)
    pulse.begin()
    assert pulse.answered(1.0) is None
    assert pulse.verifying


def test_watching_it_is_quiet_until_nothing_was_heard_for_long():
    pulse = watching()
    assert pulse.look(3.0, heard_at=1.0) == (Verdict.QUIET, 3.0)
    assert pulse.look(6.0, heard_at=1.0) == (Verdict.PROBE, 0.0)


@pytest.mark.parametrize("heard_at", [6.5, 15.9])
def test_watching_any_byte_proves_that_the_peer_lives(heard_at):
    pulse = watching()
    pulse.probe_sent(6.0)
    verdict, wait = pulse.look(16.0, heard_at=heard_at)
    if heard_at + SETTINGS.idle_seconds > 16.0:
        assert (verdict, wait) == (Verdict.QUIET, heard_at + 5.0 - 16.0)
    else:
        assert verdict is Verdict.PROBE
    assert pulse.missed == 0


def test_a_silent_peer_is_dead_after_as_many_probes_as_are_set():
    pulse = watching()
    pulse.probe_sent(5.0)
    assert pulse.look(5.0, heard_at=0.0) == (Verdict.QUIET, 10.0)
    assert pulse.look(15.0, heard_at=0.0)[0] is Verdict.MISSED
    pulse.probe_sent(15.0)
    assert pulse.look(25.0, heard_at=0.0)[0] is Verdict.DEAD


def test_an_answer_forgives_a_missed_probe():
    pulse = watching()
    pulse.probe_sent(5.0)
    assert pulse.look(15.0, heard_at=0.0)[0] is Verdict.MISSED
    pulse.probe_sent(15.0)
    assert pulse.answered(16.0) == 1.0
    pulse.probe_sent(30.0)
    assert pulse.look(40.0, heard_at=16.0)[0] is Verdict.MISSED


def test_a_new_epoch_begins_to_verify_again_but_remembers_when_a_clock_was_asked_for():
    pulse = watching()
    pulse.client_asked(7.0)
    pulse.waiting = True
    pulse.begin()
    assert (pulse.verifying, pulse.missed, pulse.probed_at, pulse.waiting) == (True, 0, None, False)
    assert pulse.earliest_question() == 7.0 + CLOCK_SPACING_SECONDS


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.sampled_from(["hear", "answer", "nothing"])), max_size=40))
def test_whatever_happens_the_next_look_is_ahead_and_a_dead_peer_is_found_in_time(steps):
    """From the last byte to the verdict: idle, then the probes, if each look comes when it was asked for."""
    pulse, now, heard_at = watching(), 0.0, 0.0
    for gap, what in steps:
        due = now + gap
        while True:
            verdict, wait = pulse.look(now, heard_at)
            assert wait >= 0.0
            if verdict is Verdict.DEAD:
                assert now - heard_at <= 5.0 + 2 * 10.0 + 1e-6
                return
            if verdict is not Verdict.QUIET:
                pulse.probe_sent(now)
                continue
            if now + wait > due:
                break
            now += wait + 1e-9
        now = due
        if what != "nothing":
            heard_at = now
        if what == "answer":
            pulse.answered(now)
