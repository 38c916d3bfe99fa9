"""Scrapes the metrics of a running relay as Prometheus does, and what that costs its process.

Usage: scraping.py PLAN. Scrapes once in every other interval until it is ended.
"""

import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import Final

from measure import SCRAPE_INTERVAL_SECONDS, cpu_seconds, is_scraped_now
from plan import Plan

_HEADERS: Final = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
_SCRAPES: Final = 40
_LOOK_SECONDS: Final = 0.02
_INTO_THE_SECOND: Final = 0.3


def scrape(plan: Plan) -> int:
    """Scrape once over a connection of its own; returns the size of the body."""
    with closing(HTTPConnection(plan.host, plan.http_port, timeout=plan.timeout)) as connection:
        connection.request("GET", "/metrics", headers=_HEADERS)
        return len(connection.getresponse().read())


def scrape_seconds(plan: Plan) -> list[float]:
    """CPU seconds that single scrapes have cost the watched process while little else happened in it."""
    scrape(plan)
    found: list[float] = []
    for _ in range(_SCRAPES):
        before = cpu_seconds(plan.watched_pid)
        scrape(plan)
        found.append(cpu_seconds(plan.watched_pid) - before)
        time.sleep(_LOOK_SECONDS)
    return found


def main() -> None:
    """Scrape in every other interval."""
    plan = Plan.from_argument(sys.argv[1])
    done = -1
    while True:
        now = time.monotonic()
        interval = int(now) // SCRAPE_INTERVAL_SECONDS
        if is_scraped_now(now) and interval != done and now % 1 > _INTO_THE_SECOND:
            done = interval
            scrape(plan)
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    main()
