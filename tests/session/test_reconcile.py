"""The course of a reconciliation: what is asked when, when a round counts, and when it is asked again."""

import pytest

from backstay.protocol.order_fields import ExecutionFacts, OrderFacts, PlacedOrder
from backstay.session import reconcile
from backstay.session.evidence import VERDICT_EVENTS, VerdictKind
from backstay.session.intent_table import IntentTable
from backstay.session.intents import IntentState, Moment
from backstay.session.reconcile import Ask, Judged, Phase, ReconcileSettings, Reconciliation, Source

ME = 7
WALL = 1_000_000.0
ENDS = {Source.OPEN: 53, Source.ALL_OPEN: 53, Source.COMPLETED: 102, Source.EXECUTIONS: 55}


def at(now):
    return Moment(now, WALL + now)


class Bench:
    """A table, a reconciliation, and a gateway that answers when told."""

    def __init__(self, **fields):
        self.table = IntentTable("paper")
        self.table.note_next_id(ME, 1)
        self.work = Reconciliation(ReconcileSettings(**fields), self.table.open_intents, self.owner_of)
        self.now = 0.0

    def owner_of(self, perm_id):
        key = self.table.knows_perm_id(perm_id)
        return None if key is None else (key.client_id, key.order_id)

    def doubtful(self, order_id=5, **more):
        self.table.place(PlacedOrder(order_id=order_id, **more), (b"", 200), client_id=ME, epoch=1, at=at(self.now))
        self.table.lost(at(self.now))

    def begin(self, *, epoch=2, link_up=True, now=100.0, **more):
        self.now = now
        return self.work.begin(epoch, at(now), link_up=link_up, reaches_back_to=WALL - 3600.0, **more)

    def end(self, source):
        return self.work.ended(ENDS[source], at(self.now))

    def tick(self, now):
        self.now = now
        return self.work.tick(at(now))

    def finish_round(self):
        """Let every question that is waiting be answered with nothing but its end."""
        effects = []
        for source in (Source.OPEN, Source.ALL_OPEN, Source.COMPLETED, Source.EXECUTIONS):
            effects += self.end(source)
        judged = [effect for effect in effects if isinstance(effect, Judged)]
        assert len(judged) == 1, effects
        for verdict in judged[0].verdicts:
            event = VERDICT_EVENTS[verdict.kind]
            if event is not None:
                self.table.apply(verdict.key, event, at(self.now), perm_id=verdict.perm_id)
        return judged[0]


def kinds(judged):
    return [verdict.kind for verdict in judged.verdicts]


def test_what_has_ended_is_asked_for_once_all_that_is_open_was_listed():
    bench = Bench()
    assert bench.begin() == [Ask(Source.OPEN)]
    assert bench.end(Source.OPEN) == [Ask(Source.ALL_OPEN)]
    assert bench.end(Source.ALL_OPEN) == [Ask(Source.COMPLETED), Ask(Source.EXECUTIONS)]
    assert bench.end(Source.COMPLETED) == []
    (judged,) = bench.end(Source.EXECUTIONS)
    assert isinstance(judged, Judged)
    assert (judged.verdicts, judged.missing) == ((), frozenset())
    assert bench.work.reconciled
    assert (bench.work.phase, bench.work.due) == (Phase.IDLE, None)


def test_a_server_without_completed_orders_is_not_asked_for_them():
    bench = Bench(settle_seconds=0.0)
    bench.doubtful()
    bench.begin(has_completed=False)
    bench.end(Source.OPEN)
    assert bench.end(Source.ALL_OPEN) == [Ask(Source.EXECUTIONS)]
    assert kinds(bench.finish_round()) == [VerdictKind.OVER]
    assert bench.work.reconciled


def test_ends_that_nobody_waits_for_change_nothing():
    bench = Bench()
    assert bench.end(Source.OPEN) == []
    bench.begin()
    assert bench.work.ended(9, at(100.0)) == []
    bench.end(Source.COMPLETED)
    assert bench.end(Source.COMPLETED) == []
    assert bench.work.phase is Phase.ASKING


