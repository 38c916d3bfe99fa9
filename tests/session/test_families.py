"""Requests without an id are asked one of a family at a time, and nobody waits for what TWS has dropped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from script import ENDPOINTS, Script, lose
from speech import ask, error, next_id, tell
from speech_orders import place

from backstay.protocol.commands import open_orders
from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Key
from backstay.session.client_words import ClientAway, ClientLeft, ClientReturned
from backstay.session.families import ENDS, FAMILIES, alike
from backstay.session.ledger import REQ_CURRENT_TIME
from backstay.session.reasons import Reason
from backstay.session.request_life import Happening
from backstay.session.settings import HeldSettings, Settings, VerifySettings
from backstay.session.vocabulary import Timer, Write

V = 200
RULE, FA, OPEN, ALL_OPEN, PROVIDERS, POSITIONS = 91, 18, 5, 16, 85, 61
RULE_TOLD, FA_TOLD, OPEN_END, PROVIDERS_TOLD, POSITION, POSITIONS_END = 93, 16, 53, 85, 61, 62


def rule(word: str) -> bytes:
    return ask(V, RULE, word=word)


def ready(**values: Any) -> Script:
    return Script(settings=Settings(**{"endpoints": ENDPOINTS, **values})).ready()


def look(script: Script, seconds: float) -> Script:
    """Let so much time pass on a link that answers, and have the timers of silence and of the pace ring."""
    script.now += seconds - 0.1
    script.hear(tell(V, 49))
    return script.ring(Timer.VERIFY, after=0.1)


# -- the table ---------------------------------------------------------------------------------------------------------


def test_every_request_without_an_id_that_has_an_end_goes_in_turn_but_the_time():
    unkeyed = {number for number, row in REQUESTS.items() if row.key is Key.NONE and row.end is not None}
    handshake = {65, 66, 72, 73}
    assert unkeyed - handshake - {REQ_CURRENT_TIME} == set(FAMILIES)


def test_all_of_a_family_have_the_same_end_and_no_two_families_share_one():
    ends = {(family, REQUESTS[number].end) for number, family in FAMILIES.items()}
    assert len(ends) == len({family for family, _ in ends}) == len({end for _, end in ends})
    assert dict(ends) == ENDS
    assert alike(OPEN) == {OPEN, ALL_OPEN}


# -- in turn -----------------------------------------------------------------------------------------------------------


def test_the_second_of_a_family_leaves_when_the_first_is_answered():
    script = ready().ask(rule("26"), rule("30"), rule("31"))
    assert script.written() == [rule("26")]
    assert script.core.view().held == 2
    script.hear(tell(V, RULE_TOLD))
    assert script.written() == [rule("30")]
    script.hear(tell(V, RULE_TOLD))
    assert script.written() == [rule("31")]
    script.hear(tell(V, RULE_TOLD))
    assert (script.core.view().held, script.core.view().reads) == (0, 0)
    assert script.said(script.effects) == []


def test_what_shares_an_end_shares_a_turn():
    script = ready().ask(ask(V, ALL_OPEN), ask(V, OPEN), ask(V, ALL_OPEN))
    assert script.core.view().held == 2
    for left in (1, 0, 0):
        script.hear(tell(V, OPEN_END))
        assert script.passed == tell(V, OPEN_END)
        assert script.core.view().held == left
    assert script.core.view().reads == 0


def test_no_family_waits_for_another_and_nothing_with_an_id_waits_at_all():
    script = ready().ask(rule("26"), rule("30"), ask(V, PROVIDERS), ask(V, FA), ask(V, 9, 1), ask(V, 1, 2))
    assert script.written() == [rule("26"), ask(V, PROVIDERS), ask(V, FA), ask(V, 9, 1), ask(V, 1, 2)]
    assert script.refunded() == sum(len(one) + 4 for one in (*script.written(), rule("30"))), "nor is credit held"


def test_questions_that_are_alike_are_each_answered():
    script = ready().ask(*[ask(V, PROVIDERS)] * 4)
    for _ in range(4):
        assert script.written() == [ask(V, PROVIDERS)]
        script.hear(tell(V, PROVIDERS_TOLD))
        assert script.passed == tell(V, PROVIDERS_TOLD)
    assert (script.written(), script.core.view().reads) == ([], 0)


def test_of_more_that_are_alike_than_are_kept_the_last_makes_room_and_not_the_one_that_is_out():
    script = ready().ask(*[ask(V, PROVIDERS)] * 12)
    assert script.core.view().reads == 8
    assert script.written() == [ask(V, PROVIDERS)]
    for _ in range(8):
        script.hear(tell(V, PROVIDERS_TOLD))
    assert (script.core.view().reads, script.core.view().held) == (0, 0)


def test_a_setting_and_a_cancel_wait_for_nobody():
    script = ready().ask(ask(V, POSITIONS), ask(V, POSITIONS), ask(V, 15), ask(V, 64))
    assert script.written() == [ask(V, POSITIONS), ask(V, 15), ask(V, 64)]
    assert script.core.view().streams == 0
    script.ask(ask(V, POSITIONS))
    assert script.written() == [ask(V, POSITIONS)], "after the cancel nobody's turn is left"


def test_a_cancel_that_is_said_with_the_request_itself_is_nobodys_turn():
    begun, ended = ask(V, 6, flag=True), ask(V, 6)
    script = ready().ask(begun, ended, begun, ended, begun)
    assert script.written() == [begun, ended, begun, ended, begun]


def test_a_stream_asked_for_anew_waits_for_the_end_of_its_first_list():
    script = ready().ask(ask(V, POSITIONS))
    script.hear(tell(V, POSITION)).ask(ask(V, POSITIONS), ask(V, POSITIONS))
    assert script.written() == []
    script.hear(tell(V, POSITIONS_END))
    assert script.written() == [ask(V, POSITIONS)], "the stream exists once"
    assert script.core.view().held == 0


# -- silence -----------------------------------------------------------------------------------------------------------


def test_behind_one_that_is_not_answered_the_next_leaves_when_silence_is_noticed():
    script = ready().ask(rule("26"), rule("30"))
    assert script.armed(Timer.RELEASE) == 5.0
    look(script, 5.0)
    assert script.written() == [rule("30")]
    assert script.core.view().held == 1, "the first is repeated when its turn comes again"
    script.hear(tell(V, RULE_TOLD, word="30"))
    assert script.written() == [rule("26")]
    script.hear(tell(V, RULE_TOLD, word="26"))
    assert (script.core.view().held, script.core.view().reads) == (0, 0)


def test_behind_one_that_a_hanging_gateway_has_not_read_nobody_is_asked():
    script = ready().ask(rule("26"), rule("30"))
    script.ring(Timer.RELEASE, after=5.0)
    assert script.written() == []
    assert script.armed(Timer.RELEASE) == 1.0, "it may go on and answer, and this must not be taken for the second's"
    script.hear(tell(V, RULE_TOLD), after=3.0)
    assert script.written() == [rule("30")]


def test_an_answer_counts_for_the_one_whose_turn_it_is():
    script = ready().ask(ask(V, OPEN), ask(V, ALL_OPEN))
    look(script, 5.0)
    script.hear(tell(V, OPEN_END))
    assert [entry.request.id for entry in script.owed.ledger.entries.values()] == [OPEN], "that one TWS has dropped"


def test_one_alone_is_repeated_without_waiting_for_anybody():
    script = ready().ask(rule("26"))
    assert look(script, 5.0).written() == [rule("26")]
    assert look(script, 10.0).written() == [rule("26")]


def test_of_a_list_that_has_begun_the_rest_is_waited_for_no_longer_than_for_the_slowest():
    script = ready().ask(ask(V, 99), ask(V, 99))
    script.hear(tell(V, 101))
    assert script.core.view().held == 1
    assert look(script, 6.0).core.view().held == 1
    assert look(script, 14.0).core.view().held == 0


def test_one_that_is_dropped_does_not_keep_the_others_from_being_asked():
    wanted = [rule(str(n)) for n in range(5)]
    script = ready().ask(*wanted)
    asked = [*script.written(), *(payload for _ in range(4) for payload in look(script, 5.0).written())]
    assert asked == wanted


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_no_more_of_them_wait_than_may_and_what_nobody_wants_makes_room():
    script = ready(held=HeldSettings(count=2)).ask(*(rule(str(n)) for n in range(4)))
    (told,) = script.said(script.new)
    assert (told.id, told.code) == (-1, 504)
    assert Reason.TOO_MANY_IN_LINE in told.text
    assert script.core.view().reads == 3
    script.ask(ask(V, PROVIDERS))
    assert script.written() == [ask(V, PROVIDERS)]
    waiting = [entry for entry in script.owed.ledger.of_request(RULE) if entry.queued]
    script.core.desk.give_up(waiting[0], Happening.TAKEN_BACK)
    assert script.ask(rule("9")).said(script.new) == [], "what nobody wants makes room"
    assert script.core.view().held == 2


def test_what_has_waited_for_its_turn_longer_than_for_an_answer_is_refused():
    script = ready(verify=VerifySettings(first_seconds=20.0, deadline_seconds=30.0)).ask(
        *(rule(str(n)) for n in range(4))
    )
    look(script, 20.0)
    assert script.written() == [rule("1")]
    look(script, 20.0)
    assert script.codes() == [(-1, 504)] * 3, "the first has had its time, and two have waited for too long"
    assert script.core.view().reads == 1


def test_a_stream_in_line_is_not_refused_for_having_waited():
    verify = VerifySettings(first_seconds=20.0, deadline_seconds=10.0)
    script = ready(verify=verify).ask(ask(V, POSITIONS), ask(V, POSITIONS))
    look(script, 20.0)
    assert script.codes() == []
    assert script.written() == [ask(V, POSITIONS)]


# -- over sockets and clients ------------------------------------------------------------------------------------------


def test_a_new_socket_asks_for_all_of_them_in_their_order():
    script = ready().ask(rule("26"), rule("30"), rule("31"))
    lose(script)
    script.ring(Timer.RETRY, after=1.2).connect().hello().identify().verify()
    for word in ("26", "30", "31"):
        assert script.written() == [rule(word)]
        script.hear(tell(V, RULE_TOLD))
    assert script.core.view().reads == 0


def test_being_ready_does_not_wait_for_them():
    script = ready().ask(rule("26"), rule("30"))
    assert lose(script).again().core.view().state == "ready"


def test_with_its_client_go_the_requests_that_wait():
    script = ready().ask(rule("26"), rule("30"))
    script.step(ClientAway())
    script.ask()
    assert script.core.view().held == 0
    script.step(ClientReturned())
    script.hear(next_id(V))
    assert ready().ask(rule("26"), rule("30")).step(ClientLeft()) != []


# -- our own lists -----------------------------------------------------------------------------------------------------


ORDER = place(V, 500, quantity=1, order_ref="a", word="#1")


def with_an_order() -> Script:
    return ready().ask(ORDER)


def on_a_new_socket(script: Script) -> Script:
    lose(script)
    return script.ring(Timer.RETRY, after=1.2).connect().hello().identify().hear(tell(V, 49))


def test_the_clients_question_for_a_list_waits_for_ours_and_ours_for_its():
    script = on_a_new_socket(with_an_order())
    script.ask(ask(V, ALL_OPEN))
    for _ours in range(2):
        assert script.core.view().held == 1
        script.hear(tell(V, OPEN_END))
        assert script.passed == b""
    assert script.core.view().held == 0
    script.hear(tell(V, OPEN_END))
    assert script.passed == tell(V, OPEN_END)


def test_the_clients_completed_orders_do_not_wait_for_our_open_ones():
    script = on_a_new_socket(with_an_order())
    script.ask(ask(V, 99))
    assert script.core.view().held == 0
    script.hear(tell(V, OPEN_END)).hear(tell(V, OPEN_END))
    script.hear(tell(V, 102))
    assert script.passed == tell(V, 102), "ours is asked behind it"
    script.hear(tell(V, 102))
    assert script.passed == b""


def test_a_list_of_ours_that_tws_has_dropped_is_waited_for_also_when_a_new_round_begins():
    script = on_a_new_socket(with_an_order())
    script.hear(tell(V, OPEN_END)).hear(tell(V, OPEN_END))
    script.hear(error(V, -1, 1102), after=1.0).ask(ask(V, 99))
    assert script.core.view().held == 1, "ours is out, though nobody needs it any more"
    assert script.armed(Timer.RELEASE) == 4.0
    script.ring(Timer.RELEASE, after=4.0)
    assert script.written() == [ask(V, 99)]


def test_a_question_of_ours_that_waited_for_the_clients_is_not_asked_on_another_socket():
    script = with_an_order().ask(ask(V, OPEN))
    script.hear(error(V, -1, 1102), after=1.0)
    lose(script)
    script.ring(Timer.RETRY, after=1.2).connect().hello().identify().hear(tell(V, 49))
    written = b"".join(effect.data for effect in script.new if isinstance(effect, Write))
    assert written.count(open_orders(V)) == 1
    assert script.sieve.own_ends[OPEN_END] == 1


# -- whatever is asked -------------------------------------------------------------------------------------------------


KINDS = (RULE, FA, PROVIDERS, OPEN, ALL_OPEN, 99, 24, 80, 105)
TOLD = {RULE: RULE_TOLD, FA: FA_TOLD, PROVIDERS: 85, OPEN: 53, ALL_OPEN: 53, 99: 102, 24: 19, 80: 78, 105: 109}
STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(KINDS)),
    st.tuples(st.just("answer"), st.integers(0, 8)),
    st.tuples(st.just("drop"), st.integers(0, 8)),
    st.tuples(st.just("wait"), st.integers(1, 30)),
    st.tuples(st.just("cut"), st.just(0)),
)


class Tws:
    """Answers what it has been asked when it is told to, the oldest first, or drops it."""

    def __init__(self) -> None:
        self.script, self.serial = ready(), 0
        self.out: list[int] = []
        self.seen: set[bytes] = set()

    def read(self, *, ours_answered: bool = False) -> None:
        if not ours_answered:
            self.script.reconcile()
        for payload in self.script.written():
            number = int(payload.split(b"\0")[0])
            if number in KINDS:
                same = [one for one in self.out if FAMILIES[one] == FAMILIES[number]]
                assert same == [], "one at a time"
                self.out.append(number)
                self.seen.add(payload)

    def do(self, what: str, detail: int) -> None:
        if what == "ask":
            self.serial += 1
            self.script.ask(ask(V, detail, word=f"#{self.serial}"))
        elif what == "cut":
            self.out.clear()
            lose(self.script).again()
            self.read(ours_answered=True)
            return
        elif what == "wait":
            self.out.clear()  # TWS has dropped them: nothing is heard for so long
            self.script.now += 21.0 + detail
            self.script.hear(tell(V, 49))
            self.read()
            self.script.ring(Timer.VERIFY, after=0.1)
        elif self.out:
            number = self.out.pop(detail % len(self.out))
            if what == "answer":
                self.script.hear(tell(V, TOLD[number]))
            else:
                self.do("wait", 0)
                return
        self.read()


@settings(max_examples=150)
@given(st.lists(STEPS, min_size=5, max_size=60))
def test_whatever_is_asked_and_dropped_one_of_a_family_is_out_and_each_is_answered_in_the_end(steps):
    tws = Tws()
    for step in steps:
        tws.do(*step)
    for _ in range(400):
        if not tws.script.core.view().reads:
            break
        tws.do("answer", 0) if tws.out else tws.do("wait", 0)
    assert tws.script.core.view().reads == 0
    assert tws.script.core.view().held == 0


@pytest.mark.parametrize("number", KINDS)
def test_a_late_answer_of_a_family_ends_one_of_its_requests(number):
    script = ready().ask(ask(V, number))
    script.hear(tell(V, TOLD[number]), after=3.0)
    assert script.core.view().reads == 0
