import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.supervisor.intensity import Window, add_restart
from backstay.supervisor.specs import Intensity


def run(times: list[float], limit: Intensity) -> list[bool]:
    window = Window()
    exceeded = []
    for now in times:
        window = add_restart(window.restarts, now, limit)
        exceeded.append(window.exceeded)
    return exceeded


def test_the_restart_after_the_last_allowed_one_is_too_many():
    assert run([0, 1, 2, 3], Intensity(3, 60.0)) == [False, False, False, True]


def test_restarts_that_are_old_do_not_count():
    assert run([0, 1, 61.5, 62], Intensity(2, 60.0)) == [False, False, False, False]


def test_a_restart_counts_until_it_is_older_than_the_period():
    assert run([0, 60], Intensity(1, 60.0)) == [False, True]
    assert run([0, 60.001], Intensity(1, 60.0)) == [False, False]


def test_with_no_restarts_allowed_the_first_is_too_many():
    assert run([0], Intensity(0, 1.0)) == [True]


def test_a_small_budget_with_a_short_period_is_not_a_large_one_with_a_long_period():
    burst = [0.0, 0.1, 0.2]
    assert run(burst, Intensity(1, 6.0))[-1]
    assert not run(burst, Intensity(5, 30.0))[-1]


@given(
    gaps=st.lists(st.integers(0, 50), max_size=60),
    restarts=st.integers(0, 8),
    seconds=st.integers(1, 120),
)
def test_exceeded_means_more_restarts_in_the_window_than_allowed(gaps, restarts, seconds):
    limit = Intensity(restarts, float(seconds))
    window, past, now = Window(), [], 0.0
    for gap in gaps:
        now += gap
        past.append(now)
        window = add_restart(window.restarts, now, limit)
        within = [time for time in past if now - time <= seconds]
        assert window.exceeded == (len(within) > restarts)
        assert len(window.restarts) <= restarts + 1
        assert window.restarts == tuple(within[-(restarts + 1) :])


@pytest.mark.parametrize("wrong", [{"restarts": -1}, {"seconds": 0.0}, {"seconds": -1.0}, {"seconds": float("nan")}])
def test_a_senseless_intensity_is_refused(wrong):
    with pytest.raises(ValueError, match="intensity"):
        Intensity(**wrong)
