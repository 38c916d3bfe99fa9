"""What a simulator tells of itself when it is asked, and what a read-only one refuses."""

from datetime import time

import pytest

from backstay.protocol.commands import all_open_orders, configuration, next_ids
from backstay.protocol.configuration import Configuration as Told
from backstay.protocol.configuration import read_configuration
from backstay.protocol.messages import message_id, response_key
from backstay.simulator import Configuration, Simulator

V = 226


def tell(client):
    client.sock.sendall(configuration(V, 7))
    answer = client.read(110)
    assert response_key(answer, V) == 7
    return read_configuration(answer, V)


@pytest.mark.parametrize(
    ("exit_at", "at"), [("23:45", time(23, 45)), ("00:07", time(0, 7)), ("12:00", time(12)), ("09:05", time(9, 5))]
)
def test_it_tells_when_it_ends_and_whether_it_comes_back(connect, exit_at, at):
    for restarts in (True, False):
        _, client = connect(V, exit_at=exit_at, restarts=restarts)
        told = tell(client)
        assert (told.exit_at, told.restarts) == (at, restarts)


def test_it_tells_its_settings_and_no_end_unless_it_is_told_one(connect):
    simulator, client = connect(V, master_client_id=5, read_only=True)
    assert tell(client) == Told(None, False, True, simulator.port, 5, None, None, True, ("127.0.0.1",))


def test_without_a_master_it_names_none(connect):
    assert tell(connect(V)[1]).master_client_id is None


def test_it_may_refuse_or_say_nothing(connect):
    _, client = connect(V, configuration=Configuration.REFUSED)
    client.sock.sendall(configuration(V, 7))
    assert client.refusal(321).id == 7
    simulator, client = connect(V, configuration=Configuration.SILENT)
    client.sock.sendall(configuration(V, 7) + next_ids(V))
    heard = [message_id(client.next(), V)]
    while heard[-1] != 9:
        heard.append(message_id(client.next(), V))
    assert 110 not in heard
    assert simulator.errors == []


def test_one_that_is_read_only_neither_takes_nor_lists_orders(connect):
    simulator, client = connect(V, read_only=True)
    client.sock.sendall(all_open_orders(V))
    assert client.refusal(321).id == -1
    simulator.wait_for(lambda state: state["clients"]["1"]["requests"]["reqAllOpenOrders"] == 1)


def test_an_end_that_is_no_time_of_day_is_refused():
    with pytest.raises(ValueError, match="exit_at is HH:MM"):
        Simulator(exit_at="24:00")
