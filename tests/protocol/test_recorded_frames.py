import runpy
from pathlib import Path

import pytest

from backstay.protocol import commands, errors
from backstay.protocol.framing import Splitter
from backstay.protocol.messages import (
    REQUESTS,
    RESPONSES,
    Kind,
    body_fields,
    is_protobuf,
    kind_of,
    message_id,
    request_key,
    response_key,
)

DATA = runpy.run_path(str(Path(__file__).with_name("frames_data.py")))
CLIENT = DATA["CLIENT_FRAMES"] + DATA["START_UP_FRAMES"]
SERVER = DATA["SERVER_FRAMES"]


def name(row):
    return f"{row[0]} @{row[1]}"


def only_payload(frame):
    chunk = Splitter().push(frame)
    assert chunk is not None
    (payload,) = chunk.payloads()
    return payload


def at(rows, version):
    """Title, payload, id and key of the frames of one server version."""
    return [(title, only_payload(frame), number, key) for title, of, frame, number, key in rows if of == version]


VERSIONS_OF_CLIENTS = sorted({row[1] for row in CLIENT})
VERSIONS_OF_SERVERS = sorted({row[1] for row in SERVER})


def frame_of(title, version):
    """The one frame with this title at this version; arguments in a title may be left out."""
    (frame,) = {
        row[2]
        for row in CLIENT + SERVER
        if row[1] == version and row[0].startswith(title) and not row[0][len(title) :][:1].isalnum()
    }
    return frame


def test_the_table_is_not_empty():
    assert len(CLIENT) > 300
    assert len(SERVER) > 100


@pytest.mark.parametrize("version", VERSIONS_OF_CLIENTS)
def test_client_frames_are_read_to_their_ids_and_keys(version):
    expected = {title: (number, key) for title, _, number, key in at(CLIENT, version)}
    read = {
        title: (message_id(payload, version), request_key(payload, version))
        for title, payload, _, _ in at(CLIENT, version)
    }
    assert read == expected
    assert {number for number, _ in read.values()} <= set(REQUESTS)


@pytest.mark.parametrize("version", VERSIONS_OF_SERVERS)
def test_server_frames_are_read_to_their_ids_and_keys(version):
    expected = {title: (number, key) for title, _, number, key in at(SERVER, version)}
    read = {
        title: (message_id(payload, version), response_key(payload, version))
        for title, payload, _, _ in at(SERVER, version)
    }
    assert read == expected
    assert {number for number, _ in read.values()} <= set(RESPONSES)


@pytest.mark.parametrize("version", VERSIONS_OF_CLIENTS)
def test_a_client_turns_to_protobuf_where_the_table_says(version):
    for title, payload, number, _ in at(CLIENT, version):
        threshold = REQUESTS[number].protobuf_from
        assert is_protobuf(payload, version) == (threshold is not None and version >= threshold), title


def first_field(row, key, version):
    """What stands first in a text body by the table: VERSION, else the key, else anything."""
    if row.version_field is not None and row.version_field[0] <= version <= row.version_field[1]:
        return b"%d" % row.version_number
    return b"%d" % key if key is not None and row.key_index == 0 else None


@pytest.mark.parametrize("version", VERSIONS_OF_CLIENTS)
def test_a_client_writes_version_where_the_table_says(version):
    for title, payload, number, key in at(CLIENT, version):
        values = body_fields(payload, version)
        expected = first_field(REQUESTS[number], key, version)
        if is_protobuf(payload, version):
            assert values == [], title
        elif expected is not None:
            assert values[:1] == [expected], title


@pytest.mark.parametrize("version", VERSIONS_OF_SERVERS)
def test_a_server_writes_version_where_the_table_says(version):
    for title, payload, number, key in at(SERVER, version):
        values = body_fields(payload, version)
        expected = first_field(RESPONSES[number], key, version)
        if is_protobuf(payload, version):
            assert values == [], title
        elif expected is not None:
            assert values[:1] == [expected], title
        assert not is_protobuf(payload, version) or version >= RESPONSES[number].protobuf_from, title


@pytest.mark.parametrize("version", VERSIONS_OF_CLIENTS)
def test_the_kind_is_the_tables_unless_the_content_decides(version):
    decided = {
        "reqHistoricalData(11, same, keepUpToDate True)": Kind.STREAM if version >= 124 else Kind.SNAPSHOT,
        "reqAccountUpdates(False, DU1234567)": Kind.CANCEL,
    }
    for title, payload, number, _ in at(CLIENT, version):
        assert kind_of(payload, version) is decided.get(title, REQUESTS[number].kind), title


VERSIONS = (100, 151, 176, 187, 200, 201, 206, 210, 213, 226)


@pytest.mark.parametrize("version", VERSIONS)
def test_our_own_requests_are_the_bytes_a_client_sends(version):
    assert commands.start_api(version, 7, b"") == frame_of("startApi(clientId 7)", version)
    assert commands.current_time(version) == frame_of("reqCurrentTime", version)
    assert commands.open_orders(version) == frame_of("reqOpenOrders", version)
    assert commands.all_open_orders(version) == frame_of("reqAllOpenOrders", version)
    assert commands.completed_orders(version) == frame_of("reqCompletedOrders", version)
    assert commands.executions(version, 11) == frame_of("reqExecutions", version)


@pytest.mark.parametrize("version", [178, 226])
def test_start_api_carries_capabilities(version):
    frame = commands.start_api(version, 7, b"capA")
    assert frame == frame_of('startApi(clientId 7, optCapab "capA")', version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("request_title", "cancel_title"),
    [
        ("reqMktData", "cancelMktData"),
        ("reqMktDepth", "cancelMktDepth"),
        ("reqAccountUpdates(True, DU1234567)", "reqAccountUpdates(False, DU1234567)"),
        ("reqAccountSummary", "cancelAccountSummary"),
        ("reqPositions", "cancelPositions"),
        ("reqHistoricalData(11, same", "cancelHistoricalData"),
        ("reqRealTimeBars", "cancelRealTimeBars"),
        ("reqTickByTickData", "cancelTickByTickData"),
        ("reqContractDetails", "cancelContractData"),
    ],
)
def test_our_cancels_are_the_bytes_a_client_sends(request_title, cancel_title, version):
    if version == 100 and request_title.startswith("reqTickByTick"):
        return  # does not exist yet
    cancel = commands.cancel_frame(only_payload(frame_of(request_title, version)), version)
    if cancel_title == "cancelContractData" and version < 215:
        assert cancel is None
    else:
        assert cancel == frame_of(cancel_title, version)


@pytest.mark.parametrize("row", [row for row in SERVER if row[3] == errors.ERROR], ids=name)
def test_our_errors_are_the_bytes_a_server_sends(row):
    _, version, frame, _, _ = row
    message = errors.read_error(only_payload(frame), version)
    assert message is not None
    assert message.time_ms == (1785600000123 if version >= 194 else 0)
    if version != 201:  # there we write protobuf, the recorded frame is a text body
        assert errors.write_error(message, version) == frame


@pytest.mark.parametrize("version", [151, 178, 200, 201, 226])
def test_our_readiness_is_the_bytes_a_server_sends(version):
    next_id, accounts = frame_of("nextValidId", version), frame_of("managedAccounts", version)
    assert errors.read_next_valid_id(only_payload(next_id), version) == 1001
    assert errors.read_managed_accounts(only_payload(accounts), version) == b"DU1234567,DU7654321"
    assert errors.write_next_valid_id(1001, version) == next_id
    assert errors.write_managed_accounts(b"DU1234567,DU7654321", version) == accounts
