"""Why something was not sent or is in doubt, in the words that a client reads behind `Notice`: one row a reason.

Some have a place for a figure or for what somebody else has said. Where the connection itself was lost, its cause
stands in the place of a reason (`session/causes.py`).
"""

from __future__ import annotations

from enum import StrEnum, unique


@unique
class Reason(StrEnum):
    """Everything that may stand there."""

    AWAY = "the gateway is away"
    PAUSED = "an operator has paused the connection"
    AWAY_TOO_LONG = "the gateway was away for {seconds:g} s"
    AWAY_AND_FULL = "the gateway is away and too much is waiting for it already"
    AWAY_AND_UNKNOWN = "the gateway is away, and backstay does not know this message"
    WENT_AWAY = "the gateway went away"
    WENT_AWAY_BEFORE = "the gateway went away before it could be sent"
    NO_LINK = "the gateway has no link to IB"
    LOST_LINK = "the gateway has lost its link to IB"
    DRAINED = "an operator drains the connection; what is new is taken again once it is resumed"
    PLANNED = "{downtime}; orders are taken again after it"
    WAITED = "it waited for the gateway for {seconds:g} s"
    TOO_MANY_ORDERS = "too many orders are waiting"
    TOO_MANY_CANCELS = "too many cancels are waiting"
    TOO_MANY_PREVIEWS = "too many previews of orders are without an answer"
    TOO_MANY_QUERIES = "too many queries wait for IB's limits on historical data"
    TOO_MANY_IN_LINE = "too many requests of this kind, which have no id, wait for the answers to others"
    NOT_RECONCILED = "earlier orders are not reconciled: the gateway did not list them"
    JOURNAL_BROKEN = "the journal can not be used ({trouble})"
    NOT_WRITTEN_DOWN = "it could not be written down: {trouble}"
    ORDER_IN_DOUBT = "an order of this id is in doubt; it is reconciled before anything else happens to it"
    ORDER_IN_USE = "an order of this id has been sent; a change of it can not wait"
    ORDERS_ARE_OPEN = "too many orders are open"
    NOT_AN_ID = "this is no order id"
    HANDSHAKE = "handshake messages are not expected now"
    UNHEARD = "it came to be so while no client was here to be told"
    SESSION_ENDED = "the session that sent it has ended"
    SILENT = "the gateway answers, but has not said a word of it"
    NOT_PROVED = "what TWS said of it does not prove that it has no such order"
    BROKE_TWICE = "it made a part of backstay fail twice"
    BAD_LENGTH = "length {length}, beginning with {head!r}"
