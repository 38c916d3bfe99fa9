"""Faults of the link between a client and TWS."""

from typing import TYPE_CHECKING

from backstay.protocol.framing import text
from backstay.simulator.fault_group import FaultGroup, command

if TYPE_CHECKING:
    from backstay.simulator.session import Session
    from backstay.simulator.world import World

BAD_LENGTH = 0x7FFFFFFF
"""A length prefix no peer takes: two gigabytes."""


class LinkFaults(FaultGroup):
    """Sockets that end, stall, or carry nonsense."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self.slowed: dict[int | None, float] = {}
        self.splits: dict[int | None, int] = {}
        self.cuts: dict[int, int] = {}
        self._hang_ups = 0
        self._redirects = 0
        self._elsewhere = ""

    @command
    def eof(self, client_id: int | None = None) -> None:
        """Close the clients' sockets; they read end of file."""
        for session in self.targets(client_id):
            session.close("eof on command")

    @command
    def reset(self, client_id: int | None = None) -> None:
        """Reset the clients' sockets (RST)."""
        for session in self.targets(client_id):
            session.reset("reset on command")

    @command
    def freeze(self, client_id: int | None = None) -> None:
        """Stop reading and writing, sockets open, as a suspended process; without a client id also all timers."""
        if client_id is None:
            self.world.loop.frozen = True
        for session in self.targets(client_id):
            session.channel.set_frozen(frozen=True)

    @command
    def thaw(self, client_id: int | None = None) -> None:
        """End ``freeze``."""
        if client_id is None:
            self.world.loop.frozen = False
        for session in self.targets(client_id):
            session.channel.set_frozen(frozen=False)

    @command
    def refuse(self) -> None:
        """Close the listening socket: new connections are refused, existing ones stay."""
        self.world.listener.close()

    @command
    def accept(self) -> None:
        """End ``refuse``: listen on the same port again."""
        self.world.listen_again()

    @command
    def slow(self, bytes_per_second: float, client_id: int | None = None) -> None:
        """Write no faster than this; 0 is full speed."""
        self.slowed[client_id] = bytes_per_second
        for session in self.targets(client_id):
            session.channel.slow_bytes_per_second = bytes_per_second

    @command
    def split(self, bytes: int, client_id: int | None = None) -> None:  # noqa: A002  (the name in the contract)
        """Write in pieces of this many bytes, each its own segment; 0 is whole again."""
        self.splits[client_id] = bytes
        for session in self.targets(client_id):
            session.channel.split_bytes = bytes

    @command
    def bad_frame(self, client_id: int | None = None, length: int = BAD_LENGTH) -> None:
        """Send a frame with a length nobody can believe and some garbage behind it."""
        for session in self.targets(client_id):
            session.channel.send(length.to_bytes(4, "big") + b"1\0garbage\0")

    @command
    def cut_after(self, message_id: int, count: int = 1) -> None:
        """Close a client's socket right behind the next message of this id (or the count-th): an answer cut in half."""
        self.cuts[message_id] = count

    @command
    def hang_up(self, count: int = 1) -> None:
        """Close the next sockets as soon as they greet, as TWS does with strangers and after a dialog's no."""
        self._hang_ups = count

    @command
    def redirect(self, address: str, count: int = 1) -> None:
        """Send the next clients elsewhere (HOST:PORT) instead of answering their greeting."""
        self._redirects = count
        self._elsewhere = address

    def turned_away(self, session: "Session") -> bool:
        """Whether a client that greets gets no answer, or is sent elsewhere."""
        if self._hang_ups > 0:
            self._hang_ups -= 1
        elif self._redirects > 0:
            self._redirects -= 1
            session.channel.send(text(-1, self._elsewhere))
        else:
            return False
        session.close("turned away")
        return True

    def sent(self, session: "Session", message_id: int) -> None:
        """Take note of a message, for ``cut_after``."""
        left = self.cuts.get(message_id)
        if left is None:
            return
        self.cuts[message_id] = left - 1
        if left <= 1:
            del self.cuts[message_id]
            session.close("cut after a message")

    def apply(self, session: "Session") -> None:
        """Give a socket the lasting faults of its client id, or of everybody as long as that is not known."""
        channel = session.channel
        channel.slow_bytes_per_second = self.slowed.get(session.client_id, self.slowed.get(None, 0.0))
        channel.split_bytes = self.splits.get(session.client_id, self.splits.get(None, 0))
