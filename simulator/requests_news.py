"""News, and what this login is not allowed to do."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator import reference
from backstay.simulator.fields import INTEGER, Fields, Refused
from backstay.simulator.streams import Family, Pace, Stream

if TYPE_CHECKING:
    from backstay.simulator.session import Session

Handler = Callable[["Session", Fields], None]


def req_news_providers(session: "Session", _fields: Fields) -> None:
    """Tell who provides news."""
    rows = reference.NEWS_PROVIDERS
    session.send(85, len(rows), *(value for row in rows for value in row))


def req_news_article(session: "Session", fields: Fields) -> None:
    """Send an article."""
    request_id, provider, article = fields.integer(), fields.text(), fields.text()
    if provider not in dict(reference.NEWS_PROVIDERS):
        raise Refused(request_id, 10172, "Failed to request news article: No data available")
    session.send(83, request_id, 0, f"Article {article} of the simulated provider {provider}.")


def req_historical_news(session: "Session", fields: Fields) -> None:
    """Send one headline a provider, and the end."""
    request_id, con_id, providers = fields.integer(), fields.integer(), fields.text()
    moment = time.strftime("%Y-%m-%d 12:00:00.0", time.gmtime())
    for provider in providers.split("+"):
        if provider in dict(reference.NEWS_PROVIDERS):
            session.send(86, request_id, moment, provider, f"{provider}${con_id:08x}", "A simulated headline")
    session.send(87, request_id, False)


def req_news_bulletins(session: "Session", _fields: Fields) -> None:
    """Begin the one subscription to bulletins; there are none until a test sends one."""
    session.subscribe(Stream(session, Family.BULLETINS, 0, pace=Pace.EVENT))


def cancel_news_bulletins(session: "Session", _fields: Fields) -> None:
    """End the subscription to bulletins."""
    session.streams.pop((Family.BULLETINS, 0), None)


def refuse_keyed(code: int, text: str) -> Handler:
    """Return a handler for what this login may not do; the request names its id first."""

    def refuse(_session: "Session", fields: Fields) -> None:
        raise Refused(fields.integer(), code, text)

    return refuse


def refuse_unkeyed(code: int, text: str) -> Handler:
    """Return a handler for what this login may not do and has no request id."""

    def refuse(_session: "Session", _fields: Fields) -> None:
        raise Refused(-1, code, text)

    return refuse


def replace_fa(session: "Session", fields: Fields) -> None:
    """Refuse: the login is no adviser's. The request id is the last field, and exists from 157 on only."""
    digits = fields.peek(-1) if session.version >= 157 else None
    request_id = int(digits) if digits and INTEGER.fullmatch(digits) else -1
    raise Refused(request_id, 321, "Error validating request. FA data operations ignored for non FA customers.")


def ignore(_session: "Session", _fields: Fields) -> None:
    """Take a cancel of something that was answered at once."""


_NOT_FA = "Error validating request. FA data operations ignored for non FA customers."
_NO_NEWS_FEED = "News feed is not allowed."
_NOT_VERIFIED = "Error validating request. Verification is not enabled"

HANDLERS: Mapping[int, Handler] = {
    12: req_news_bulletins,
    13: cancel_news_bulletins,
    18: refuse_unkeyed(321, _NOT_FA),
    19: replace_fa,
    52: refuse_keyed(10358, "Fundamentals data is not allowed."),
    53: ignore,
    56: ignore,
    57: ignore,
    65: refuse_unkeyed(321, _NOT_VERIFIED),
    66: refuse_unkeyed(321, _NOT_VERIFIED),
    71: refuse_unkeyed(321, "Error validating request. The session has been started already"),
    72: refuse_unkeyed(321, _NOT_VERIFIED),
    73: refuse_unkeyed(321, _NOT_VERIFIED),
    84: req_news_article,
    85: req_news_providers,
    86: req_historical_news,
    100: refuse_keyed(10276, _NO_NEWS_FEED),
    101: refuse_keyed(10280, "Failed to cancel WSH metadata request"),
    102: refuse_keyed(10276, _NO_NEWS_FEED),
    103: refuse_keyed(10284, "Failed to cancel WSH event data request"),
    106: ignore,
}
