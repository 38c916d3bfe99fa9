import random
from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.supervisor.backoff import MAX_ATTEMPT, Backoff

seeds = st.integers(0, 2**32)


def delays(backoff: Backoff, count: int, chance: random.Random) -> list[float]:
    out = []
    for _ in range(count):
        seconds, backoff = backoff.delay(chance)
        out.append(seconds)
    return out


@given(seeds)
def test_the_first_retry_comes_almost_at_once_and_the_rest_grows_to_the_cap(seed):
    first, *rest = delays(Backoff(), 20, random.Random(seed))
    assert 0.0 <= first <= 0.25
    for number, seconds in enumerate(rest):
        middle = min(1.6**number, 30.0 / 1.2)
        assert 0.8 * middle <= seconds <= 1.2 * middle + 1e-9


@given(seeds, st.integers(0, MAX_ATTEMPT), st.floats(0.0, 120.0), st.none() | st.floats(0.5, 60.0))
def test_every_delay_is_at_least_the_floor_and_else_at_most_the_cap(seed, attempt, floor, cap):
    seconds, following = Backoff(attempt=attempt).delay(random.Random(seed), floor=floor, cap=cap)
    assert seconds >= floor
    highest = 30.0 if cap is None else min(cap, 30.0)
    assert seconds <= max(highest + 1e-9, 1.2 * floor)
    assert following.attempt == min(attempt + 1, MAX_ATTEMPT)


def test_a_million_attempts_later_it_still_answers():
    assert 20.0 <= Backoff(attempt=1_000_000).delay(random.Random(1))[0] <= 30.0
    assert Backoff(attempt=1_000_000).next().attempt == MAX_ATTEMPT


def test_reset_begins_anew_and_keeps_the_schedule():
    backoff = Backoff(cap_seconds=7.0, attempt=9)
    assert backoff.reset() == Backoff(cap_seconds=7.0)


def test_the_same_chance_gives_the_same_schedule():
    assert delays(Backoff(), 30, random.Random(7)) == delays(Backoff(), 30, random.Random(7))


@pytest.mark.parametrize(("attempt", "floor"), [(20, 0.0), (3, 0.0), (0, 0.0), (0, 5.0)])
def test_clients_that_fail_together_do_not_come_back_together(attempt, floor):
    """The distribution, not the formula: the spread is what the strategy promises, and no value piles up."""
    chance = random.Random(42)
    drawn = [Backoff(attempt=attempt).delay(chance, floor=floor)[0] for _ in range(4_000)]
    low, high = min(drawn), max(drawn)
    uniform = (high - low) / 12**0.5
    assert pstdev(drawn) == pytest.approx(uniform, rel=0.05)
    assert mean(drawn) == pytest.approx((low + high) / 2, rel=0.05)
    assert len(set(drawn)) > 3_900


@pytest.mark.parametrize(
    "wrong",
    [{"first_seconds": -1}, {"base_seconds": 0}, {"cap_seconds": 0}, {"factor": 0.9}, {"jitter_ratio": 1.0}],
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="no schedule"):
        Backoff(**wrong)
