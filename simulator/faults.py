"""Everything that can be made to go wrong on command; the same names as on the control port."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backstay.simulator.farms import FARM_NOTICES, Farm, farm_kind
from backstay.simulator.fault_group import COMMANDS, command
from backstay.simulator.fault_link import LinkFaults
from backstay.simulator.fault_orders import OrderFaults
from backstay.simulator.streams import MARKET_FAMILIES, Family

if TYPE_CHECKING:
    from backstay.simulator.loop import Timer
    from backstay.simulator.session import Session
    from backstay.simulator.world import World

PLACE_ORDER = 3
REQ_CURRENT_TIME = 49

PACING_VIOLATIONS_MAX = 3
"""TWS ends the session at the third violation."""


class Faults(LinkFaults, OrderFaults):
    """The faults of one simulator. Commands may be called from any thread; the rest belongs to the loop.

    ``client_id`` limits a fault to one client; without it, it is for everybody, and lasting ones are for those who
    come later too. A number of 0 ends a lasting fault.
    """

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self.open_dialog = False
        self.ready_delay = 0.0
        self.upstream_up = True
        self.farms: dict[str, Farm] = {}
        self.ids_in_use: dict[int | None, int] = {}
        self.drop_seconds = 0.0
        self.rate_max = 0
        self.clock_error = 0.0
        self._dropping_since = 0.0
        self._repeat: Timer | None = None

    @command
    def drop_requests(self, seconds: float) -> None:
        """Lose every request but reqCurrentTime for so long: from now, and after nextValidId of later sessions."""
        self.drop_seconds = seconds
        self._dropping_since = time.monotonic()

    @command
    def delay_ready(self, seconds: float) -> None:
        """Let later sessions wait so long for managedAccounts and nextValidId."""
        self.ready_delay = seconds

    @command
    def clock(self, seconds: float) -> None:
        """Tell a time that is wrong by so much to whoever asks for it; below 0 it is behind."""
        self.clock_error = seconds

    @command
    def dialog(self) -> None:
        """Ask a person about each new client: its greeting stays unanswered until ``accept_dialog``."""
        self.open_dialog = True

    @command
    def accept_dialog(self) -> None:
        """Answer the dialog with yes, for those who wait and those who come."""
        self.open_dialog = False
        for session in list(self.world.peers):
            session.accept()

    @command
    def client_id_in_use(self, count: int = 1, client_id: int | None = None) -> None:
        """Answer the next sessions (of this client id, or any) with 326 and close."""
        self.ids_in_use[client_id] = count

    @command
    def pacing_reject(self, messages_per_second: int = 50) -> None:
        """Reject messages above the rate with 100; the third time ends the session. 0 queues without a limit."""
        self.rate_max = messages_per_second

    @command
    def port_changed(self, port: int = 0) -> None:
        """Move to another port (any free one for 0): 1300 with the new port, then all sockets close."""
        listener = self.world.listener
        listener.move(port)
        text = f"TWS socket port has been reset and this connection is being dropped. The new port is: {listener.port}"
        for session in self._ready():
            session.error(-1, 1300, text)
        for session in list(self.world.peers):
            session.close("port changed")

    @command
    def restart(self, seconds: float = 0.0, order_ids_fall_back: bool = False) -> None:
        """Go away and come back after so long. Orders stay; ids of orders never acknowledged may be forgotten."""
        world = self.world
        world.listener.close()
        for session in list(world.peers):
            session.close("restart")
        world.restarted(order_ids_fall_back=order_ids_fall_back)
        world.loop.after(seconds, world.listen_again)

    @command
    def upstream_lost(self) -> None:
        """Cut TWS off IB's servers: 1100 now and every few seconds, no data, orders wait."""
        self.upstream_up = False
        self.world.book.set_upstream(up=False)
        if self._repeat is not None:
            self._repeat.cancel()
        self._tell_upstream_lost()

    @command
    def upstream_restored(self, data_lost: bool = False, forget_ids: bool = False) -> None:
        """Bring IB's servers back: 1102, or 1101 with ``data_lost``, when market data stays silent.

        After 1101 the ids are still taken (322 for a request without a cancel) unless ``forget_ids``.
        """
        self.upstream_up = True
        world = self.world
        for session in self._ready():
            if data_lost:
                self._lose_data(session, forget_ids=forget_ids)
                session.error(
                    -1, 1101, "Connectivity between IBKR and Trader Workstation has been restored - data lost."
                )
            else:
                session.error(-1, 1102, self._restored_text())
            world.resume(session)
        world.book.set_upstream(up=True)

    @command
    def farm(self, name: str, up: bool, streams_die: bool = False) -> None:
        """Break or mend one data farm; with ``streams_die`` its streams stay silent although the farm is back."""
        state = self.farms.setdefault(name, Farm(name, farm_kind(name)))
        state.up = up
        notice = FARM_NOTICES[state.kind]
        for session in self._ready():
            for stream in session.streams.values():
                if stream.farm == name and streams_die:
                    stream.dead = True
            session.error(-1, notice.up if up else notice.broken, notice.text(name, up=up))
            if up:
                self.world.resume(session)

    @command
    def bulletin(self, text: str, number: int = 1) -> None:
        """Send a news bulletin to those who asked for them."""
        for session in self._ready():
            if (Family.BULLETINS, 0) in session.streams:
                session.send(14, number, 1, text, "SIMULATED")

    def admit(self, session: "Session", message_id: int) -> bool:
        """Whether a request reaches TWS at all."""
        if self.rate_max and not self._within_rate(session):
            return False
        if self.drop_seconds and message_id != REQ_CURRENT_TIME:
            since = max(session.ready_since, self._dropping_since)
            if time.monotonic() < since + self.drop_seconds:
                return False
        return message_id != PLACE_ORDER or not self.loses_request(session)

    def takes_id(self, client_id: int) -> bool:
        """Whether this client id is to be called in use; counts down."""
        for key in (client_id, None):
            left = self.ids_in_use.get(key, 0)
            if left > 0:
                self.ids_in_use[key] = left - 1
                return True
        return False

    def farm_up(self, name: str | None) -> bool:
        """Whether a farm delivers."""
        farm = self.farms.get(name) if name else None
        return farm is None or farm.up

    def state(self) -> Mapping[str, Any]:
        """What is armed, for ``GET /state``."""
        return {
            "frozen": self.world.loop.frozen,
            "dialog": self.open_dialog,
            "delay_ready": self.ready_delay,
            "upstream": self.upstream_up,
            "farms_down": sorted(name for name, farm in self.farms.items() if not farm.up),
            "client_id_in_use": sum(self.ids_in_use.values()),
            "drop_requests": self.drop_seconds,
            "pacing_reject": self.rate_max,
            "clock": self.clock_error,
            "lose_orders": self.orders_to_lose,
            "slow": {str(key): value for key, value in self.slowed.items() if value},
            "split": {str(key): value for key, value in self.splits.items() if value},
        }

    def _ready(self) -> "list[Session]":
        return self.world.ready_sessions()

    def _within_rate(self, session: "Session") -> bool:
        if session.rate.admit(time.monotonic(), self.rate_max):
            return True
        session.error(-1, 100, "Max rate of messages per second has been exceeded")
        if session.rate.violations >= PACING_VIOLATIONS_MAX:
            session.close("pacing")
        return False

    def _tell_upstream_lost(self) -> None:
        if self.upstream_up:
            return
        for session in self._ready():
            session.error(-1, 1100, "Connectivity between IBKR and Trader Workstation has been lost.")
        self._repeat = self.world.loop.after(self.world.settings.upstream_repeat_seconds, self._tell_upstream_lost)

    def _restored_text(self) -> str:
        up = ", ".join(farm.name for farm in self.world.farms() if self.farm_up(farm.name))
        return (
            "Connectivity between IBKR and Trader Workstation has been restored - data maintained. "
            f"The following farms are connected: {up}."
        )

    @staticmethod
    def _lose_data(session: "Session", *, forget_ids: bool) -> None:
        for key, stream in list(session.streams.items()):
            if stream.family in MARKET_FAMILIES:
                stream.dead = True
                if forget_ids:
                    del session.streams[key]


__all__ = ["COMMANDS", "Faults"]
