"""The sentences of a scenario that claim something: what is true by then."""

from __future__ import annotations

from scenario_phrases import FRAMES, SETTINGS, says
from scenario_world import Stage


@says("the connection is (?P<state>[a-z_]{5,})")
def _(stage: Stage, state: str) -> None:
    view = stage.world.core.view()
    assert view.state == state, view


@says("the connection is over")
def _(stage: Stage) -> None:
    assert stage.world.left


@says("the connection is ready within # seconds?")
def _(stage: Stage, seconds: float) -> None:
    assert stage.world.run(seconds, lambda: stage.world.ready), stage.world.core.view()
    stage.settle()


@says("the loss was called (?P<cause>[a-z_]+), code #")
def _(stage: Stage, cause: str, code: int) -> None:
    losses = [fields for _, event, fields in stage.world.log if event in ("connection_lost", "connect_failed")]
    assert losses, "nothing was lost"
    assert (losses[-1]["cause"], losses[-1]["code"]) == (cause, code)


@says("# loss(?:es)? (?:was|were) reported")
def _(stage: Stage, count: int) -> None:
    assert sum(event in ("connection_lost", "connect_failed") for _, event, _ in stage.world.log) == count


@says("# dials? (?:has|have) been made")
def _(stage: Stage, count: int) -> None:
    assert len(stage.world.dial_times) == count, stage.world.dial_times


@says("the last two dials are at least # seconds apart")
def _(stage: Stage, seconds: float) -> None:
    before, last = stage.world.dial_times[-2:]
    assert last - before >= seconds - 0.01, last - before


@says("the last two dials are at most # seconds apart")
def _(stage: Stage, seconds: float) -> None:
    before, last = stage.world.dial_times[-2:]
    assert last - before <= seconds + 0.01, last - before


@says("the last dial went to (?P<host>[a-z0-9]+):#")
def _(stage: Stage, host: str, port: int) -> None:
    assert stage.world.dialled[-1] == (host, port)


@says("the client's socket was answered")
def _(stage: Stage) -> None:
    assert stage.world.client.version == stage.version


@says("the client has been told nothing yet")
def _(stage: Stage) -> None:
    assert not stage.world.client.version


@says("the client has been told 1100 and 1102, # times?")
def _(stage: Stage, count: int) -> None:
    assert stage.world.client.outages == [1100, 1102] * count


@says("the client has been told 1100, and no 1102 since")
def _(stage: Stage) -> None:
    assert stage.world.client.outages[-1:] == [1100]


@says("the client has been told of no outage")
def _(stage: Stage) -> None:
    assert stage.world.client.outages == []


@says("the client has had {frame} # times?", frame=FRAMES)
def _(stage: Stage, number: int, count: int) -> None:
    assert stage.world.client.heard[number] == count


@says("the gateway has the streams? (?P<names>[0-9, ]+)")
def _(stage: Stage, names: str | int) -> None:
    assert stage.streams() == {int(name) for name in str(names).split(",")}


@says("the gateway has no stream")
def _(stage: Stage) -> None:
    assert stage.streams() == set()


@says("request # was sent # times?(?: on this socket)?")
def _(stage: Stage, name: int, count: int) -> None:
    assert len(stage.asked[name].writes) == count, stage.asked[name].writes


@says("the client has the whole answer to #, once")
def _(stage: Stage, name: int) -> None:
    asked = stage.asked[name]
    assert (asked.ended, asked.errors) == (1, []), asked


@says("request # ended with error #")
def _(stage: Stage, name: int, code: int) -> None:
    asked = stage.asked[name]
    assert asked.ended == 0
    assert [told for told, _ in asked.errors] == [code]


@says("request # is still open")
def _(stage: Stage, name: int) -> None:
    assert stage.asked[name].outcomes == 0


@says("no error was told about #")
def _(stage: Stage, name: int) -> None:
    assert stage.asked[name].errors == []


@says("TWS's refusal # was told about #")
def _(stage: Stage, code: int, name: int) -> None:
    assert (code, False) in stage.asked[name].errors


@says("setting {setting} was sent # times?", setting=SETTINGS)
def _(stage: Stage, number: int, count: int) -> None:
    assert len(stage.asked[-number].writes) == count


@says("# was sent before #")
def _(stage: Stage, first: int, second: int) -> None:
    assert stage.asked[first].written_at <= stage.asked[second].written_at


@says("order # is at IB, once")
def _(stage: Stage, name: int) -> None:
    assert stage.order_id(name) in stage.world.book.orders
    assert len(stage.asked[1000 + name].writes) == 1


@says("order # is at IB, and was sent twice under its id")
def _(stage: Stage, name: int) -> None:
    assert stage.order_id(name) in stage.world.book.orders
    assert len(stage.asked[1000 + name].writes) == 2


@says("order # was sent once and is not at IB")
def _(stage: Stage, name: int) -> None:
    assert len(stage.asked[1000 + name].writes) == 1
    assert stage.order_id(name) not in stage.world.book.orders


@says("order # never left")
def _(stage: Stage, name: int) -> None:
    assert stage.asked[1000 + name].writes == []
    assert stage.order_id(name) not in stage.world.book.ever


@says("the client was told # about order #, # times?")
def _(stage: Stage, code: int, name: int, count: int) -> None:
    assert stage.world.client.order_errors.get(stage.order_id(name), []).count(code) == count


@says("nothing of ours was told about order #")
def _(stage: Stage, name: int) -> None:
    assert stage.world.client.order_errors.get(stage.order_id(name), []) == []


@says("the client knows that order # has ended")
def _(stage: Stage, name: int) -> None:
    assert stage.order_id(name) in stage.world.client.ended


@says("the client has had every fill of order #, once")
def _(stage: Stage, name: int) -> None:
    order = stage.world.book.orders[stage.order_id(name)]
    assert order.fills
    assert all(stage.world.client.fills[exec_id] == 1 for exec_id, _ in order.fills)


@says("order ids that were used are not offered again")
def _(stage: Stage) -> None:
    assert stage.world.client.next_order > max(stage.world.book.ever)


@says("the cancel of order # was sent # times?")
def _(stage: Stage, name: int, count: int) -> None:
    assert len(stage.asked[3000 + name].writes) == count


@says("the change of order # was sent # times?")
def _(stage: Stage, name: int, count: int) -> None:
    assert len(stage.asked[2000 + name].writes) == count


@says("the journal has order #")
def _(stage: Stage, name: int) -> None:
    assert stage.order_id(name) in {key.order_id for key in stage.world.disk.intents}


@says("the event (?P<event>[a-z_]+) was reported # times?")
def _(stage: Stage, event: str, count: int) -> None:
    assert sum(name == event for _, name, _ in stage.world.log) == count


@says("no two of our questions for the time were less than # seconds apart")
def _(stage: Stage, _seconds: float) -> None:
    """The world asserts it at each frame."""
    assert stage.world.meter.heartbeats > 0


@says("# probes? (?:has|have) gone unanswered")
def _(stage: Stage, count: int) -> None:
    assert stage.world.meter.heartbeat_failures == count
