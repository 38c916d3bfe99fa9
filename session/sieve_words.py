"""What a session says to the sieve of its frames: as in `vocabulary`, effects are imperative."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tune:
    """Tell the sieve what it needs to know of a new epoch before its first byte.

    `hold_next_id` and `hold_accounts`: the client has had these already, so this epoch's are not passed on.
    """

    epoch: int
    hold_next_id: bool
    hold_accounts: bool


@dataclass(frozen=True, slots=True)
class PassClock:
    """The next currentTime of this epoch is an answer to the client, not to us."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Mute:
    """The next error on `key` with one of these codes answers something we sent ourselves: keep it from the client."""

    epoch: int
    key: int
    codes: frozenset[int]


@dataclass(frozen=True, slots=True)
class Await:
    """Note the next message with one of these ids on `key` (None: without a key), also if it is not watched.

    Not `wanted`: no longer.
    """

    epoch: int
    key: int | None
    numbers: frozenset[int]
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Swallow:
    """The read on `key` is written once more: of its answers (`numbers`, concluded by `ends`) the client gets one.

    Where openOrder is the answer, `key` is an order id, and a preview is meant. Without numbers: the client uses the
    key anew, and gets what comes.
    """

    epoch: int
    key: int
    numbers: frozenset[int] = frozenset()
    ends: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Hush:
    """We have left this epoch: what still comes of it is not for the client, who has been told so."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Identify:
    """Whose session this is, and the lowest order id it may use: a nextValidId below it is not passed on.

    `sees_others`: it is the master client, and orders of others are for it as well.
    """

    epoch: int
    client_id: int
    floor: int
    sees_others: bool = False


@dataclass(frozen=True, slots=True)
class Conceal:
    """We are about to ask something of our own: the answer that `end` concludes is not for the client.

    `key`: the request id of ours, where the question has one. The client's own open orders are passed on.
    Where the end is the whole answer, as a configuration is, nothing but that answer is concealed.
    """

    epoch: int
    end: int
    key: int | None
