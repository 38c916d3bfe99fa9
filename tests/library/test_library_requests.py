"""Requests of an application that embeds backstay: each kind answered, refused, lost or given up, and each once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from library_house import AAPL, PATIENCE

import backstay
from backstay import events
from backstay.session.lifecycle import Event

BARS = {"contract": AAPL, "bar_size": "1 hour", "duration": "1 D"}


def test_each_kind_of_read_has_its_answer(house):
    connection = house.ready()
    assert connection.request("current_time").seconds > 1_700_000_000
    assert connection.request("managed_accounts").accounts == ("DU1234567",)
    details = connection.request("contract_details", contract=AAPL)
    assert [one.contract.con_id for one in details] == [265598]
    bars = connection.request("historical_bars", **BARS)
    assert len(bars) > 5
    assert all(isinstance(bar, events.Bar) and bar.low <= bar.close <= bar.high for bar in bars)
    ticks = connection.request("market_data", contract=AAPL, snapshot=True)
    assert {type(tick) for tick in ticks} >= {events.TickPrice, events.TickSize}
    assert connection.request("open_orders") == []
    assert connection.request("executions") == []
    assert isinstance(connection.request("family_codes"), events.Message)
    assert connection.request("market_data_type", kind=3) is None


def test_what_cannot_be_asked_is_refused_at_once_with_the_name_of_what_is_wrong(house):
    connection = house.ready()
    for name, values, word in (
        ("contract_detials", {}, "no such request"),
        ("contract_details", {}, "contract"),
        ("historical_bars", {**BARS, "bar_sise": "1 hour"}, "bar_sise"),
        ("market_data", {"contract": AAPL}, "subscribe"),
        ("cancel_order", {}, "cancel_order"),
    ):
        with pytest.raises(backstay.MisuseError, match=word):
            connection.request(name, **values)
    with pytest.raises(backstay.MisuseError, match="request"):
        connection.subscribe("contract_details", contract=AAPL)
    with pytest.raises(backstay.MisuseError, match="nobody"):
        house.manager.connection("nobody")


def test_an_error_of_tws_is_raised_with_its_code(house):
    nothing = backstay.Contract(symbol="NOSUCHTHING", sec_type="STK", exchange="SMART", currency="USD")
    with pytest.raises(backstay.RemoteError) as told:
        house.ready().request("contract_details", contract=nothing)
    assert told.value.code == 200


def test_what_is_asked_before_the_gateway_is_there_is_answered_once_it_is(build, simulator):
    simulator.faults.refuse()
    house = build(simulator.address)
    details = house.connection.submit("contract_details", contract=AAPL)
    stream = house.connection.subscribe("market_data", contract=AAPL)
    house.wait_state("waiting")
    with pytest.raises(backstay.NotReadyError):
        house.connection.request("current_time", fail_fast=True)
    simulator.faults.accept()
    assert details.result(PATIENCE)[0].contract.symbol == "AAPL"
    assert isinstance(stream.next_event(PATIENCE), events.TickParameters | events.MarketDataType)


def test_what_was_given_up_makes_room_for_what_is_asked_while_the_gateway_is_away(build, simulator, monkeypatch):
    monkeypatch.setattr("backstay.library_requests.MAX_EARLY", 3)
    simulator.faults.refuse()
    connection = build(simulator.address).connection
    for _ in range(5):
        assert connection.submit("contract_details", contract=AAPL).cancel()
    waiting = [connection.submit("contract_details", contract=AAPL) for _ in range(3)]
    with pytest.raises(backstay.NotReadyError, match="too much"):
        connection.submit("contract_details", contract=AAPL)
    with pytest.raises(backstay.NotReadyError, match="not been reached"):
        connection.request("global_cancel")
    simulator.faults.accept()
    assert all(len(future.result(PATIENCE)) == 1 for future in waiting)


def test_a_connection_that_was_drained_and_resumed_is_asked_as_before(house, simulator):
    connection = house.ready()
    stream = connection.subscribe("market_data", contract=AAPL)
    house.manager.order("keeper", Event.DRAIN, "a test")
    house.wait_state("stopped")
    with pytest.raises(backstay.ConnectionLostError):
        list(stream)
    with pytest.raises(backstay.NotReadyError):
        connection.request("current_time")
    house.manager.order("keeper", Event.RESUME, "a test")
    root = house.manager.root
    assert root.restart_child("root/connections", "keeper", reason="a test") is None
    assert len(house.ready().request("contract_details", contract=AAPL)) == 1
    simulator.wait_for(lambda state: not state["clients"]["7"]["subscriptions"])


def test_requests_that_tws_drops_are_answered_all_the_same(build, simulator):
    simulator.faults.drop_requests(3.0)
    connection = build(simulator.address).ready()
    asked = [connection.submit("contract_details", contract=AAPL) for _ in range(5)]
    assert all(len(future.result(2 * PATIENCE)) == 1 for future in asked)


def test_a_deadline_that_passes_frees_the_request_and_its_late_answer_reaches_nobody(build, lines):
    house = build(lines.address)
    lines.welcome()
    connection = house.ready()
    late = connection.submit("historical_bars", timeout=0.3, **BARS)
    key = lines.receive(20)[1]
    with pytest.raises(backstay.NoAnswerError):
        late.result(PATIENCE)
    assert lines.receive(25)[2] == key, "TWS is told that nobody wants it any more"
    lines.say(17, key.decode(), "", "", 0)
    after = connection.submit("historical_bars", **BARS)
    second = lines.receive(20)[1]
    assert int(second) > int(key), "an id is never used again"
    lines.say(17, second.decode(), "", "", 1, "20260401", 1, 2, 0.5, 1.5, 100, 1.2, 7)
    assert [bar.close for bar in after.result(PATIENCE)] == [1.5]
    lines.sock.close()
    lines.welcome()
    connection.submit("market_rule", rule_id=26)
    lines.receive(91)
    assert 20 not in lines.seen, "neither is asked again"


def test_a_read_without_an_id_that_was_given_up_does_not_leave_its_answer_to_the_next(build, lines):
    house = build(lines.address)
    lines.welcome()
    connection = house.ready()
    first = connection.submit("market_rule", rule_id=26, timeout=0.3)
    lines.receive(91)
    with pytest.raises(backstay.NoAnswerError):
        first.result(PATIENCE)
    second = connection.submit("market_rule", rule_id=32)
    lines.say(93, 26, 1, 0, 0.01)
    assert lines.receive(91)[1] == b"32", "asked when the answer to the first is out of the way"
    lines.say(93, 32, 1, 0, 0.05)
    assert second.result(PATIENCE).fields[0] == "32"


def test_a_half_answered_read_is_asked_again_and_answered_once_and_whole(build, lines):
    house = build(lines.address)
    lines.welcome()
    asked = house.ready().submit("contract_details", contract=AAPL)
    key = lines.receive(9)[2]
    lines.say(10, key.decode(), "HALF", "STK", "", *[""] * 40)
    lines.sock.close()
    lines.welcome()
    again = lines.receive(9)[2]
    assert again != key
    lines.say(52, 1, again.decode())
    assert asked.result(PATIENCE) == []


def test_a_request_that_does_not_wait_fails_with_the_connection(build, lines):
    house = build(lines.address)
    lines.welcome()
    connection = house.ready()
    quick = connection.submit("contract_details", contract=AAPL, fail_fast=True)
    lines.receive(9)
    lines.sock.close()
    with pytest.raises(backstay.ConnectionLostError) as told:
        quick.result(PATIENCE)
    assert told.value.code == 507


def test_a_cancelled_future_frees_the_request(build, lines):
    house = build(lines.address)
    lines.welcome()
    asked = house.ready().submit("historical_bars", **BARS)
    key = lines.receive(20)[1]
    assert asked.cancel()
    assert lines.receive(25)[2] == key


def test_the_connections_own_thread_cannot_wait_for_an_answer(house):
    connection = house.ready()
    errors: list[BaseException] = []
    done = threading.Event()

    def ask(_event: object) -> None:
        try:
            connection.request("current_time")
        except backstay.MisuseError as error:
            errors.append(error)
        done.set()

    with connection.subscribe("market_data", contract=AAPL, callback=ask, inline=True):
        assert done.wait(PATIENCE)
    assert "submit" in str(errors[0])


def test_a_stop_leaves_nothing_in_limbo(build, lines):
    house = build(lines.address)
    lines.welcome()
    connection = house.ready()
    asked = connection.submit("contract_details", contract=AAPL)
    stream = connection.subscribe("market_data", contract=AAPL)
    house.manager.stop()
    with pytest.raises(backstay.ConnectionLostError):
        asked.result(PATIENCE)
    with pytest.raises(backstay.ConnectionLostError):
        list(stream)
    with pytest.raises(backstay.NotReadyError):
        connection.request("current_time")


@pytest.mark.parametrize("fault", ["eof", "freeze"])
def test_many_threads_ask_over_a_break_and_each_has_its_own_answer(build, simulator, fault):
    house = build(simulator.address, pacing={"messages_per_second": 1000})
    connection = house.ready()
    symbols = ["AAPL", "MSFT", "IBM", "SPY"]

    def ask(number: int) -> bool:
        symbol = symbols[number % 4]
        contract = backstay.Contract(symbol=symbol, sec_type="STK", exchange="SMART", currency="USD")
        answer = connection.request("contract_details", contract=contract, timeout=60)
        return [one.contract.symbol for one in answer] == [symbol]

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(200)]
        wait(asked[:40], PATIENCE)
        getattr(simulator.faults, fault)()
        house.wait_state("waiting", "connecting", "handshaking", "starting", "verifying")
        if fault == "freeze":
            simulator.faults.thaw()
        assert all(future.result(60) for future in asked)


def test_a_manager_takes_a_path_and_says_everything_that_is_wrong(tmp_path):
    path = tmp_path / "backstay.toml"
    path.write_text('[gateways.paper]\nendpoints = ["127.0.0.1:1"]\n[connections.keeper]\ngateway = "papre"\n')
    with pytest.raises(backstay.ConfigError) as told:
        backstay.Manager(path)
    assert "connections.keeper" in str(told.value)
