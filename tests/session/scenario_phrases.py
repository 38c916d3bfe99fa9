"""The sentences that a scenario may be made of: one row each, a pattern and what it does or checks.

A line of a scenario is one of these sentences behind Given, When, Then or And. Numbers name requests and orders as the
scenario counts them; the request ids and order ids behind them are the client's affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import speech
from scenario_world import SAFELY, Stage

from backstay.session.causes import Cause
from backstay.session.lifecycle import Event
from backstay.session.resend import ResendRule
from backstay.session.settings import HeldSettings
from backstay.session.vocabulary import DialFailed, Lost

STREAMS = {
    "market data": 1,
    "account updates": 6,
    "market depth": 10,
    "news bulletins": 12,
    "real-time bars": 50,
    "positions": 61,
    "account summary": 62,
    "profit and loss": 92,
    "tick by tick": 97,
}
READS = {
    "open orders": 5,
    "executions": 7,
    "order ids": 8,
    "contract details": 9,
    "all open orders": 16,
    "historical bars": 20,
    "the current time": 49,
    "matching symbols": 81,
    "historical ticks": 96,
    "completed orders": 99,
}
SETTINGS = {"the kind of market data": 59, "the log level": 14, "auto-open orders": 15}
ORDERS = {"restarts": Event.RESTART, "pauses": Event.PAUSE, "resumes": Event.RESUME, "resets": Event.RESET}
ORDERS |= {"starts": Event.START, "drains": Event.DRAIN, "stops": Event.STOP}
MANNERS = {
    "closes the next socket without a word": "eof0",
    "resets the next socket without a word": "reset0",
    "shows a dialog": "dialog",
    "is a hole that swallows everything": "hole",
    "answers the greeting with nonsense": "bad answer",
    "answers the greeting with a version out of range": "bad version",
    "redirects to another port of its host": "redirect near",
    "redirects to another host": "redirect far",
    "speaks HTTP": "not tws",
    "says that the client id is taken": "taken",
    "never says who we are": "never ready",
    "answers no probe": "no probes",
    "lists open orders before it says who we are": "early orders",
    "says half of who we are": "one of two",
}
OWNERS = {"says yes": ("", 1.0), "says no": ("the owner said no", 1.0), "answers too late": ("", 60.0)}
FRAMES = {"nextValidId": 9, "managedAccounts": 15, "the current time": 49, "the end of the open orders": 53}

Do = Callable[..., object]
TABLE: list[tuple[re.Pattern[str], Do]] = []


def says(pattern: str, **tables: dict[str, Any]) -> Callable[[Do], Do]:
    """This sentence does this. `{name}` stands for one of the words of a table, `#` for a number."""
    for name, table in tables.items():
        words = "|".join(sorted(map(re.escape, table), key=len, reverse=True))
        pattern = pattern.replace(f"{{{name}}}", f"(?P<{name}>{words})")
    for index in range(pattern.count("#")):
        pattern = pattern.replace("#", f"(?P<number{index}>-?[0-9]+(?:[.][0-9]+)?)", 1)
    compiled = re.compile(pattern)

    def add(do: Do) -> Do:
        def run(stage: Stage, found: re.Match[str]) -> None:
            given = found.groupdict()
            do(stage, *(tables[key][word] if key in tables else _value(word) for key, word in given.items()))

        TABLE.append((compiled, run))
        return do

    return add


def _value(word: str | None) -> Any:
    if word is None or not re.fullmatch(r"-?[0-9]+([.][0-9]+)?", word):
        return word
    return float(word) if "." in word else int(word)


def perform(stage: Stage, sentence: str) -> None:
    """Do what a sentence says, or check it. Raises LookupError where none or two of the table fit."""
    fitting = [(found, do) for pattern, do in TABLE if (found := pattern.fullmatch(sentence)) is not None]
    if len(fitting) != 1:
        raise LookupError(f"{len(fitting)} sentences of the table fit {sentence!r}")
    found, do = fitting[0]
    do(stage, found)


# -- what is given -----------------------------------------------------------------------------------------------------


@says("the server version is #")
def _(stage: Stage, version: int) -> None:
    stage.version = version


@says("the relay is read-only")
def _(stage: Stage) -> None:
    stage.settings["read_only"] = True


@says("a journal of orders is kept")
def _(stage: Stage) -> None:
    stage.settings["journal"] = True


@says("lost orders may be sent again once that is safe")
def _(stage: Stage) -> None:
    stage.settings["resend"] = ResendRule(enabled=True)


@says("lost orders may be sent again if their owner says so, who {says}", says=OWNERS)
def _(stage: Stage, says: tuple[str, float]) -> None:
    stage.settings["resend"] = ResendRule(enabled=True, asks_owner=True)
    stage.owner = says


@says("at most # requests? wait while the gateway is away")
def _(stage: Stage, count: int) -> None:
    stage.settings["held"] = HeldSettings(count=count)


@says("at most # requests leave in a second")
def _(stage: Stage, count: int) -> None:
    stage.settings["messages_per_second"] = count


@says("a drain may take # seconds")
def _(stage: Stage, seconds: float) -> None:
    stage.settings["drain_seconds"] = float(seconds)


@says("redirects to other hosts are allowed")
def _(stage: Stage) -> None:
    stage.settings["redirect_anywhere"] = True


@says("there is a single endpoint")
def _(stage: Stage) -> None:
    stage.settings["endpoints"] = (("gw0", 4001),)


# -- what the client does ----------------------------------------------------------------------------------------------


@says("a client whose connection is ready")
def _(stage: Stage) -> None:
    stage.world.greet()
    assert stage.world.run(SAFELY, lambda: stage.world.ready), stage.world.core.view()
    stage.settle()


@says("the client connects")
def _(stage: Stage) -> None:
    stage.world.greet()
    stage.settle()


@says("the client connects, and the gateway's hello is known from before")
def _(stage: Stage) -> None:
    stage.world.greet(cached=True)
    stage.settle()


@says("the client leaves")
def _(stage: Stage) -> None:
    stage.world.leave()
    stage.settle()


@says("the client leaves, and its connection is kept")
def _(stage: Stage) -> None:
    stage.world.client_goes()
    stage.settle()


@says("a client with the same id comes back")
def _(stage: Stage) -> None:
    stage.world.client_returns()
    stage.settle()


@says("the client streams {stream} as #", stream=STREAMS)
def _(stage: Stage, number: int, name: int) -> None:
    stage.ask(number, name, flag=number == 6)


@says("the client asks for {read} as #", read=READS)
def _(stage: Stage, number: int, name: int) -> None:
    stage.ask(number, name)


@says("the client asks for # contract details at once")
def _(stage: Stage, count: int) -> None:
    stage.world.send(*(stage.world.client.ask(9).payload for _ in range(count)))
    stage.settle()


@says("the client asks for a snapshot of market data as #")
def _(stage: Stage, name: int) -> None:
    stage.ask(1, name, flag=True)


@says("the client sets {setting}", setting=SETTINGS)
def _(stage: Stage, number: int) -> None:
    stage.ask(number, -number)


@says("the client cancels #")
def _(stage: Stage, name: int) -> None:
    stage.world.send(stage.world.client.cancel(stage.asked[name]))
    stage.settle()


@says("the client places order #")
def _(stage: Stage, name: int) -> None:
    stage.ask(3, 1000 + name)
    order_id = stage.asked[1000 + name].key
    assert order_id is not None
    stage.orders[name] = order_id


@says("the client places order # just before the gateway hangs up")
def _(stage: Stage, name: int) -> None:
    """TWS has it, and had no time to say so."""
    _place_and_lose(stage, name, arrives=True)


@says("the client places order # and the line loses it")
def _(stage: Stage, name: int) -> None:
    _place_and_lose(stage, name, arrives=False)


def _place_and_lose(stage: Stage, name: int, *, arrives: bool) -> None:
    upstream = stage.gateway
    asked = stage.world.client.ask(3)
    assert asked.key is not None
    stage.asked[1000 + name], stage.orders[name] = asked, asked.key
    upstream.frozen, upstream.deaf = False, not arrives
    stage.world.send(asked.payload)
    stage.world.run(0.005)
    upstream.deaf = False
    upstream.close("eof")
    stage.world.run(0.01)


@says("the client changes order #")
def _(stage: Stage, name: int) -> None:
    asked = stage.world.client.ask(3, key=stage.order_id(name))
    stage.asked[2000 + name] = asked
    stage.world.send(asked.payload)
    stage.settle()


@says("the client cancels order #")
def _(stage: Stage, name: int) -> None:
    asked = stage.world.client.ask(4, key=stage.order_id(name))
    stage.asked[3000 + name] = asked
    stage.world.send(asked.payload)
    stage.settle()


# -- what the gateway does ---------------------------------------------------------------------------------------------


@says("the gateway refuses connections")
def _(stage: Stage) -> None:
    stage.world.refusing = True


@says("the gateway takes connections again")
def _(stage: Stage) -> None:
    stage.world.refusing = False


@says("the gateway {manner}", manner=MANNERS)
def _(stage: Stage, manner: str) -> None:
    stage.world.next_manners.append(manner)


@says("the gateway {manner}, # times", manner=MANNERS)
def _(stage: Stage, manner: str, count: int) -> None:
    stage.world.next_manners += [manner] * count


@says("the dialog is accepted")
def _(stage: Stage) -> None:
    stage.gateway.heal()
    stage.settle()


@says("the gateway says who we are")
def _(stage: Stage) -> None:
    stage.gateway.heal()
    stage.settle()


@says("the gateway hangs up")
def _(stage: Stage) -> None:
    stage.gateway.close("eof")
    stage.world.run(0.01)


@says("the gateway resets the line")
def _(stage: Stage) -> None:
    stage.gateway.close("reset")
    stage.world.run(0.01)


@says("the gateway sends a frame of impossible length")
def _(stage: Stage) -> None:
    stage.gateway.say(b"\xff\xff\xff\xff")
    stage.world.run(0.01)


@says("the gateway freezes")
def _(stage: Stage) -> None:
    stage.gateway.frozen = True


@says("the gateway goes on")
def _(stage: Stage) -> None:
    stage.gateway.recover()
    stage.settle()


@says("the line swallows everything")
def _(stage: Stage) -> None:
    stage.gateway.deaf = True


@says("the gateway ignores # questions? for the time")
def _(stage: Stage, count: int) -> None:
    stage.gateway.probes_to_drop = count


@says("the gateway drops all requests for # seconds")
def _(stage: Stage, seconds: float) -> None:
    stage.gateway.drop_for(seconds)


@says("the gateway says 100, too many messages, about nothing")
def _(stage: Stage) -> None:
    stage.gateway.complain()
    stage.settle()


@says("the gateway says # about (?P<what>nothing|order) ?(?P<which>[0-9]*)")
def _(stage: Stage, code: int, what: str, which: int | str) -> None:
    key = -1 if what == "nothing" else stage.order_id(int(which))
    _say(stage, key, code)


@says("the gateway says # about request #")
def _(stage: Stage, code: int, name: int) -> None:
    key = stage.asked[name].key
    assert key is not None
    _say(stage, key, code)


def _say(stage: Stage, key: int, code: int) -> None:
    stage.gateway.say(speech.error(stage.world.version, key, code))
    stage.settle()


@says("the gateway loses IB's servers")
def _(stage: Stage) -> None:
    stage.gateway.upstream_lost()
    stage.settle()


@says("the gateway has IB's servers back, and the data is lost")
def _(stage: Stage) -> None:
    stage.gateway.streams.clear()
    stage.gateway.upstream_restored(data_lost=True)
    stage.world.book.restore_link()
    stage.settle()


@says("the gateway has IB's servers back, and the data is kept")
def _(stage: Stage) -> None:
    stage.gateway.upstream_restored(data_lost=False)
    stage.settle()


@says("the gateway forgets stream # without a word")
def _(stage: Stage, name: int) -> None:
    asked = stage.asked[name]
    del stage.gateway.streams[asked.number, asked.key]


@says("the market data farm is lost")
def _(stage: Stage) -> None:
    stage.gateway.flap_farm(up=False)
    stage.settle()


@says("the market data farm is back")
def _(stage: Stage) -> None:
    stage.gateway.flap_farm(up=True)
    stage.settle()


@says("the gateway moves to another port")
def _(stage: Stage) -> None:
    stage.gateway.move_port()
    stage.settle()


@says("the gateway restarts, and has forgotten the ids of orders that IB never had")
def _(stage: Stage) -> None:
    stage.gateway.close("eof")
    stage.world.book.restart()
    stage.world.run(0.01)


@says("order # fills")
def _(stage: Stage, name: int) -> None:
    stage.world.book.fill(stage.world.book.orders[stage.order_id(name)])
    stage.settle()


@says("order # fills, and the gateway hangs up before it says so")
def _(stage: Stage, name: int) -> None:
    upstream = stage.gateway
    upstream.deaf = True
    stage.world.book.fill(stage.world.book.orders[stage.order_id(name)])
    upstream.deaf = False
    upstream.close("eof")
    stage.world.run(0.01)


# -- what befalls us ---------------------------------------------------------------------------------------------------


@says("the operator {order} the connection", order=ORDERS)
def _(stage: Stage, event: Event) -> None:
    stage.world.order(event)
    stage.world.run(0.02)


@says("the reading thread dies")
def _(stage: Stage) -> None:
    stage.world.post(Lost(stage.world.owed.epoch, Cause.READER_DIED, "a bug", received=True))
    stage.world.run(0.02)


@says("the operator has its (?P<part>link|session) begun anew(?P<told>, and the reader tells of the end)?")
def _(stage: Stage, part: str, told: str | None) -> None:
    stage.world.order_part(part, told=told is not None)
    stage.world.run(0.02)


@says("the session itself dies, and its successor begins")
def _(stage: Stage) -> None:
    stage.world.restart_session()
    stage.world.run(0.02)


@says("the disk is full")
def _(stage: Stage) -> None:
    stage.world.disk.trouble = "no room"


@says("the disk has room again")
def _(stage: Stage) -> None:
    stage.world.disk.trouble = ""


@says("word of an earlier socket's end comes late")
def _(stage: Stage) -> None:
    assert stage.world.step(Lost(stage.world.owed.epoch - 1, Cause.EOF, "")) == []


@says("word of a failed dial of an earlier socket comes late")
def _(stage: Stage) -> None:
    assert stage.world.step(DialFailed(stage.world.owed.epoch - 1, Cause.REFUSED, "")) == []


@says("# seconds? pass(?:es)?")
def _(stage: Stage, seconds: float) -> None:
    stage.world.run(seconds)


@says("all is given the time it needs")
def _(stage: Stage) -> None:
    assert stage.world.run(SAFELY, lambda: stage.world.ready), stage.world.core.view()
    stage.world.run(60.0)
