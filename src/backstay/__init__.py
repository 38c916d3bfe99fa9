"""backstay keeps a TWS API connection standing.

The names of the library are loaded when they are first used: `import backstay` is instant, and so are quick commands.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from backstay._version import __version__

if TYPE_CHECKING:
    from backstay import aio, events
    from backstay.config import Config, load
    from backstay.errors import (
        BackstayError,
        ConfigError,
        ConnectionLostError,
        MisuseError,
        NoAnswerError,
        NotReadyError,
        OrderOverError,
        RemoteError,
        RequestInDoubtError,
        StartError,
    )
    from backstay.library import Connection
    from backstay.library_words import CallbackFailed, ConnectAck, Dropped, Gap, Resumed
    from backstay.manager import Manager
    from backstay.protocol.builders_terms import Contract, Leg, Order
    from backstay.status import ConnectionStatus, Status
    from backstay.subscription import Subscription
    from backstay.trade import Trade
    from backstay.veto import Resend

_HOMES = {
    "config": ("Config", "load"),
    "errors": (
        *("BackstayError", "ConfigError", "ConnectionLostError", "MisuseError", "NoAnswerError", "NotReadyError"),
        *("OrderOverError", "RemoteError", "RequestInDoubtError", "StartError"),
    ),
    "library": ("Connection",),
    "library_words": ("CallbackFailed", "ConnectAck", "Dropped", "Gap", "Resumed"),
    "manager": ("Manager",),
    "protocol.builders_terms": ("Contract", "Leg", "Order"),
    "status": ("ConnectionStatus", "Status"),
    "subscription": ("Subscription",),
    "trade": ("Trade",),
    "veto": ("Resend",),
}
_MODULES = ("aio", "events")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BackstayError",
    "CallbackFailed",
    "Config",
    "ConfigError",
    "ConnectAck",
    "Connection",
    "ConnectionLostError",
    "ConnectionStatus",
    "Contract",
    "Dropped",
    "Gap",
    "Leg",
    "Manager",
    "MisuseError",
    "NoAnswerError",
    "NotReadyError",
    "Order",
    "OrderOverError",
    "RemoteError",
    "RequestInDoubtError",
    "Resend",
    "Resumed",
    "StartError",
    "Status",
    "Subscription",
    "Trade",
    "__version__",
    "aio",
    "events",
    "load",
]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
