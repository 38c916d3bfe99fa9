"""The library for asyncio: the same connections and actors, awaited.

    async with aio.Manager("backstay.toml") as manager:
        connection = manager.connection("keeper")
        await connection.wait_ready(30)
        details = await connection.request("contract_details", contract=AAPL)
        async with connection.subscribe("market_data", contract=AAPL) as ticks:
            async for tick in ticks:
                ...

Cancelling a task frees what it waits for: the request is taken back, the stream cancelled. Nothing polls: a stream
wakes its event loop once for whatever has come. A subscription belongs to one event loop, a connection to any number.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Self

from backstay.config import Config
from backstay.errors import MisuseError, NoAnswerError
from backstay.library import REQUEST_SECONDS
from backstay.library import Connection as Plain
from backstay.manager import Manager as PlainManager
from backstay.protocol.builders_terms import Contract, Order
from backstay.protocol.previews import Preview
from backstay.status import ConnectionStatus
from backstay.subscription import QUEUE_EVENTS
from backstay.subscription import Subscription as PlainSubscription
from backstay.trade import Trade

__all__ = ["Connection", "Manager", "Subscription"]


class Subscription:
    """A stream to iterate over with `async for`; what it yields is as in `backstay.Subscription`.

    It lasts as long as its `async with`; without one it begins and ends with the `async for`, however that is left.
    """

    def __init__(self, begin: Callable[[], PlainSubscription]) -> None:
        self._begin = begin
        self._stream: PlainSubscription | None = None
        self._filled = asyncio.Event()
        self._signalled = False

    @property
    def stream(self) -> PlainSubscription:
        """The stream itself: its request id, its gap, what ended it. Begins it, if nobody has."""
        if self._stream is None:
            loop = asyncio.get_running_loop()
            self._stream = self._begin()
            self._stream.wake_by(lambda: self._wake(loop))
        return self._stream

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the connection's thread: a loop that has been told is not told again before it has looked."""
        if not self._signalled:
            self._signalled = True
            _from_thread(loop, self._filled.set)

    async def __aenter__(self) -> Self:
        self.stream  # noqa: B018  # begins it
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the stream. What has come already can still be taken."""
        if self._stream is not None:
            self._stream.close()

    def __aiter__(self) -> AsyncIterator[Any]:
        begun = self._stream is not None
        stream = self.stream
        return _Round(self, stream, None if begun else asyncio.get_running_loop())

    async def _next(self, stream: PlainSubscription) -> Any:
        while True:
            self._filled.clear()
            self._signalled = False
            closed = stream.closed  # before the last look: what came before it was closed is in there
            if (event := stream.poll()) is not None:
                return event
            if closed:
                raise StopAsyncIteration
            await self._filled.wait()

    def _forget(self, stream: PlainSubscription) -> None:
        if self._stream is stream:
            self._stream = None


class _Round:
    """One `async for`. `loop`: it has begun the stream, which ends with it, however it is left."""

    def __init__(
        self, subscription: Subscription, stream: PlainSubscription, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._subscription = subscription
        self._stream = stream
        self._loop = loop

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await self._subscription._next(self._stream)

    def __del__(self) -> None:
        if self._loop is not None:  # may run anywhere, within a lock too: the event loop closes it
            self._subscription._forget(self._stream)
            _from_thread(self._loop, self._stream.close)


class Connection:
    """As `backstay.Connection`; what waits there is awaited here."""

    def __init__(self, plain: Plain) -> None:
        self.plain = plain
        """The connection under it, for threads."""

    def state(self) -> ConnectionStatus:
        """How it stands, at this moment."""
        return self.plain.state()

    @property
    def is_ready(self) -> bool:
        """As `backstay.Connection.is_ready`."""
        return self.plain.is_ready

    @property
    def server_version(self) -> int | None:
        """As `backstay.Connection.server_version`."""
        return self.plain.server_version

    async def wait_ready(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until requests leave at once. False if they do not by then."""
        return await self._wait(lambda: self.plain.is_ready, timeout)

    async def wait_connect_ack(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until the gateway has answered the greeting."""
        return await self._wait(self.plain.has_connect_ack, timeout)

    async def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        with self.plain.listening(lambda: _from_thread(loop, changed.set)):
            try:
                async with asyncio.timeout(timeout):
                    while not condition():
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                return condition()
        return True

    def start_api(self) -> None:
        """Let startApi go out (for `start = "manual"`)."""
        self.plain.start_api()

    async def request(
        self, name: str, /, *, timeout: float = REQUEST_SECONDS, fail_fast: bool = False, **values: object
    ) -> Any:
        """As `backstay.Connection.request`. Cancelling the task takes the request back."""
        return await self._answer(self.plain.submit(name, timeout=timeout, fail_fast=fail_fast, **values), name)

    async def preview(self, contract: Contract, order: Order, *, timeout: float = REQUEST_SECONDS) -> Preview:
        """As `backstay.Connection.preview`."""
        answer: Preview = await self._answer(self.plain.submit_preview(contract, order, timeout=timeout), "preview")
        return answer

    async def _answer(self, future: Any, name: str) -> Any:
        try:
            return await asyncio.wrap_future(future)
        except NoAnswerError:
            raise
        except TimeoutError as error:
            raise NoAnswerError(f"{name}: no answer in time") from error

    def subscribe(self, name: str, /, *, queue_events: int = QUEUE_EVENTS, **values: Any) -> Subscription:
        """A stream; it begins with `async with`, or with the first `async for`. A callback belongs to `plain`."""
        if given := values.keys() & {"callback", "inline"}:
            raise MisuseError(f"{name}: {min(given)}: here streams are iterated over; `plain` takes callbacks")
        return Subscription(lambda: self.plain.subscribe(name, queue_events=queue_events, **values))

    def events(self, *, queue_events: int = QUEUE_EVENTS) -> Subscription:
        """What concerns the connection and its orders."""
        return Subscription(lambda: self.plain.events(queue_events=queue_events))

    def place_order(self, contract: Contract, order: Order) -> Trade:
        """As `backstay.Connection.place_order`, which does not wait."""
        return self.plain.place_order(contract, order)

    def modify_order(self, trade: Trade, order: Order) -> Trade:
        """As `backstay.Connection.modify_order`."""
        return self.plain.modify_order(trade, order)

    def exercise_options(self, contract: Contract, **values: Any) -> Trade:
        """As `backstay.Connection.exercise_options`."""
        return self.plain.exercise_options(contract, **values)

    def cancel_order(self, trade: Trade | int) -> None:
        """As `backstay.Connection.cancel_order`."""
        self.plain.cancel_order(trade)

    async def wait_trade(self, trade: Trade, *statuses: str, timeout: float) -> Trade:
        """As `Trade.wait`."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        with trade.listening(lambda: _from_thread(loop, changed.set)):
            try:
                async with asyncio.timeout(timeout):
                    while not trade.is_decided(statuses):
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                pass  # said below, with the reason
        return trade.decided(statuses, timeout)

    def orders(self) -> tuple[Trade, ...]:
        """The orders of this client id that are known here."""
        return self.plain.orders()


class Manager:
    """As `backstay.Manager`, to be used with `async with`; starting and stopping do not block the event loop."""

    def __init__(self, config: Config | Path | str | Mapping[str, Any], **options: Any) -> None:
        self.plain = PlainManager(config, **options)
        """The manager under it, for threads."""

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.plain.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(asyncio.to_thread(self.plain.stop))  # a task that is cancelled leaves no tree behind

    def connection(self, name: str) -> Connection:
        """The connection of this name among `[connections]`."""
        return Connection(self.plain.connection(name))


def _from_thread(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    """Have the event loop act; one that has been closed has nobody left to wake."""
    if not loop.is_closed():
        try:
            loop.call_soon_threadsafe(act)
        except RuntimeError:
            if not loop.is_closed():
                raise
