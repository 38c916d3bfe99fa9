"""A connection without a client behind a socket: its application is told in words, each loss, and in order."""

from __future__ import annotations

from script import Script, kinds, lose, only
from speech import ask

from backstay.protocol.handshake import VersionRange
from backstay.session.causes import Cause
from backstay.session.client_words import ClientStarted
from backstay.session.core import Owed
from backstay.session.lifecycle import Event
from backstay.session.own_words import TellBack, TellGap, TellHello
from backstay.session.sieve_words import Hush
from backstay.session.vocabulary import Deliver, DialFailed, HangUp, Ordered

OFFER = VersionRange(176, 200)


def kept(*, started: bool = True) -> Script:
    script = Script(owed=Owed(offer=OFFER, start=ClientStarted(7) if started else None))
    script.step(Ordered(Event.START))
    return script


def ready() -> Script:
    return kept().connect().hello().identify().verify()


def words(script: Script, kind: type) -> list[object]:
    return [effect for effect in script.effects if isinstance(effect, kind)]


def test_the_application_hears_of_the_hello_and_that_all_is_back_and_gets_no_frames_for_it():
    script = ready()
    assert [word.hello.version for word in words(script, TellHello)] == [200]
    assert words(script, TellBack) == [TellBack(1)]
    assert not words(script, Deliver), "no frame is made for who can be told in words"


def test_each_loss_is_told_behind_the_last_frames_of_its_epoch():
    script = ready()
    lose(script)
    assert only(script.new, TellGap) == TellGap(1, Cause.EOF, "why")
    order = kinds(script.new)
    assert order.index(HangUp) < order.index(Hush) < order.index(TellGap)
    script.step(Ordered(Event.RESET))
    script.step(DialFailed(2, Cause.REFUSED, "gw0"))
    assert only(script.new, TellGap) == TellGap(2, Cause.REFUSED, "gw0")


def test_an_order_is_refused_once_the_gap_is_told_and_not_before_the_start():
    script = ready()
    lose(script)
    script.ask(ask(200, 3, 500))
    assert script.codes() == [(500, 201)]


def test_without_a_start_there_is_nothing_to_tell_of_and_startapi_waits_for_it():
    script = kept(started=False).connect().hello()
    assert not script.written()
    script.step(ClientStarted(7))
    assert script.written()
    unstarted = kept(started=False).connect().hello()
    lose(unstarted)
    assert not words(unstarted, TellGap)
