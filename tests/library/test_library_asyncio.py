"""The library for asyncio: awaited, iterated, cancelled; nothing polls, and what is cancelled is freed."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from library_house import AAPL, CHEAP, PATIENCE, QUICK

import backstay
from backstay import Gap, Resumed, aio, events


@pytest.fixture
def tree(tmp_path, simulator):
    host, port = simulator.address
    return {
        **QUICK,
        "journal": {"path": str(tmp_path / "backstay.db")},
        "gateways": {"paper": {"endpoints": [f"{host}:{port}"]}},
        "connections": {"keeper": {"gateway": "paper", "client_id": 7}},
    }


def play(tree, scene):
    """Run a scene with a connection that is ready."""

    async def main() -> None:
        async with asyncio.timeout(3 * PATIENCE), aio.Manager(tree) as manager:
            connection = manager.connection("keeper")
            assert await connection.wait_ready(PATIENCE)
            await scene(connection)

    asyncio.run(main())


def test_requests_streams_and_orders_are_awaited(tree):
    async def scene(connection: aio.Connection) -> None:
        details, bars = await asyncio.gather(
            connection.request("contract_details", contract=AAPL),
            connection.request("historical_bars", contract=AAPL, bar_size="1 hour", duration="1 D"),
        )
        assert details[0].contract.symbol == "AAPL"
        assert len(bars) > 5
        async with connection.subscribe("market_data", contract=AAPL) as ticks:
            async for tick in ticks:
                if isinstance(tick, events.TickPrice):
                    break
        trade = connection.place_order(AAPL, CHEAP)
        await connection.wait_trade(trade, timeout=PATIENCE)
        connection.cancel_order(trade)
        assert (await connection.wait_trade(trade, "Cancelled", timeout=PATIENCE)).done
        assert (await connection.preview(AAPL, CHEAP)).commission is not None
        with pytest.raises(backstay.RemoteError):
            await connection.request("contract_details", contract=backstay.Contract(symbol="NOSUCHTHING"))
        with pytest.raises(backstay.NoAnswerError):
            await connection.wait_trade(trade.__class__(99, trade._changed, client_id=7), timeout=0.01)

    play(tree, scene)


def test_a_stream_goes_on_over_a_cut(tree, simulator):
    async def scene(connection: aio.Connection) -> None:
        seen: list[type] = []
        async with connection.subscribe("market_data", contract=AAPL) as ticks:
            async for tick in ticks:
                if isinstance(tick, events.TickPrice) and events.TickPrice not in seen:
                    simulator.faults.eof()
                seen.append(type(tick))
                if seen[-1] is events.TickPrice and Resumed in seen:
                    break
        assert (seen.count(Gap), seen.count(Resumed)) == (1, 1)

    play(tree, scene)


def test_cancelling_a_task_takes_its_request_back_and_closes_its_stream(tree, simulator):
    async def scene(connection: aio.Connection) -> None:
        simulator.faults.drop_requests(60.0)
        asking = asyncio.create_task(
            connection.request("historical_bars", contract=AAPL, bar_size="1 hour", duration="1 D")
        )
        await asyncio.sleep(0)
        desk = connection.plain._desk
        assert len(desk.keyed) == 1
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        assert not desk.keyed

        async def watch() -> None:
            async with connection.subscribe("market_data", contract=AAPL) as ticks:
                async for _ in ticks:
                    pass

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        assert len(desk.keyed) == 1
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        assert not desk.keyed
        assert not desk.hot

    play(tree, scene)


def test_a_thousand_tasks_each_have_their_own_answer(tree):
    async def scene(connection: aio.Connection) -> None:
        symbols = ["AAPL", "MSFT", "IBM", "SPY"] * 250
        asked = [
            connection.request(
                "contract_details",
                contract=backstay.Contract(symbol=symbol, sec_type="STK", exchange="SMART", currency="USD"),
            )
            for symbol in symbols
        ]
        answers = await asyncio.gather(*asked)
        assert [answer[0].contract.symbol for answer in answers] == symbols

    play({**tree, "pacing": {"messages_per_second": 1000}}, scene)


def test_waiting_for_a_gateway_that_does_not_come_ends_in_time(tree, simulator):
    simulator.faults.refuse()

    async def main() -> None:
        async with aio.Manager(tree) as manager:
            connection = manager.connection("keeper")
            assert not await connection.wait_ready(0.1)
            with pytest.raises(backstay.NoAnswerError):
                await connection.request("current_time", timeout=0.1)
            simulator.faults.accept()
            assert await connection.wait_connect_ack(PATIENCE)
            assert await connection.wait_ready(PATIENCE)

    asyncio.run(main())


def test_a_stream_without_async_with_ends_with_its_loop_and_the_next_one_begins_anew(house, simulator):
    connection = aio.Connection(house.ready())

    async def scene() -> list[str]:
        ticks = connection.subscribe("market_data", contract=AAPL)
        seen = []
        for _ in range(2):
            async for tick in ticks:
                seen.append(type(tick).__name__)
                break
        await asyncio.to_thread(simulator.wait_for, lambda state: cancels(state) == 2)
        return seen

    def cancels(state) -> int:
        return state["clients"]["7"]["requests"].get("cancelMktData", 0)

    assert len(asyncio.run(scene())) == 2
    assert not connection.plain._desk.keyed
