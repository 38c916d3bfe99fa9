"""Place a limit order far below the market, wait for TWS's word, cancel it; with asyncio.

Usage: place_order.py HOST:PORT
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import backstay
from backstay import aio

AAPL = backstay.Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")


async def main(endpoint: str, folder: Path) -> None:
    """Place and cancel."""
    config = {
        "gateways": {"here": {"endpoints": [endpoint]}},
        "connections": {"orders": {"gateway": "here", "client_id": 12}},
        "journal": {"path": str(folder / "orders.db")},  # keep it where it stays: order ids and fates are in it
        "http": {"enabled": False},
    }
    async with aio.Manager(config) as manager:
        connection = manager.connection("orders")
        if not await connection.wait_ready(30):
            sys.exit(f"not ready: {connection.state().reason}")
        order = backstay.Order(action="BUY", quantity=10, order_type="LMT", limit_price=1.0)
        try:
            trade = connection.place_order(AAPL, order)
            await connection.wait_trade(trade, timeout=10)
        except backstay.RequestInDoubtError:
            sys.exit("in doubt: it may be live; backstay finds out, and nobody places it again")
        except backstay.NotReadyError as error:
            sys.exit(f"it has not left: {error}")
        print("order", trade.order_id, trade.status)
        connection.cancel_order(trade)
        await connection.wait_trade(trade, "Cancelled", timeout=10)
        print("order", trade.order_id, trade.status)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as here:
        asyncio.run(main(sys.argv[1], Path(here)))
