"""What must be true of a life once its faults are over, and how it ends."""

from __future__ import annotations

from collections import Counter

from driver import World
from driver_book import GATEWAY
from driver_client import ENDINGS, Asked
from speech import CLIENT_ID

from backstay.protocol.requests import REQUESTS
from backstay.protocol.vocabulary import Kind
from backstay.session.desk import MAX_SUMMARIES
from backstay.session.intents import IntentKey

RECOVERY_SECONDS = 120.0
NOT_FOUND = 10147
"""TWS does not know the order that is to be cancelled, and says so to the client."""

UNKEYED_WITH_CONTENT = (91, 18)

SUMMARY = 62


def check_streams(world: World) -> None:
    client, epoch = world.client, world.owed.epoch
    assert world.socket is not None
    # A refusal of what has no id cannot be told apart by the client.
    unclear = {None} if client.unsolicited_of(504) else set()
    have = {slot: payload for slot, payload in world.socket.streams.items() if slot[1] not in unclear}
    wanted = {slot: asked.payload for slot, asked in client.wanted.items() if slot[1] not in unclear}
    replaced = set(wanted) - set(have) if sum(slot[0] == SUMMARY for slot in wanted) > MAX_SUMMARIES else set()
    assert all(slot[0] == SUMMARY for slot in replaced), "only summaries make room for each other"
    flowing = {
        slot: payload
        for slot, payload in wanted.items()
        if have.get(slot) == payload or (slot in have and slot[1] is None)
    }
    missing = wanted.keys() - replaced - flowing.keys()
    assert not missing, f"streams flow that are wanted, not {missing}"
    assert have.keys() <= wanted.keys(), f"streams flow that nobody wants: {have.keys() - wanted.keys()}"
    heard = {code for asked in client.asked for code, ours in asked.errors if not ours}
    assert heard.isdisjoint({102, 322}), "that a repeated request had arrived is not told"
    for slot, asked in client.wanted.items():
        if slot in replaced:
            continue
        assert slot[1] in unclear or epoch in asked.writes, f"a stream is asked for: {asked}"


def check_reads(world: World) -> None:
    for asked in world.client.asked:
        if asked.kind not in (Kind.ONESHOT, Kind.SNAPSHOT) or asked.cancelled:
            continue
        if asked.key is not None:
            assert asked.outcomes == 1, f"exactly one outcome: {asked}"
            if asked.ended and REQUESTS[asked.number].rows and asked.number in (9, 96):
                assert asked.rows == 2, f"each row once: {asked}"
        elif asked.number in UNKEYED_WITH_CONTENT and not world.client.unsolicited_of(504):
            assert asked.writes, f"asked for, and never sent: {asked}"
            # Of a gateway that hung, the answer to the one before may be taken for this, whose own a break then takes.
            if asked.writes[-1] == world.owed.epoch:
                assert asked.token in world.client.answers, f"asked for, and another's answer taken for its: {asked}"


def check_orders(world: World) -> None:
    client, epoch = world.client, world.owed.epoch
    frames: dict[int, list[Asked]] = {}
    for asked in client.asked:
        if asked.number in (3, 4) and asked.life == world.lives:
            frames.setdefault(asked.key or 0, []).append(asked)
            resent = world.settings.resend.enabled and asked.number == 3
            assert len(asked.writes) <= 1 or asked.number == 4 or resent, "a cancel may be repeated, an order never"
    for order_id, asked_for in frames.items():
        told = Counter(client.order_errors.get(order_id, ()))
        unsent = [asked for asked in asked_for if not asked.writes]
        said_no = told[201] + told[321] + told[2164] + told[2166]
        was_there = len(unsent) < len(asked_for) or order_id in world.survivors
        not_there = was_there and not world.book.exists(order_id)
        again = order_id in world.survivors or sum(asked.number == 3 and bool(asked.writes) for asked in asked_for) > 1
        of_before = (
            again and told[201] > 0
        )  # TWS never had it, said the journal's life or ours, and it was placed again
        assert len(unsent) <= said_no <= len(unsent) + (not_there or of_before), (asked_for, told)
        lost = [asked for asked in asked_for if asked.number == 3 and asked.writes and asked.writes[0] != epoch]
        if lost and order_id not in client.orders_spoken_of:
            assert told[2165] >= 1, "an order of unknown fate is told of"
        if any(asked.number == 3 and asked.writes for asked in asked_for):
            check_fate(world, order_id)
        cancelled = asked_for[-1].number == 4 and asked_for[-1].writes and not told[2163]
        if cancelled and NOT_FOUND not in client.refusals.get(order_id, ()) and not world.settings.read_only:
            assert not world.book.exists(order_id), f"order {order_id} was cancelled, and works on"
    for order_id in world.survivors:
        check_fate(world, order_id)
    for order_id in world.owed_cancels:
        said = {*client.order_errors.get(order_id, ()), *client.refusals.get(order_id, ())}
        if not said & {2163, 2166, NOT_FOUND} and not world.settings.read_only:
            assert not world.book.exists(order_id), f"a cancel of order {order_id} was owed, and it works on"


def check_fate(world: World, order_id: int) -> None:
    """What has become of an order that left, and what its client was told."""
    client, order = world.client, world.book.orders.get(order_id)
    told = {*client.order_errors.get(order_id, ())}
    over = order_id in client.ended or order_id in client.refused
    if world.settings.read_only:
        return
    if order is None:
        assert over or client.refusals.get(order_id), f"order {order_id} does not exist, and its client is not told"
        return
    assert order_id in client.orders_spoken_of or told, f"order {order_id} exists, and its client knows nothing of it"
    for exec_id, _ in order.fills:
        found = exec_id in client.found_fills or exec_id in client.former_fills
        assert client.fills[exec_id] == 1 or found, f"fill {exec_id} is told"
    ended = order.told.status in ENDINGS
    assert ended == over, f"order {order_id} is {order.told.status}, and its client was told {told}"