def test_an_order_that_is_not_found_is_decided_by_a_second_round_after_the_settling_time():
    bench = Bench()
    bench.doubtful()
    bench.begin()
    first = bench.finish_round()
    assert (kinds(first), first.settled) == ([VerdictKind.UNDECIDED], False)
    assert bench.work.reconciled, "new orders need not wait"
    assert (bench.work.phase, bench.work.due) == (Phase.WAITING, 110.0)
    assert bench.tick(109.9) == []
    assert bench.tick(110.0) == [Ask(Source.OPEN)]
    second = bench.finish_round()
    assert (kinds(second), second.settled) == ([VerdictKind.UNKNOWN], True)
    assert bench.work.due is None


def test_an_order_that_is_found_is_decided_at_once():
    bench = Bench()
    bench.doubtful()
    bench.begin()
    bench.work.hear_order(OrderFacts(message_id=5, order_id=5, client_id=ME, perm_id=77, status="Submitted"))
    judged = bench.finish_round()
    assert kinds(judged) == [VerdictKind.LIVE]
    assert judged.verdicts[0].perm_id == 77
    assert bench.table.get(ME, 5).state is IntentState.LIVE
    assert bench.work.due is None


def test_nothing_is_settled_while_the_link_is_down():
    bench = Bench()
    bench.doubtful()
    bench.begin(link_up=False)
    assert kinds(bench.finish_round()) == [VerdictKind.UNDECIDED]
    assert bench.work.due is None, "the link coming back begins a round"
    bench.now = 200.0
    assert bench.work.link(at(200.0), up=True) == [Ask(Source.OPEN)]
    bench.finish_round()
    assert bench.work.due == 210.0
    bench.tick(210.0)
    assert kinds(bench.finish_round()) == [VerdictKind.UNKNOWN]


def test_a_link_that_breaks_takes_the_settling_time_along():
    bench = Bench()
    bench.doubtful()
    bench.begin()
    bench.finish_round()
    assert bench.work.link(at(105.0), up=False) == []
    assert (bench.work.due, bench.work.reconciled) == (None, False)
    bench.now = 106.0
    bench.work.link(at(106.0), up=True)
    bench.finish_round()
    assert bench.work.due == 116.0


def test_a_link_that_breaks_in_a_round_leaves_the_round_to_find_what_it_finds():
    bench = Bench()
    bench.doubtful()
    bench.begin(now=100.0)
    bench.finish_round()
    bench.tick(110.0)
    assert bench.work.link(at(110.0), up=False) == []
    assert bench.work.phase is Phase.ASKING
    assert kinds(bench.finish_round()) == [VerdictKind.UNDECIDED]


def test_what_was_just_written_is_not_missed_before_it_has_settled():
    bench = Bench()
    bench.begin(epoch=1, now=0.0)
    bench.finish_round()
    bench.now = 95.0
    bench.doubtful()
    bench.begin(now=96.0)
    bench.finish_round()
    assert bench.work.due == 106.0, "the link is the younger"
    bench.now = 100.0
    bench.table.send(bench.table.get(ME, 5).key, 2, at(100.0))
    bench.table.lost(at(100.0))
    bench.tick(106.0)
    assert kinds(bench.finish_round()) == [VerdictKind.UNDECIDED]
    assert bench.work.due == 110.0


def test_a_question_without_an_answer_is_repeated_and_then_given_up():
    bench = Bench()
    bench.begin()
    for source in (Source.OPEN, Source.ALL_OPEN, Source.COMPLETED):
        bench.end(source)
    assert bench.work.due == 105.0
    assert bench.tick(105.0) == [Ask(Source.EXECUTIONS)]
    assert bench.tick(108.0) == []
    assert bench.tick(110.0) == [Ask(Source.EXECUTIONS)]
    (judged,) = bench.tick(115.0)
    assert judged.missing == frozenset({Source.EXECUTIONS})
    assert not bench.work.reconciled
    assert bench.work.due == 120.0
    assert bench.tick(120.0) == [Ask(Source.OPEN)]


@pytest.mark.parametrize("drops", range(0, 125, 4))
def test_orders_may_flow_five_seconds_after_tws_has_stopped_dropping_questions(drops):
    bench = Bench()
    asked = [effect.source for effect in bench.begin(now=0.0)]
    while not bench.work.reconciled:
        assert bench.now <= drops + 5.0
        while asked and bench.now >= drops:
            asked += [effect.source for effect in bench.end(asked.pop(0)) if isinstance(effect, Ask)]
        if not bench.work.reconciled:
            assert bench.work.due is not None
            asked = [effect.source for effect in bench.tick(bench.work.due) if isinstance(effect, Ask)]


