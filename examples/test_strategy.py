"""Tests of a strategy against the simulated TWS that misbehaves on command: `pytest examples/test_strategy.py`.

The strategy buys once, when the ask is at or below its limit. What has to be shown: it does not buy twice, also when
the line breaks before the answer to its order. The fixture `tws_simulator` comes with backstay.
"""

import backstay
from backstay.events import Gap, TickPrice

ASK = 2
AAPL = backstay.Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
SECONDS = 30.0


class BuysOnce:
    """Buys ten when the ask is at or below the limit, once."""

    def __init__(self, connection, limit):
        self.connection, self.limit = connection, limit
        self.trade = None
        self.gaps = 0

    def run(self):
        """Until it has bought."""
        with self.connection.subscribe("market_data", contract=AAPL) as stream:
            while self.trade is None:
                match stream.next_event(SECONDS):
                    case TickPrice(tick=tick, price=ask) if tick == ASK and ask <= self.limit:
                        self.buy()
                    case Gap():
                        self.gaps += 1
        return self.trade

    def buy(self):
        order = backstay.Order(action="BUY", quantity=10, order_type="LMT", limit_price=self.limit)
        try:
            self.trade = self.connection.place_order(AAPL, order)
        except backstay.NotReadyError:
            return  # it has not left: the next price decides


def manager(simulator, folder):
    return backstay.Manager(
        {
            "gateways": {"here": {"endpoints": ["{}:{}".format(*simulator.address)]}},
            "connections": {"strategy": {"gateway": "here", "client_id": 31}},
            "journal": {"path": str(folder / "orders.db")},
            "orders": {"settle_seconds": 1},  # TWS's lists prove something so soon: nobody waits in a test
            "http": {"enabled": False},
        }
    )


def orders_at(simulator):
    return [one for one in simulator.state()["orders"] if one["client_id"] == 31]


def test_it_buys_once(tws_simulator, tmp_path):
    with manager(tws_simulator, tmp_path) as house:
        trade = BuysOnce(house.connection("strategy"), limit=1000.0).run()
        trade.wait("Submitted", timeout=SECONDS)
        tws_simulator.faults.fill_order(31, trade.order_id)
        trade.wait("Filled", timeout=SECONDS)
    (order,) = orders_at(tws_simulator)
    assert order["placements"] == 1


def test_it_buys_once_when_the_answer_is_lost_with_the_line(tws_simulator, tmp_path):
    tws_simulator.faults.lose_orders(1, where="answer", then_eof=True)  # TWS has it, and cannot say so
    with manager(tws_simulator, tmp_path) as house:
        trade = BuysOnce(house.connection("strategy"), limit=1000.0).run()
        trade.wait("Submitted", timeout=SECONDS)  # in doubt at first, then found
    (order,) = orders_at(tws_simulator)
    assert order["placements"] == 1
