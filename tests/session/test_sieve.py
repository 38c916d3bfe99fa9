"""One pass over a chunk: what the client gets, what the session is told, and what is cut out."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import speech
from hypothesis import given
from hypothesis import strategies as st
from speech import VERSIONS, accounts, chunk, error, hello, next_id, tell

from backstay.protocol.framing import PREFIX_BYTES, frame, raw, text
from backstay.protocol.responses import RESPONSES
from backstay.session.repeats import MAX_REPEATED, MAX_ROWS_COMPARED
from backstay.session.sieve import MAX_MUTES, Sieve
from backstay.session.sieve_words import Await, Conceal, Mute, Swallow, Tune
from backstay.session.watched import OPEN_ORDER_END, STREAMED, TICKS, WATCHED


def sieve(version: int = 200, *, hold: bool = False) -> Sieve:
    """A sieve that has let the answer to the greeting through."""
    made = Sieve()
    made.tune(Tune(1, hold, hold))
    made.sift(chunk(hello(version)))
    return made


def told(sifted) -> list[tuple[int, bool]]:
    return [(number, passed) for number, _, passed in sifted.notes]


def test_a_chunk_in_which_nothing_is_watched_is_handed_on_as_the_object_it_came_in():
    arrived = chunk(*(tell(200, number, 7) for number in (1, 2, 45, 46, 12, 99, 50)))
    sifted = sieve().sift(arrived)
    assert len(sifted.out) == 1
    assert sifted.out[0] is arrived.data
    assert sifted.notes == ()
    assert sifted.answer is None


def test_a_chunk_of_which_nothing_is_kept_back_is_handed_on_as_it_came_too():
    arrived = chunk(tell(200, 1, 7), tell(200, 5, 7), tell(200, 3, 7))
    sifted = sieve().sift(arrived)
    assert len(sifted.out) == 1
    assert sifted.out[0] is arrived.data
    assert told(sifted) == [(5, True), (3, True)]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_watched_message_is_noticed_with_its_payload(version):
    for number in sorted(WATCHED):
        if RESPONSES[number].since > version:
            continue
        data = tell(version, number, 7)
        sifted = sieve(version).sift(chunk(tell(version, 1, 7), data, tell(version, 1, 7)))
        assert [(n, payload) for n, payload, _ in sifted.notes] == [(number, data[PREFIX_BYTES:])]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_tick_is_noticed(version):
    unwatched = sorted(set(RESPONSES) - WATCHED)
    assert set(unwatched) >= TICKS
    arrived = chunk(*(tell(version, number, 7) for number in unwatched if RESPONSES[number].since <= version))
    assert sieve(version).sift(arrived).out[0] is arrived.data


@pytest.mark.parametrize("number", sorted(WATCHED))
@pytest.mark.parametrize("place", ["alone", "last", "first"])
def test_a_text_frame_with_nothing_behind_its_id_is_noticed_in_every_place(number, place):
    """Ids of one, two and three digits: the look-up key is three bytes, and these frames have two to four."""
    bare, tick = text(number), tell(200, 1, 7)
    frames = {"alone": (bare,), "last": (tick, bare), "first": (bare, tick)}[place]
    assert [n for n, _ in told(sieve().sift(chunk(*frames)))] == [number]


@pytest.mark.parametrize("number", sorted(WATCHED))
@pytest.mark.parametrize("offset", [0, 200])
def test_a_raw_id_is_noticed_as_text_and_as_protobuf(number, offset):
    bare, tick = raw(number + offset, b""), tell(226, 1, 7)
    assert [n for n, _ in told(sieve(226).sift(chunk(tick, bare, tick, bare)))] == [number, number]


@pytest.mark.parametrize("version", [200, 226])
def test_strange_frames_do_no_harm(version):
    """Empty ones, ones too short for an id, ids that only begin like a watched one."""
    odd = [frame(b""), frame(b"4"), frame(b"\0\0\0"), frame(b"49"), text(1015, 1), text(4000), frame(b"\xff" * 5)]
    arrived = chunk(*odd, *odd)
    sifted = sieve(version).sift(arrived)
    assert b"".join(sifted.out) == arrived.data or version == 200


@pytest.mark.parametrize(("version", "short"), [(226, b""), (226, b"\0"), (226, b"\0\0\0"), (200, b"9")])
def test_a_frame_too_short_for_an_id_borrows_none_from_the_next(version, short):
    """Behind an empty frame the length of the next one stands where an id would: nine bytes are no nextValidId."""
    lengths = sorted(WATCHED | {number + 200 for number in WATCHED} - {0, 1, 2, 3})
    machine = sieve(version)
    for length in (length for length in lengths if length >= 4):
        unwatched = frame((b"\0\0\0\x7f" if version > 200 else b"1\0") + b"x" * (length - 4))
        sifted = machine.sift(chunk(frame(short), unwatched))
        assert sifted.notes == ()
    assert not machine.seen_next_id


def test_the_first_frame_is_the_answer_and_is_never_for_the_client():
    fresh = Sieve()
    fresh.tune(Tune(3, hold_next_id=False, hold_accounts=False))
    sifted = fresh.sift(chunk(hello(178)))
    assert (sifted.out, sifted.notes, sifted.answer) == ([], (), hello(178)[PREFIX_BYTES:])
    assert (fresh.epoch, fresh.version) == (3, 178)


@pytest.mark.parametrize("version", [176, 226])
def test_what_follows_the_answer_in_the_same_chunk_is_sifted(version):
    fresh = Sieve()
    fresh.tune(Tune(1, hold_next_id=False, hold_accounts=False))
    tick, numbered = tell(version, 1, 7), next_id(version, 5)
    sifted = fresh.sift(chunk(hello(version), tick, numbered))
    assert b"".join(sifted.out) == tick + numbered
    assert told(sifted) == [(9, True)]
    assert sifted.answer == hello(version)[PREFIX_BYTES:]


@pytest.mark.parametrize("answer", [text(-1, "gw1:4002"), text(12, "a", "b"), frame(b"HTTP")])
def test_behind_an_unusable_answer_nothing_is_passed_on(answer):
    fresh = Sieve()
    fresh.tune(Tune(1, hold_next_id=False, hold_accounts=False))
    first = fresh.sift(chunk(answer, tell(200, 1, 7)))
    assert (first.out, first.notes) == ([], ())
    assert first.answer == answer[PREFIX_BYTES:]
    assert fresh.sift(chunk(tell(200, 1, 7))).out == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("say", [next_id, accounts], ids=["nextValidId", "managedAccounts"])
def test_what_the_client_has_had_is_kept_back_once_an_epoch(say, version):
    held = sieve(version, hold=True)
    assert told(held.sift(chunk(say(version))))[0][1] is False
    assert told(held.sift(chunk(say(version))))[0][1] is True, "the second one answers the client's own question"
    fresh = sieve(version)
    assert told(fresh.sift(chunk(say(version))))[0][1] is True


@pytest.mark.parametrize("say", [next_id, accounts], ids=["nextValidId", "managedAccounts"])
def test_what_passed_in_the_epoch_before_is_kept_back_even_if_the_session_has_not_heard_of_it(say):
    machine = sieve()
    machine.sift(chunk(say(200)))
    machine.tune(Tune(2, hold_next_id=False, hold_accounts=False))
    machine.sift(chunk(hello(200)))
    assert [passed for _, passed in told(machine.sift(chunk(say(200))))] == [False]


def test_a_current_time_is_for_the_client_only_if_it_asked():
    machine = sieve()
    clock = tell(200, 49)
    assert machine.sift(chunk(clock)).out == []
    machine.clocks_owed = 1
    assert machine.sift(chunk(clock)).out == [clock]
    assert machine.sift(chunk(clock)).out == []


def test_a_new_epoch_forgets_what_the_old_one_owed():
    machine = sieve()
    machine.clocks_owed = 1
    machine.mute(Mute(1, 7, frozenset({300})))
    machine.tune(Tune(2, hold_next_id=False, hold_accounts=False))
    machine.sift(chunk(hello(200)))
    assert machine.sift(chunk(tell(200, 49))).out == []
    assert machine.sift(chunk(error(200, 7, 300))).out != []


@pytest.mark.parametrize("hold", [False, True])
def test_an_end_of_open_orders_before_the_first_id_is_kept_from_a_client_that_knows_its_ids(hold):
    machine = sieve(hold=hold)
    end = tell(200, 53)
    assert told(machine.sift(chunk(end))) == [(53, not hold)]
    machine.sift(chunk(next_id(200)))
    assert told(machine.sift(chunk(end))) == [(53, True)]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_id_in_use_is_our_trouble_until_the_gateway_has_said_who_we_are(version):
    machine = sieve(version)
    assert told(machine.sift(chunk(error(version, -1, 326)))) == [(4, False)]
    machine.sift(chunk(next_id(version)))
    assert told(machine.sift(chunk(error(version, -1, 326)))) == [(4, True)]


def test_a_moved_port_is_never_for_the_client():
    machine = sieve()
    machine.sift(chunk(next_id(200)))
    assert told(machine.sift(chunk(error(200, -1, 1300, "new port: 4009")))) == [(4, False)]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_error_that_answers_our_own_cancel_is_kept_back_once(version):
    machine = sieve(version)
    machine.mute(Mute(1, 7, frozenset({300, 322})))
    assert told(machine.sift(chunk(error(version, 7, 200)))) == [(4, True)], "another code"
    assert told(machine.sift(chunk(error(version, 8, 300)))) == [(4, True)], "another id"
    assert told(machine.sift(chunk(error(version, 7, 300), error(version, 7, 300)))) == [(4, False), (4, True)]


def test_an_error_that_is_not_awaited_any_more_is_passed_on():
    machine = sieve()
    machine.mute(Mute(1, 7, frozenset({300})))
    machine.mute(Mute(1, 7, frozenset()))
    machine.mute(Mute(1, 8, frozenset()))
    assert told(machine.sift(chunk(error(200, 7, 300)))) == [(4, True)]


def test_a_hushed_sieve_is_of_no_epoch_until_the_next_begins():
    machine = sieve()
    machine.hush()
    assert machine.epoch not in range(100)
    machine.tune(Tune(2, hold_next_id=False, hold_accounts=False))
    assert machine.epoch == 2


def test_the_number_of_awaited_errors_is_bounded():
    machine = sieve()
    for key in range(2 * MAX_MUTES):
        machine.mute(Mute(1, key, frozenset({300})))
    assert len(machine.mutes) == MAX_MUTES


def test_an_error_that_cannot_be_read_is_passed_on():
    assert told(sieve().sift(chunk(text(4, "x")))) == [(4, True)]


@given(st.integers(0, 2**32), st.sampled_from(VERSIONS))
def test_what_is_passed_on_is_what_came_without_what_was_cut_out(seed, version):
    """In order, whole frames, nothing twice; and cutting the stream elsewhere changes nothing."""
    chance = random.Random(seed)
    kinds = (
        lambda: tell(version, 1, 7),
        lambda: tell(version, 49),
        lambda: next_id(version),
        lambda: accounts(version),
        lambda: error(version, 7, chance.choice((200, 300, 1300))),
        lambda: tell(version, 52, 7),
    )
    frames = [chance.choice(kinds)() for _ in range(chance.randrange(1, 12))]

    def fed(groups):
        machine = sieve(version, hold=True)
        machine.clocks_owed = 1
        machine.mute(Mute(1, 7, frozenset({300})))
        parts = [machine.sift(chunk(*group)) for group in groups]
        return b"".join(data for part in parts for data in part.out), [note for part in parts for note in part.notes]

    out, notes = fed([frames])
    cut = {frame(payload) for _, payload, passed in notes if not passed}
    kept = list(frames)
    for _, payload, passed in notes:
        if not passed:
            kept.remove(frame(payload))
    assert len(out) == sum(map(len, kept))
    if cut.isdisjoint(kept):
        assert out == b"".join(kept)
    places = sorted({0, len(frames), *(chance.randrange(len(frames) + 1) for _ in range(3))})
    assert fed([frames[a:b] for a, b in pairwise(places)]) == (out, notes)


def test_the_speech_of_these_tests_can_be_read_back():
    assert speech.payloads(tell(200, 49)) == [tell(200, 49)[PREFIX_BYTES:]]
    assert speech.payloads(b"") == []


def test_each_frame_of_our_own_may_be_answered_by_an_error_that_is_kept_from_the_client():
    machine = sieve()
    for codes in ({102, 322}, {102, 322}, {300}):
        machine.mute(Mute(1, 7, frozenset(codes)))
    passed = [bool(machine.sift(chunk(error(200, 7, code))).out) for code in (322, 300, 322, 322, 300)]
    assert passed == [False, False, False, True, True]
    assert machine.mutes == {}


# -- limits ------------------------------------------------------------------------------------------------------------


def test_of_two_lists_of_our_own_both_ends_are_kept_back_and_no_third():
    made = sieve()
    made.conceal(Conceal(1, OPEN_ORDER_END, None))
    made.conceal(Conceal(1, OPEN_ORDER_END, None))
    ends = [made.sift(chunk(tell(200, OPEN_ORDER_END))) for _ in range(3)]
    assert [told(sifted) for sifted in ends] == [[(OPEN_ORDER_END, passed)] for passed in (False, False, True)]


def test_repeated_reads_are_followed_up_to_a_limit_and_what_is_beyond_passes_as_it_comes():
    made = sieve()
    for key in range(MAX_REPEATED + 1):
        made.swallow(Swallow(1, key, frozenset({10, 52}), frozenset({52})))
    assert len(made.repeats.by_key) == MAX_REPEATED
    end = tell(200, 52, MAX_REPEATED)
    for _ in range(2):
        assert made.sift(chunk(end)).out == [end]


def test_rows_of_a_repeated_read_are_compared_up_to_a_limit_and_what_is_beyond_passes():
    made = sieve()
    made.swallow(Swallow(1, 7, frozenset({10, 52}), frozenset({52})))
    rows = [tell(200, 10, 7, word=str(number)) for number in range(MAX_ROWS_COMPARED + 1)]
    assert b"".join(made.sift(chunk(*rows)).out) == b"".join(rows)
    assert made.sift(chunk(rows[0])).out == []
    assert made.sift(chunk(rows[-1])).out == [rows[-1]]


def test_of_a_stream_only_the_first_message_that_is_awaited_is_noticed():
    made = sieve()
    number = min(STREAMED)
    made.await_(Await(1, 7, frozenset({number})))
    made.await_(Await(1, 8, frozenset({number})))
    first, other = tell(200, number, 7), tell(200, number, 9)
    assert told(made.sift(chunk(other))) == []
    assert told(made.sift(chunk(first))) == [(number, True)]
    assert told(made.sift(chunk(first))) == []