def check_previews(world: World) -> None:
    """Each has one answer, and nothing else comes of it."""
    for order_id, asked in world.client.previews.items():
        assert asked.outcomes == 1 or order_id in world.client.ordered, f"exactly one answer: {asked}"
        if order_id not in world.client.ordered:
            assert order_id not in world.book.ever, f"a preview became an order: {asked}"
            key = IntentKey(GATEWAY, CLIENT_ID, order_id)
            assert key not in world.disk.intents, f"a preview is kept like an order: {asked}"


def check_others(world: World) -> None:
    """A client to whom TWS tells others' fills hears all of them from then on, each once."""
    client = world.client
    for order in world.book.others:
        for (exec_id, _), made_at in zip(order.fills, order.filled_at, strict=True):
            found = exec_id in client.found_fills
            told = client.fills[exec_id] == 1 or found or made_at <= client.sees_others_since
            assert told, f"fill {exec_id} of client {order.told.client_id} is told to the master"


def check_told(world: World) -> None:
    client = world.client
    assert client.outages == [1100, 1102] * (len(client.outages) // 2)
    losses = [fields for _, event, fields in world.log if event == "connection_lost"]
    assert client.outages or not losses
    asked_for = Counter(asked.number for asked in client.asked)
    writes = {number: sum(len(a.writes) for a in client.asked if a.number == number) for number in asked_for}
    assert 1 <= client.heard[9] <= 1 + writes.get(8, 0)
    assert 1 <= client.heard[15] <= 1 + writes.get(17, 0)
    assert client.heard[49] <= writes.get(49, 0), "our own probes' answers are not for the client"
    assert not [told for told in client.unsolicited if told[1] in (300, 322)], "nor what our own cancels brought about"


def check_books(world: World) -> None:
    assert world.taken == world.refunded
    assert len(world.core.desk.outbox) == 0
    ledger, ended = world.owed.ledger, sum(world.meter.requests_ended.values()) - world.ended_before
    still_open = len(ledger.entries) + sum(entry.shadowed is not None for entry in ledger.entries.values())
    assert ended + still_open == ledger.sequence, "every request that was taken in is open, or has ended in one way"
    for number, last in world.last_settings().items():
        assert world.wire.settings_sent.get((world.owed.epoch, number)) is last, "the last setting of its kind holds"


def check(world: World) -> None:
    check_streams(world)
    check_reads(world)
    check_orders(world)
    check_previews(world)
    check_others(world)
    check_told(world)
    check_books(world)


def go_and_return(world: World, *, cut: bool = False, broken: bool = False) -> None:
    """The client goes, its connection is kept, and one with the same id comes: to a clean table.

    What happens to its orders meanwhile the one that comes is told, and nothing that the one before has heard. `cut`:
    the gateway is away when it comes. `broken`: it was away, and is back.
    """
    placed = place_some(world)
    heard = set(world.client.fills)
    world.client_goes()
    world.run(30.0, lambda: world.core.desk.idle and not world.inbox)
    world.run(2.0)
    assert world.socket is not None
    assert world.socket.streams == {}, "what the client had asked for is over"
    if broken:
        world.socket.close("eof")
    trade_alone(world, placed)
    if broken:
        assert world.run(RECOVERY_SECONDS, lambda: world.ready)
        world.run(20.0)  # what TWS lists has settled
        assert world.socket is not None
    if cut:
        world.socket.close("eof")
        world.run(0.01)
    world.client_returns()
    assert world.run(RECOVERY_SECONDS, lambda: world.ready and world.client.heard[9] > 0)
    world.run(5.0)
    told = world.client.heard
    assert (told[9], told[15], told[49]) == (1, 1, 0)
    assert world.client.outages == ([1100, 1102] if cut else [])
    check_news(world, placed, heard)


def place_some(world: World) -> list[int]:
    """A few orders that work when their client leaves; none behind a relay that takes none."""
    asked = [] if world.settings.read_only else [world.client.ask(3) for _ in range(4)]
    world.send(*(one.payload for one in asked))
    world.run(15.0)  # at IB, or refused
    return [one.key for one in asked if one.key is not None and world.book.exists(one.key)]


def trade_alone(world: World, placed: list[int]) -> None:
    """While nobody is there one order is filled, another is cancelled, and one works on."""
    world.book.market_closed = False
    for order_id in placed[:1]:
        world.book.fill(world.book.orders[order_id])
    world.book.market_closed = True
    for order_id in placed[1:2]:
        world.book.cancel_alone(order_id)
    world.run(2.0)


def check_news(world: World, placed: list[int], heard: set[str]) -> None:
    assert heard.isdisjoint(world.client.fills), "no fill is told to both"
    for order_id in placed:
        check_fate(world, order_id)


def leave(world: World) -> None:
    """What the client asked for last still leaves; then the session is over, and owes nothing."""
    last = [world.client.ask(9) for _ in range(3)]
    world.send(*(asked.payload for asked in last))
    world.leave()
    assert world.run(world.settings.drain_seconds + 1.0, lambda: world.left)
    assert all(asked.writes for asked in last)
    assert world.taken == world.refunded
    assert world.link_open is None
