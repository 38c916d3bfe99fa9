"""Every row is walked. Each rule is a function over a table, so that it can be shown to fail on a spoilt one."""

from dataclasses import replace

import pytest

from backstay.protocol import requests, responses
from backstay.protocol.codes import WARNING_BAND, code_info
from backstay.protocol.messages import (
    HIGHEST_VERSION,
    LOWEST_VERSION,
    REQUESTS,
    RESPONSES,
    Key,
    Kind,
    request_key,
    response_key,
)

READS = {Kind.ONESHOT, Kind.SNAPSHOT, Kind.STREAM}

WITHOUT_CANCEL = {}
"""Streams without a cancel: id -> the reason. There is none."""

CANCELS_OF_NOTHING_ELSE = {6}
"""Cancelled by the same message with another content, so there is no row that cancels it."""

ENDS_BY_CONTENT = {96}
"""One-shots whose end is a flag in the answer."""

ANSWERED_COMMANDS = {19, 109}

WARNINGS_THAT_CONCLUDE = {2101}
"""In the warning band and yet a refusal, of account updates alone."""


def wrong_cancels(table):
    for row in table.values():
        if row.kind is Kind.STREAM and row.cancelled_by is None and row.id not in WITHOUT_CANCEL:
            yield f"{row.name} has no cancel"
        if row.cancelled_by is not None and row.id not in CANCELS_OF_NOTHING_ELSE:
            cancel = table.get(row.cancelled_by)
            if cancel is None or cancel.cancels != row.id or cancel.key is not row.key:
                yield f"{row.name} and its cancel do not name each other"
        if row.kind in (Kind.CANCEL, Kind.ORDER_CANCEL) and (
            row.cancels not in table or table[row.cancels].cancelled_by != row.id
        ):
            yield f"{row.name} cancels nothing"
        if row.cancels is not None and row.kind not in (Kind.CANCEL, Kind.ORDER_CANCEL):
            yield f"{row.name} cancels without being a cancel"


def wrong_ends(table):
    for row in table.values():
        ends = row.end is not None
        if row.kind is Kind.SNAPSHOT and not ends:
            yield f"{row.name} never ends"
        if row.kind is Kind.ONESHOT and ends == (row.id in ENDS_BY_CONTENT):
            yield f"{row.name} has no answer"
        if row.kind in (Kind.CANCEL, Kind.SETTING, Kind.ORDER, Kind.ORDER_CANCEL) and ends:
            yield f"{row.name} is not answered and yet ends"
        if row.kind is Kind.COMMAND and ends != (row.id in ANSWERED_COMMANDS):
            yield f"{row.name} ends as no command does"
        if row.kind in READS and not row.answers:
            yield f"{row.name} can not be verified"
        if ends and row.end not in row.answers:
            yield f"{row.name} may be answered by its end alone"


def wrong_keys(table):
    for row in table.values():
        if (row.key is Key.NONE) != (row.key_index is None):
            yield f"{row.name} has a key without a place"
        if row.kind in READS and row.key is Key.NONE and row.conn_family is None:
            yield f"{row.name} is a read without key and without family"
        if row.conn_family is not None and row.key is not Key.NONE:
            yield f"{row.name} has a key and needs no family"
        if (row.kind in (Kind.ORDER, Kind.ORDER_CANCEL)) != (row.key is Key.ORDER_ID):
            yield f"{row.name} has the wrong id space"


def wrong_versions(table):
    for row in table.values():
        if not LOWEST_VERSION <= row.since <= HIGHEST_VERSION:
            yield f"{row.name} came at {row.since}"
        if row.protobuf_from is not None and not max(201, row.since) <= row.protobuf_from <= HIGHEST_VERSION:
            yield f"{row.name} is protobuf from {row.protobuf_from}"
        if row.version_field is not None and not LOWEST_VERSION == row.version_field[0] <= row.version_field[1]:
            yield f"{row.name} has VERSION in {row.version_field}"
        if (row.version_field is None) != (row.version_number == 0):
            yield f"{row.name} has a VERSION without a number"


