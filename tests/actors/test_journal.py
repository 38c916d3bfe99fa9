"""The journal as an actor: who is told what when, and that no trouble with the file ends it."""

import threading

import pytest
from journal_desk import PATIENCE
from journal_orders import ME, intent, page

from backstay.actors import journal as journal_module
from backstay.actors.journal import (
    KEEP_SECONDS,
    PRUNE_SECONDS,
    TEND_SECONDS,
    Journal,
    JournalParts,
    Keep,
    Kept,
    NotKept,
    Recall,
    Recalled,
)
from backstay.actors.journal_store import PRUNE_ROWS, JournalError, JournalStore, Trouble
from backstay.session.intents import IntentState, JournalPage, Outcome
from backstay.supervisor.messages import ExitKind
from backstay.supervisor.specs import ChildSpec, SupervisorSpec
from backstay.supervisor.supervisor import start_root


class Scripted(JournalStore):
    """A store that fails as told; shared by all its openings."""

    def __init__(self, path):
        super().__init__(path)
        self.opens = self.closes = self.prunes = 0
        self.writes = []
        self.failures = {}
        self.old = 0

    def _fail(self, where):
        error = self.failures.get(where)
        if error is not None:
            raise error

    def open(self):
        self.opens += 1
        self._fail("open")
        super().open()

    def close(self):
        self.closes += 1
        super().close()

    def write(self, pages):
        self.writes.append(len(pages))
        self._fail("write")
        super().write(pages)

    def read(self, connection=None, *, concluded=False):
        self._fail("read")
        return super().read(connection, concluded=concluded)

    def try_room(self):
        self._fail("room")
        super().try_room()

    def prune(self, before_wall):
        self.prunes += 1
        self._fail("prune")
        if self.old:
            self.old -= 1
            return PRUNE_ROWS
        return super().prune(before_wall)


@pytest.fixture
def store(path):
    return Scripted(path)


def trouble(kind):
    return JournalError(kind, "as told")


def keep(answers, *order_ids):
    return Keep(page(*order_ids), order_ids[0], answers)


def reopened(path):
    store = JournalStore(path)
    store.open()
    read = store.read(concluded=True)
    store.close()
    return {kept.key.order_id for kept in read.intents}


# -- keeping and recalling --------------------------------------------------------------------------------------------


def test_an_order_is_on_disk_when_it_is_said_to_be(desk, path, answers):
    desk.start(lambda: JournalStore(path))
    desk.send(keep(answers, 5))
    assert answers.wait(1) == [Kept(5)]
    copy = path.with_name("copy.db")
    for name in (path, path.with_name("orders.db-wal")):
        name.with_name(name.name.replace("orders", "copy")).write_bytes(name.read_bytes())
    assert reopened(copy) == {5}
    assert desk.parts.meter.usable
    assert desk.changes.entries == [(True, "")]
    assert desk.logged.entries == [("journal_usable", {"trouble": ""})]


def test_pages_that_wait_at_the_same_time_share_a_commit(desk, store, answers):
    gate, reached = threading.Event(), threading.Event()
    desk.start(lambda: store)
    desk.send(Keep(page(1), 1, lambda _: [reached.set(), gate.wait(PATIENCE)]))
    assert reached.wait(PATIENCE)
    for order_id in range(2, 12):
        desk.send(keep(answers, order_id))
    gate.set()
    assert answers.wait(10) == [Kept(order_id) for order_id in range(2, 12)]
    assert store.writes == [1, 10]
    meter = desk.parts.meter
    assert (meter.commits, meter.pages, meter.commit_seconds.count, meter.write_failures) == (2, 11, 2, 0)


def test_a_burst_is_kept_in_portions(desk, store, answers, monkeypatch):
    monkeypatch.setattr(journal_module, "BATCH_PAGES", 4)
    gate, reached = threading.Event(), threading.Event()
    desk.start(lambda: store)
    desk.send(Keep(page(1), 1, lambda _: [reached.set(), gate.wait(PATIENCE)]))
    assert reached.wait(PATIENCE)
    for order_id in range(2, 12):
        desk.send(keep(answers, order_id))
    gate.set()
    answers.wait(10)
    assert store.writes == [1, 4, 4, 2]


