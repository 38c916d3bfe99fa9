"""A stream as the application has it: an iterator, or a callback in a thread of its own, or one in the connection's.

Written by the connection's threads, read by the application's. It holds so many events and no more.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Self

from backstay.errors import BackstayError, MisuseError, NoAnswerError
from backstay.library_words import CallbackFailed, Dropped, Gap, Resumed, blame, concludes
from backstay.protocol.events import Error
from backstay.protocol.vocabulary import Request

QUEUE_EVENTS = 10_000
"""Events that wait for their taker: seconds of the busiest instrument. Then the oldest go, and are counted."""

LOOK_SECONDS = 60.0
"""Who waits for an event is woken by it; this is only so that no wait is without an end."""

Callback = Callable[[Any], object]


class Subscription:
    """A stream: what came, in order, with `Gap` and `Resumed` among it.

    Iterate over it or call `next_event` (one thread at a time), or give a callback. Nobody else is held up by a slow
    or blocked taker: what does not fit its queue goes, oldest first, and `Dropped` stands in its place. An
    inline callback runs in the connection's own thread instead: nothing is queued, and it must not block.

    Leaving the `with` block, or `close`, cancels the stream at TWS. Any thread.
    """

    def __init__(
        self,
        name: str,
        *,
        request: Request | None,
        key: int | None,
        callback: Callback | None = None,
        inline: bool = False,
        limit: int = QUEUE_EVENTS,
    ) -> None:
        self.name = name
        self.request = request
        self.key = key
        """The request id at TWS; None for a stream that has none."""
        self.values: dict[str, object] = {}
        self.payload = b""
        self.error: BackstayError | None = None
        """What ended it, if it was not the application."""
        self.known_to_tws = True
        self.callback_errors = 0
        self.gap: Gap | None = None  # open now; written by the connection's thread, like the next
        self.socket_gap = False  # its next event is the first behind the gap
        self.on_close: Callable[[Subscription], object] = _nobody
        self.on_callback_error: Callable[[CallbackFailed], object] = _nobody
        self.on_drop: Callable[[], object] = lambda: None
        self.inline = callback if inline else None
        self._limit = limit
        self._queue: deque[Any] = deque()
        self._dropped = 0
        self._closed = False
        self._changed = threading.Condition()
        self._waiting = False
        self._wake: Callable[[], object] = self._notify
        self._callback = callback
        self.put: Callback = self._enqueue
        """Takes one event: the shortest way there is for what comes by the thousand."""
        if self.inline is not None:
            self.put = self.inline

    def start(self) -> None:
        """Begin to serve the callback, if there is one that wants a thread."""
        if self._callback is not None and self.inline is None:
            threading.Thread(target=self._serve, name=f"backstay-{self.name}-{self.key}", daemon=True).start()

    @property
    def closed(self) -> bool:
        """Whether nothing more will be added."""
        return self._closed

    # -- in the connection's threads ---------------------------------------------------------------------------------

    def _enqueue(self, event: Any) -> None:
        queue = self._queue
        queue.append(event)
        if len(queue) > self._limit:
            self._drop_oldest()
        if self._waiting:
            self._wake()

    def say(self, event: Any) -> None:
        """As `put`, guarded: an inline callback that fails harms itself only."""
        if self.inline is None:
            self._enqueue(event)
            return
        try:
            self.inline(event)
        except BaseException as error:  # noqa: BLE001 - the application's, in a thread of ours; `SystemExit`, too
            self.callback_failed(error)

    def callback_failed(self, error: BaseException) -> None:
        """The callback has raised: counted and told; the stream goes on."""
        self.callback_errors += 1
        self.on_callback_error(CallbackFailed(self.name, self.key, error, self.callback_errors))

    def hear(self, error: Error) -> None:
        """An error on its id: it ends the stream, or is told in it."""
        self.say(error)
        if self.request is not None and concludes(error, self.request):
            self.fail(blame(error))

    def fail(self, error: BackstayError) -> None:
        """The stream is over at TWS."""
        self.known_to_tws = False
        self.give_up(error)

    def give_up(self, error: BackstayError) -> None:
        """The stream is ended here, and not by the application's wish."""
        self.error = self.error or error
        self.close()

    def _drop_oldest(self) -> None:
        with self._changed:
            while len(self._queue) > self._limit:
                marks: list[Any] = []
                while self._queue and isinstance(self._queue[0], Gap | Resumed) and len(marks) < self._limit:
                    marks.append(self._queue.popleft())
                if self._queue and len(marks) < self._limit:
                    self._queue.popleft()
                else:
                    marks.pop(0)
                self._queue.extendleft(reversed(marks))
                self._dropped += 1
                self.on_drop()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # -- in the application's ----------------------------------------------------------------------------------------

    def poll(self) -> Any:
        """The next event if there is one, else None. Raises what ended the stream, behind its last event."""
        with self._changed:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                return Dropped(dropped)
            if self._queue:
                return self._queue.popleft()
        if self._closed and self.error is not None:
            raise self.error
        return None

    def next_event(self, timeout: float) -> Any:
        """The next event, waited for up to `timeout` seconds.

        Raises NoAnswerError when nothing came, StopIteration when it was closed and is empty, or the error that ended
        it.
        """
        self._own_queue()
        return self._next(timeout)

    def _next(self, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        with self._changed:
            self._waiting = True
            try:
                while (event := self.poll()) is None:
                    if self._closed:
                        raise StopIteration
                    if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                        raise NoAnswerError(f"{self.name}: nothing within {timeout} s")
            finally:
                self._waiting = False
        return event

    def wake_by(self, wake: Callable[[], object] | None) -> None:
        """Have `wake` called, in any thread, when there is something; None: not any more. For event loops."""
        self._own_queue()
        self._wake = wake or self._notify
        self._waiting = wake is not None

    def __iter__(self) -> Iterator[Any]:
        self._own_queue()
        return self._events()

    def _events(self) -> Iterator[Any]:
        while True:
            try:
                yield self._next(LOOK_SECONDS)
            except NoAnswerError:
                continue
            except StopIteration:
                return

    def close(self) -> None:
        """Cancel the stream. What has come already can still be taken."""
        with self._changed:
            closed, self._closed = self._closed, True
        if not closed:
            self.on_close(self)
            self._notify()
            self._wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        assert self._callback is not None  # noqa: S101  # `start` has looked
        with contextlib.suppress(BackstayError):  # what ended the stream; `error` keeps it
            for event in self._events():
                try:
                    self._callback(event)
                except BaseException as error:  # noqa: BLE001 - the next event has its turn all the same
                    self.callback_failed(error)

    def _own_queue(self) -> None:
        if self._callback is not None:
            raise MisuseError(f"{self.name}: this subscription has a callback, and its events go there")


def _nobody(_: object) -> None:
    """The default for whoever wants to hear."""
