"""The orders of the driver's world: what IB has, what TWS knows of it, and what must never come of the two.

IB takes whatever reaches it as an order of its own, so that two arrivals of one id are a duplicate. TWS remembers the
ids it has seen until it restarts; then it knows those that IB has, and its next valid id falls back. What happens at IB
while TWS has no link to it, TWS learns a little after the link is back.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import speech_orders
from speech_orders import Told

from backstay.protocol.errors import ErrorMessage, write_error
from backstay.session.intents import IntentKey

if TYPE_CHECKING:
    from driver import World
    from driver_client import Asked
    from driver_gateway import Upstream

GATEWAY = "paper"
FIRST_ORDER = 1000
OTHER_CLIENT = 99
LONGEST_PIPE_SECONDS = 4.0
LONGEST_NEWS_SECONDS = 4.0
"""From TWS to IB, and back after a link that was lost: both well within the time that backstay lets things settle."""

ENDED = ("Filled", "Cancelled")


@dataclass
class Order:
    """One order at IB."""

    told: Told
    payload: bytes
    known: Told  # as TWS knows it
    fills: list[tuple[str, int]] = field(default_factory=list)
    filled_at: list[float] = field(default_factory=list)
    known_fills: int = 0
    frames: set[bytes] = field(default_factory=set)  # of the client's, as they have arrived


@dataclass
class Book:
    """See the module. Outlives sockets, gateways and processes."""

    world: World
    orders: dict[int, Order] = field(default_factory=dict)  # at IB
    others: list[Order] = field(default_factory=list)  # of other clients, at IB as well
    passed_on: dict[int, Told] = field(default_factory=dict)  # TWS has them, IB not yet
    cancels: set[int] = field(default_factory=set)  # of orders that are on their way to IB
    rejected: set[int] = field(default_factory=set)
    remembered: set[int] = field(default_factory=set)  # ids that this TWS has seen
    ever: set[int] = field(default_factory=set)  # ids that ever reached a TWS
    link_up: bool = True
    serial: int = 0
    lives: int = 0
    market_closed: bool = False

    @property
    def _all(self) -> list[Order]:
        return [*self.orders.values(), *self.others]

    # -- questions -----------------------------------------------------------------------------------------------------

    def exists(self, order_id: int) -> bool:
        """Whether this order is at work, or may come to be."""
        if order_id in self.passed_on:
            return True
        order = self.orders.get(order_id)
        return order is not None and order.told.status not in ENDED

    def next_id(self) -> int:
        return max(self.remembered, default=FIRST_ORDER - 1) + 1

    # -- what a client sends -------------------------------------------------------------------------------------------

    def arrive(self, upstream: Upstream, order_id: int, payload: bytes) -> None:
        """A placeOrder has reached TWS."""
        version, asked = upstream.version, self.world.client.by_payload[payload]
        if asked.is_preview:
            self._preview(upstream, asked)
            return
        self._check_record(order_id)
        if order_id in self.orders and order_id in self.remembered:
            self._change(upstream, self.orders[order_id], payload)
            return
        if order_id in self.remembered:
            if order_id in self.rejected:
                upstream.later(0.02, error(version, order_id, 103, "Duplicate order id"))
            return  # on its way to IB: a change of it
        self.remembered.add(order_id)
        self.ever.add(order_id)
        chance = upstream.chance.random()
        if chance < 0.1:
            self.rejected.add(order_id)
            upstream.later(0.05, error(version, order_id, 201, "no margin"))
            return
        self.serial += 1
        quantity, order_ref = self.world.client.words_of_order(payload)
        told = Told(order_id, 10_000 + self.serial, quantity, 0, "PreSubmitted", order_ref)
        self.passed_on[order_id] = told
        if chance < 0.8:
            self.world.after(0.03, lambda: self._acknowledge(upstream, order_id))
        life = self.lives
        self.world.after(
            upstream.chance.uniform(0.0, LONGEST_PIPE_SECONDS), lambda: self._reach_ib(told, payload, life)
        )

    def _preview(self, upstream: Upstream, asked: Asked) -> None:
        """As often as it is asked it is answered or refused: soon, late or never. Nothing comes to live by it."""
        version, order_id, mood = upstream.version, asked.key or 0, upstream.chance.random()
        if mood < 0.15:
            return
        seconds = 8.0 if mood < 0.3 else 0.05
        if zlib.crc32(asked.payload) % 5 == 0:
            upstream.later(seconds, error(version, order_id, 201, "no margin"))
            return
        told = Told(order_id, 90_000 + order_id, 10, 0, "PreSubmitted", what_if=True)
        upstream.later(seconds, speech_orders.open_order(version, told))

    def _check_record(self, order_id: int) -> None:
        if self.world.settings.journal:
            key = IntentKey(GATEWAY, speech_orders.CLIENT_ID, order_id)
            assert key in self.world.disk.intents, f"order {order_id} is at TWS, and there is no record of it"

    def _reach_ib(self, told: Told, payload: bytes, life: int) -> None:
        chance = self.world.chance
        order_id = told.order_id
        if life != self.lives and chance.random() < 0.5:
            return  # the TWS that had it is gone, and it with it
        if not self.link_up:
            self.world.after(1.0, lambda: self._reach_ib(told, payload, life))
            return
        self.passed_on.pop(order_id, None)
        assert order_id not in self.orders, f"order {order_id} has become two"
        working = replace(told, status="Submitted")
        self.orders[order_id] = Order(working, payload, working, frames={payload})
        self.remembered.add(order_id)
        self._tell(self.orders[order_id])
        if order_id in self.cancels:
            self._end(self.orders[order_id], "Cancelled")
        if chance.random() < 0.6:
            self.world.after(chance.uniform(0.1, 30.0), lambda: self.fill(self.orders[order_id]))

    def _change(self, upstream: Upstream, order: Order, payload: bytes) -> None:
        assert payload not in order.frames or self.world.settings.resend.enabled, "an order is never written twice"
        order.frames.add(payload)
        if order.known.status in ENDED:
            code = 104 if order.known.status == "Filled" else 161
            upstream.later(0.02, error(upstream.version, order.told.order_id, code, "cannot change it"))
            return
        order.payload = payload
        if upstream.chance.random() < 0.8:
            self.world.after(0.03, lambda: self._acknowledge(upstream, order.told.order_id))

    def _acknowledge(self, upstream: Upstream, order_id: int) -> None:
        """An order, or a change of one, is confirmed as it stands at that moment."""
        order = self.orders.get(order_id)
        told = order.known if order is not None else self.passed_on.get(order_id)
        if told is not None and told.status not in ENDED:
            frames = speech_orders.open_order(upstream.version, told)
            upstream.say(frames + speech_orders.status(upstream.version, told))

    def cancel(self, upstream: Upstream, order_id: int) -> None:
        order = self.orders.get(order_id)
        if order_id in self.passed_on:
            self.cancels.add(order_id)
            return
        if order is None or order.known.status in ENDED:
            code = 10148 if order is not None else 10147
            upstream.later(0.02, error(upstream.version, order_id, code, "cannot be cancelled"))
            return
        self.world.after(0.1, lambda: self._end(order, "Cancelled"))

    # -- what happens at IB --------------------------------------------------------------------------------------------

    def trade_elsewhere(self) -> None:
        """Another client places an order, under a number that may be one of ours; it is filled by and by."""
        if self.market_closed:
            return
        chance = self.world.chance
        self.serial += 1
        order_id, client_id = FIRST_ORDER + len(self.others), chance.choice((OTHER_CLIENT, OTHER_CLIENT - 1))
        told = Told(order_id, 10_000 + self.serial, chance.randint(1, 7), 0, "Submitted", "", client_id)
        order = Order(told, b"", told)
        self.others.append(order)
        self._tell(order)
        self.world.after(chance.uniform(0.1, 60.0), lambda: self.fill(order))

    def fill(self, order: Order) -> None:
        """Shares are bought: some, or all."""
        chance = self.world.chance
        left = order.told.quantity - order.told.filled
        if order.told.status in ENDED or not left or self.market_closed:
            return
        self.world.note(f"order {order.told.order_id} of {order.told.client_id} is filled")
        shares = left if chance.random() < 0.5 else chance.randint(1, left)
        order.fills.append((f"e{order.told.perm_id}.{len(order.fills)}.01", shares))
        order.filled_at.append(self.world.now)
        filled = order.told.filled + shares
        state = "Filled" if filled == order.told.quantity else order.told.status
        order.told = replace(order.told, filled=filled, status=state)
        if state != "Filled":
            self.world.after(chance.uniform(0.1, 20.0), lambda: self.fill(order))
        self._learn(order)

    def cancel_alone(self, order_id: int) -> None:
        """Somebody cancels it elsewhere."""
        self._end(self.orders[order_id], "Cancelled")

    def _end(self, order: Order, status: str) -> None:
        if order.told.status not in ENDED:
            self.world.note(f"order {order.told.order_id} is {status}")
            order.told = replace(order.told, status=status)
            self._learn(order)

    def _learn(self, order: Order) -> None:
        """TWS hears of it at once if it has its link."""
        if self.link_up and order.known is not order.told:
            news = order.fills[order.known_fills :]
            order.known, order.known_fills = order.told, len(order.fills)
            self._tell(order, news)

    def _tell(self, order: Order, news: list[tuple[str, int]] | None = None) -> None:
        """To whoever is connected. TWS repeats itself at times, and leaves a status out at others."""
        upstream = self.world.gateway_socket
        theirs = order.told.client_id != speech_orders.CLIENT_ID
        if upstream is None or not upstream.identified or (theirs and not self.world.master):
            return
        frames = [speech_orders.execution(upstream.version, order.known, *fill) for fill in news or ()]
        frames += [speech_orders.commission(upstream.version, exec_id) for exec_id, _ in news or ()]
        frames += [speech_orders.status(upstream.version, order.known)] * upstream.chance.choice((1, 1, 2))
        upstream.say(b"".join(frames))

    # -- the link, and restarts ----------------------------------------------------------------------------------------

    def lose_link(self) -> None:
        self.link_up = False

    def restore_link(self) -> None:
        """What happened meanwhile TWS learns at once, and tells nobody; or it comes in bit by bit, and is told."""
        if self.link_up:
            return
        self.link_up = True
        chance = self.world.chance
        for order in self._all:
            if order.known is order.told:
                continue
            if chance.random() < 0.4:
                order.known, order.known_fills = order.told, len(order.fills)
            else:
                self.world.after(chance.uniform(0.0, LONGEST_NEWS_SECONDS), lambda o=order: self._learn(o))

    def restart(self) -> None:
        """TWS begins anew: it knows the orders that IB has had today, and no other id that was used before."""
        self.lives += 1
        self.passed_on.clear()
        self.cancels.clear()
        self.link_up = True
        self.rejected.clear()
        for order in self._all:
            order.known, order.known_fills = order.told, len(order.fills)
        self.remembered = set(self.orders)

    # -- lists ---------------------------------------------------------------------------------------------------------

    def list_open(self, version: int, *, everybody: bool) -> bytes:
        shown = self._all if everybody else self.orders.values()
        listed = [order.known for order in shown if order.known.status not in ENDED]
        listed += self.passed_on.values()
        if everybody:
            listed.append(Told(5, 77, 10, 0, "Submitted", "theirs", OTHER_CLIENT))
        both = (speech_orders.open_order(version, told) + speech_orders.status(version, told) for told in listed)
        return b"".join(both)

    def list_completed(self, version: int) -> bytes:
        ended = [order.known for order in self._all if order.known.status in ENDED]
        return b"".join(speech_orders.completed_order(version, told) for told in ended)

    def list_fills(self, version: int, key: int) -> bytes:
        frames = []
        for order in self._all:
            for exec_id, shares in order.fills[: order.known_fills]:
                frames.append(speech_orders.execution(version, order.known, exec_id, shares, key=key))
                frames.append(speech_orders.commission(version, exec_id))
        return b"".join(frames)


def error(version: int, order_id: int, code: int, text: str) -> bytes:
    return write_error(ErrorMessage(order_id, code, text), version)
