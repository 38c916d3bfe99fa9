"""Orders and executions."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstay.simulator.fields import Fields

if TYPE_CHECKING:
    from backstay.simulator.session import Session


HANDLERS: Mapping[int, Callable[["Session", Fields], None]] = {
    5: lambda session, _: session.send(53),
    16: lambda session, _: session.send(53),
    15: lambda session, _: None,
    99: lambda session, _: session.send(102),
    7: lambda session, fields: session.send(55, fields.integer()),
}