def test_what_is_kept_is_recalled_together_with_what_was_told_just_before(desk, path, answers):
    desk.start(lambda: JournalStore(path))
    concluded = JournalPage((intent(6, state=IntentState.DONE, outcome=Outcome.FILLED),))
    for message in (
        keep(answers, 5),
        Keep(concluded, 6, answers),
        Keep(page(7, connection="live"), 7, answers),
        Recall("open", answers, "paper"),
        Recall("all", answers, concluded=True),
    ):
        desk.send(message)
    *kept, opened, everything = answers.wait(5)
    assert kept == [Kept(5), Kept(6), Kept(7)]
    assert isinstance(opened, Recalled)
    assert (opened.token, [found.key.order_id for found in opened.page.intents]) == ("open", [5])
    assert opened.page.high_waters[0].order_id == 5
    assert {found.key.order_id for found in everything.page.intents} == {5, 6, 7}
    assert everything.page.high_waters[0].client_id == ME


def test_an_asker_that_fails_does_not_hurt_the_others(desk, path, answers):
    desk.start(lambda: JournalStore(path))
    desk.send(Keep(page(1), 1, lambda _: 1 / 0))
    desk.send(keep(answers, 2))
    assert answers.wait(1) == [Kept(2)]


def test_what_it_does_not_understand_is_passed_over(desk, path, answers):
    desk.start(lambda: JournalStore(path))
    desk.send("something else")
    desk.send(keep(answers, 2))
    assert answers.wait(1) == [Kept(2)]


# -- trouble with the file --------------------------------------------------------------------------------------------


def test_a_file_that_can_not_be_opened_refuses_orders_until_it_can(desk, store, answers):
    store.failures["open"] = trouble(Trouble.LOCKED)
    actor = desk.start(lambda: store)
    desk.send(keep(answers, 5))
    desk.send(Recall("what", answers))
    refused = answers.wait(2)
    assert [type(answer) for answer in refused] == [NotKept, NotKept]
    assert (refused[0].token, refused[0].trouble) == (5, Trouble.LOCKED)
    assert "in use" in refused[0].text
    assert not desk.parts.meter.usable
    desk.pass_time(TEND_SECONDS)
    desk.send(keep(answers, 6))
    answers.wait(3)
    assert store.opens == 2
    store.failures.clear()
    desk.pass_time(TEND_SECONDS)
    desk.send(Recall("now", answers))
    assert isinstance(answers.wait(4)[-1], Recalled)
    desk.send(keep(answers, 7))
    assert answers.wait(5)[-1] == Kept(7)
    assert [usable for usable, _ in desk.changes.entries] == [False, True]
    assert actor.ready.is_set()
    assert not actor.done.is_set()


def test_orders_that_keep_coming_do_not_put_off_the_next_attempt(desk, store, answers):
    store.failures["open"] = trouble(Trouble.DENIED)
    desk.start(lambda: store)
    for order_id in range(1, 11):
        desk.send(keep(answers, order_id))
        answers.wait(order_id)
        desk.pass_time(TEND_SECONDS / 5)
    desk.send(Recall("last", answers))
    answers.wait(11)
    assert store.opens == 3


@pytest.mark.parametrize("kind", [Trouble.BROKEN, Trouble.UNREADABLE, Trouble.DENIED, Trouble.LOCKED])
def test_a_file_that_fails_is_opened_anew(desk, store, answers, kind):
    desk.start(lambda: store)
    store.failures["write"] = trouble(kind)
    desk.send(keep(answers, 5))
    assert answers.wait(1)[0].trouble is kind
    store.failures.clear()
    desk.send(keep(answers, 6))
    assert answers.wait(2)[1].trouble is kind, "nothing is tried before the file is opened again"
    desk.pass_time(TEND_SECONDS)
    desk.send(Recall("now", answers))
    answers.wait(3)
    desk.send(keep(answers, 7))
    assert answers.wait(4)[-1] == Kept(7)
    assert desk.parts.meter.write_failures == 2


def test_a_full_disk_is_tried_again_with_the_next_order(desk, store, answers):
    desk.start(lambda: store)
    store.failures["write"] = trouble(Trouble.FULL)
    desk.send(keep(answers, 5))
    assert answers.wait(1)[0].trouble is Trouble.FULL
    store.failures.clear()
    desk.send(keep(answers, 6))
    assert answers.wait(2)[1] == Kept(6)
    assert store.opens == 1
    assert [usable for usable, _ in desk.changes.entries] == [True, False, True]