def test_lists_that_come_only_after_they_were_asked_for_again_are_waited_for_longer():
    bench = Bench()
    bench.begin()
    waits = []
    for _ in range(4):
        waits.append(bench.work.due - bench.now)
        bench.tick(bench.work.due)
        bench.finish_round()
        bench.work.ask_anew(at(bench.now))
    assert waits == [5.0, 10.0, 20.0, 20.0]
    bench.begin(now=bench.now)
    assert bench.work.due - bench.now == 5.0, "a new socket may lead to another gateway"


def test_a_question_that_is_answered_is_not_repeated():
    bench = Bench()
    bench.begin()
    bench.end(Source.OPEN)
    bench.end(Source.ALL_OPEN)
    bench.now = 103.0
    bench.end(Source.EXECUTIONS)
    assert bench.tick(105.0) == [Ask(Source.COMPLETED)]
    bench.end(Source.COMPLETED)
    assert bench.work.phase is Phase.IDLE


def test_a_gateway_that_answers_nothing_is_asked_all_the_same():
    bench = Bench(asks=1)
    bench.begin()
    assert bench.tick(110.0) == [Ask(Source.ALL_OPEN)]
    assert bench.tick(120.0) == [Ask(Source.COMPLETED), Ask(Source.EXECUTIONS)]
    (judged,) = bench.tick(130.0)
    assert judged.missing == frozenset(Source)


def test_a_refused_question_is_missing():
    bench = Bench(settle_seconds=0.0)
    bench.doubtful()
    bench.begin()
    assert bench.work.refused(Source.COMPLETED, at(100.0)) == []
    bench.end(Source.OPEN)
    bench.end(Source.ALL_OPEN)
    assert bench.work.refused(Source.COMPLETED, at(100.0)) == []
    judged = bench.finish_round()
    assert (kinds(judged), judged.missing) == ([VerdictKind.OVER], frozenset({Source.COMPLETED}))
    assert not bench.work.reconciled
    bench.work.lost()
    assert bench.work.refused(Source.OPEN, at(100.0)) == []


def refuse_round(bench: Bench) -> float:
    """A list does not come; in how many seconds it is asked again."""
    bench.work.refused(Source.OPEN, at(bench.now))
    bench.finish_round()
    assert bench.work.missing == {Source.OPEN}
    assert bench.work.retry_wall - at(bench.now).wall == bench.work.due - bench.now
    return bench.work.due - bench.now


def test_a_list_that_does_not_come_is_asked_for_again_soon_and_less_often_the_longer_that_lasts():
    bench = Bench()
    bench.begin()
    waits = []
    for _ in range(20):
        waits.append(refuse_round(bench))
        assert bench.tick(bench.work.due) == [Ask(Source.OPEN)]
    assert waits[:5] == [5.0, 10.0, 20.0, 40.0, 60.0]
    assert set(waits[5:]) == {60.0}


@pytest.mark.parametrize("news", ["a whole round", "the link", "a socket"])
def test_after_better_news_a_list_that_does_not_come_is_asked_for_soon_again(news):
    bench = Bench()
    bench.begin()
    assert refuse_round(bench) == 5.0
    bench.tick(bench.work.due)
    if news == "a whole round":
        bench.finish_round()
        assert (bench.work.missing, bench.work.reconciled) == (frozenset(), True)
    if news == "a socket":
        bench.begin(now=bench.now)
    else:
        bench.work.link(at(bench.now), up=False)
        assert bench.work.missing == frozenset()
        bench.work.link(at(bench.now), up=True)
    assert refuse_round(bench) == 5.0


def test_nothing_is_concluded_from_open_orders_that_were_not_listed():
    bench = Bench(settle_seconds=0.0)
    bench.doubtful()
    bench.begin()
    bench.work.refused(Source.OPEN, at(100.0))
    assert kinds(bench.finish_round()) == [VerdictKind.UNDECIDED]


def test_a_round_with_a_repeated_list_settles_nothing():
    bench = Bench(settle_seconds=0.0, retry_seconds=60.0)
    bench.doubtful()
    bench.begin()
    assert Ask(Source.OPEN) in bench.tick(110.0)
    judged = bench.finish_round()
    assert (kinds(judged), judged.settled) == ([VerdictKind.UNDECIDED], False)
    assert bench.work.due == 170.0


