"""The table of a request's life, walked as a whole, and followed by entries of a ledger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.session.errors import ImpossibleTransitionError
from backstay.session.request_life import ENDINGS, ROWS, TRANSITIONS, Ending, Happening, Standing, follow

S, E, H = Standing, Ending, Happening

EXPECTED: dict[Happening, dict[Standing, Standing | Ending]] = {
    H.WRITTEN: {S.WAITING: S.SENT, S.SENT: S.SENT, S.ANSWERED: S.ANSWERED},
    H.SHOWN: {S.WAITING: S.WAITING, S.SENT: S.ANSWERED, S.ANSWERED: S.ANSWERED},
    H.DOUBTED: {S.WAITING: S.WAITING, S.SENT: S.SENT, S.ANSWERED: S.SENT},
    H.LET_GO: dict.fromkeys(S, S.WAITING),
    H.CUT: dict.fromkeys(S, S.WAITING),
    H.ANSWER: dict.fromkeys(S, E.ANSWERED),
    H.END: dict.fromkeys(S, E.ENDED),
    H.REFUSED: dict.fromkeys(S, E.ERROR),
    H.TIMED_OUT: dict.fromkeys(S, E.EXPIRED),
    H.TAKEN_BACK: dict.fromkeys(S, E.CANCELLED),
    H.HALVED: dict.fromkeys(S, E.LOST),
}
"""Written down a second time on purpose, by what happens: a change of the table has to be meant."""


def test_every_pair_leads_where_it_is_meant_to():
    assert {(before, what): after for what, row in EXPECTED.items() for before, after in row.items()} == TRANSITIONS
    assert sum(len(befores) for befores, _, _ in ROWS) == len(TRANSITIONS)


def test_everything_can_happen_wherever_a_request_stands():
    assert {(before, what) for before in Standing for what in Happening} == TRANSITIONS.keys()


def test_every_ending_can_be_reached_and_none_is_ever_left():
    assert {after for after in TRANSITIONS.values() if isinstance(after, Ending)} == set(Ending)
    assert {ending.value for ending in Ending} == set(ENDINGS)
    for ending in Ending:
        for what in Happening:
            with pytest.raises(ImpossibleTransitionError, match=what.value):
                follow(ending, what)


@given(st.lists(st.sampled_from(Happening), max_size=30))
def test_a_request_ends_in_exactly_one_way_whatever_happens(happenings: list[Happening]):
    stands: Standing | Ending = Standing.WAITING
    endings: list[Ending] = []
    for what in happenings:
        try:
            stands = follow(stands, what)
        except ImpossibleTransitionError:
            assert endings, "only what is over lets nothing happen to it"
            continue
        if isinstance(stands, Ending):
            endings.append(stands)
    assert len(endings) <= 1
