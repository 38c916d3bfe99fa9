"""The words the message tables are written in."""

from dataclasses import dataclass
from enum import Enum

LOWEST_VERSION = 100
"""Lowest server version with length-prefixed frames."""

HIGHEST_VERSION = 226
"""Highest server version the tables know; offering more would bring layouts nobody here can read."""


class Kind(Enum):
    """What a request is to the one who has to see it through."""

    HANDSHAKE = "handshake"
    """Belongs to one socket; never replayed."""
    SETTING = "setting"
    """State of the session, not answered; the last write wins and is replayed first."""
    ONESHOT = "oneshot"
    """A read with one answer."""
    SNAPSHOT = "snapshot"
    """A read of any number of rows and an end."""
    STREAM = "stream"
    """Goes on until it is cancelled; lost with the socket."""
    ORDER = "order"
    """A trading instruction; never sent twice."""
    ORDER_CANCEL = "order_cancel"
    """Repeating it is harmless."""
    CANCEL = "cancel"
    """Ends a stream or read; not answered."""
    COMMAND = "command"
    """Changes something once; never replayed."""


class Key(Enum):
    """What the number is that ties a message to its request."""

    REQ_ID = "req_id"
    ORDER_ID = "order_id"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One message a client can send.

    ``since`` and ``protobuf_from`` are server versions. ``version_field`` is the range of versions whose text body
    begins with a VERSION field, ``version_number`` what stands in it. ``key_index`` counts the text fields behind the
    message id and VERSION from 0; -1 is the last field. ``answers`` are the responses that show that the request
    arrived, ``rows`` those that carry its data, ``end`` the one that concludes it; where version or content decides,
    ``messages.ends`` knows. ``ends_with_code`` are error codes that conclude it on its id, ``warnings`` codes that look
    like it and do not; for all others ``codes.code_info`` tells. ``priority`` orders a restore, lowest first.
    ``conn_family`` names the unkeyed requests of which one at a time can be answered. ``operation`` is what
    it is counted under, one of ``requests.OPERATIONS``.
    """

    id: int
    name: str
    kind: Kind
    key: Key
    since: int
    protobuf_from: int | None
    version_field: tuple[int, int] | None
    version_number: int
    key_index: int | None
    cancelled_by: int | None
    cancels: int | None
    answers: frozenset[int]
    rows: frozenset[int]
    end: int | None
    ends_with_code: frozenset[int]
    warnings: frozenset[int]
    changes: bool
    priority: int
    conn_family: str | None
    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One message a server can send; fields as in ``Request``.

    ``requests`` are the ids of requests it can belong to, ``ends`` those that name it as their end, ``end`` whether
    there are any. It concludes a request only where ``messages.ends`` says so: for a stream it is the end of the first
    snapshot.
    """

    id: int
    name: str
    key: Key
    since: int
    protobuf_from: int | None
    version_field: tuple[int, int] | None
    version_number: int
    key_index: int | None
    requests: frozenset[int]
    ends: frozenset[int]
    end: bool