def test_a_full_disk_on_which_nobody_places_an_order_counts_as_usable_once_there_is_room_and_not_before(
    desk, store, answers
):
    desk.start(lambda: store)
    store.failures |= {"write": trouble(Trouble.FULL), "room": trouble(Trouble.FULL)}
    desk.send(keep(answers, 5))
    answers.wait(1)
    for look in range(2):
        desk.pass_time(TEND_SECONDS)
        desk.send(Recall(look, answers))
        answers.wait(2 + look)
        assert not desk.parts.meter.usable
    store.failures.clear()
    desk.pass_time(TEND_SECONDS)
    assert desk.changes.wait(3)[-1] == (True, "")
    assert store.opens == 1


def test_what_the_file_holds_in_doubt_is_counted_whoever_is_there_also_after_a_restart(desk, path, answers):
    desk.start(lambda: JournalStore(path))
    desk.send(Keep(page(5, 6), 1, answers))
    desk.send(Keep(page(9, connection="other", state=IntentState.IN_DOUBT), 2, answers))
    desk.send(Keep(page(6, state=IntentState.LIVE), 3, answers))
    answers.wait(3)
    assert desk.parts.meter.in_doubt == {("paper", ME): 1, ("other", ME): 1}
    desk.stop()
    desk.start(lambda: JournalStore(path))
    desk.send(Recall(4, answers))
    answers.wait(4)
    assert desk.parts.meter.in_doubt == {("paper", ME): 1, ("other", ME): 1}
    over = {"state": IntentState.DONE, "outcome": Outcome.FILLED}
    desk.send(Keep(page(5, **over), 5, answers))
    answers.wait(5)
    assert desk.parts.meter.in_doubt == {("other", ME): 1}


def test_a_full_disk_at_the_opening_is_tried_again_later(desk, store, answers):
    store.failures["open"] = trouble(Trouble.FULL)
    desk.start(lambda: store)
    desk.send(keep(answers, 5))
    answers.wait(1)
    store.failures.clear()
    desk.pass_time(TEND_SECONDS)
    desk.send(Recall("now", answers))
    assert isinstance(answers.wait(2)[-1], Recalled)


def test_what_can_not_be_read_is_told_and_the_file_opened_anew(desk, store, answers):
    desk.start(lambda: store)
    store.failures["read"] = trouble(Trouble.UNREADABLE)
    desk.send(Recall("what", answers))
    assert answers.wait(1) == [NotKept("what", Trouble.UNREADABLE, str(trouble(Trouble.UNREADABLE)))]
    store.failures.clear()
    desk.pass_time(TEND_SECONDS)
    desk.send(Recall("now", answers))
    assert isinstance(answers.wait(2)[-1], Recalled)


def test_trouble_that_was_told_costs_no_memory(desk, store, answers):
    store.failures["open"] = trouble(Trouble.DENIED)
    actor = desk.start(lambda: store)
    for order_id in range(1, 51):
        desk.send(keep(answers, order_id))
    answers.wait(50)
    depth, entry = 0, actor._refusal.__traceback__
    while entry is not None:
        depth, entry = depth + 1, entry.tb_next
    assert depth < 10


# -- ends and restarts ------------------------------------------------------------------------------------------------


def test_what_waits_is_kept_when_the_journal_is_stopped(desk, store, answers):
    gate, reached = threading.Event(), threading.Event()
    actor = desk.start(lambda: store)
    desk.send(Keep(page(1), 1, lambda _: [reached.set(), gate.wait(PATIENCE)]))
    assert reached.wait(PATIENCE)
    actor._waiting.append(keep(answers, 2))  # as if it had been taken in, with more to come
    actor.dismiss()
    gate.set()
    assert actor.done.wait(PATIENCE)
    assert answers.entries == [Kept(2)]
    assert store.closes == 1
    assert reopened(store.path) == {1, 2}


def test_what_waits_behind_a_crash_is_refused_as_well(desk, store, answers):
    gate, reached = threading.Event(), threading.Event()
    actor = desk.start(lambda: store)
    desk.send(Keep(page(1), 1, lambda _: [reached.set(), gate.wait(PATIENCE)]))
    assert reached.wait(PATIENCE)
    store.failures["read"] = RuntimeError("a bug")
    desk.send(Recall("what", answers))
    desk.send(keep(answers, 2))
    desk.send(Recall("and", answers))
    gate.set()
    assert actor.done.wait(PATIENCE)
    assert all(isinstance(answer, NotKept) for answer in answers.wait(3))
    assert [answer.token for answer in answers.entries] == ["what", 2, "and"]


