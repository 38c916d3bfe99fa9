"""Print quotes for a while, and every gap in them.

Usage: watch_quotes.py HOST:PORT [SECONDS]

Try it on a simulated TWS: `backstay simulator --listen 127.0.0.1:4002 --control 127.0.0.1:4003`, and cut it meanwhile:
`curl -X POST http://127.0.0.1:4003/faults/eof`.
"""

import sys
import time

import backstay
from backstay.events import Gap, Resumed, TickPrice

AAPL = backstay.Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
NAMES = {1: "bid", 2: "ask", 4: "last"}


def main(endpoint: str, seconds: float) -> None:
    """Watch one instrument."""
    config = {
        "gateways": {"here": {"endpoints": [endpoint]}},
        "connections": {"quotes": {"gateway": "here", "client_id": 11, "read_only": True}},
        "http": {"enabled": False},
    }
    with backstay.Manager(config) as manager:
        connection = manager.connection("quotes")
        if not connection.wait_ready(30):
            sys.exit(f"not ready: {connection.state().reason}")
        end = time.monotonic() + seconds
        with connection.subscribe("market_data", contract=AAPL) as stream:
            while (left := end - time.monotonic()) > 0:
                try:
                    event = stream.next_event(left)
                except backstay.NoAnswerError:
                    break
                match event:
                    case TickPrice(tick=tick, price=price) if tick in NAMES:
                        print(NAMES[tick], price)
                    case Gap(cause=cause, code=code):
                        print(f"gap: {cause} ({code})")
                    case Resumed(began=began, ended=ended):
                        print(f"resumed after {ended - began:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
