"""What a simulated gateway tells of itself, and what it refuses when its API is read-only."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from backstay.protocol.vocabulary import Request
from backstay.simulator.fields import Fields, Refused
from backstay.simulator.settings import Configuration, Settings

if TYPE_CHECKING:
    from backstay.simulator.session import Session

Handler = Callable[["Session", Fields], None]

ASKS_FOR_ORDERS = frozenset({5, 8, 15, 16, 99})
"""Reads that a read-only API refuses as well: lists of orders, and ids for them."""

DIALOGS = 300
"""Rows of a real answer that nobody here asks for."""

_NO_CONFIGURATION = "Error validating request. The configuration can not be read or changed over the API"
_READ_ONLY = "Error validating request. The API interface is currently in Read-Only mode."


def req_config(session: "Session", fields: Fields) -> None:
    """Tell the settings, refuse, or say nothing."""
    request_id, settings = fields.integer(), session.world.settings
    if settings.configuration is Configuration.REFUSED:
        raise Refused(request_id, 321, _NO_CONFIGURATION)
    if settings.configuration is Configuration.TOLD:
        port = session.world.listener.port
        session.send(110, request_id, *_exit(settings), DIALOGS, *_dialogs(), *_api(settings, port))


def update_config(_session: "Session", fields: Fields) -> None:
    """Refuse: nothing is changed over the API."""
    raise Refused(fields.integer(), 321, _NO_CONFIGURATION)


def check_read_only(settings: Settings, request: Request, key: int | None) -> None:
    """Refuse what changes or lists orders, if the API is read-only."""
    if settings.read_only and (request.changes or request.id in ASKS_FOR_ORDERS):
        raise Refused(-1 if key is None else key, 321, _READ_ONLY)


def _exit(settings: Settings) -> tuple[str, str, str]:
    if not settings.exit_at:
        return "", "", ""
    hour, _, minute = settings.exit_at.partition(":")
    half_day = "PM" if int(hour) >= 12 else "AM"
    return f"{int(hour) % 12 or 12}:{minute}", half_day, "restart" if settings.restarts else "logoff"


def _dialogs() -> Iterator[object]:
    for number in range(DIALOGS):
        yield from (number, f"Dialog {number}", f"What dialog {number} asks", "Hidden", 1)


def _api(settings: Settings, port: int) -> tuple[object, ...]:
    master = "" if settings.master_client_id is None else settings.master_client_id
    return int(settings.read_only), port, master, 0, 0, 1, "127.0.0.1"


HANDLERS: Mapping[int, Handler] = {108: req_config, 109: update_config}