def test_a_crash_refuses_what_was_under_way_and_closes_the_file(desk, store, answers):
    actor = desk.start(lambda: store)
    store.failures["write"] = RuntimeError("a bug")
    desk.send(keep(answers, 5))
    assert actor.done.wait(PATIENCE)
    assert [type(answer) for answer in answers.entries] == [NotKept]
    assert (actor.exited.kind, store.closes) == (ExitKind.CRASH, 1)
    assert store.writes == [1], "what may be the cause is not written again"


def test_a_journal_that_crashed_is_restarted_and_knows_what_it_knew(path, answers):
    stores = []

    def make():
        stores.append(Scripted(path))
        if len(stores) == 2:
            again.set()
        return stores[-1]

    again = threading.Event()
    parts = JournalParts(make)
    root = start_root(SupervisorSpec(children=(ChildSpec("journal", lambda c: Journal.start(c, parts=parts)),)))
    try:
        root.book.send("journal", keep(answers, 5))
        answers.wait(1)
        stores[0].failures["write"] = RuntimeError("a bug")
        root.book.send("journal", keep(answers, 6))
        assert isinstance(answers.wait(2)[1], NotKept)
        assert again.wait(PATIENCE)
        assert root.book.send("journal", Recall("again", answers))
        assert [found.key.order_id for found in answers.wait(3)[-1].page.intents] == [5]
    finally:
        assert root.stop(PATIENCE)


# -- pruning ----------------------------------------------------------------------------------------------------------


def test_old_conclusions_are_forgotten_every_hour(desk, path, answers):
    desk.start(lambda: JournalStore(path))
    end = {"state": IntentState.DONE, "outcome": Outcome.FILLED}
    old = intent(1, **end, changed_wall=desk.wall - KEEP_SECONDS - 1)
    young = intent(2, **end, changed_wall=desk.wall - KEEP_SECONDS + 1)
    desk.send(Keep(JournalPage((old, young)), 1, answers))
    answers.wait(1)
    desk.pass_time(PRUNE_SECONDS)
    for count in (2, 3):  # each round trip lets one timer and one message through
        desk.send(Recall("left", answers, concluded=True))
        answers.wait(count)
    assert [found.key.order_id for found in answers.entries[-1].page.intents] == [2]
    assert desk.parts.meter.pruned == 1


def test_a_big_clean_up_goes_on_at_once_and_then_rests(desk, store, answers):
    desk.start(lambda: store)
    desk.send(keep(answers, 1))
    answers.wait(1)
    store.old = 3
    desk.pass_time(PRUNE_SECONDS)
    for count in range(2, 12):  # each round trip lets one timer and one message through
        desk.send(keep(answers, count))
        answers.wait(count)
    assert store.prunes == 4
    assert desk.parts.meter.pruned == 3 * PRUNE_ROWS


def test_a_clean_up_that_fails_is_trouble_like_any_other(desk, store, answers):
    desk.start(lambda: store)
    store.failures["prune"] = trouble(Trouble.BROKEN)
    desk.send(keep(answers, 1))
    answers.wait(1)
    desk.pass_time(PRUNE_SECONDS)
    for count in (2, 3):
        desk.send(Recall("sync", answers))
        answers.wait(count)
    assert isinstance(answers.entries[-1], NotKept)
    store.failures.clear()
    desk.pass_time(PRUNE_SECONDS)
    desk.send(Recall("sync", answers))
    assert isinstance(answers.wait(4)[-1], Recalled)


def test_a_closed_file_is_not_cleaned_up(desk, store, answers):
    store.failures["open"] = trouble(Trouble.DENIED)
    desk.start(lambda: store)
    desk.send(Recall("sync", answers))
    answers.wait(1)
    desk.pass_time(PRUNE_SECONDS)
    for count in (2, 3, 4):
        desk.send(Recall("sync", answers))
        answers.wait(count)
    assert store.prunes == 0


def test_an_open_file_is_not_opened_again(desk, store, answers):
    actor = desk.start(lambda: store)
    actor.after(0.0, journal_module._Tend())
    desk.send(keep(answers, 1))
    desk.send(keep(answers, 2))
    answers.wait(2)
    assert store.opens == 1
