"""The sections of the configuration: keys, units, defaults and bounds, each with its meaning.

Frozen pydantic models. What needs more than one section to be judged is judged in `backstay.config`.
"""

from __future__ import annotations

import json
import os
import re
import socket as sockets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from backstay.config_values import HIGHEST_CLIENT_ID, ClientIds, parse_client_ids, parse_window
from backstay.metrics.listening import Address, parse_address
from backstay.session.calendar import MaintenanceWindow

LONGEST_SOCKET_PATH = 107
"""Bytes in `sun_path` less the closing NUL; a longer path cannot be bound on Linux."""

DETECTION_SECONDS = (3.0, 120.0)
"""The promise: TWS stalls for seconds at times, so less cries wolf; after two minutes nobody would call it detected."""

T = TypeVar("T")


def _reader(kind: type[T], parse: Callable[[str], T], form: str) -> PlainValidator:
    def read(value: object) -> T:
        if isinstance(value, kind):
            return value
        if isinstance(value, str):
            return parse(value)
        raise ValueError(f"must be {form} in quotes")  # only a ValueError becomes a problem with a path

    return PlainValidator(read)


def _endpoint(text: str) -> Address:
    address = parse_address(text)
    if address.port == 0:
        raise ValueError("port 0 cannot be dialled")
    return address


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  # only a ValueError becomes a problem with a path
    return value


def _no_empty(value: object) -> object:
    if value == "":
        raise ValueError("must not be empty")
    return value


