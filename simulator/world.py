"""Everything a simulated TWS is made of, and what happens when a client comes or goes. Loop thread only."""

import time
from typing import TYPE_CHECKING

from backstay.simulator import requests_orders
from backstay.simulator.accounts import Accounts
from backstay.simulator.book import Book
from backstay.simulator.catalogue import Catalogue
from backstay.simulator.farms import FARM_NOTICES, FARMS, Farm
from backstay.simulator.faults import Faults
from backstay.simulator.fields import Fields
from backstay.simulator.history import History
from backstay.simulator.listener import Listener
from backstay.simulator.loop import Loop
from backstay.simulator.market import Market
from backstay.simulator.news import News
from backstay.simulator.orders import Order
from backstay.simulator.pacing import HistoricalPacing
from backstay.simulator.records import Records
from backstay.simulator.session import STREAM_BACKLOG_BYTES, Session, SessionState
from backstay.simulator.settings import Settings
from backstay.simulator.streams import Pace, Stream

if TYPE_CHECKING:
    import socket


class World:
    """The parts of one simulator; sessions reach each other and the market through it."""

    def __init__(self, loop: Loop, address: tuple[str, int], settings: Settings) -> None:
        self.loop = loop
        self.settings = settings
        self.records = Records()
        self.catalogue = Catalogue()
        self.market = Market(settings.seed)
        self.book = Book(settings, self.market, News(self), after=loop.after)
        self.accounts = Accounts(self.book.ledgers, self.market)
        self.history = History(settings.seed)
        self.queries = HistoricalPacing()
        self.faults = Faults(self)
        self.listener = Listener(loop, address, self._accepted)
        self.peers: set[Session] = set()
        self.sessions: dict[int, Session] = {}
        self.ticks_withheld = 0
        self._beating: set[Pace] = set()

    def ready_sessions(self) -> list[Session]:
        """Sessions that may ask and are told."""
        return [session for session in self.sessions.values() if session.state is SessionState.READY]

    def full(self) -> bool:
        """Whether the limit of clients is reached."""
        return len(self.sessions) >= self.settings.clients_max

    def begin(self, session: Session) -> None:
        """Take a client that sent startApi, unless its id is in use."""
        client_id = session.client_id
        assert client_id is not None  # noqa: S101  (startApi carried it)
        holder = self.sessions.get(client_id)
        if holder is not None and holder.channel.peer_gone():
            holder.close("eof")
            holder = None
        self.records.started(client_id)
        if holder is not None or self.faults.takes_id(client_id):
            session.error(
                -1, 326, "Unable to connect as the client id is already in use. Retry with a unique client id."
            )
            session.close("client id in use")
            return
        self.sessions[client_id] = session
        self.faults.apply(session)
        if self.faults.ready_delay:
            self.loop.after(self.faults.ready_delay, lambda: self._make_ready(session))
        else:
            self._make_ready(session)

    def forget(self, session: Session, reason: str) -> None:
        """Let a session go; its orders stay."""
        self.peers.discard(session)
        client_id = session.client_id
        if client_id is not None and self.sessions.get(client_id) is session:
            del self.sessions[client_id]
        self.records.socket_closed(client_id, reason)

    def flows(self, stream: Stream) -> bool:
        """Whether a stream delivers: IB reachable, its farm up, not lost in 1101, the client not far behind."""
        if stream.dead or not self.faults.farm_up(stream.farm):
            return False
        if stream.farm and not self.faults.upstream_up:
            return False
        if stream.session.channel.backlog > STREAM_BACKLOG_BYTES:
            self.ticks_withheld += 1
            return False
        return True

    def reaches(self, farm: str) -> bool:
        """Whether a farm of IB can be asked."""
        return self.faults.upstream_up and self.faults.farm_up(farm)

    def resume(self, session: Session) -> None:
        """Start streams that were asked for while their data could not come."""
        for stream in list(session.streams.values()):
            if not stream.started and self.flows(stream):
                stream.started = True
                stream.start()

    def keep_pace(self, pace: Pace) -> None:
        """See to it that streams of a pace are stepped."""
        if pace is not Pace.EVENT and pace not in self._beating:
            self._beating.add(pace)
            self.loop.after(self._period(pace), lambda: self._beat(pace))

    def farms(self) -> list[Farm]:
        """The farms a session hears about, those a fault named included."""
        known = {name: Farm(name, kind) for name, kind in FARMS}
        return list({**known, **self.faults.farms}.values())

    def connection_time(self) -> bytes:
        """The time in the version answer."""
        return time.strftime("%Y%m%d %H:%M:%S UTC", time.gmtime()).encode()

    def restarted(self, *, order_ids_fall_back: bool) -> None:
        """Do what a restart of TWS does to its own memory: orders stay."""
        if order_ids_fall_back:
            self.book.forget_ids()

    def listen_again(self) -> None:
        """Listen on the same port as before."""
        self.listener.open()
        self.records.tell("listening", None)

    def holdings_changed(self, order: Order) -> None:
        """Tell everybody who watches the account of an order that filled."""
        holding = self.book.ledgers[order.account].holdings[order.instrument.con_id]
        for session in self.ready_sessions():
            for stream in list(session.streams.values()):
                stream.changed(order.account, holding)

    def watch_market(self) -> None:
        """Let the market move although nobody listens, for orders that wait for it."""
        if self.book.resting():
            self.keep_pace(Pace.TICK)

    def net_liquidation(self, account: str) -> float:
        """Return what an account is worth."""
        return self.accounts.net_liquidation(account)

    def _accepted(self, sock: "socket.socket") -> None:
        session = Session(self, sock)
        self.peers.add(session)
        self.faults.apply(session)
        self.records.socket_opened()

    def _make_ready(self, session: Session) -> None:
        client_id = session.client_id
        if session.state is not SessionState.STARTING or client_id is None:
            return
        session.state = SessionState.READY
        session.ready_since = time.monotonic()
        if self.settings.push_open_orders and self.book.live(client_id):
            requests_orders.req_open_orders(session, Fields(b""))
        session.send(15, ",".join(self.settings.accounts))
        session.send(9, self.book.next_id(client_id))
        self._tell_farms(session)
        self.records.tell("ready", client_id)

    def _tell_farms(self, session: Session) -> None:
        if not self.faults.upstream_up:
            session.error(-1, 1100, "Connectivity between IBKR and Trader Workstation has been lost.")
            return
        for farm in self.farms():
            notice = FARM_NOTICES[farm.kind]
            session.error(-1, notice.up if farm.up else notice.broken, notice.text(farm.name, up=farm.up))

    def _period(self, pace: Pace) -> float:
        settings = self.settings
        return {
            Pace.TICK: settings.tick_seconds,
            Pace.BAR: settings.bar_seconds,
            Pace.PNL: settings.pnl_seconds,
        }[pace]

    def _beat(self, pace: Pace) -> None:
        if pace is Pace.TICK:
            self.market.beat += 1
        streams = [
            stream
            for session in self.ready_sessions()
            for stream in list(session.streams.values())
            if stream.pace is pace
        ]
        if pace is Pace.TICK and self.book.resting():
            self.book.match()
        elif not streams:
            self._beating.discard(pace)
            return
        self.loop.after(self._period(pace), lambda: self._beat(pace))
        for stream in streams:
            if self.flows(stream) and stream.started:
                stream.step()
