"""Accounts, positions, profit and loss."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator.fields import Fields

if TYPE_CHECKING:
    from backstay.simulator.session import Session


def req_positions(session: "Session", fields: Fields) -> None:
    session.send(62)


def req_account_updates(session: "Session", fields: Fields) -> None:
    session.send(54, "DU1234567")


def req_account_updates_multi(session: "Session", fields: Fields) -> None:
    session.send(74, fields.integer())


HANDLERS: Mapping[int, Callable[["Session", Fields], None]] = {
    6: req_account_updates,
    61: req_positions,
    76: req_account_updates_multi,
}