def _single_id(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _listed(value: object) -> object:
    """A list may also be given as text: JSON, or items with commas between them, as the environment has it."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return cast("object", json.loads(value))  # its error is a ValueError
    return tuple(item.strip() for item in value.split(",") if item.strip())


_TEXT = WithJsonSchema({"type": "string"})
Listen = Annotated[Address, _reader(Address, parse_address, "HOST:PORT"), PlainSerializer(str, return_type=str), _TEXT]
Endpoint = Annotated[Address, _reader(Address, _endpoint, "HOST:PORT"), PlainSerializer(str, return_type=str), _TEXT]
Window = Annotated[
    MaintenanceWindow,
    _reader(MaintenanceWindow, parse_window, "HH:MM-HH:MM ZONE"),
    PlainSerializer(str, return_type=str),
    _TEXT,
]
Ids = Annotated[
    ClientIds,
    _reader(ClientIds, parse_client_ids, "client ids, as in 1,5,7-9,"),
    BeforeValidator(_single_id),
    PlainSerializer(str, return_type=str),
    _TEXT,
]
Whole = Annotated[int, BeforeValidator(_no_bool)]
Number = Annotated[float, BeforeValidator(_no_bool)]
Seconds = Annotated[float, Field(gt=0, le=86_400), BeforeValidator(_no_bool)]
ClientId = Annotated[int, Field(ge=0, le=HIGHEST_CLIENT_ID), BeforeValidator(_no_bool)]
File = Annotated[Path, BeforeValidator(_no_empty)]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=253)]
# Lower case and no double underscore, so that the environment can name it; it becomes a label and part of an address.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*(_[a-z0-9.-]+)*$", max_length=64)]


class Section(BaseModel):
    """Base of all sections: frozen, and an unknown key is an error.

    The text below a key is its meaning; `backstay.config_reference` reads it there, and not at every start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone {name!r} is known on this machine") from None


Zone = Annotated[str, AfterValidator(_zone)]


class GatewayConfig(Section):
    """A TWS or IB Gateway, or several that stand in for one another."""

    endpoints: Annotated[tuple[Endpoint, ...], BeforeValidator(_listed)] = Field(min_length=1, max_length=32)
    """HOST:PORT of each; tried in order, then round again."""
    one_login: bool = False
    """Whether all endpoints are the same login to IB: then each proves of every order whether TWS ever had it."""
    prefer_first_seconds: Number = Field(default=0.0, ge=0, le=86_400)
    """After so long on another endpoint, back to the first if nobody has a stream, a read or an order out; 0: never."""
    maintenance: Annotated[tuple[Window, ...] | None, BeforeValidator(_listed)] = Field(default=None, max_length=32)
    """Planned downtime as HH:MM-HH:MM ZONE: no alarm, no new orders just before. Not given: as it tells; []: none."""
    master_client_id: ClientId | None = None
    """The client that hears of everybody's orders, as set in the gateway. If not given: what it tells, or shows."""
    time_zone: Zone = "America/New_York"
    """In which its day begins: TWS lists executions and completed orders of the day."""


class RelayConfig(Section):
    """A door for TWS API clients."""

    gateway: Name
    """The gateway behind this door."""
    listen: Listen
    """HOST:PORT; port 0 takes a free one."""
    client_ids: Ids = parse_client_ids("0-31")
    """Client ids that may come in."""
    read_only: bool = False
    """Whether requests that change orders or configuration are refused."""
    linger_seconds: Number = Field(default=0.0, ge=0, le=86_400)
    """How long the upstream connection of a client that left is kept for its return."""
    max_clients: Whole = Field(default=32, ge=1, le=1024)
    """Clients at one time; TWS itself takes 32."""
    client_buffer_bytes: Whole = Field(default=1_048_576, ge=65_536, le=1_073_741_824)
    """What may wait for a slow client before reading from upstream pauses."""


class ConnectionConfig(Section):
    """A connection that backstay keeps up by itself."""

    gateway: Name
    """The gateway to connect to."""
    client_id: ClientId
    """The client id to connect with."""
    start: Literal["at once", "manual"] = "at once"
    """When startApi goes out: at once, or when the application that embeds backstay says so."""
    read_only: bool = False
    """Whether requests that change orders or configuration are refused."""


class PacingConfig(Section):
    """How fast requests leave."""

    messages_per_second: Whole = Field(default=45, ge=1, le=1000)
    """Per connection; TWS cuts a client above half its market data lines, 50 by default."""
    historical_limits: bool = True
    """Whether IB's limits on queries for bars of 30 s and less are kept in advance: what would break them waits."""


class PulseConfig(Section):
    """When silence is suspicious, and when it is a broken connection."""

    idle_seconds: Seconds = 5.0
    """No bytes for so long: probe."""
    probe_seconds: Number = Field(default=10.0, ge=1.1, le=120)
    """How long a probe may stay unanswered; TWS ignores a second one within about a second."""
    probes: Whole = Field(default=2, ge=1, le=20)
    """So many unanswered: broken."""
    verify_seconds: Number = Field(default=5.0, ge=1.1, le=120)
    """The same for the probes right after the start, before requests may leave."""
    verify_probes: Whole = Field(default=12, ge=1, le=120)
    """So many unanswered right after the start: dial again."""

    @model_validator(mode="after")
    def _check_detection(self) -> Self:
        seconds = self.idle_seconds + self.probes * self.probe_seconds
        low, high = DETECTION_SECONDS
        if not low <= seconds <= high:
            raise ValueError(
                f"idle_seconds + probes x probe_seconds, the time to notice a frozen gateway, is {seconds:g} s "
                f"and must be {low:g} to {high:g} s"
            )
        return self


class LifecycleConfig(Section):
    """How long each step of a connection's life may take."""

    dial_seconds: Seconds = 5.0
    """Until the TCP connection stands."""
    handshake_seconds: Seconds = 10.0
    """Until the gateway answers the greeting; longer means a dialog or a hang."""
    acceptance_seconds: Seconds = 600.0
    """How long a dialog may wait for a person before the socket is given up."""
    start_seconds: Seconds = 60.0
    """From startApi to nextValidId and managedAccounts."""
    stable_seconds: Seconds = 30.0
    """A connection that was ready for so long has proved itself: the backoff begins anew."""
    parked_seconds: Seconds = 60.0
    """How often a connection that needs a person is tried all the same."""
    drain_seconds: Seconds = 2.0
    """How long a stop waits for what is under way."""
    client_id_attempts: Whole = Field(default=6, ge=1, le=1000)
    """Answers "client id in use" in a row before the connection is parked."""
    redirect_anywhere: bool = False
    """Whether a gateway may send us to another host, not just to another port."""


class BackoffConfig(Section):
    """Delays between dials: they grow, are spread at random, and never end."""

    first_seconds: Seconds = 0.25
    """The first retry after a stable session comes at random within this time."""
    base_seconds: Seconds = 1.0
    """The delay after that."""
    factor: Number = Field(default=1.6, ge=1, le=10)
    """How much longer each further delay is."""
    jitter_ratio: Number = Field(default=0.2, ge=0, le=1)
    """How far a delay is spread to either side, as a part of it."""
    cap_seconds: Seconds = 30.0
    """The longest delay, before the spread; a cause may set a longer floor."""


class HeldConfig(Section):
    """What a client may ask for while its gateway is away; beyond it the answer is an error at once."""

    count: Whole = Field(default=1000, ge=0, le=1_000_000)
    """Requests per connection."""
    size_bytes: Whole = Field(default=8_388_608, ge=0, le=1_073_741_824)
    """Bytes of requests per connection."""
    age_seconds: Seconds = 60.0
    """A request held for longer is answered with an error."""
    order_seconds: Seconds = 10.0
    """The same for orders: one that waits carries a stale price."""


class JournalConfig(Section):
    """Where intents of orders are kept."""

    path: File = Path("backstay.db")
    """An SQLite file; relative to the configuration file."""
    durability: Literal["full", "process"] = "full"
    """What an intent has to survive before its order leaves: a crash of the machine, or only one of the process."""


class OrdersConfig(Section):
    """What becomes of an order that was under way when its connection broke."""

    resend: Literal["never", "settled"] = "never"
    """Whether backstay may send it again, under the same id, once TWS's settled lists prove that it never had it."""
    settle_seconds: Number = Field(default=10.0, ge=1, le=600)
    """How long the link must have been up, and the order been written, before TWS's lists prove anything."""
    ttl_seconds: Number = Field(default=60.0, ge=0, le=86_400)
    """An order older than that is never sent again: its price is stale. Its client is told that it is not there."""


PASSWORD_HASH = re.compile(
    r"scrypt\$(?:1024|2048|4096|8192|16384|32768|65536|131072)\$8\$1\$[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*"
)
"""What `backstay.metrics.passwords` makes, and what it takes no more time for than that."""


class HttpConfig(Section):
    """Metrics, health and the status page; read-only."""

    enabled: bool = True
    """Whether to serve them at all."""
    listen: Listen = Address("127.0.0.1", 9464)
    """HOST:PORT; port 0 takes a free one."""
    hosts: Annotated[tuple[HostName, ...], BeforeValidator(_listed)] = Field(default=(), max_length=32)
    """Names by which it may be asked, as in http://NAME:9464/, beside addresses, localhost and this machine's name."""
    certificate: File | None = None
    """A certificate (PEM, with those above it) for HTTPS, else it is plain HTTP; relative to the configuration file."""
    key: File | None = None
    """The private key of that certificate (PEM)."""
    users: Annotated[dict[str, SecretStr], Field(max_length=32)] = Field(default_factory=dict[str, SecretStr])
    """Who may look (basic authentication), by name, with the hash that python -m backstay.metrics.passwords prints."""

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        for name, secret in self.users.items():
            if ":" in name or not PASSWORD_HASH.fullmatch(secret.get_secret_value()):
                raise ValueError(f"users.{name}: must be a hash as python -m backstay.metrics.passwords prints it")
        return self


DEFAULT_TRANSPORT: Literal["socket", "port"] = "socket" if hasattr(sockets, "AF_UNIX") else "port"


class ControlConfig(Section):
    """The operator's socket."""

    socket: File = Path("backstay.sock")
    """A unix socket, mode 0600; relative to the configuration file."""
    transport: Literal["socket", "port"] = DEFAULT_TRANSPORT
    """`port` where there are no unix sockets: a loopback port, with its token in a file beside (NAME`.port`)."""
    holds: File = Path("backstay.holds")
    """What operators have paused or drained, to be held across a restart; relative to the configuration file."""

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            raise ValueError(f"socket: a unix socket's path has at most {LONGEST_SOCKET_PATH} bytes")
        return self


class LogConfig(Section):
    """What is logged, and how."""

    format: Literal["logfmt", "json"] = "logfmt"
    """For people and grep, or for machines."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged."""
