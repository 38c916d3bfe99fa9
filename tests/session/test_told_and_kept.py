"""The process ends between what a client is told and what the journal has: nothing is done twice, nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from script import Script
from speech import ask, error
from speech_orders import Told, status
from test_ordering import EMPTY, V, journalled

from backstay.protocol.messages import message_id
from backstay.session.intents import IntentState, JournalPage, Outcome
from backstay.session.lifecycle import Event
from backstay.session.order_words import WriteDown, WrittenDown
from backstay.session.resend import ResendRule
from backstay.session.vocabulary import Deliver, Ordered, Timer

ORDER = ask(V, 3, 500)
SETTLED_SECONDS = 11.0


def life(page: JournalPage = EMPTY, **settings) -> Script:
    """Of a process, at a gateway that is the only one."""
    return journalled(page, endpoints=(("gw0", 4001),), **settings)


def pages_of(script: Script) -> list[WriteDown]:
    return [effect for effect in script.effects if isinstance(effect, WriteDown)]


def disk_after(script: Script, pages: int) -> JournalPage:
    """What a journal has of which so many pages were written."""
    kept = {}
    for effect in pages_of(script)[:pages]:
        kept |= {intent.key: intent for intent in effect.page.intents}
    return JournalPage(tuple(kept.values()))


def settled(script: Script) -> Script:
    script.now += SETTLED_SECONDS
    return script.ring(Timer.RECONCILE).reconcile()


def orders_written(script: Script) -> list[bytes]:
    return [payload for payload in script.written(script.effects) if message_id(payload, V) == 3]


def refused_before_it_left() -> Script:
    """Its record is kept, and the link goes before its turn to leave comes."""
    script = life(messages_per_second=2, resend=ResendRule(enabled=True))
    script.ask(*(ask(V, 1, key) for key in range(9)), ORDER)
    script.step(WrittenDown(script.core.orders.token))
    return script.hear(error(V, -1, 1100))


def refused_by_tws() -> Script:
    script = life(resend=ResendRule(enabled=True)).ask(ORDER)
    script.step(WrittenDown(script.core.orders.token))
    return script.hear(error(V, 500, 201))


@pytest.mark.parametrize(("course", "writes"), [(refused_before_it_left, 0), (refused_by_tws, 1)])
def test_an_order_whose_refusal_was_told_and_not_written_down_is_not_sent_by_the_next_life(course, writes):
    first = course()
    assert len(orders_written(first)) == writes
    assert [kept.state for kept in disk_after(first, 1).intents] == [IntentState.SENT]
    assert pages_of(first)[-1].page.intents[0].is_concluded
    after = settled(life(disk_after(first, 1), resend=ResendRule(enabled=True)))
    assert orders_written(after) == [], "its client may have placed it anew"
    assert (500, 201) in after.codes(after.effects)


def test_an_order_of_this_life_is_still_sent_again():
    script = life(resend=ResendRule(enabled=True)).ask(ORDER)
    script.step(WrittenDown(script.core.orders.token))
    script.step(Ordered(Event.RESTART, "again"))
    script.connect().hello().identify().verify()
    settled(script)
    (page,) = [effect for effect in script.new if isinstance(effect, WriteDown)]
    script.step(WrittenDown(page.token))
    assert orders_written(script) == [ORDER, ORDER]


def test_what_the_client_was_told_is_written_down_although_it_is_heard_behind_the_end():
    script = life().ask(ORDER)
    script.step(WrittenDown(script.core.orders.token))
    script.step(Ordered(Event.STOP, "backstay is stopping"))
    script.hear(status(V, Told(500, 77, 1, 1, "Filled")))
    (kept,) = pages_of(script)[-1].page.intents
    assert kept.outcome is Outcome.FILLED


def test_an_end_that_was_told_and_not_written_down_is_told_again_and_the_order_left_alone():
    first = life().ask(ORDER)
    first.step(WrittenDown(first.core.orders.token))
    first.hear(status(V, Told(500, 77, 1, 1, "Filled")))
    live = replace(disk_after(first, 1).intents[0], state=IntentState.LIVE, perm_id=77)
    after = settled(life(JournalPage((live,))))
    told = [message_id(effect.data[4:], V) for effect in after.effects if isinstance(effect, Deliver)]
    assert told.count(3) == 1
    assert orders_written(after) == []
    assert after.core.orders.table.get(7, 500).outcome is Outcome.OVER
