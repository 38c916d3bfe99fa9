"""Planned downtime over real sockets: no orders, no alarm, and everything else goes on."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from backstay.control.explaining import explain
from backstay.metrics.exporter import readiness
from backstay.status import status_as_dict


def window_around_now() -> str:
    now = datetime.now(UTC)
    return f"{now - timedelta(minutes=5):%H:%M}-{now + timedelta(minutes=30):%H:%M} UTC"


def test_in_planned_downtime_orders_are_refused_cancels_and_data_pass_and_nobody_is_alarmed(build, simulator):
    house = build(simulator.address, gateways={"paper": {"maintenance": [window_around_now()]}})
    client = house.client().connect(7)
    client.send(3, 101, 0, "AAPL", "STK")
    assert "planned downtime" in client.expect_error(201, 101).text
    client.market_data(11)
    client.expect(1, 11)
    client.send(4, 102, "", "", "")  # a cancel is TWS's to answer
    assert not client.expect_error(10147, 102).text.startswith("backstay:")
    simulator.faults.refuse()
    simulator.faults.eof()
    assert "planned downtime" in client.expect_error(1100).text
    house.wait_state("waiting")
    (meter,) = (meter for meter in house.manager.meters() if meter.name == "paper/7")
    assert meter.disconnects["maintenance"] == 1
    assert meter.expected is False
    check = readiness(meter)
    assert check.ok
    assert "planned downtime" in check.detail
    (row,) = status_as_dict(house.manager.status())["connections"]
    assert (row["wanted"], row["admin"]) == (False, "up")
    told = explain(row, None, now=time.time())
    assert str(told["why"]).startswith("Planned downtime from")
    assert told["todo"] == []
    simulator.faults.accept()
    client.expect_error(1102)
    client.expect(1, 11)