def test_repeated_executions_have_ids_of_their_own_and_settle():
    bench = Bench(settle_seconds=0.0)
    bench.doubtful()
    bench.begin()
    for source in (Source.OPEN, Source.ALL_OPEN, Source.COMPLETED):
        bench.end(source)
    assert bench.tick(110.0) == [Ask(Source.EXECUTIONS)]
    (judged,) = bench.end(Source.EXECUTIONS)
    assert kinds(judged) == [VerdictKind.UNKNOWN]


def test_an_order_that_can_not_be_decided_is_looked_at_again_later():
    bench = Bench(settle_seconds=0.0)
    bench.doubtful(order_ref="mine")
    bench.begin()
    bench.work.hear_order(OrderFacts(message_id=5, order_id=5, client_id=ME, order_ref="theirs", status="Submitted"))
    judged = bench.finish_round()
    assert (kinds(judged), judged.settled) == ([VerdictKind.UNDECIDED], True)
    assert bench.work.due == 160.0


def test_an_order_that_comes_into_doubt_on_a_healthy_connection_has_a_round_of_its_own():
    bench = Bench()
    bench.begin()
    bench.finish_round()
    bench.work.doubt(at(300.0), 300.0)
    assert bench.work.due == 310.0
    bench.work.doubt(at(305.0), 304.0)
    assert bench.work.due == 310.0
    bench.work.lost()
    bench.begin(link_up=False, now=400.0)
    bench.finish_round()
    bench.work.doubt(at(401.0), 401.0)
    assert bench.work.due is None


def test_an_order_that_was_silent_for_long_enough_has_its_round_at_once():
    bench = Bench()
    bench.begin()
    bench.finish_round()
    bench.work.doubt(at(300.0), 290.0)
    assert bench.work.due == 300.0


def test_a_lost_socket_ends_the_round():
    bench = Bench()
    bench.begin()
    bench.end(Source.OPEN)
    bench.work.lost()
    assert (bench.work.phase, bench.work.due, bench.work.reconciled) == (Phase.IDLE, None, False)
    assert bench.end(Source.ALL_OPEN) == []
    assert bench.begin(epoch=3) == [Ask(Source.OPEN)]


def test_time_passes_without_effect_when_nothing_is_waited_for():
    bench = Bench()
    assert bench.tick(1e9) == []


def test_a_fill_is_new_once_in_the_life_of_the_process():
    bench = Bench()
    fill = ExecutionFacts(request_id=-1, order_id=5, client_id=ME, exec_id="a.b.01.01", perm_id=77)
    assert bench.work.hear_execution(fill)
    bench.begin()
    assert not bench.work.hear_execution(fill)
    bench.finish_round()
    bench.begin(epoch=3)
    assert not bench.work.hear_execution(fill)


def test_words_between_rounds_are_no_evidence():
    bench = Bench()
    bench.doubtful()
    bench.work.hear_order(OrderFacts(message_id=5, order_id=5, client_id=ME, perm_id=77, status="Submitted"))
    bench.begin()
    assert kinds(bench.finish_round()) == [VerdictKind.UNDECIDED]


def completed(perm_id):
    return OrderFacts(message_id=101, order_id=None, client_id=None, perm_id=perm_id, status="Cancelled")


@pytest.mark.parametrize(("limit", "verdict"), [(10, VerdictKind.UNKNOWN), (1, VerdictKind.OVER)])
def test_a_completed_order_that_was_listed_before_ours_was_written_is_not_ours(monkeypatch, limit, verdict):
    monkeypatch.setattr(reconcile, "MAX_LISTED", limit)
    bench = Bench(settle_seconds=0.0)
    bench.begin(now=10.0)
    for perm_id in (0, 900, 901):
        bench.work.hear_order(completed(perm_id))
    bench.finish_round()
    bench.now = 50.0
    bench.doubtful()
    bench.begin(epoch=2, now=100.0)
    bench.work.hear_order(completed(900))
    assert kinds(bench.finish_round()) == [verdict], "what is forgotten is not held against anybody"


def test_a_round_begins_anew_when_the_link_comes_back_in_the_middle_of_it():
    bench = Bench(settle_seconds=0.0)
    bench.doubtful()
    bench.begin()
    bench.end(Source.OPEN)
    assert bench.work.link(at(101.0), up=True) == [Ask(Source.OPEN)]
    bench.now = 101.0
    assert kinds(bench.finish_round()) == [VerdictKind.UNDECIDED], "its ends may be those of the first questions"
    assert bench.work.reconciled
