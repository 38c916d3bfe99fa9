"""Errors of the pure rooms: all of them ours, never a gateway's or a client's."""

from __future__ import annotations


class ImpossibleTransitionError(Exception):
    """The lifecycle was told of an event that cannot happen in its state: a programming error on our side."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"event {event!r} cannot happen in state {state!r}")
        self.state = state
        self.event = event