def wrong_codes(table):
    for row in table.values():
        both = row.ends_with_code & row.warnings
        if both:
            yield f"{row.name} ends with warnings {both}"
        strange = {code for code in row.ends_with_code | row.warnings if code_info(code).meaning == "not in the tables"}
        if strange:
            yield f"{row.name} knows codes nobody else does: {strange}"
        banned = {code for code in row.ends_with_code if code in WARNING_BAND} - WARNINGS_THAT_CONCLUDE
        if banned:
            yield f"{row.name} ends with codes of the warning band: {banned}"


REQUEST_RULES = [wrong_cancels, wrong_ends, wrong_keys, wrong_versions, wrong_codes]


@pytest.mark.parametrize("rule", REQUEST_RULES)
def test_every_request_keeps_the_rule(rule):
    assert list(rule(REQUESTS)) == []


@pytest.mark.parametrize(
    ("rule", "number", "change"),
    [
        (wrong_cancels, 1, {"cancelled_by": None}),
        (wrong_cancels, 1, {"cancelled_by": 11}),
        (wrong_cancels, 2, {"cancels": None}),
        (wrong_cancels, 5, {"cancels": 2}),
        (wrong_ends, 5, {"end": None}),
        (wrong_ends, 49, {"end": None}),
        (wrong_ends, 2, {"end": 1}),
        (wrong_ends, 58, {"end": 3}),
        (wrong_ends, 1, {"answers": frozenset()}),
        (wrong_keys, 1, {"key_index": None}),
        (wrong_keys, 49, {"conn_family": None}),
        (wrong_keys, 1, {"conn_family": "x"}),
        (wrong_keys, 3, {"key": Key.REQ_ID}),
        (wrong_versions, 1, {"since": 99}),
        (wrong_versions, 1, {"protobuf_from": 200}),
        (wrong_versions, 1, {"version_field": (101, 150)}),
        (wrong_versions, 1, {"version_number": 0}),
        (wrong_codes, 1, {"warnings": frozenset({200})}),
        (wrong_codes, 1, {"warnings": frozenset({99999})}),
        (wrong_codes, 1, {"ends_with_code": frozenset({2104})}),
    ],
)
def test_the_rule_sees_a_spoilt_row(rule, number, change):
    assert list(rule({**REQUESTS, number: replace(REQUESTS[number], **change)}))


def test_versions_of_responses_are_sane():
    assert list(wrong_versions(RESPONSES)) == []


def test_ids_are_unique_and_match_their_rows():
    assert len(requests._WIRE) == len(REQUESTS) == 85
    assert len(responses._WIRE) == len(RESPONSES) == 86
    for table in (REQUESTS, RESPONSES):
        assert all(number == row.id for number, row in table.items())
        assert len({row.name for row in table.values()}) == len(table)


def test_side_tables_name_known_messages_only():
    for side in (requests._ANSWERS, requests._CHANGES, requests._PRIORITY, requests._FAMILY, requests._LAST_FIELD):
        assert set(side) <= set(REQUESTS)
    assert set(responses._VERSION_NUMBER) <= set(RESPONSES)


def test_every_answer_is_a_response_that_knows_its_request():
    for row in REQUESTS.values():
        for number in row.answers | row.rows:
            assert row.id in RESPONSES[number].requests
        if row.end is not None:
            assert row.id in RESPONSES[row.end].ends
            assert RESPONSES[row.end].end


def test_responses_without_a_request_are_the_known_ones():
    """An error belongs to anything; everything else is somebody's answer."""
    assert {row.id for row in RESPONSES.values() if not row.requests} == {4}


def test_a_keyed_request_has_keyed_answers():
    """Or its answer could not be found again; a commission report is the one that is tied to its execution instead."""
    for row in REQUESTS.values():
        if row.key is Key.REQ_ID and row.kind in READS:
            assert {number for number in row.answers | row.rows if RESPONSES[number].key is Key.NONE} <= {59}


def test_families_that_share_an_end_are_one_family():
    ends = {}
    for row in REQUESTS.values():
        if row.key is Key.NONE and row.kind in READS:
            ends.setdefault(row.end, set()).add(row.conn_family)
    assert all(len(families) == 1 for end, families in ends.items() if end is not None)


def test_what_a_read_only_relay_refuses():
    changing = {row.name for row in REQUESTS.values() if row.changes}
    assert changing == {
        "placeOrder",
        "cancelOrder",
        "exerciseOptions",
        "reqGlobalCancel",
        "replaceFA",
        "updateDisplayGroup",
        "updateConfig",
    }
    assert not any(row.kind in READS for row in REQUESTS.values() if row.changes)


