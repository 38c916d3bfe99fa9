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


@pytest.mark.parametrize("row", CLIENT, ids=name)
def test_a_client_frame_is_read_to_its_id_and_key(row):
    _, version, frame, number, key = row
    payload = only_payload(frame)
    assert message_id(payload, version) == number
    assert request_key(payload, version) == key
    assert number in REQUESTS


@pytest.mark.parametrize("row", SERVER, ids=name)
def test_a_server_frame_is_read_to_its_id_and_key(row):
    _, version, frame, number, key = row
    payload = only_payload(frame)
    assert message_id(payload, version) == number
    assert response_key(payload, version) == key
    assert number in RESPONSES


@pytest.mark.parametrize("row", CLIENT, ids=name)
def test_a_client_turns_to_protobuf_where_the_table_says(row):
    _, version, frame, number, _ = row
    threshold = REQUESTS[number].protobuf_from
    assert is_protobuf(only_payload(frame), version) == (threshold is not None and version >= threshold)


@pytest.mark.parametrize("row", CLIENT, ids=name)
def test_a_client_writes_version_where_the_table_says(row):
    _, version, frame, number, _ = row
    payload = only_payload(frame)
    entry = REQUESTS[number]
    if is_protobuf(payload, version):
        assert body_fields(payload, version) == []
        return
    has_version = entry.version_field is not None and entry.version_field[0] <= version <= entry.version_field[1]
    if has_version:
        assert body_fields(payload, version)[0] == b"%d" % entry.version_number
    elif entry.key_index == 0:
        assert body_fields(payload, version)[0] == b"%d" % request_key(payload, version)


@pytest.mark.parametrize("row", SERVER, ids=name)
def test_a_server_writes_version_where_the_table_says(row):
    _, version, frame, number, key = row
    payload = only_payload(frame)
    entry = RESPONSES[number]
    if is_protobuf(payload, version):
        assert entry.protobuf_from is not None
        assert version >= entry.protobuf_from
    elif entry.version_field is not None and version <= entry.version_field[1]:
        assert body_fields(payload, version)[0] == b"%d" % entry.version_number
    elif key is not None:
        assert body_fields(payload, version)[0] == b"%d" % key


@pytest.mark.parametrize("row", CLIENT, ids=name)
def test_the_kind_is_the_tables_unless_the_content_decides(row):
    title, version, frame, number, _ = row
    kind = kind_of(only_payload(frame), version)
    if "keepUpToDate True" in title:
        assert kind is (Kind.STREAM if version >= 124 else Kind.SNAPSHOT)
    elif title.startswith("reqAccountUpdates(False"):
        assert kind is Kind.CANCEL
    else:
        assert kind is REQUESTS[number].kind


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
