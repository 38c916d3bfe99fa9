"""What one sample is to do; handed to the gateway's and the client's process as one JSON argument."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Self

from scene import WINDOW_FRAMES


class Suite(StrEnum):
    """What is measured."""

    STEADY = "steady"  # windows of 500 frames, two in flight
    BLAST = "blast"  # as fast as TCP accepts
    LATENCY = "latency"  # stamped frames at a fixed rate
    RECOVERY = "recovery"  # end of file until ready again
    SLOW = "slow"  # more than the consumer takes: what piles up, and where
    SCRAPE = "scrape"  # latency with many clients, while somebody scrapes the metrics in every other interval
    MANY = "many"  # memory of a relay with many clients


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One sample. Ports are 0 until the gateway has chosen them."""

    suite: Suite
    stream: str = ""
    """File with the encoded windows."""
    windows: int = 0
    """Windows to push (steady, blast, slow)."""
    frames: int = 0
    """Stamped frames to send (latency)."""
    rate: int = 0
    """Frames a second (latency, slow)."""
    seconds: float = 0.0
    """How long to push (slow)."""
    cycles: int = 0
    """Connections to cut (recovery)."""
    connections: int = 1
    """Clients at one time (many, scrape)."""
    http_port: int = 0
    """Where the metrics are (scrape)."""
    timeout: float = 180.0
    """Seconds within which the whole sample must be over."""
    host: str = "127.0.0.1"
    port: int = 0
    """Where the client connects: the gateway, or the relay in front of it."""
    channel_port: int = 0
    watched_pid: int = 0
    """Process whose CPU time counts; 0 is the client's own."""

    requests: bool = True
    """Whether this client can ask for streams at all; what it did not ask for is pushed to it all the same."""

    @property
    def subscribes(self) -> bool:
        """Whether the client asks for the scene's streams before it starts."""
        return self.requests and self.suite not in (Suite.RECOVERY, Suite.MANY)

    @property
    def stamps(self) -> bool:
        """Whether single frames carry their time of sending."""
        return self.suite in (Suite.LATENCY, Suite.SCRAPE)

    @property
    def pushed(self) -> int:
        """Frames that the gateway pushes after the start."""
        return self.frames if self.stamps else self.windows * WINDOW_FRAMES

    def to_argument(self) -> str:
        """Encode as one command line argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> Self:
        """Decode what ``to_argument`` made."""
        values = json.loads(text)
        values["suite"] = Suite(values["suite"])
        return cls(**values)
