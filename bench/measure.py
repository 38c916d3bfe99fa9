"""What every client measures about itself: CPU time, memory, delays of stamped frames."""

import os
import resource
import statistics
import threading
import time
from typing import Any, Final

from channel import Channel
from plan import Plan, Suite
from scene import WINDOW_FRAMES

_PAGE_MB: Final = os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
_BURN_SECONDS: Final = 150e-6 * WINDOW_FRAMES
"""What the slow consumer computes for each window: 150 us a frame, about 6,000 frames a second."""
SCRAPE_INTERVAL_SECONDS: Final = 10
"""Between two scrapes, as `deploy/prometheus/prometheus.yml` asks for."""
_WARM_UP_PARTS: Final = 10  # the first tenth of the stamped frames is not counted


def is_scraped(monotonic: float) -> bool:
    """Whether this interval is one with a scrape in it; the same for all processes of a machine."""
    return int(monotonic) // SCRAPE_INTERVAL_SECONDS % 2 == 1


def is_scraped_now(monotonic: float) -> bool:
    """Whether this second is the one of the interval in which the scrape is made."""
    return is_scraped(monotonic) and int(monotonic) % SCRAPE_INTERVAL_SECONDS == SCRAPE_INTERVAL_SECONDS // 2


def cpu_seconds(pid: int) -> float:
    """CPU time a process has used so far, all threads, in seconds; 0 names the caller's own."""
    if not pid:
        return time.process_time()
    # Linux: another process's CPU clock is the complement of its id above three bits, of which 2 means scheduler time
    return time.clock_gettime((~pid << 3) | 2)


def peak_rss_mb(pid: int) -> float:
    """Largest resident size a process has had, in MB."""
    if not pid:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - a proc file
        peak = next(line for line in status if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def resident_mb(pid: int) -> float:
    """Resident size of a process now, in MB."""
    with open(f"/proc/{pid or 'self'}/statm", encoding="ascii") as sizes:  # noqa: PTH123 - a proc file
        return int(sizes.read().split()[1]) * _PAGE_MB


class Meter:
    """Follows one sample inside the client: counts marks or stamped frames and reports when all have come.

    The client calls ``start`` when it is ready and has subscribed, then ``mark`` or ``stamp`` from its callbacks, or
    ``ready`` after each recovery; ``done`` tells it to leave.
    """

    def __init__(self, plan: Plan, channel: Channel) -> None:
        self._plan = plan
        self._channel = channel
        self._delays: list[int] = []
        self._sent: list[int] = []
        self._scrapes: list[float] = []
        self._ready = 0
        self._cpu = 0.0
        self._resident = 0.0
        self._grown = 0.0
        self._until = 0.0
        self.done = False
        self.over = threading.Event()
        self.received_bytes = 0
        """Bytes since the start, where the client can count them."""

    def start(self) -> None:
        """Ask for the stream."""
        self._cpu = cpu_seconds(self._plan.watched_pid)
        self._resident = resident_mb(self._plan.watched_pid)
        self._until = time.monotonic() + self._plan.seconds
        self._channel.go()

    def mark(self, number: int) -> None:
        """Take the mark that closes a window."""
        if self._plan.suite is Suite.SLOW:
            self._burn()
            return
        self._channel.acknowledge(number)
        if number == self._plan.windows:
            self._finish({})

    def stamp(self, sent: int) -> None:
        """Take a frame that carries its monotonic time of sending in nanoseconds."""
        self._delays.append(time.monotonic_ns() - sent)
        self._sent.append(sent)
        if len(self._delays) == self._plan.frames:
            first = self._plan.frames // _WARM_UP_PARTS
            self._finish(self._scraped(first) if self._scrapes else _percentiles(self._delays[first:]))

    def scrapes(self, seconds: list[float]) -> None:
        """Take note of the CPU time that scrapes have cost."""
        self._scrapes = seconds

    def _scraped(self, first: int) -> dict[str, float]:
        """The delays of intervals with and without a scrape, of the very second of the scrape, and what one costs."""
        found: tuple[list[int], list[int]] = ([], [])
        second: list[int] = []
        for sent, delay in zip(self._sent[first:], self._delays[first:], strict=True):
            found[is_scraped(sent / 1e9)].append(delay)
            if is_scraped_now(sent / 1e9):
                second.append(delay)
        without, with_scrapes = (_percentiles(delays)["p99_us"] for delays in found)
        return {
            "scrape_cpu_ms": statistics.median(self._scrapes) * 1e3,
            "p99_us": without,
            "p99_us_scraped": with_scrapes,
            "p99_ratio": with_scrapes / without,
            "p99_us_second": _percentiles(second)["p99_us"],
        }

    def ready(self) -> None:
        """Take note that the connection is usable again after a cut."""
        self._ready += 1
        self._channel.acknowledge(self._ready)
        if self._ready == self._plan.cycles:
            self._finish({})

    def crowded(self) -> None:
        """Take note that all connections stand."""
        self._finish({"rss_mb": resident_mb(self._plan.watched_pid)})

    @property
    def generic(self) -> bool:
        """Whether generic ticks carry send times (and not only marks)."""
        return self._plan.stamps

    def _burn(self) -> None:
        end = time.monotonic() + _BURN_SECONDS
        while time.monotonic() < end:
            pass
        self._grown = max(self._grown, resident_mb(self._plan.watched_pid) - self._resident)
        if end >= self._until and not self.done:
            self._finish({"grown_mb": self._grown})

    def _finish(self, result: dict[str, Any]) -> None:
        pid = self._plan.watched_pid
        result["cpu_seconds"] = cpu_seconds(pid) - self._cpu
        result["peak_rss_mb"] = peak_rss_mb(pid)
        result["received_bytes"] = self.received_bytes
        self.done = True
        self._channel.finish(result)
        self.over.set()


def _percentiles(delays: list[int]) -> dict[str, float]:
    cuts = statistics.quantiles(delays, n=1000, method="inclusive")
    return {
        "p50_us": cuts[499] / 1e3,
        "p99_us": cuts[989] / 1e3,
        "p999_us": cuts[998] / 1e3,
        "max_us": max(delays) / 1e3,
    }