def test_restore_order_is_settings_orders_accounts_then_data():
    order = [59, 5, 61, 1, 97, 50, 10, 22]
    priorities = [REQUESTS[number].priority for number in order]
    assert priorities == sorted(set(priorities))
    last = max(row.priority for row in REQUESTS.values())
    assert all(row.priority < last for row in REQUESTS.values() if row.kind in (Kind.STREAM, Kind.SETTING))


def test_settings_are_the_three_that_are_replayed():
    assert {row.id for row in REQUESTS.values() if row.kind is Kind.SETTING} == {14, 15, 59}
    assert {row.id for row in REQUESTS.values() if row.kind is Kind.ORDER} == {3, 21}


def test_tables_can_not_be_changed():
    with pytest.raises(TypeError):
        REQUESTS[1] = REQUESTS[2]
    with pytest.raises(TypeError):
        RESPONSES[1] = RESPONSES[2]


BORDERS_OF_REQUESTS = {3: 144, 4: 191, 20: 123, 22: 142, 58: 191}
BORDERS_OF_RESPONSES = {3: 130, 4: 193, 5: 144, 10: 163, 11: 135, 17: 123, 18: 163, 21: 155}


@pytest.mark.parametrize(
    ("table", "borders", "read"),
    [(REQUESTS, BORDERS_OF_REQUESTS, request_key), (RESPONSES, BORDERS_OF_RESPONSES, response_key)],
    ids=["requests", "responses"],
)
def test_version_is_dropped_at_the_borders_the_wire_has(table, borders, read):
    """Everything else has VERSION at all versions or at none."""
    assert {n: r.version_field[1] for n, r in table.items() if r.version_field and r.version_field[1] < 226} == borders
    for number, last in borders.items():
        if table[number].key is not Key.NONE:
            assert read(b"%d\x0034\x007\0" % number, last) == 7
            assert read(b"%d\x0034\x007\0" % number, last + 1) == 34


# the same facts as in the tables, told by version instead of by message
REQUESTS_TURN_PROTOBUF = {
    201: {7},
    203: {3, 4, 58},
    204: {5, 15, 16, 99},
    205: {9},
    206: {1, 2, 10, 11, 59},
    207: {6, 17, 61, 62, 63, 64, 74, 75, 76, 77},
    208: {20, 25, 50, 51, 87, 88, 89, 90, 96, 97, 98},
    209: {12, 13, 84, 85, 86, 100, 101, 102, 103},
    210: {22, 23, 24, 92, 93, 94, 95},
    211: {18, 19, 21, 54, 55, 56, 57},
    212: {78, 79, 80, 81, 83, 91, 104},
    213: {8, 14, 49, 65, 66, 67, 68, 69, 70, 71, 82, 105},
    215: {106, 107},
    219: {108},
    221: {109},
    None: {52, 53, 72, 73},
}
RESPONSES_TURN_PROTOBUF = {
    201: {4, 11, 55},
    203: {3, 5, 53},
    204: {100, 101, 102},
    205: {10, 18, 52},
    206: {1, 2, 12, 13, 21, 45, 46, 57, 58, 81},
    207: {6, 7, 8, 15, 54, 61, 62, 63, 64, 71, 72, 73, 74},
    208: {17, 50, 88, 89, 90, 96, 97, 98, 99, 108},
    209: {14, 83, 84, 85, 86, 87, 104, 105},
    210: {19, 20, 94, 95},
    211: {16, 59, 91, 92, 103, 106},
    212: {75, 76, 77, 78, 79, 82, 93, 107},
    213: {9, 49, 65, 66, 67, 68, 80, 109},
    219: {110},
    221: {111},
    None: {47, 51, 56, 69, 70},
}


@pytest.mark.parametrize(
    ("table", "expected"),
    [(REQUESTS, REQUESTS_TURN_PROTOBUF), (RESPONSES, RESPONSES_TURN_PROTOBUF)],
    ids=["requests", "responses"],
)
def test_families_turn_protobuf_together(table, expected):
    found = {}
    for row in table.values():
        found.setdefault(row.protobuf_from, set()).add(row.id)
    assert found == expected
